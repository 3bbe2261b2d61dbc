"""The pairs that a person is shown, and the pictures of them: the gallery's, and those that are explained."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.outcomes import Outcomes
from pipeline.images import read_png
from pipeline.records import PHOTO, SOURCE, Pair, Prediction, View
from pipeline.store import Run
from pipeline.store.artefacts import CLEAN_IMAGES, IMAGES


class Examples:
    """The views that count, each found by what it shows."""

    def __init__(self, run: Run, views: Iterable[View], predictions: Mapping[str, Prediction]) -> None:
        views = [view for view in views if view.counts]
        self._run, self._predictions = run, predictions
        self._outcomes = Outcomes.of_model(views, predictions)
        self._views = {(view.transform, view.variant, view.pair_id or view.image_id): view for view in views}

    def file(self, pair: Pair, variant: str) -> View:
        """Returns the view of a pair's clean or adversarial file."""
        return self._views[SOURCE, variant, pair.image_id if variant == "clean" else pair.pair_id]

    def photo(self, pair: Pair, variant: str) -> View | None:
        """Returns the crop of a pair's clean or adversarial image that counts, None where there is no photograph."""
        return self._views.get((PHOTO, variant, pair.pair_id))

    def is_right(self, view: View | None) -> bool:
        """Whether the model names the true label for a view; no view is not right."""
        if view is None:
            return False
        said = self._predictions[view.view_id]
        return TOP_1.holds(said.labels, said.true_label)

    def works(self, pair: Pair) -> bool:
        """Whether the attack works as a file: clean right, adversarial wrong."""
        return self._outcomes.works(pair, TOP_1)

    def pixels(self, view: View) -> np.ndarray:
        """Returns what a view shows, uint8 (H, W, 3)."""
        if view.transform == PHOTO:
            return read_png(self._run.captures / view.path)
        name = CLEAN_IMAGES.file(view.image_id)
        if view.variant != "clean":
            name = IMAGES.file(view.pair_id)
        return read_png(self._run.printouts / (view.path or name))

    def chosen(self, pairs: Iterable[Pair], n: int) -> list[Pair]:
        """Returns working attacks from every cell in turn; those that the photograph undid and did not undo alternate."""
        cells: dict[tuple[str, int], list[Pair]] = defaultdict(list)
        for pair in pairs:
            if self.works(pair):
                cells[pair.attack, pair.epsilon_8bit].append(pair)
        chosen: list[Pair] = []
        while len(chosen) < n and any(cells.values()):
            for waiting in cells.values():
                wanted = [pair for pair in waiting if self.is_right(self.photo(pair, "adversarial")) == bool(len(chosen) % 2)]
                if waiting and len(chosen) < n:
                    chosen.append((wanted or waiting)[0])
                    waiting.remove(chosen[-1])
        return chosen
