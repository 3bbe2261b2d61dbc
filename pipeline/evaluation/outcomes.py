"""One judge's answers, and the one place that says who is right, which attacks work, and whose clean file is right."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.evaluation.criteria import Criterion, TopK
from pipeline.records import ATTACKED_MODEL, DIGITAL, PHOTO, SOURCE, Cell, Judgement, Pair, Prediction, View
from pipeline.records.rates import variant_of
from pipeline.records.views import REFUSED
from pipeline.settings import Experiment
from pipeline.store import Run
from pipeline.store.artefacts import CAPTURED, PREDICTIONS, VIEWS, has_photos

_NO_LABEL = np.iinfo(np.int32).min
_WORST_PX = float("inf")


class Condition(NamedTuple):
    """Under which condition an image is looked at: as the saved file, after a digital transform, or in a photograph."""

    transform: str
    parameter: float | None
    origin: str


class Question(NamedTuple):
    """What one rate counts: a quantity (of `Rate`) of one cell under one condition, by one criterion."""

    quantity: str
    cell: Cell
    condition: Condition
    criterion: TopK


class Answer(NamedTuple):
    """What a judge says of one view of an image, the page that it shares with others ("" for a file), and how well it lies."""

    labels: Sequence[int]
    page: int | str
    error_px: float
    view_id: str


class Trial(NamedTuple):
    """Whether one view of an image counts for a rate that it is eligible for, and the page that it shares with others.

    It counts where the judge is right, or wrong where the rate is how many are fooled.
    """

    image_id: str
    pair_id: str
    is_hit: bool
    is_right: bool
    page: int | str


class _OfFiles:
    """The labels of files under one condition, a row of numbers an image: there may be millions."""

    def __init__(self) -> None:
        self._labels = np.full((0, 0), _NO_LABEL, np.int32)

    def put(self, row: int, labels: Sequence[int]) -> None:
        height, width = self._labels.shape
        if row >= height or len(labels) > width:
            larger = (max(row + 1, 2 * height) if row >= height else height, max(width, len(labels)))
            grown = np.full(larger, _NO_LABEL, np.int32)
            grown[:height, :width] = self._labels
            self._labels = grown
        self._labels[row, : len(labels)] = labels

    def get(self, row: int) -> list[int]:
        """Returns the labels, [] where there are none."""
        labels: list[int] = self._labels[row].tolist() if row < len(self._labels) else []
        return [label for label in labels if label != _NO_LABEL]


class Outcomes:
    """The answers of one judge by condition, variant and image; the attacked model is judge zero."""

    def __init__(self, said: Iterable[tuple[Condition, str, str, Answer]], judge: str = ATTACKED_MODEL) -> None:
        """`said` holds the condition, the variant, what the image is known by (see `subject_of`), and the answer."""
        self.judge = judge
        self.is_imported = False
        self.n_labels = 10**9
        self._rows: dict[str, dict[str, int]] = defaultdict(dict)
        self._of_files: dict[tuple[Condition, str], _OfFiles] = defaultdict(_OfFiles)
        self._of_photos: dict[tuple[Condition, str, str], list[Answer]] = defaultdict(list)
        seen: dict[Condition, None] = {}
        for condition, variant, subject, answer in said:
            seen.setdefault(condition)
            if condition.transform == PHOTO:
                self._of_photos[condition, variant, subject].append(answer)
            else:
                row = self._rows[variant].setdefault(subject, len(self._rows[variant]))
                self._of_files[condition, variant].put(row, answer.labels)
        self.conditions = list(seen)
        self.source = Condition(SOURCE, None, DIGITAL)
        self.photos = [condition for condition in self.conditions if condition.transform == PHOTO]
        self.knows_clean_files = (self.source, "clean") in self._of_files

    @classmethod
    def of_model(
        cls, views: Iterable[View], predictions: Mapping[str, Prediction], page_of: Mapping[str, int | None] | None = None
    ) -> "Outcomes":
        """Returns the attacked model's; a capture of which `page_of` tells no page is a page of its own."""
        pages = {name: page for name, page in (page_of or {}).items() if page is not None}

        def said(view: View) -> tuple[Condition, str, str, Answer]:
            condition = Condition(view.transform, view.parameter, view.origin)
            page, error_px = pages.get(view.capture_id, view.capture_id), view.predicted_error_px
            answer = Answer(predictions[view.view_id].labels, page, _or_worst(error_px), view.view_id)
            return condition, view.variant, subject_of(view.variant, view.transform, view.image_id, view.pair_id), answer

        return cls(map(said, views))

    @classmethod
    def of_judge(
        cls,
        judge: str,
        judgements: Sequence[Judgement],
        page_of: Mapping[str, int] | None = None,
        error_of: Mapping[str, float | None] | None = None,
    ) -> "Outcomes":
        """Returns another judge's; a pair of which `page_of` tells no page is on a page of its own.

        Only as many labels an image are known as the shortest answer has (`n_labels`). By `error_of`, the predicted registration
        error of each view, the same one of several photographs of an image is chosen as of the attacked model.
        """
        pages, errors = page_of or {}, error_of or {}

        def said(row: Judgement) -> tuple[Condition, str, str, Answer]:
            page = pages.get(row.pair_id, row.pair_id) if row.transform == PHOTO else ""
            answer = Answer(row.labels, page, _or_worst(errors.get(row.view_id)), row.view_id)
            subject = subject_of(row.variant, row.transform, row.image_id, row.pair_id)
            return Condition(row.transform, None, row.origin), row.variant, subject, answer

        outcomes = cls(map(said, judgements), judge)
        outcomes.is_imported = any(row.is_imported for row in judgements)
        outcomes.n_labels = min((len(row.labels) for row in judgements), default=outcomes.n_labels)
        return outcomes

    def answers(self, pair: Pair, variant: str, condition: Condition | None) -> list[Answer]:
        """Returns the answers on one image, several where every photograph of a page counts, none where it was not asked."""
        if condition is None:
            return []
        subject = subject_of(variant, condition.transform, pair.image_id, pair.pair_id)
        if condition.transform == PHOTO:
            return self._of_photos.get((condition, variant, subject), [])
        row, labels = self._rows[variant].get(subject), self._of_files.get((condition, variant))
        told = [] if row is None or labels is None else labels.get(row)
        return [Answer(told, "", _WORST_PX, "")] if told else []

    def is_clean_right(self, pair: Pair, criterion: Criterion, condition: Condition | None = None) -> bool | None:
        """Whether the judge is right about the clean file, None where it was not asked.

        Of a judge that never saw a clean file, the clean photograph under the same condition is taken.
        """
        is_file = self.knows_clean_files or condition is None or condition.transform == SOURCE
        answers = self.answers(pair, "clean", self.source if is_file else condition)
        return all(_is_right(answer, pair, "clean", criterion) for answer in answers) if answers else None

    def works(self, pair: Pair, criterion: Criterion, condition: Condition | None = None) -> bool:
        """Whether the attack works as a file: the clean one is right (see `is_clean_right`), the adversarial one wrong."""
        answers = self.answers(pair, "adversarial", self.source)
        is_fooled = bool(answers) and not any(_is_right(answer, pair, "adversarial", criterion) for answer in answers)
        return is_fooled and self.is_clean_right(pair, criterion, condition) is True

    def trials(self, question: Question, pairs: Iterable[Pair]) -> list[Trial]:
        """Returns every view under the question's condition of those pairs that are eligible for its quantity."""
        return [trial for _, trial in self._trials(question, pairs)]

    def trial_of_each(self, question: Question, pairs: Iterable[Pair]) -> dict[str, Trial]:
        """Returns one trial an image; of several photographs the one with the least predicted registration error counts."""
        best: dict[str, tuple[tuple[float, str], Trial]] = {}
        for answer, trial in self._trials(question, pairs):
            rank = (answer.error_px, answer.view_id)
            if trial.image_id not in best or rank < best[trial.image_id][0]:
                best[trial.image_id] = rank, trial
        return {image_id: trial for image_id, (_, trial) in best.items()}

    def trial_of_all(self, question: Question, cells: Mapping[Cell, Iterable[Pair]]) -> dict[tuple[str, str], Trial]:
        """Returns one trial for each cell and image of some cells; a clean file is the same in all of them, and its cell "" ."""
        is_clean_file = question.quantity == "clean_accuracy" and question.condition.transform == SOURCE
        return {
            ("" if is_clean_file else str(cell[1:]), image): trial
            for cell, pairs in cells.items()
            for image, trial in self.trial_of_each(question, pairs).items()
        }

    def _trials(self, question: Question, pairs: Iterable[Pair]) -> Iterator[tuple[Answer, Trial]]:
        quantity, _, condition, criterion = question
        for pair in pairs:
            if quantity == "destruction_rate" and not self.works(pair, criterion, condition):
                continue
            if quantity == "fooled_rate" and not self.is_clean_right(pair, criterion, condition):
                continue
            variant = variant_of(quantity)
            for answer in self.answers(pair, variant, condition):
                is_right = _is_right(answer, pair, variant, criterion)
                is_hit = is_right != (quantity == "fooled_rate")
                yield answer, Trial(pair.image_id, pair.pair_id, is_hit, is_right, answer.page)


