"""Which of the paper's observations this run bears out: each a one-sided test on the images, not on the rates alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from pipeline.evaluation.judged import Condition, Judged
from pipeline.records import LEVEL, VERDICTS, Cell, FindingRow, Pair
from pipeline.report.words import attack_title, axis_of
from pipeline.statistics.kurakin2016 import ITERATIVE, METHODS, PHOTOMETRIC_BOUNDS, in_figure_6
from pipeline.statistics.one_sided import OneSided, at_least, at_most, loss_within, paired_less, stratified_less
from pipeline.statistics.paired import holm

LEAST_LOSS, MOST_LOSS = 0.01, 0.11
# A cell without a survivor speaks against "none destroys all" where its rate is surely above this.
NEARLY_ALL = 0.95
Cells = Mapping[Cell, Sequence[Pair]]


class Side(NamedTuple):
    """One destruction rate: of which cell, under which condition, at which top k."""

    cell: Cell
    condition: Condition
    top_k: int


class Step(NamedTuple):
    """Two rates of which the paper says that the first is the lower."""

    lower: Side
    higher: Side


def tested_findings(cells: Cells, judged: Judged, is_shared: bool) -> list[FindingRow]:
    """Returns every observation of the paper as a tested statement, corrected by Holm over those of one origin.

    A statement is "held" where its corrected p is below LEVEL, "not held" where that of its opposite is, else it "cannot be told"
    (docs/statistics.md).

    Args:
        cells: the pairs of every (case, attack, epsilon_8bit).
        is_shared: whether cells were drawn from the same images; methods and strengths are then compared image by image.
    """
    if judged.source is None:
        return []
    tests = _Tests(cells, judged, is_shared)
    rows = [row for photo in judged.photos for row in _judged(tests.of_photographs(photo))]
    digital = [condition for condition in judged.conditions if condition != judged.source and condition not in judged.photos]
    return rows + (_judged(tests.of_transforms(digital)) if digital else [])


def verdict(p: float | None, p_against: float | None) -> str:
    """Returns what two corrected one-sided p say: "held", "not held" or "cannot be told"."""
    held, not_held, open_ = VERDICTS
    return held if p is not None and p < LEVEL else not_held if p_against is not None and p_against < LEVEL else open_


def _judged(rows: Sequence[FindingRow]) -> list[FindingRow]:
    """Corrects the wholes over each other; a part's verdict is that of its own p."""
    wholes = [row for row in rows if not row.part]
    n_family = sum(row.p is not None for row in wholes)
    p_holm = dict(zip((row.finding for row in wholes), holm([row.p for row in wholes]), strict=True))
    against = dict(zip((row.finding for row in wholes), holm([row.p_against for row in wholes]), strict=True))
    return [
        replace(row, verdict=verdict(row.p, row.p_against))
        if row.part
        else replace(
            row,
            p_holm=p_holm[row.finding],
            p_against_holm=against[row.finding],
            n_family=n_family,
            verdict=verdict(p_holm[row.finding], against[row.finding]),
        )
        for row in rows
    ]


class _Destroyed(NamedTuple):
    image_id: str
    pair_id: str
    is_hit: bool
    page: int | str


