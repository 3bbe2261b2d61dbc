"""Copies of the committed sample run, and the same run with a model that recognises less or more of its photographs."""

import shutil
from dataclasses import replace
from pathlib import Path

from pipeline.engine import Context
from pipeline.records import PHOTO
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import STAGES
from pipeline.store import Run, file_hash, read_stage_record, write_stage_record
from pipeline.store.artefacts import EXPERIMENT, PREDICTIONS, VIEWS
from pipeline.store.look import Look

ROOT = Path(__file__).parents[1]
FOLDERS = ("printouts", "captures", "reports")


def copy_sample(workspace: Path) -> Run:
    """Returns the sample run in a workspace of its own."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder / "sample", workspace / folder / "sample")
    return Run(workspace, "sample")


def answered(run: Run, is_right: bool, n: int = 100) -> None:
    """Lets the model be right, or wrong, about the first `n` photographs of adversarial images, as if it had said so."""
    photos = {view.view_id for view in VIEWS.read(run) if (view.transform, view.variant) == (PHOTO, "adversarial")}
    rows = []
    for row in PREDICTIONS.read(run):
        if row.view_id in photos and n > 0:
            n -= 1
            wrong = tuple(label for label in range(6) if label != row.true_label)
            row = replace(row, labels=(row.true_label, *wrong[:4]) if is_right else wrong[:5])
        rows.append(row)
    PREDICTIONS.write(run, rows)
    record = read_stage_record(run.reports, "classify")
    outputs = record.outputs | {PREDICTIONS.name: file_hash(PREDICTIONS.path(run))}
    write_stage_record(run.reports, replace(record, outputs=outputs))
    look = Look(STAGES, load_experiment(EXPERIMENT.path(run)), run)  # without the checks ahead, which load the model
    assert look.run("rate", Context()).state == "done"
