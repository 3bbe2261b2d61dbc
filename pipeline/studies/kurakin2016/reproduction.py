"""The files of a run that sets out to reproduce a paper: a text, a table and the same as JSON, beside its report."""

import dataclasses

from pipeline.report import ReportContent
from pipeline.report.paper_tables import figure_6_rates, paper_rows
from pipeline.report.reproduction import reproduction_text, what_differs
from pipeline.settings import Experiment
from pipeline.store import Run
from pipeline.store.artefacts import REPRODUCTION, REPRODUCTION_CSV, REPRODUCTION_TEXT

_FILES = (REPRODUCTION_TEXT, REPRODUCTION_CSV, REPRODUCTION)


def write_reproduction(content: ReportContent, run: Run) -> list[str]:
    """Writes the paper's numbers beside the run's, and returns the names of the files; none of a run that reproduces nothing."""
    if not content.reproduces:
        for file in _FILES:
            file.remove(run)
        return []
    rows = paper_rows(content)
    REPRODUCTION_TEXT.write(run, reproduction_text(content).encode())
    REPRODUCTION_CSV.write(run, rows)
    told = {
        "paper": content.reproduces,
        "run": content.run,
        "photographs": content.main_origin if content.photo_origins else None,
        "what_differs": what_differs(content),
        "tables": [dataclasses.asdict(row) | {"is_within": row.is_within} for row in rows],
        "figure_6": [dataclasses.asdict(row) for row in figure_6_rates(content)],
        "findings": [dataclasses.asdict(row) for row in content.findings],
    }
    REPRODUCTION.write(run, told)
    return [file.name for file in _FILES]


def title_of(experiment: Experiment, run: Run, simulated: bool) -> str:
    """Returns the report's title; that of a reproduction says what stands in for a print, a camera and ImageNet."""
    title = experiment.report.title or f"Adversarial images of {run.name}, printed and photographed"
    if not experiment.report.reproduces:
        return title
    stand_ins = ["simulated photographs"] if simulated else []
    stand_ins += ["built-in images"] if experiment.dataset.name.startswith("builtin:") else []
    return f"{title} ({', '.join(stand_ins)})" if stand_ins else title
