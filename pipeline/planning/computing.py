"""What an experiment costs a machine: passes of the network, hours and bytes, by what an earlier run took, unit by unit."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from pipeline.core.errors import BadInput
from pipeline.planning.plan_records import Block, StageWork, Work
from pipeline.settings import Experiment
from pipeline.store import Run
from pipeline.store.artefacts import LAYOUT, PAIRS, VIEWS, is_photo

# What the work of a stage goes by; `report` stands for itself.
UNITS = {
    "select": "pairs",
    "generate": "passes",
    "layout": "pages",
    "photograph": "pages",
    "crop": "pages",
    "transform": "transformed pictures",
    "classify": "pictures judged",
    "rate": "pictures judged",
    "thresholds": "images searched",
    "explain": "images explained",
    "report": "reports",
}
# What is kept in each of a run's folders goes by this.
_KEPT = {"printouts": "pairs", "captures": "pages", "reports": "pictures judged"}


def counted(experiment: Experiment, n_clean: int, n_pairs: int, n_pages: int) -> dict[str, int]:
    """Returns how much there is to do, by unit; `n_clean` are different clean images."""
    n_cells = len(experiment.cells()) * len(experiment.selection.cases)
    n_transformed = (n_clean + n_pairs) * sum(len(values) for values in experiment.transforms.grids.values())
    return {
        "pairs": n_pairs,
        "pages": n_pages,
        "transformed pictures": n_transformed,
        "pictures judged": (n_clean + n_pairs + n_transformed + 2 * n_pairs) * (1 + len(experiment.judges)),
        "images searched": min(experiment.thresholds.n_images, experiment.selection.n_images) * n_cells,
        "images explained": experiment.explain.n_images,
        "reports": 1,
    }


def work(
    experiment: Experiment, n_clean: int, n_of: Mapping[Block, int], n_pages: int, earlier: tuple[Experiment, Run] | None
) -> Work:
    """Returns what is known of the work: the pictures that are judged, and by an earlier run, if there is one, all else.

    Args:
        n_clean: different clean images. n_of: pairs of each attack and epsilon.
        earlier: a finished run, like this one but smaller.

    Raises:
        BadInput: the earlier run is not finished.
    """
    n = counted(experiment, n_clean, sum(n_of.values()), n_pages)
    if earlier is None:
        return Work("", n["pictures judged"])
    before, run = earlier
    seconds = _seconds(run)
    if not PAIRS.exists(run) or not VIEWS.exists(run) or "classify" not in seconds:
        raise BadInput(f'The run "{run.name}" is not finished.', f"Finish it first: inkproof run {before.words}")
    pairs = PAIRS.read(run)
    passes = defaultdict[Block, list[tuple[int, int]]](list)
    for pair in pairs:
        passes[pair.attack, pair.epsilon_8bit].append((pair.n_forward, pair.n_backward))
    forward, backward = (
        sum(round(n_block * fmean(one[way] for one in passes[block])) for block, n_block in n_of.items() if block in passes)
        for way in (0, 1)
    )
    n_before = counted(before, len({pair.image_id for pair in pairs}), len(pairs), LAYOUT.read(run).n_pages)
    # photographs that were not used are not judged
    n_photos = sum(1 for _ in VIEWS.values(run, "view_id", where=is_photo()))
    n_before["pictures judged"] -= (2 * len(pairs) - n_photos) * (1 + len(before.judges))
    n["passes"], n_before["passes"] = forward + backward, sum(pair.n_forward + pair.n_backward for pair in pairs)
    stages = [
        StageWork(stage, unit, n[unit], n[unit] / n_before[unit] * seconds[stage])
        for stage, unit in UNITS.items()
        if stage in seconds and n_before[unit]
    ]
    kept = {kind: round(_bytes(run.folder(kind)) / max(1, n_before[unit]) * n[unit]) for kind, unit in _KEPT.items()}
    unknown = tuple(block for block in n_of if block not in passes)
    return Work(run.name, n["pictures judged"], forward, backward, tuple(stages), kept, unknown)


def _seconds(run: Run) -> dict[str, float]:
    """Returns what each stage took at its longest: one that was resumed took what was left."""
    found: dict[str, float] = {}
    for line in _lines(run.journal):
        found[line["stage"]] = max(found.get(line["stage"], 0.0), float(line["seconds"]))
    return found


def _lines(path: Path) -> Iterable[Mapping[str, str]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
