"""Two runs compared: every rate of the one beside that of the other, over the same images where they share them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.evaluation.judged import Condition, Hit, Judged
from pipeline.records import PHOTO, SOURCE, AgainstRow, Cell, Pair
from pipeline.statistics import compare_independent, compare_paired, effective_number, holm, wilson

_PHOTO_QUANTITIES = ("destruction_rate", "clean_accuracy", "adversarial_accuracy")
_FILE_QUANTITIES = ("clean_accuracy", "adversarial_accuracy")
_Key = tuple[str, str]


@dataclass(frozen=True)
class Side:
    """One of the two runs: its pairs by cell, what the model says, and the SHA-256 of the pixels of every file.

    `file_hash` is by image for clean files and by pair for adversarial ones.
    """

    cells: Mapping[Cell, Sequence[Pair]]
    judged: Judged
    file_hash: Mapping[str, str]

    @property
    def photo(self) -> Condition | None:
        """The photographs that are compared: the camera's where there are any, for nothing simulated stands in for them."""
        return min(self.judged.photos, key=lambda condition: condition[2], default=None)


def against_rows(first: Side, second: Side, top_ks: Iterable[int]) -> list[AgainstRow]:
    """Returns every rate that both runs have, corrected by Holm over those of one table and top k.

    The rows of all cells together come first. Files of the prefiltered case are not compared: they fool by choice. Images of a
    case are paired where the runs share at least half of those of the smaller one; else the runs are independent samples. An
    image is the same where its name and its clean pixels are. Images on one page fall together, on the page of either run; over
    all cells so do the attacks on one image. One image is one observation: of several photographs the one with the least
    predicted registration error speaks for it in the comparison.
    """
    both = [cell for cell in first.cells if cell in second.cells]
    rows: list[AgainstRow] = []
    for top_k in top_ks:
        rated = _TwoRuns(first, second, both, top_k)
        for family in (rated.overall(), rated.photos(), rated.files(), rated.transforms()):
            of_table = list(family)
            n_tested = sum(row.p is not None for row in of_table)
            corrected = holm([row.p for row in of_table])
            rows += [replace(row, p_holm=p, n_family=n_tested) for row, p in zip(of_table, corrected, strict=True)]
    return rows


def shared_images(first: Side, second: Side, cells: Iterable[Cell]) -> tuple[int, int, int]:
    """Returns how many images of some cells are the same in both runs, and how many the first and the second have there."""
    sides = [
        {(cell, pair.image_id): side.file_hash[pair.image_id] for cell in cells for pair in side.cells[cell]}
        for side in (first, second)
    ]
    return len(sides[0].items() & sides[1].items()), len(sides[0]), len(sides[1])


def is_paired(first: Side, second: Side, cells: Iterable[Cell]) -> bool:
    """Whether the runs share at least half of the images of the smaller one."""
    n_shared, n_first, n_second = shared_images(first, second, list(cells))
    return n_shared > 0 and 2 * n_shared >= min(n_first, n_second)


