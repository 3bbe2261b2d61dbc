"""One-sided tests of what a paper says of rates, made on the images of a run and not on the rates alone."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from pipeline.evaluation.criteria import TOP_1, TopK
from pipeline.evaluation.outcomes import Condition, Outcomes, Question, Trial
from pipeline.records import TOP_KS, Cell, Pair
from pipeline.statistics.one_sided import OneSided, at_least, at_most, loss_within, paired_less, stratified_less

# A cell without a survivor speaks against "none destroys all" where its rate is surely above this.
NEARLY_ALL = 0.95


class Side(NamedTuple):
    """One destruction rate: of which cell, under which condition, at which top k."""

    cell: Cell
    condition: Condition
    top_k: int


class Step(NamedTuple):
    """Two rates of which the paper says that the first is the lower."""

    lower: Side
    higher: Side


class Part(NamedTuple):
    """What the images say for one part of a statement, None where they say nothing, and which images these are."""

    key: str
    found: OneSided | None
    images: set[str]


class Tested(NamedTuple):
    """The parts of a statement, all of which must be true, and the key of the test that they were put to."""

    test: str
    parts: list[Part]


class ImageTests:
    """The outcome of every image in every cell, and the tests that are made of them."""

    def __init__(
        self, cells: Mapping[Cell, Sequence[Pair]], outcomes: Outcomes, is_shared: bool, top_ks: Sequence[int] = TOP_KS
    ) -> None:
        """Args:
        cells: the pairs of every (case, attack, epsilon_8bit).
        is_shared: whether cells were drawn from the same images; methods and strengths are then compared image by image.
        top_ks: those that say something of the model; what a paper says of others is not tested.
        """
        conditions = [at for at in outcomes.conditions if outcomes.source in outcomes.conditions and at != outcomes.source]
        self.photos = [at for at in conditions if at in outcomes.photos]
        self.digital = [at for at in conditions if at not in outcomes.photos]
        self.cells, self.top_ks = list(cells), tuple(top_ks)
        self._pairs, self._outcomes, self._is_shared = cells, outcomes, is_shared
        self._known: dict[Side, dict[str, Trial]] = {}

    def compared(self, steps: Mapping[str, Sequence[Step]], by_image: bool = True) -> Tested:
        """Tests that the first rate of every step is the lower, in each part by its key."""
        is_paired = by_image and self._is_shared
        found = [
            Part(key, *(self._paired(of_part) if is_paired else self._stratified(of_part))) for key, of_part in steps.items()
        ]
        return Tested("mcnemar" if is_paired else "mantel-haenszel", found)

    def below(self, key: str, sides: Iterable[Side], bound: float) -> Part:
        """Tests that every rate is below the bound, as surely as the least sure of them is."""
        found = [(rows, sum(row.is_hit for row in rows)) for rows in self._present(sides)]
        if not found:
            return Part(key, None, set())
        p, rows, n_hit = max(((at_most(n_hit, len(rows), bound), rows, n_hit) for rows, n_hit in found), key=lambda one: one[0])
        against = min(1.0, len(found) * min(at_least(n_hit, len(rows), bound) for rows, n_hit in found))
        return Part(key, _counted(len(rows), n_hit, p, against), {row.image_id for row in rows})

    def survived(self, key: str, sides: Iterable[Side]) -> Part:
        """Tests that no rate is 1: a single survivor refutes "all"; without one the cell's size says how much that means."""
        found = self._present(sides)
        if not found:
            return Part(key, None, set())
        rows = max(found, key=lambda rows: (sum(row.is_hit for row in rows) / len(rows), len(rows)))
        n, n_hit = len(rows), sum(row.is_hit for row in rows)
        against = min(1.0, len(found) * NEARLY_ALL**n) if n_hit == n else 1.0
        return Part(key, _counted(n, n_hit, float(n_hit == n), against), {row.image_id for row in rows})

    def clean_loss(self, cells: Iterable[Cell], photo: Condition, least: float, most: float) -> Part:
        """Tests that photographs cost the clean images between two shares of their accuracy (top-1)."""
        outcomes, images, pages = [], [], []
        conditions = [condition for condition in (self._outcomes.source, photo) if condition]
        for cell in cells:
            asked = [Question("clean_accuracy", cell, condition, TOP_1) for condition in conditions]
            before, after = (self._outcomes.trial_of_each(question, self._pairs[cell]) for question in asked)
            for image in (image for image in before if image in after):
                outcomes.append((before[image].is_hit, after[image].is_hit))
                images.append(image)
                pages.append(after[image].page)
        return Part("", loss_within(outcomes, least, most, [images, pages]), set(images))

    def _paired(self, steps: Iterable[Step]) -> tuple[OneSided | None, set[str]]:
        seen: dict[Hashable, tuple[Trial, Trial]] = {}
        for step in steps:
            lower, higher = self._trials(step.lower), self._trials(step.higher)
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
        seen: dict[Hashable, tuple[bool, Trial, Step]] = {}
        for step in steps:
            lower, higher = ({row.pair_id: row for row in self._trials(side).values()} for side in step)
            is_of_cases = step.lower.cell[0] != step.higher.cell[0]
            for is_higher, of_side in ((False, lower), (True, higher)):
                for pair_id, row in of_side.items():
                    if not (is_of_cases and pair_id in lower and pair_id in higher):
                        key = (*((side.cell[1:], side.condition, side.top_k) for side in step), is_higher, pair_id)
                        seen.setdefault(key, (is_higher, row, step))
        sides = [is_higher for is_higher, _, _ in seen.values()]
        rows, strata = [row for _, row, _ in seen.values()], [step for _, _, step in seen.values()]
        images, pages = [row.image_id for row in rows], [row.page for row in rows]
        ways: list[Sequence[Hashable]] = [images, pages] if any(pages) else [images]
        return stratified_less(sides, [row.is_hit for row in rows], strata, ways), set(images)

    def _present(self, sides: Iterable[Side]) -> list[list[Trial]]:
        return [rows for side in sides if (rows := list(self._trials(side).values()))]

    def _trials(self, side: Side) -> dict[str, Trial]:
        """Returns, by image, whether each working attack of a cell was destroyed; several photographs of a page are one."""
        if side not in self._known:
            question = Question("destruction_rate", side.cell, side.condition, TopK(side.top_k))
            self._known[side] = self._outcomes.trial_of_each(question, self._pairs[side.cell])
        return self._known[side]


def _counted(n: int, n_hit: int, p: float, p_against: float) -> OneSided:
    return OneSided(n, n, n - n_hit, n_hit, None, p, p_against)
