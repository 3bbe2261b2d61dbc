"""Two runs compared: every rate of the one beside that of the other, over the same images where they share them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation.comparing import Cells, corrected, paired, unpaired
from pipeline.evaluation.criteria import CRITERIA, TopK
from pipeline.evaluation.estimates import image_ways, rate_of_images
from pipeline.evaluation.outcomes import Condition, Outcomes, Question
from pipeline.records import PHOTO, SOURCE, Cell, Comparison

_FILE_QUANTITIES = ("clean_accuracy", "adversarial_accuracy")


@dataclass(frozen=True)
class Side:
    """One of the two runs: its pairs by cell, what the model says, and the SHA-256 of the pixels of every file.

    `file_hash` is by image for clean files and by pair for adversarial ones.
    """

    cells: Cells
    outcomes: Outcomes
    file_hash: Mapping[str, str]

    @property
    def photo(self) -> Condition | None:
        """The photographs that are compared: the camera's where there are any, for nothing simulated stands in for them."""
        return min(self.outcomes.photos, key=lambda condition: condition.origin, default=None)


def run_comparisons(first: Side, second: Side, criteria: Iterable[TopK] = CRITERIA) -> list[Comparison]:
    """Returns every rate that both runs have, corrected by Holm over those of one table and top k.

    The rows of all cells together come first. Files of the prefiltered case are not compared: they fool by choice. Images of a
    case are paired where the runs share at least half of those of the smaller one; else the runs are independent samples. An
    image is the same where its name and its clean pixels are. Images on one page fall together, on the page of either run; over
    all cells so do the attacks on one image. One image is one observation: of several photographs the one with the least
    predicted registration error speaks for it in the comparison.
    """
    both = [cell for cell in first.cells if cell in second.cells]
    rows: list[Comparison] = []
    for criterion in criteria:
        runs = _TwoRuns(first, second, both, criterion)
        for family in (runs.overall(), runs.cell_by_cell("photo", PHOTO), runs.cell_by_cell("file", SOURCE), runs.transforms()):
            rows += corrected(family)
    return rows


def shared_images(first: Side, second: Side, cells: Iterable[Cell]) -> tuple[int, int, int]:
    """Returns how many images of some cells are the same in both runs, and how many the first and the second have there.

    An image counts once, in however many cells it is; it is shared where a cell has it in both runs.
    """
    sides = _files(first, second, cells)
    images = [{image for (_, image), _ in side} for side in (sides[0] & sides[1], *sides)]
    return len(images[0]), len(images[1]), len(images[2])


def is_paired(first: Side, second: Side, cells: Iterable[Cell]) -> bool:
    """Whether the runs share at least half of the images of the smaller one, cell by cell."""
    sides = _files(first, second, cells)
    n_shared = len(sides[0] & sides[1])
    return n_shared > 0 and 2 * n_shared >= min(map(len, sides))


def _files(first: Side, second: Side, cells: Iterable[Cell]) -> list[set[tuple[tuple[Cell, str], str]]]:
    """Returns the cells, names and pixels of each run's clean files."""
    cells = list(cells)
    return [
        {((cell, pair.image_id), side.file_hash[pair.image_id]) for cell in cells for pair in side.cells[cell]}
        for side in (first, second)
    ]


class _TwoRuns:
    """The rows of each table by one criterion."""

    def __init__(self, first: Side, second: Side, cells: Sequence[Cell], criterion: TopK) -> None:
        self._first, self._second, self._cells, self._criterion = first, second, cells, criterion
        self._cases = list(dict.fromkeys(cell[0] for cell in cells))
        self._paired = {case: is_paired(first, second, self._of_case(case)) for case in self._cases}

    def overall(self) -> Iterator[Comparison]:
        for case in self._cases:
            for quantity, one, other in self._questions(case):
                yield self._compared("overall", quantity, self._of_case(case), one, other)

    def transforms(self) -> Iterator[Comparison]:
        known = {condition[:2]: condition for condition in self._second.outcomes.conditions}
        for cell in self._cells:
            for one in self._first.outcomes.conditions:
                if one.transform not in (PHOTO, SOURCE) and one[:2] in known:
                    yield self._compared("transform", "destruction_rate", [cell], one, known[one[:2]])

    def _of_case(self, case: str) -> list[Cell]:
        return [cell for cell in self._cells if cell[0] == case]

    def cell_by_cell(self, kind: str, transform: str) -> Iterator[Comparison]:
        for cell in self._cells:
            for quantity, one, other in self._questions(cell[0]):
                if one.transform == transform:
                    yield self._compared(kind, quantity, [cell], one, other)

    def _questions(self, case: str) -> Iterator[tuple[str, Condition, Condition]]:
        if self._first.photo and self._second.photo:
            for quantity in ("destruction_rate", *_FILE_QUANTITIES):
                yield quantity, self._first.photo, self._second.photo
        if case != "prefiltered":  # whose files fool by choice
            for quantity in _FILE_QUANTITIES:
                yield quantity, self._first.outcomes.source, self._second.outcomes.source

    def _compared(self, kind: str, quantity: str, cells: Sequence[Cell], one: Condition, other: Condition) -> Comparison:
        case = cells[0][0]
        cell = (case, "", 0) if kind == "overall" else cells[0]
        asked = [Question(quantity, cell, condition, self._criterion) for condition in (one, other)]
        runs = (self._first, self._second)
        first, second = (
            side.outcomes.trial_of_all(question, {cell: side.cells[cell] for cell in cells})
            for side, question in zip(runs, asked, strict=True)
        )
        trials = [list(side.values()) for side in (first, second)]
        rates = rate_of_images(asked[0], trials[0]), rate_of_images(asked[1], trials[1])
        if not self._paired[case]:
            return unpaired(kind, rates, trials, [image_ways(side) for side in trials])
        hashes = self._first.file_hash, self._second.file_hash
        keys = [key for key in first if key in second and hashes[0][key[1]] == hashes[1][key[1]]]
        sides = [[side[key] for key in keys] for side in (first, second)]
        is_same = quantity == "clean_accuracy" or self._are_same_files(cells, {image for _, image in keys})
        return paired(kind, asked, sides, image_ways(*sides), rates, "file" if is_same else "image")

    def _are_same_files(self, cells: Sequence[Cell], shared: set[str]) -> bool:
        """Whether the adversarial files of the shared images are the same in both runs."""
        first, second = (
            {
                (cell, pair.image_id): side.file_hash[pair.pair_id]
                for cell in cells
                for pair in side.cells[cell]
                if pair.image_id in shared
            }
            for side in (self._first, self._second)
        )
        return all(second.get(key, digest) == digest for key, digest in first.items())
