"""Two rates side by side: methods, strengths and conditions over the same images, and predicted beside measured."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations, pairwise

from pipeline.evaluation.criteria import CRITERIA, TopK
from pipeline.evaluation.estimates import Ways, estimate, page_ways, rate_of
from pipeline.evaluation.outcomes import Condition, Outcomes, Question, Trial
from pipeline.records import CAMERA, PREDICTED, SIMULATED, Cell, Comparison, Pair, Rate
from pipeline.statistics import Sample, compare_independent, compare_paired, holm

Cells = Mapping[Cell, Sequence[Pair]]
Rates = tuple[Rate, Rate]


def comparisons(cells: Cells, outcomes: Outcomes, criteria: Iterable[TopK] = CRITERIA) -> list[Comparison]:
    """Returns every comparison of the run, corrected by Holm over those of one kind and top k; a table a kind and top k.

    An image takes part where it is eligible on both sides. Methods and strengths are compared by how many files fool and by how
    many of the attacks that work each kind of photograph undoes, conditions by the accuracy of files and photographs and by
    what photographs of different origin undo.

    Args:
        cells: the pairs of every (case, attack, epsilon_8bit), in the experiment's order.
    """
    if outcomes.source not in outcomes.conditions:
        return []
    rows: list[Comparison] = []
    for criterion in criteria:
        run = _Run(cells, outcomes, criterion)
        for family in (run.methods(), run.strengths(), run.conditions()):
            rows += corrected(family)
    return rows


def predictions(cells: Cells, outcomes: Outcomes, criteria: Iterable[TopK] = CRITERIA) -> list[Comparison]:
    """Returns what simulated photographs predict (first) beside what real ones measure, for each cell; [] without both.

    A pair takes part where it was photographed by a camera and by the simulator. The two photographs of a pair show one page,
    and the pairs of a page fall together.
    """
    by_origin = {condition.origin: condition for condition in outcomes.photos}
    if not {CAMERA, SIMULATED} <= set(by_origin):
        return []
    rows = []
    for cell, pairs in cells.items():
        for criterion in criteria:
            for quantity in PREDICTED:
                asked = tuple(Question(quantity, cell, by_origin[origin], criterion) for origin in (SIMULATED, CAMERA))
                predicted, measured = (outcomes.trial_of_each(question, pairs) for question in asked)
                shared = [image for image in measured if image in predicted]
                sides = [[side[image] for image in shared] for side in (predicted, measured)]
                rows.append(paired("prediction", asked, sides, [[trial.page for trial in sides[1]]]))
    return rows


def paired(
    kind: str,
    asked: Sequence[Question],
    sides: Sequence[Sequence[Trial]],
    ways: Ways,
    rates: Rates | None = None,
    pairing: str = "image",
) -> Comparison:
    """Returns the comparison of two rates over the same images.

    Args:
        asked: what the two rates are of.
        sides: the trials of the first and of the second rate, image by image.
        ways: for each way in which images fall together the cluster of every image; none of independent ones.
        rates: the rates where they are over more than these images.
    """
    first, second = ([trial.is_hit for trial in side] for side in sides)
    found = compare_paired(list(zip(first, second, strict=True)), ways or None)
    numbers = asdict(found) if ways else asdict(found) | {"n_clusters": None, "n_effective": None}
    one, other = rates or (rate_of(question, estimate(hits, ways)) for question, hits in zip(asked, (first, second), strict=True))
    numbers |= {"interval": "cluster" if ways else "wilson", "n_different": len({trial.image_id for trial in sides[0]})}
    return Comparison(kind=kind, first=one, second=other, pairing=pairing, **numbers)


def unpaired(kind: str, rates: Rates, sides: Sequence[Sequence[Trial]], ways: Sequence[Ways]) -> Comparison:
    """Returns the comparison of two rates over different images; `ways` are those of `paired`, for each side."""
    samples: list[Sample] = [([trial.is_hit for trial in side], way or None) for side, way in zip(sides, ways, strict=True)]
    return Comparison(
        kind=kind,
        first=rates[0],
        second=rates[1],
        pairing="none",
        **dict.fromkeys(("n", "n_both", "n_first", "n_second"), 0),
        interval="cluster" if ways[0] else "wilson",
        n_clusters=None,
        n_effective=None,
        **asdict(compare_independent(samples[0], samples[1])),
    )


def corrected(family: Iterable[Comparison]) -> list[Comparison]:
    """Returns comparisons corrected by Holm over each other."""
    rows = list(family)
    n_tested = sum(row.p is not None for row in rows)
    return [replace(row, p_holm=p, n_family=n_tested) for row, p in zip(rows, holm([row.p for row in rows]), strict=True)]


class _Run:
    """What is compared within a run by one criterion."""

    def __init__(self, cells: Cells, outcomes: Outcomes, criterion: TopK) -> None:
        self._cells, self._outcomes, self._criterion = cells, outcomes, criterion
        self._known: dict[Question, dict[str, Trial]] = {}

    def methods(self) -> Iterator[Comparison]:
        return self._between("method", lambda cell: (cell[0], cell[2]), lambda cells: combinations(cells, 2))

    def strengths(self) -> Iterator[Comparison]:
        return self._between("epsilon", lambda cell: cell[:2], lambda cells: pairwise(sorted(cells, key=lambda cell: cell[2])))

    def conditions(self) -> Iterator[Comparison]:
        source, photos = self._outcomes.source, self._outcomes.photos
        for cell in self._cells:
            for photo in photos:
                for quantity in ("clean_accuracy", "adversarial_accuracy"):
                    yield self._compared("condition", quantity, (cell, source), (cell, photo))
            for first, second in combinations(photos, 2):
                yield self._compared("condition", "destruction_rate", (cell, first), (cell, second))

    def _between(
        self,
        kind: str,
        alike: Callable[[Cell], tuple[str | int, ...]],
        couples: Callable[[list[Cell]], Iterable[tuple[Cell, Cell]]],
    ) -> Iterator[Comparison]:
        """Yields what the files and each kind of photograph tell of couples of cells that are alike but for one thing."""
        groups: dict[tuple[str | int, ...], list[Cell]] = {}
        for cell in self._cells:
            groups.setdefault(alike(cell), []).append(cell)
        source = self._outcomes.source
        for first, second in (couple for cells in groups.values() for couple in couples(cells)):
            if first[0] != "prefiltered":  # whose files fool by choice
                yield self._compared(kind, "fooled_rate", (first, source), (second, source))
            for photo in self._outcomes.photos:
                yield self._compared(kind, "destruction_rate", (first, photo), (second, photo))

    def _compared(self, kind: str, quantity: str, *sides: tuple[Cell, Condition]) -> Comparison:
        asked = [Question(quantity, *side, self._criterion) for side in sides]
        first, second = (self._trials(question) for question in asked)
        shared = [image for image in first if image in second]
        trials = [[side[image] for image in shared] for side in (first, second)]
        return paired(kind, asked, trials, page_ways(*trials))

    def _trials(self, question: Question) -> dict[str, Trial]:
        if question not in self._known:
            self._known[question] = self._outcomes.trial_of_each(question, self._cells[question.cell])
        return self._known[question]
