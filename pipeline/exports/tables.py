"""What is exported of a run: its settings, every rate with n and interval, every answer on every image, and its files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.version import VERSION
from pipeline.records import ATTACKED_MODEL, PHOTO, SIMULATED, Judgement, Prediction, View
from pipeline.settings import Experiment
from pipeline.settings.writing import flat_settings
from pipeline.store import Artefact, Run, record_from
from pipeline.store.artefacts import (
    CAPTURED,
    COUNTED,
    JUDGED,
    PAIRS,
    PREDICTIONS,
    REPORT_HTML,
    REPORT_PDF,
    SELECTION,
    TABLES_COUNTED,
    VIEWS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """One rate as `Rate` has it; `attack` is "" over all cells of the case."""

    run: str
    quantity: str
    case: str
    attack: str
    epsilon_8bit: int
    transform: str
    parameter: float | None
    origin: str
    top_k: int
    n_hit: int
    n_eligible: int
    rate: float | None
    low: float | None
    high: float | None
    interval: str
    n_clusters: int | None
    n_effective: float | None
    n_images: int | None
    n_discarded: int | None
    n_different: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """What a judge says of one view of an image: the likeliest labels with their names and probabilities, best first.

    `cases` are those that the pair counts in. `page` is the printed one, None for a file. `is_right` is top-1.
    """

    run: str
    judge: str
    view_id: str
    image_id: str
    pair_id: str
    variant: str
    attack: str
    epsilon_8bit: int
    cases: tuple[str, ...]
    transform: str
    parameter: float | None
    origin: str
    capture_id: str
    page: int | None
    true_label: int
    true_name: str
    is_right: bool
    labels: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    true_probability: float | None
    sha256: str


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting in force under its dotted name, as text."""

    run: str
    key: str
    value: str


@dataclass(frozen=True)
class Exported:
    """A run as it is exported; `facts` is what no setting tells, `files` the report and its tables."""

    run: Run
    facts: dict[str, str]
    settings: list[SettingRow]
    rates: list[RateRow]
    predictions: list[PredictionRow]
    files: list[Path]


def exported(experiment: Experiment, run: Run) -> Exported:
    """Returns what is exported of a finished run."""
    selection = SELECTION.read(run)
    views = {view.view_id: view for view in VIEWS.read(run) if view.counts}
    is_simulated = any(view.origin == SIMULATED for view in views.values())
    has_photos = any(view.transform == PHOTO for view in views.values())
    facts = {
        "inkproof": VERSION,
        "run": run.name,
        "model": selection["model"]["name"],
        "model_fingerprint": selection["model"]["fingerprint"],
        "photographs": ("simulated" if is_simulated else "real") if has_photos else "none",
    }
    settings = flat_settings(experiment, run.printouts)
    kept: tuple[Artefact[Any], ...] = (REPORT_PDF, REPORT_HTML, *TABLES_COUNTED.values())
    return Exported(
        run,
        facts,
        [SettingRow(run.name, key, str(value)) for key, value in settings.items()],
        list(_rates(run)),
        list(_predictions(run, views, selection["class_names"])),
        [file.path(run) for file in kept if file.exists(run)],
    )


def _rates(run: Run) -> Iterator[RateRow]:
    tables = COUNTED.read(run)
    for name in ("overall", "accuracies", "destruction_rates"):
        for row in tables[name]:
            yield record_from(RateRow, {"run": run.name, **row})


def _predictions(run: Run, views: dict[str, View], names: list[str]) -> Iterator[PredictionRow]:
    pairs = {pair.pair_id: pair for pair in PAIRS.read(run)}
    has_photos = any(view.transform == PHOTO for view in views.values())
    pages = {capture.capture_id: capture.page for capture in CAPTURED.read(run)} if has_photos else {}
    said: list[tuple[str, Prediction | Judgement]] = [(ATTACKED_MODEL, row) for row in PREDICTIONS.read(run)]
    said += [(row.judge, row) for row in JUDGED.read(run)] if JUDGED.exists(run) else []
    for judge, row in said:
        if row.view_id in views:
            view = views[row.view_id]
            yield PredictionRow(
                run=run.name,
                judge=judge,
                **_of_view(view),
                cases=pairs[view.pair_id].cases if view.pair_id in pairs else (),
                page=pages.get(view.capture_id),
                true_label=row.true_label,
                true_name=names[row.true_label],
                is_right=row.labels[0] == row.true_label,
                labels=row.labels,
                names=tuple(names[label] if 0 <= label < len(names) else "" for label in row.labels),
                probabilities=row.probabilities,
                true_probability=row.true_probability if isinstance(row, Prediction) else None,
            )


_OF_VIEW = (
    *("view_id", "image_id", "pair_id", "variant", "attack", "epsilon_8bit"),
    *("transform", "parameter", "origin", "capture_id", "sha256"),
)


def _of_view(view: View) -> dict[str, Any]:
    return {name: getattr(view, name) for name in _OF_VIEW}
