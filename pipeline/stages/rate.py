"""Counts: accuracies under every condition, and the adversarial destruction rate of every transform and of the photographs."""

from collections import Counter
from dataclasses import replace
from typing import Any

from pipeline.engine import Context
from pipeline.evaluation.comparing import comparisons, predictions
from pipeline.evaluation.criteria import criteria_for, n_ranked_of
from pipeline.evaluation.defending import defence_rows
from pipeline.evaluation.estimates import accuracies, destruction_rates, overall_rates
from pipeline.evaluation.flagging import gathered, run_flags
from pipeline.evaluation.judges.counting import judges_of, transfers
from pipeline.evaluation.judges.imported import imported_judgements
from pipeline.evaluation.masking import masking_rows
from pipeline.evaluation.outcomes import Outcomes, made_on_model, outcomes_of, pairs_by_cell
from pipeline.records import ATTACKED_MODEL, PHOTO, SOURCE, Pair, View
from pipeline.settings import Experiment
from pipeline.store import Run
from pipeline.store.artefacts import (
    COUNTED,
    JUDGED,
    JUDGEMENTS,
    LAYOUT,
    PAIRS,
    SELECTION,
    TABLES_COUNTED,
    VIEWS,
    field_of,
    is_photo,
)
from pipeline.store.stage import Outcome
from pipeline.studies import study_named
from pipeline.studies.testing import ImageTests

_WHERE_ANY = ("predicted", "transfer", "defences")


def rate(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `rates.csv`, `accuracies.csv` and `rates.json` with the counts, rates and 95 % intervals of every condition.

    `overall.csv` holds what the front page says of all cells together. Images in photographs share pages, and their intervals
    allow for it (docs/statistics.md). `comparisons.csv` holds the paired comparisons of methods, strengths and conditions,
    `findings.csv` the tests of what a study observed. Where photographs are predicted as well as taken, `predicted.csv` holds
    both beside each other; where others than the attacked model judge, `transfer.csv` holds their counts, and `defences.csv`
    sets what is right behind each defence beside what is right without. `flags.csv` holds what would let any of these numbers
    mislead (docs/flags.md).
    """
    pairs = PAIRS.read(run)
    outcomes = outcomes_of(run)
    photos = [view for view in VIEWS.rows(run, is_photo()) if view.counts]
    cells = pairs_by_cell(experiment, pairs)
    criteria = criteria_for(n_ranked_of(SELECTION.read(run)["model"]))
    tables: dict[str, list[Any]] = {"destruction_rates": [], "accuracies": []}
    for cell in context.progress(cells, len(cells), "cells"):
        tables["destruction_rates"] += destruction_rates({cell: cells[cell]}, outcomes, criteria)
        tables["accuracies"] += accuracies({cell: cells[cell]}, outcomes, criteria)
    own = made_on_model(experiment, cells)
    tables["overall"] = list(overall_rates(own, outcomes))
    tables["comparisons"] = comparisons(own, outcomes, criteria)
    top_ks = [criterion.k for criterion in criteria]
    images = ImageTests(own, outcomes, experiment.selection.draw == "shared", top_ks)
    tables["findings"] = study_named(experiment.report.reproduces).findings(images)
    tables["predicted"] = predictions(own, outcomes, criteria) if experiment.photograph.predicts else []
    others, notes = _other_judges(experiment, run, pairs, photos)
    tables["transfer"] = transfers(cells, [outcomes, *others], criteria) if others else []
    tables["defences"] = defence_rows(experiment, cells, [outcomes, *others], criteria)
    rates = tables["destruction_rates"]
    evidence = gathered(run, pairs, photos, rates, cells, outcomes, bool(tables["predicted"]))
    masked = masking_rows(experiment.attacks, cells, [outcomes, *others])
    tables["flags"] = run_flags(replace(evidence, masked=masked))
    written = _write(run, tables)
    summary = {
        "n_rates": len(rates),
        "n_photo_rates": sum(row.transform == PHOTO for row in rates),
        "n_without_eligible": sum(row.n_eligible == 0 for row in rates),
        "flags": dict(Counter(row.flag for row in tables["flags"])),
    }
    if tables["transfer"]:
        summary["n_judges"] = len({row.judge for row in tables["transfer"]} - {ATTACKED_MODEL})
    return Outcome(tuple(written), summary, tuple(notes))


def _other_judges(experiment: Experiment, run: Run, pairs: list[Pair], photos: list[View]) -> tuple[list[Outcomes], list[str]]:
    """Returns what everyone says who judges beside the attacked model, and notes."""
    labels = [judge.label for judge in experiment.resolved_judges()]
    hashes = dict(VIEWS.values(run, "view_id", "sha256", where=field_of("transform") == SOURCE)) if JUDGEMENTS.stems(run) else {}
    names = SELECTION.read(run)["class_names"]
    judgements, notes = imported_judgements(run, pairs, hashes, names, labels)
    if labels:
        judgements = JUDGED.read(run) + judgements
    pages = {placed.pair_id: placed.page for placed in LAYOUT.read(run).placements} if LAYOUT.exists(run) else {}
    return judges_of(judgements, pages, {view.view_id: view.predicted_error_px for view in photos}), notes


def _write(run: Run, tables: dict[str, list[Any]]) -> list[str]:
    """Writes every table as CSV and all of them as `rates.json`; returns the names of the files."""
    kept = {name: rows for name, rows in tables.items() if rows or name not in _WHERE_ANY}
    for name, table in TABLES_COUNTED.items():
        if name in kept:
            table.write(run, kept[name])
        else:
            table.remove(run)
    COUNTED.write(run, kept)
    return [*(TABLES_COUNTED[name].name for name in kept), COUNTED.name]
