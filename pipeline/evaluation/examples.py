"""The pairs that a person is shown, and the pictures of them: the gallery's, and those that are explained."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.judges.answer_file import source_view
from pipeline.evaluation.outcomes import outcomes_of
from pipeline.records import PHOTO, SIMULATED, VARIANTS, Pair, Prediction, View
from pipeline.store import Run
from pipeline.store.artefacts import CLEAN_IMAGES, IMAGES, PREDICTIONS, VIEWS, field_of, is_photo
from pipeline.transforms.views import saved_pixels


class Examples:
    """Views of files and of photographs that count, each found by what it shows, and what the model says of them.

    Of files only those are held that were asked for; `load` fetches several at once.
    """

    def __init__(self, run: Run, with_simulated: bool = True) -> None:
        """With `with_simulated` False simulated photographs are passed over, as where they only predict real ones."""
        self._run = run
        self._outcomes = outcomes_of(run, files_only=True)
        self.photos = [view for view in VIEWS.rows(run, is_photo()) if with_simulated or view.origin != SIMULATED]
        self._photos = {(view.variant, view.pair_id): view for view in self.photos if view.counts}
        self._views = {view.view_id: view for view in self.photos}
        self._said: dict[str, Prediction] = {}
        self._read_said(self._views)

    def load(self, view_ids: Iterable[str]) -> None:
        """Reads views, and what is said of them, that are asked for later."""
        missing = {view_id for view_id in view_ids if view_id not in self._views}
        if missing:
            self._views |= {view.view_id: view for view in VIEWS.rows(self._run, field_of("view_id").isin(sorted(missing)))}
            self._read_said(missing)

    def view(self, view_id: str) -> View:
        """Returns a view by its id."""
        self.load([view_id])
        return self._views[view_id]

    def said(self, view: View) -> Prediction:
        """Returns what the model says of a view."""
        self.load([view.view_id])
        return self._said[view.view_id]

    def file(self, pair: Pair, variant: str) -> View:
        """Returns the view of a pair's clean or adversarial file."""
        return self.view(source_view(variant, pair.image_id, pair.pair_id))

    def photo(self, pair: Pair, variant: str) -> View | None:
        """Returns the crop of a pair's clean or adversarial image that counts, None where there is no photograph."""
        return self._photos.get((variant, pair.pair_id))

    def is_right(self, view: View | None) -> bool:
        """Whether the model names the true label for a view; no view is not right."""
        if view is None:
            return False
        said = self.said(view)
        return TOP_1.holds(said.labels, said.true_label)

    def works(self, pair: Pair) -> bool:
        """Whether the attack works as a file: clean right, adversarial wrong."""
        return self._outcomes.works(pair, TOP_1)

    def pixels(self, view: View) -> np.ndarray:
        """Returns what a view shows, uint8 (H, W, 3)."""
        if view.transform == PHOTO:
            return saved_pixels(self._run.captures, view.path)
        name = CLEAN_IMAGES.file(view.image_id)
        if view.variant != "clean":
            name = IMAGES.file(view.pair_id)
        return saved_pixels(self._run.printouts, view.path or name)

    def chosen(self, pairs: Sequence[Pair], n: int) -> list[Pair]:
        """Returns working attacks from every cell in turn; those that the photograph undid and did not undo alternate."""
        cells: dict[tuple[str, int], list[Pair]] = defaultdict(list)
        for pair in pairs:
            if self.works(pair):
                cells[pair.attack, pair.epsilon_8bit].append(pair)
        chosen: list[Pair] = []
        while len(chosen) < n and any(cells.values()):
            for waiting in cells.values():
                undone = bool(len(chosen) % 2)
                if waiting and len(chosen) < n:
                    wanted = (pair for pair in waiting if self.is_right(self.photo(pair, "adversarial")) == undone)
                    chosen.append(next(wanted, waiting[0]))
                    waiting.remove(chosen[-1])
        self.load(source_view(variant, pair.image_id, pair.pair_id) for pair in chosen for variant in VARIANTS)
        return chosen

    def _read_said(self, view_ids: Iterable[str]) -> None:
        if ids := sorted(view_ids):
            self._said |= {row.view_id: row for row in PREDICTIONS.rows(self._run, field_of("view_id").isin(ids))}
