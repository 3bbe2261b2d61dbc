"""What `inkproof import-predictions` and `inkproof transfer` do, between the command line and the files they write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import BadInput
from pipeline.engine import Context
from pipeline.evaluation.judges.imported import (
    bad_rows_text,
    check_judge_name,
    file_hashes,
    keep_predictions,
    read_predictions,
    write_template,
)
from pipeline.records import MatrixCell
from pipeline.report.judges import matrix_tables
from pipeline.report.tables import as_text
from pipeline.settings import Experiment
from pipeline.store import Run, locked
from pipeline.store.artefacts import LAYOUT, PAIRS, SELECTION, TRANSFER_MATRIX, TRANSFER_MATRIX_CSV, judgements_of


def import_predictions(
    experiment: Experiment, run: Run, file: Path, judge: str, keep_going: bool, force: bool, dry_run: bool
) -> dict[str, Any]:
    """Reads a CSV of predictions made outside and keeps them as one judge's; returns what to tell.

    Raises:
        BadInput: the file, or one of its rows, cannot be understood (with `keep_going` such rows are left out and listed), or
            others of this judge are there already.
        WrongUse: the judge's name is taken or cannot name a file.
    """
    check_judge_name(judge, [settings.shown_label for settings in experiment.judges])
    pairs = PAIRS.read(run)
    names = SELECTION.read(run)["class_names"]
    layout = LAYOUT.read(run) if LAYOUT.exists(run) else None
    read = read_predictions(file, judge, pairs, file_hashes(run, pairs), names, layout)
    bad = read.bad_rows
    if bad and not keep_going:
        n = len(bad)
        raise BadInput(
            f"{file}: {n} row{'s' * (n != 1)} could not be understood, nothing was imported: {bad_rows_text(bad)}.",
            "Correct them, or leave them out with --keep-going.",
        )
    if not read.judgements:
        reason = f": {bad_rows_text(bad)}" if bad else ""
        raise BadInput(f"{file}: there is nothing to import{reason}.", "Fill in the column label.")
    state = "would be written"
    if not dry_run:
        with locked(run):
            state = keep_predictions(run, judge, read.judgements, force)
    notes = [*read.notes, *(f"left out: line {line}: {reason}" for line, reason in bad)]
    conditions = sorted({f"{row.transform} ({row.origin})" for row in read.judgements})
    return {
        "judge": judge,
        "n_imported": len(read.judgements),
        "n_left_out": len(bad),
        "conditions": conditions,
        "state": state,
        "notes": notes,
        "path": str(judgements_of(judge).path(run)),
    }


def import_text(told: dict[str, Any]) -> str:
    """Returns what was imported as lines for a person."""
    head = f'{told["n_imported"]} predictions of "{told["judge"]}" of {", ".join(told["conditions"])}: {told["state"]}'
    return "\n".join([head, *(f"note: {note}" for note in told["notes"])])


def make_template(run: Run, file: Path, force: bool, dry_run: bool) -> int:
    """Writes a CSV of every printed image with an empty label, to fill in by hand; returns how many images.

    Raises:
        BadInput: the pages are not laid out, or the file is there already.
    """
    if file.exists() and not force:
        raise BadInput(f"{file} is there already.", "Choose another name, or write over it with --force.")
    if not LAYOUT.exists(run):
        raise BadInput(f"{run.name}: the pages are not laid out yet.", f"Type: inkproof layout {run.name}")
    layout = LAYOUT.read(run)
    return len(layout.placements) if dry_run else write_template(file, layout)


def write_matrix(opened: Sequence[tuple[Experiment, Run]], context: Context) -> tuple[list[MatrixCell], Path]:
    """Makes the transfer matrix of several runs; returns it and the CSV that it was written to, a JSON beside it.

    Raises:
        WrongUse: as `transfer_matrix`.
    """
    from pipeline.studies.szegedy2014.matrix import transfer_matrix

    cells = transfer_matrix(opened, context)
    first = opened[0][1]
    TRANSFER_MATRIX_CSV.write(first, cells)
    TRANSFER_MATRIX.write(first, {"runs": [run.name for _, run in opened], "cells": cells})
    return cells, TRANSFER_MATRIX_CSV.path(first)


def matrix_text(cells: Sequence[MatrixCell]) -> str:
    """Returns the matrix as aligned text, a table for each case, attack and epsilon."""
    return "\n\n".join(as_text(table) for table in matrix_tables(cells))
