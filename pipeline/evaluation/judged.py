"""Whether the model is right about each image, under every condition: what rates and comparisons are counted from."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.records import PHOTO, SOURCE, Pair, Prediction, View
from pipeline.settings import Experiment
from pipeline.store import Run
from pipeline.store.artefacts import CAPTURED

Cell = tuple[str, str, int]
Condition = tuple[str, float | None, str]


class Seen(NamedTuple):
    """One judged view of an image: its labels, the page that it shares with others ("" for a file), and how well it lies."""

    labels: tuple[int, ...]
    page: int | str
    error_px: float
    view_id: str


class Hit(NamedTuple):
    """Whether an image counts for a rate, and the page that it shares with others ("" for a file)."""

    is_hit: bool
    page: int | str


class Judged:
    """The model's labels by condition (transform, parameter, origin), variant and pair."""

    def __init__(
        self, views: Iterable[View], predictions: Mapping[str, Prediction], page_of: Mapping[str, int | None] | None = None
    ) -> None:
        """`page_of` tells the page of each capture; a capture that it does not tell of is a page of its own."""
        page_of = page_of or {}
        self._seen: dict[tuple[Condition, str, str], list[Seen]] = defaultdict(list)
        self.conditions: list[Condition] = []
        for view in views:
            condition = (view.transform, view.parameter, view.origin)
            if condition not in self.conditions:
                self.conditions.append(condition)
            page = page_of.get(view.capture_id)
            error = float("inf") if view.predicted_error_px is None else view.predicted_error_px
            seen = Seen(predictions[view.view_id].labels, view.capture_id if page is None else page, error, view.view_id)
            self._seen[condition, view.variant, view.pair_id or view.image_id].append(seen)
        self.source = next((condition for condition in self.conditions if condition[0] == SOURCE), None)
        self.photos = [condition for condition in self.conditions if condition[0] == PHOTO]

    def views(self, pair: Pair, variant: str, condition: Condition) -> list[Seen]:
        """Returns the views of one image, several where every photo of a page counts."""
        subject = pair.image_id if variant == "clean" and condition[0] != PHOTO else pair.pair_id
        return self._seen.get((condition, variant, subject), [])

    def right(self, pair: Pair, variant: str, condition: Condition, top_k: int) -> list[bool]:
        """Returns, for each view, whether the true label is in its top k."""
        return [pair.true_label in seen.labels[:top_k] for seen in self.views(pair, variant, condition)]

    def best(self, pair: Pair, variant: str, condition: Condition) -> Seen | None:
        """Returns the view with the least predicted registration error, None where there is none."""
        return min(self.views(pair, variant, condition), key=lambda seen: (seen.error_px, seen.view_id), default=None)

    def hits(self, quantity: str, pairs: Iterable[Pair], condition: Condition, top_k: int) -> dict[str, Hit]:
        """Returns, by image, what counts for a rate (a key of COMPARED_QUANTITIES) of those pairs that are eligible for it.

        Where several photographs of a page count, the one with the least predicted registration error speaks for it: one image
        is one observation.
        """
        found = ((pair.image_id, self._hit(quantity, pair, condition, top_k)) for pair in pairs)
        return {image: hit for image, hit in found if hit is not None}

    def _hit(self, quantity: str, pair: Pair, condition: Condition, top_k: int) -> Hit | None:
        seen = self.best(pair, "clean" if quantity == "clean_accuracy" else "adversarial", condition)
        if seen is None or (quantity == "destruction_rate" and not self.works(pair, top_k)):
            return None
        is_right = pair.true_label in seen.labels[:top_k]
        if quantity == "fooled_rate":
            return Hit(not is_right, "") if any(self.right(pair, "clean", self.source, top_k)) else None
        return Hit(is_right, seen.page if condition in self.photos else "")

    def works(self, pair: Pair, top_k: int) -> bool:
        """Whether the attack works as a file: clean right, adversarial wrong."""
        return any(self.right(pair, "clean", self.source, top_k)) and not any(self.right(pair, "adversarial", self.source, top_k))


def pages_of(run: Run, views: Iterable[View]) -> dict[str, int | None]:
    """Returns the page that each capture shows; nothing where nothing was photographed."""
    if not any(view.transform == PHOTO for view in views):
        return {}
    return {capture.capture_id: capture.page for capture in CAPTURED.read(run)}


def pairs_by_cell(experiment: Experiment, pairs: Iterable[Pair]) -> dict[Cell, list[Pair]]:
    """Returns the pairs of every cell of the experiment, in its order."""
    cells: dict[Cell, list[Pair]] = {(case, *cell): [] for case in experiment.selection.cases for cell in experiment.cells()}
    for pair in pairs:
        for case in pair.cases:
            if (case, pair.attack, pair.epsilon_8bit) in cells:
                cells[case, pair.attack, pair.epsilon_8bit].append(pair)
    return cells
