"""The command that lists the studies, and runs a paper's experiment: its file is written, and is then run like any other."""

import argparse
import os
from dataclasses import asdict
from typing import Any

from pipeline.cli import commands
from pipeline.core.errors import WrongUse


def reproduce(options: argparse.Namespace) -> tuple[Any, int]:
    """Writes the experiment's file unless it is there, and runs it, on photographs that a person took or on simulated ones."""
    from pipeline.store import Run, photo_files, write_bytes
    from pipeline.store.artefacts import REPRODUCTION_TEXT
    from pipeline.studies import STUDIES, study_named

    if options.list or not options.study:
        return {"studies": STUDIES.listed(), "next": "inkproof reproduce STUDY --small"}, 0
    if study_named(options.study).lab():
        return _measured(options)
    name, text = study_experiment(options.study, options.small, "INKPROOF_DATA" in os.environ)
    file = options.workspace / f"{name}.toml"
    run = Run(options.workspace, name)
    has_photos = bool(photo_files(run, by_camera=True))
    by_person = options.photos == "me" or (options.photos == "any" and has_photos)
    if options.dry_run and not file.is_file():
        return commands.would_run("reproduce", f"{file} would be written, and every stage would run")
    if not file.is_file():
        write_bytes(file, text.encode())
        options.display.say(f"wrote {file}")
    elif file.read_text(encoding="utf-8") != text:
        options.display.say(f"{file} was there already and is used as it is")
    options.experiment = file
    options.set = [f"photograph.by={'camera' if by_person else 'simulator'}", *options.set]
    result, code = commands.run(options)
    text_file = REPRODUCTION_TEXT.path(run)
    return ({"wrote": str(text_file)} if text_file.is_file() and not options.dry_run else {}) | result, code


def _measured(options: argparse.Namespace) -> tuple[Any, int]:
    """Runs a study that measures for itself, and says what became of its findings."""
    from pipeline.store.artefacts import REPORT_HTML
    from pipeline.studies import study_named
    from pipeline.studies.claims import VERDICT_TITLES

    study = study_named(options.study)
    if options.dry_run:
        return commands.would_run("reproduce", f"every part of {study.name} would be measured")
    from pipeline.studies.lab.running import reproduce as measured

    options.display.begins("reproduce")
    context = commands.context_of(options)
    seed = 0 if options.seed is None else options.seed
    made = measured(study, options.workspace, context, options.small, seed, options.display.say, options.force)
    lines = [f"{VERDICT_TITLES[row.verdict]}: {words}" for row, words in zip(made.rows, made.statements, strict=True)]
    report = made.folder / REPORT_HTML.name
    if options.json:
        return {"wrote": str(made.folder), "findings": [asdict(row) for row in made.rows]}, 0
    return {"table": "\n".join(lines), "wrote": str(made.folder), "next": f"open {report}"}, 0


def study_experiment(name: str, small: bool, has_data: bool) -> tuple[str, str]:
    """Returns the name and the text of a study's experiment; without the data that it asks for, of the built-in images.

    Raises:
        WrongUse: there is no such study, or it has no such experiment.
    """
    from pipeline.studies import experiments, study_named
    from pipeline.studies.reproducing import with_stand_ins

    study = study_named(name)
    wanted = f"{name}-small" if small else name
    if wanted not in experiments():
        raise WrongUse(f"{name} has no {'small ' * small}experiment of its own.", f"Type: {study.command}")
    text = experiments()[wanted].read_text(encoding="utf-8")
    return (wanted, text) if has_data else with_stand_ins(text)
