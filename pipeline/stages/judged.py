"""Whether the model is right about each image, under every condition: what rates and comparisons are counted from."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.records import PHOTO, SOURCE, Pair, Prediction, View

Condition = tuple[str, float | None, str]


class Seen(NamedTuple):
    """One judged view of an image: its labels, the page that it shares with others ("" for a file), and how well it lies."""

    labels: tuple[int, ...]
    page: int | str
    error_px: float
    view_id: str


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

    def works(self, pair: Pair, top_k: int) -> bool:
        """Whether the attack works as a file: clean right, adversarial wrong."""
        return any(self.right(pair, "clean", self.source, top_k)) and not any(self.right(pair, "adversarial", self.source, top_k))
