"""Results as other tools take them, beside others' experiments: tables in files, or a run of an experiment tracker."""

from collections.abc import Callable
from pathlib import Path

from pipeline.core.registry import load
from pipeline.exports.tables import Exported, exported
from pipeline.settings import Experiment
from pipeline.store import Run

# What writes each kind: a function of what is exported and of where a person wants it; it returns where it is and what is next.
DESTINATIONS = {
    "csv": "pipeline.exports.files:to_csv",
    "parquet": "pipeline.exports.files:to_parquet",
    "json": "pipeline.exports.files:to_json",
    "images": "pipeline.exports.files:to_images",
    "mlflow": "pipeline.exports.to_mlflow:to_mlflow",
    "wandb": "pipeline.exports.to_wandb:to_wandb",
}


def export(kind: str, experiment: Experiment, run: Run, output: str = "") -> tuple[list[str], str]:
    """Exports a finished run, and returns what was written and what to type next.

    Args:
        kind: one of DESTINATIONS.
        output: a folder (a file of JSON; a tracker's store), "" for the usual one.

    Raises:
        BadInput: an artefact is missing or damaged. Unavailable: the tracker is not installed, or does not answer.
    """
    write: Callable[[Exported, str], tuple[list[Path | str], str]] = load(DESTINATIONS[kind])
    written, following = write(exported(experiment, run), output)
    return [str(place) for place in written], following