class _Tests:
    """The outcomes of every cell and the tests that are made of them."""

    def __init__(self, cells: Cells, judged: Judged, is_shared: bool) -> None:
        self._cells, self._judged, self._is_shared = cells, judged, is_shared
        self._working: dict[tuple[Cell, int], list[Pair]] = {}
        self._known: dict[Side, dict[str, _Destroyed]] = {}

    def of_photographs(self, photo: Condition) -> list[FindingRow]:
        origin, cells = photo[2], list(self._cells)
        order = [(title, [step for k in (1, 5) for step in self._steps(a, b, photo, k, cells)]) for title, a, b in _METHOD_STEPS]
        ladder = [
            Step(Side((case, attack, strong), photo, 1), Side((case, attack, weak), photo, 1))
            for case, attack in dict.fromkeys(cell[:2] for cell in cells)
            for weak, strong in pairwise(sorted(cell[2] for cell in cells if cell[:2] == (case, attack)))
        ]
        return [
            *self._compared("order", origin, order),
            *self._compared("top5", origin, [("", [_top5(cell, photo) for cell in cells])], by_image=False),
            *self._compared("epsilon", origin, [("", ladder)]),
            *self._compared("prefiltering", origin, list(self._prefiltered(photo)), by_image=False),
            *_joined("clean-loss", origin, "tost", [("", *self._clean_loss(photo))]),
        ]

    def of_transforms(self, conditions: Sequence[Condition]) -> list[FindingRow]:
        """Tests what the paper's Fig. 6 shows: random images at ε 16, where the run has such cells."""
        cells, origin = in_figure_6(self._cells), conditions[0][2]
        order = [
            (title, [step for at in conditions for k in (1, 5) for step in self._steps(a, b, at, k, cells)])
            for title, a, b in _METHOD_STEPS
        ]
        top5 = [_top5(cell, condition) for condition in conditions for cell in cells]
        return [
            *self._compared("digital-order", origin, order),
            *self._compared("digital-top5", origin, [("", top5)], by_image=False),
            *_joined("photometric", origin, "binomial", list(self._photometric(conditions, cells))),
            *_joined("survivors", origin, "binomial", list(self._survivors(conditions, cells))),
        ]

    def _steps(self, attack: str, other: str, condition: Condition, top_k: int, cells: Iterable[Cell]) -> list[Step]:
        found = ((cell, (cell[0], other, cell[2])) for cell in cells if cell[1] == attack)
        return [
            Step(Side(cell, condition, top_k), Side(beside, condition, top_k)) for cell, beside in found if beside in self._cells
        ]

    def _prefiltered(self, photo: Condition) -> Iterator[tuple[str, list[Step]]]:
        sides = {cell: Side(cell, photo, 1) for cell in self._cells}
        for title, attacks in (("iterative attacks rise", ITERATIVE), ("fast attacks fall", METHODS[:1])):
            steps = []
            for case, attack, epsilon in self._cells:
                beside = ("prefiltered", attack, epsilon)
                if case == "average" and attack in attacks and beside in sides:
                    pair = Step(sides[case, attack, epsilon], sides[beside])
                    steps.append(pair if attack in ITERATIVE else Step(*reversed(pair)))
            yield title, steps

    def _compared(
        self, finding: str, origin: str, parts: Sequence[tuple[str, list[Step]]], by_image: bool = True
    ) -> list[FindingRow]:
        is_paired = by_image and self._is_shared
        found = [(title, *(self._paired(steps) if is_paired else self._stratified(steps))) for title, steps in parts]
        return _joined(finding, origin, "mcnemar" if is_paired else "mantel-haenszel", found)

    def _paired(self, steps: Iterable[Step]) -> tuple[OneSided | None, set[str]]:
        seen: dict[tuple, tuple[_Destroyed, _Destroyed]] = {}
        for step in steps:
            lower, higher = self._outcomes(step.lower), self._outcomes(step.higher)
            for image in lower:
                if image in higher:  # what was drawn for both cases is one observation
                    key = (step.lower.condition, step.lower.top_k, lower[image].pair_id, higher[image].pair_id)
                    seen.setdefault(key, (lower[image], higher[image]))
        pairs = list(seen.values())
        images = [one.image_id for one, _ in pairs]
        ways = [way for way in ([one.page for one, _ in pairs], [other.page for _, other in pairs]) if any(way)]
        return paired_less([(one.is_hit, other.is_hit) for one, other in pairs], [images, *ways]), set(images)

    def _stratified(self, steps: Iterable[Step]) -> tuple[OneSided | None, set[str]]:
        """Tests sides that need not show the same images; an image drawn for two cases tells nothing of their difference."""
        seen: dict[tuple, tuple[bool, _Destroyed, tuple]] = {}
        for step in steps:
            lower, higher = ({row.pair_id: row for row in self._outcomes(side).values()} for side in step)
            is_of_cases = step.lower.cell[0] != step.higher.cell[0]
            for is_higher, rows in ((False, lower), (True, higher)):
                for pair_id, row in rows.items():
                    if not (is_of_cases and pair_id in lower and pair_id in higher):
                        key = (*(side._replace(cell=side.cell[1:]) for side in step), is_higher, pair_id)
                        seen.setdefault(key, (is_higher, row, step))
        sides, rows, strata = ([entry[place] for entry in seen.values()] for place in range(3))
        images, pages = [row.image_id for row in rows], [row.page for row in rows]
        ways = [images, pages] if any(pages) else [images]
        return stratified_less(sides, [row.is_hit for row in rows], strata, ways), set(images)

    def _clean_loss(self, photo: Condition) -> tuple[OneSided | None, set[str]]:
        outcomes, images, pages = [], [], []
        for (case, _, _), pairs in self._cells.items():
            for pair in pairs if case == "average" else ():
                before = self._judged.right(pair, "clean", self._judged.source, 1)
                after = self._judged.best(pair, "clean", photo)
                if before and after:
                    outcomes.append((before[0], after.labels[0] == pair.true_label))
                    images.append(pair.image_id)
                    pages.append(after.page)
        return loss_within(outcomes, LEAST_LOSS, MOST_LOSS, [images, pages]), set(images)

    def _photometric(self, conditions: Sequence[Condition], cells: Iterable[Cell]) -> Iterator[tuple]:
        for transform in ("brightness", "contrast"):
            for attack, bound in PHOTOMETRIC_BOUNDS.items():
                sides = [
                    Side(cell, at, k)
                    for cell in cells
                    if cell[1] == attack
                    for at in conditions
                    if at[0] == transform
                    for k in (1, 5)
                ]
                yield f"{axis_of(transform).title}, {attack_title(attack)}, below {100 * bound:.0f} %", *self._below(sides, bound)

    def _below(self, sides: Iterable[Side], bound: float) -> tuple[OneSided | None, set[str]]:
        """Tests that every rate is below the bound, as surely as the least sure of them is."""
        found = [(rows, sum(row.is_hit for row in rows)) for side in sides if (rows := list(self._outcomes(side).values()))]
        if not found:
            return None, set()
        p, rows, n_hit = max(((at_most(n_hit, len(rows), bound), rows, n_hit) for rows, n_hit in found), key=lambda one: one[0])
        above = min(1.0, len(found) * min(at_least(n_hit, len(rows), bound) for rows, n_hit in found))
        return OneSided(len(rows), len(rows), len(rows) - n_hit, n_hit, None, p, above), {row.image_id for row in rows}

    def _survivors(self, conditions: Sequence[Condition], cells: Iterable[Cell]) -> Iterator[tuple]:
        """A single survivor refutes "all"; where there is none, it is the cell's size that decides whether it says anything."""
        for transform in dict.fromkeys(condition[0] for condition in conditions):
            at = [
                Side(cell, condition, k)
                for cell in cells
                for condition in conditions
                if condition[0] == transform
                for k in (1, 5)
            ]
            found = [rows for side in at if (rows := list(self._outcomes(side).values()))]
            if found:
                rows = max(found, key=lambda rows: (sum(row.is_hit for row in rows) / len(rows), len(rows)))
                n, n_hit = len(rows), sum(row.is_hit for row in rows)
                against = min(1.0, len(found) * NEARLY_ALL**n) if n_hit == n else 1.0
                told = OneSided(n, n, n - n_hit, n_hit, None, float(n_hit == n), against)
                yield axis_of(transform).title, told, {row.image_id for row in rows}

    def _outcomes(self, side: Side) -> dict[str, _Destroyed]:
        """Returns, by image, whether each working attack of a cell was destroyed; several photographs of a page are one."""
        if side not in self._known:
            cell, condition, top_k = side
            if (cell, top_k) not in self._working:
                self._working[cell, top_k] = [pair for pair in self._cells[cell] if self._judged.works(pair, top_k)]
            is_photo = condition in self._judged.photos
            seen = ((pair, self._judged.best(pair, "adversarial", condition)) for pair in self._working[cell, top_k])
            self._known[side] = {
                pair.image_id: _Destroyed(
                    pair.image_id, pair.pair_id, pair.true_label in view.labels[:top_k], view.page if is_photo else ""
                )
                for pair, view in seen
                if view is not None
            }
        return self._known[side]


