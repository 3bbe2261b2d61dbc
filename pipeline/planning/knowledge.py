"""What a run knows before it is printed: its images, how many the model gets right, how many attacks work, how dark they are."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.document.formats import count
from pipeline.evaluation.criteria import TOP_1
from pipeline.planning.plan_records import Block
from pipeline.records import PHOTO, Pair, Rate, Selected
from pipeline.report.cell_tables import cell_of
from pipeline.settings import Experiment
from pipeline.store import Run, record_from
from pipeline.store.artefacts import CANDIDATES, COUNTED, PAIRS, SELECTED, SELECTION
from pipeline.transforms.views import saved_pixels

_MOST_IMAGES_READ = 200
_BUILTIN_IMAGES, _BUILTIN_PX, _USUAL_PX = 500, 112, 224


@dataclass(frozen=True)
class Known:
    """What the run knows already: the images of every cell, which of them are right when clean, how many attacks are eligible.

    `prints` says how often each clean image is printed; `earlier` holds destruction rates of photographs that were taken before.
    """

    source: str
    image_px: tuple[int, int]
    selected: Mapping[tuple[str, str, int], frozenset[str]] | None = None
    clean_right: frozenset[str] = frozenset()
    eligible: Mapping[tuple[str, str, int], int] | None = None
    earlier: Mapping[tuple[str, str, int], float] | None = None
    prints: Mapping[tuple[Path, str], int] | None = None

    @classmethod
    def of(cls, experiment: Experiment, run: Run, done: Collection[str]) -> "Known":
        if "select" not in done:
            side = experiment.model.input_px or (_BUILTIN_PX if experiment.model.name == "builtin:signs" else _USUAL_PX)
            height, width = (side, side) if isinstance(side, int) else side
            return cls("as the experiment file asks for, at most", (width, height))
        selection = SELECTION.read(run)
        candidates = {row.image_id: row for row in CANDIDATES.read(run)}
        selected: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        source = "as attacked" if "generate" in done else "as selected"
        drawn: Sequence[Pair | Selected] = PAIRS.read(run) if "generate" in done else SELECTED.read(run)
        for row in drawn:
            for case in row.cases if isinstance(row, Pair) else (row.case,):
                selected[case, row.attack, row.epsilon_8bit].add(row.image_id)
        right = frozenset(name for name, found in candidates.items() if TOP_1.holds(found.top_labels, found.true_label))
        prints = Counter(name for _, _, name in {(*cell[1:], name) for cell, images in selected.items() for name in images})
        used = {(run.printouts, candidates[name].path): prints[name] for name in sorted(prints)[:_MOST_IMAGES_READ]}
        height, width = selection["model"]["input_size"]
        eligible, earlier = _counted(run) if "rate" in done else ({}, {})
        frozen = {cell: frozenset(images) for cell, images in selected.items()}
        return cls(source, (width, height), frozen, right, eligible, earlier, used)

    def images(self, case: str, block: Block) -> frozenset[str] | None:
        """Returns the images of a cell; None where none is drawn yet."""
        return None if self.selected is None else self.selected.get((case, *block), frozenset())

    def blocks(self, experiment: Experiment) -> dict[Block, tuple[frozenset[str] | None, int]]:
        """Returns of each attack and epsilon the images of all cases, which are printed once, or None and how many at most."""
        cases = experiment.selection.cases
        if self.selected is None:
            most = min(experiment.selection.n_images * len(cases), n_available(experiment))
            return dict.fromkeys(experiment.cells(), (None, most))
        drawn = {cell: images for cell, images in self.selected.items() if cell[0] in cases}
        return {
            block: (frozenset[str]().union(*(images for cell, images in drawn.items() if cell[1:] == block)), 0)
            for block in experiment.cells()
        }

    def n_clean(self, experiment: Experiment) -> int:
        """Returns how many different clean images there are, at most where none is drawn yet."""
        if self.selected is not None:
            return len(frozenset[str]().union(*self.selected.values()))
        settings = experiment.selection
        is_one_draw = settings.draw == "shared" and settings.cases == ("average",)
        n_draws = 1 if is_one_draw else len(experiment.cells()) * len(settings.cases)
        return min(settings.n_images * n_draws, n_available(experiment))

    def darkness(self) -> tuple[float, str] | None:
        """Returns how dark the clean images are on average, 1 for black, and how that is known."""
        if not self.prints:
            return None
        total = sum(n * (1 - float(np.mean(saved_pixels(*place))) / 255) for place, n in self.prints.items())
        return total / sum(self.prints.values()), f"the mean of {count(len(self.prints), 'clean image')}"


def n_available(experiment: Experiment) -> int:
    """Returns how many images there are to draw from, as far as the file tells."""
    most = experiment.dataset.n_images or (_BUILTIN_IMAGES if experiment.dataset.name == "builtin:signs" else 0)
    return most or 10**9


def _counted(run: Run) -> tuple[dict[tuple[str, str, int], int], dict[tuple[str, str, int], float]]:
    """Returns the eligible attacks of each cell as files, and the destruction rates of photographs that were taken before."""
    rows = [row for told in COUNTED.read(run)["destruction_rates"] if (row := record_from(Rate, told)).top_k == 1]
    eligible = {cell_of(row): row.n_eligible for row in rows if row.transform != PHOTO or not row.n_discarded}
    return eligible, {cell_of(row): row.rate for row in rows if row.transform == PHOTO and row.rate is not None}