class _TwoRuns:
    """The rows of each table at one top k."""

    def __init__(self, first: Side, second: Side, cells: Sequence[Cell], top_k: int) -> None:
        self._first, self._second, self._cells, self._top_k = first, second, cells, top_k
        self._cases = list(dict.fromkeys(cell[0] for cell in cells))
        self._paired = {case: is_paired(first, second, self._of_case(case)) for case in self._cases}

    def overall(self) -> Iterator[AgainstRow]:
        for case in self._cases:
            for quantity, one, other in self._questions(case):
                yield self._row("overall", quantity, self._of_case(case), one, other)

    def photos(self) -> Iterator[AgainstRow]:
        return self._cell_by_cell("photo", PHOTO)

    def files(self) -> Iterator[AgainstRow]:
        return self._cell_by_cell("file", SOURCE)

    def transforms(self) -> Iterator[AgainstRow]:
        known = {condition[:2]: condition for condition in self._second.judged.conditions}
        for cell in self._cells:
            for one in self._first.judged.conditions:
                if one[0] not in (PHOTO, SOURCE) and one[:2] in known:
                    yield self._row("transform", "destruction_rate", [cell], one, known[one[:2]])

    def _of_case(self, case: str) -> list[Cell]:
        return [cell for cell in self._cells if cell[0] == case]

    def _cell_by_cell(self, table: str, transform: str) -> Iterator[AgainstRow]:
        for cell in self._cells:
            for quantity, one, other in self._questions(cell[0]):
                if one[0] == transform:
                    yield self._row(table, quantity, [cell], one, other)

    def _questions(self, case: str) -> Iterator[tuple[str, Condition, Condition]]:
        if self._first.photo and self._second.photo:
            for quantity in _PHOTO_QUANTITIES:
                yield quantity, self._first.photo, self._second.photo
        if case != "prefiltered":  # whose files fool by choice
            for quantity in _FILE_QUANTITIES:
                yield quantity, self._first.judged.source, self._second.judged.source

    def _row(self, table: str, quantity: str, cells: Sequence[Cell], one: Condition, other: Condition) -> AgainstRow:
        case, attack, epsilon = cells[0] if table != "overall" else (cells[0][0], "", 0)
        first, second = (
            self._hits(side, quantity, cells, condition) for side, condition in ((self._first, one), (self._second, other))
        )
        return AgainstRow(
            table=table,
            quantity=quantity,
            case=case,
            attack=attack,
            epsilon_8bit=epsilon,
            transform=one[0],
            parameter=one[1],
            top_k=self._top_k,
            first_origin=one[2],
            **_named("first", _alone(first)),
            second_origin=other[2],
            **_named("second", _alone(second)),
            **(self._pairwise if self._paired[case] else _apart)(quantity, cells, first, second),
            p_holm=None,
            n_family=0,
        )

    def _hits(self, side: Side, quantity: str, cells: Sequence[Cell], condition: Condition) -> dict[_Key, Hit]:
        """The outcomes of some cells; a clean file is the same in all of them."""
        is_clean_file = quantity == "clean_accuracy" and condition[0] == SOURCE
        return {
            ("" if is_clean_file else str(cell[1:]), image): hit
            for cell in cells
            for image, hit in side.judged.hits(quantity, side.cells[cell], condition, self._top_k).items()
        }

    def _pairwise(self, quantity: str, cells: Sequence[Cell], first: dict[_Key, Hit], second: dict[_Key, Hit]) -> dict:
        hashes = self._first.file_hash, self._second.file_hash
        keys = [key for key in first if key in second and hashes[0][key[1]] == hashes[1][key[1]]]
        outcomes = [(first[key].is_hit, second[key].is_hit) for key in keys]
        ways = _ways(keys, first, second)
        found = compare_paired(outcomes, ways or None)
        shared = {image for _, image in keys}
        files = [
            {
                (cell, pair.image_id): side.file_hash[pair.pair_id]
                for cell in cells
                for pair in side.cells[cell]
                if pair.image_id in shared
            }
            for side in (self._first, self._second)
        ]
        is_same = quantity == "clean_accuracy" or all(files[1].get(key, digest) == digest for key, digest in files[0].items())
        return {
            "pairing": "file" if is_same else "image",
            "n": found.n,
            "n_both": found.n_both,
            "n_first": found.n_first,
            "n_second": found.n_second,
            "difference": found.difference,
            "low": found.low,
            "high": found.high,
            "interval": "cluster" if ways else "wilson",
            "n_clusters": found.n_clusters if ways else None,
            "n_effective": found.n_effective if ways else None,
            "p": found.p,
        }


def _apart(quantity: str, cells: Sequence[Cell], first: dict[_Key, Hit], second: dict[_Key, Hit]) -> dict:
    samples = [([hit.is_hit for hit in side.values()], _ways(list(side), side) or None) for side in (first, second)]
    found = compare_independent(*samples)
    return {
        "pairing": "none",
        **dict.fromkeys(("n", "n_both", "n_first", "n_second"), 0),
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "interval": "cluster" if samples[0][1] else "wilson",
        "n_clusters": None,
        "n_effective": None,
        "p": found.p,
    }


def _ways(keys: Sequence[_Key], *sides: Mapping[_Key, Hit]) -> list[list]:
    """The ways in which some outcomes fall together: by the page of either run, and over several cells by the image."""
    ways: list[list] = [[side[key].page for key in keys] for side in sides]
    ways = [way for way in ways if any(way)]  # files have no pages
    if len({cell for cell, _ in keys}) > 1:
        ways.append([image for _, image in keys])
    return ways


def _alone(hits: Mapping[_Key, Hit]) -> dict:
    """One run's own rate with its interval."""
    outcomes = [hit.is_hit for hit in hits.values()]
    n, ways = len(outcomes), _ways(list(hits), hits)
    number = effective_number([float(hit) for hit in outcomes], ways) if ways else None
    worth = number.n_effective if number else n
    low, high = wilson(sum(outcomes) / n * worth, worth) if n else (None, None)
    return {
        "hit": sum(outcomes),
        "of": n,
        "rate": sum(outcomes) / n if n else None,
        "low": low,
        "high": high,
        "n_effective": number.n_effective if number else None,
    }


def _named(prefix: str, values: Mapping[str, object]) -> dict:
    return {f"{prefix}_{name}": value for name, value in values.items()}