_METHOD_STEPS = [(f"{attack_title(a)} below {attack_title(b)}", a, b) for a, b in pairwise(METHODS)]


def _top5(cell: Cell, condition: Condition) -> Step:
    return Step(Side(cell, condition, 1), Side(cell, condition, 5))


def _joined(finding: str, origin: str, test: str, parts: Sequence[tuple[str, OneSided | None, set[str]]]) -> list[FindingRow]:
    """Returns the whole and, where it has several, the parts that this run can test.

    All parts must be true, so the whole is as sure as the least sure of them, and one that cannot be tested leaves it open; it is
    refuted where one of them is, at a level that is shared among them.
    """
    if len(parts) < 2:
        _, found, images = parts[0] if parts else ("", None, set())
        return [_row(finding, origin, test, "", found, images)]
    tested = [(title, found, images) for title, found, images in parts if found is not None]
    p_against = [found.p_against for _, found, _ in tested]
    whole = FindingRow(
        *(finding, "", origin, test),
        sum(found.n for _, found, _ in tested),
        len(set().union(*(images for _, _, images in tested))),
        *(None, None, None, None),
        max(found.p for _, found, _ in tested) if len(tested) == len(parts) else None,
        min(1.0, len(tested) * min(p_against)) if tested else None,
    )
    return [whole, *(_row(finding, origin, test, *part) for part in tested)]


def _row(finding: str, origin: str, test: str, part: str, found: OneSided | None, images: set[str]) -> FindingRow:
    if found is None:
        return FindingRow(finding, part, origin, test, 0, 0, None, None, None, None, None, None)
    return FindingRow(
        *(finding, part, origin, test, found.n, len(images), found.n_effective, found.n_for, found.n_against),
        *(found.difference, found.p, found.p_against),
    )
