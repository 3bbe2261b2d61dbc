"""The commands about other judges: predictions that are brought in, and the models of several runs on each other's files."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from pipeline.cli.commands import opened, would_run
from pipeline.core.errors import BadInput, WrongUse


def import_predictions(options: argparse.Namespace) -> tuple[Any, int]:
    """Reads a CSV of predictions made outside and keeps them as one judge's, or writes a table to fill in.

    Raises:
        BadInput: the file, or one of its rows, cannot be understood (with --keep-going such rows are left out and listed),
            others of this judge are there already, or the pages are not laid out.
        WrongUse: the judge's name is taken or cannot name a file.
    """
    from pipeline.stages.graph import check_done

    experiment, run, _ = opened(options)
    check_done("generate", experiment, run)
    if options.template:
        if options.file or options.judge:
            raise WrongUse("--template writes the table to fill in; it is imported later.", "Leave out FILE.csv and --judge.")
        n_images = _write_template(run, Path(options.template), options)
        advice = f"inkproof import-predictions {experiment.words} {shlex.quote(options.template)} --judge NAME"
        return {"n_images": n_images, "wrote": options.template, "next": f"fill in the labels, then: {advice}"}, 0
    if not options.file or not options.judge:
        raise WrongUse("A file and --judge NAME are needed.", "Or write a table to fill in: --template FILE.csv")
    told = _imported(experiment, run, Path(options.file), options)
    return (told if options.json else {"table": _text(told)}) | {"next": f"inkproof run {experiment.words}"}, 0


def transfer(options: argparse.Namespace) -> tuple[Any, int]:
    """Makes the transfer matrix of several runs, as a CSV and a JSON beside it.

    Raises:
        WrongUse: as `transfer_matrix`.
    """
    from pipeline.document.tables import as_text
    from pipeline.report.judges import matrix_tables
    from pipeline.stages.graph import check_done
    from pipeline.store.artefacts import TRANSFER_MATRIX, TRANSFER_MATRIX_CSV
    from pipeline.studies.szegedy2014.matrix import transfer_matrix

    found = [opened(argparse.Namespace(**{**vars(options), "experiment": name})) for name in options.experiments]
    for experiment, run, _ in found:
        check_done("generate", experiment, run)
    if options.dry_run:
        return would_run("transfer", f"{len(found)} models would judge the files of {len(found)} runs")
    cells = transfer_matrix([(experiment, run) for experiment, run, _ in found], found[0][2])
    first = found[0][1]
    TRANSFER_MATRIX_CSV.write(first, cells)
    TRANSFER_MATRIX.write(first, {"runs": [run.name for _, run, _ in found], "cells": cells})
    told = {"cells": cells} if options.json else {"table": "\n\n".join(map(as_text, matrix_tables(cells)))}
    path = str(TRANSFER_MATRIX_CSV.path(first))
    return {**told, "wrote": path, "next": f"open {path}"}, 0


def _imported(experiment: Any, run: Any, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Keeps the predictions of a file, and returns what to tell."""
    from pipeline.evaluation.judges.answer_file import bad_rows_text, read_predictions
    from pipeline.evaluation.judges.imported import check_judge_name, file_hashes, keep_predictions
    from pipeline.store import locked
    from pipeline.store.artefacts import LAYOUT, PAIRS, SELECTION, judgements_of

    judge = options.judge
    check_judge_name(judge, [settings.label for settings in experiment.resolved_judges()])
    pairs = PAIRS.read(run)
    names = SELECTION.read(run)["class_names"]
    layout = LAYOUT.read(run) if LAYOUT.exists(run) else None
    read = read_predictions(file, judge, pairs, file_hashes(run, pairs), names, layout)
    bad = read.bad_rows
    if bad and not options.keep_going:
        n = len(bad)
        raise BadInput(
            f"{file}: {n} row{'s' * (n != 1)} could not be understood, nothing was imported: {bad_rows_text(bad)}.",
            "Correct them, or leave them out with --keep-going.",
        )
    if not read.judgements:
        reason = f": {bad_rows_text(bad)}" if bad else ""
        raise BadInput(f"{file}: there is nothing to import{reason}.", "Fill in the column label.")
    state = "would be written"
    if not options.dry_run:
        with locked(run):
            state = keep_predictions(run, judge, read.judgements, options.force)
    return {
        "judge": judge,
        "n_imported": len(read.judgements),
        "n_left_out": len(bad),
        "conditions": sorted({f"{row.transform} ({row.origin})" for row in read.judgements}),
        "state": state,
        "notes": [*read.notes, *(f"left out: line {line}: {reason}" for line, reason in bad)],
        "path": str(judgements_of(judge).path(run)),
    }


def _text(told: dict[str, Any]) -> str:
    head = f'{told["n_imported"]} predictions of "{told["judge"]}" of {", ".join(told["conditions"])}: {told["state"]}'
    return "\n".join([head, *(f"note: {note}" for note in told["notes"])])


def _write_template(run: Any, file: Path, options: argparse.Namespace) -> int:
    """Writes a CSV of every printed image with an empty label, to fill in by hand; returns how many images."""
    from pipeline.evaluation.judges.answer_file import write_template
    from pipeline.store.artefacts import LAYOUT

    if file.exists() and not options.force:
        raise BadInput(f"{file} is there already.", "Choose another name, or write over it with --force.")
    if not LAYOUT.exists(run):
        raise BadInput(f"{run.name}: the pages are not laid out yet.", f"Type: inkproof layout {run.name}")
    layout = LAYOUT.read(run)
    return len(layout.placements) if options.dry_run else write_template(file, layout)