def _is_right(answer: Answer, pair: Pair, variant: str, criterion: Criterion) -> bool:
    """Whether an answer is as it should be; to refuse one is right of an adversarial image, and wrong of a clean one."""
    if answer.labels[0] == REFUSED:
        return variant == "adversarial"
    return criterion.holds(answer.labels, pair.true_label)


def outcomes_of(run: Run, files_only: bool = False) -> Outcomes:
    """Returns what the attacked model said of a run's views that count, read a piece at a time.

    Args:
        files_only: of the files and their digital transforms, not of photographs.
    """
    pages = {} if files_only else _pages_of(run)
    return Outcomes(said for said in _said(run, pages) if not (files_only and said[0].transform == PHOTO))


def _pages_of(run: Run) -> dict[str, int | str]:
    if not has_photos(run):
        return {}
    return {capture.capture_id: capture.page for capture in CAPTURED.read(run) if capture.page is not None}


def _said(run: Run, pages: Mapping[str, int | str]) -> Iterator[tuple[Condition, str, str, Answer]]:
    columns = ("view_id", "transform", "parameter", "origin", "variant", "image_id", "pair_id", "capture_id", "counts")
    views = VIEWS.values(run, *columns, "predicted_error_px")
    for view, (asked, labels) in zip(views, PREDICTIONS.values(run, "view_id", "labels"), strict=True):
        view_id, transform, parameter, origin, variant, image_id, pair_id, capture_id, counts, error_px = view
        if asked != view_id:
            raise BadInput(f"{PREDICTIONS.path(run)}: not of the views beside it.", "Make it again: inkproof classify --force")
        if counts:
            answer = Answer(labels, pages.get(capture_id, capture_id), _or_worst(error_px), view_id)
            yield Condition(transform, parameter, origin), variant, subject_of(variant, transform, image_id, pair_id), answer


def _or_worst(error_px: float | None) -> float:
    return _WORST_PX if error_px is None else error_px


def pairs_by_cell(experiment: Experiment, pairs: Iterable[Pair]) -> dict[Cell, list[Pair]]:
    """Returns the pairs of every cell of the experiment, in its order."""
    cells: dict[Cell, list[Pair]] = {(case, *cell): [] for case in experiment.selection.cases for cell in experiment.cells()}
    for pair in pairs:
        for case in pair.cases:
            if (case, pair.attack, pair.epsilon_8bit) in cells:
                cells[case, pair.attack, pair.epsilon_8bit].append(pair)
    return cells


def made_on_model(experiment: Experiment, cells: Mapping[Cell, Sequence[Pair]]) -> Mapping[Cell, Sequence[Pair]]:
    """Returns the cells of attacks on the model alone, all where there is none: others do not show the model's own strength."""
    on_defences = {attack.key for attack in experiment.attacks if attack.defence}
    return {cell: pairs for cell, pairs in cells.items() if cell[1] not in on_defences} or cells


def subject_of(variant: str, transform: str, image_id: str, pair_id: str) -> str:
    """Returns what an image is known by: a clean file belongs to all pairs made from it, anything else to one pair."""
    return image_id if variant == "clean" and transform != PHOTO else pair_id
