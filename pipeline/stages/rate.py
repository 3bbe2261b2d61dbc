"""Counts: accuracies under every condition, and the adversarial destruction rate of every transform and of the photographs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline.engine import Context
from pipeline.evaluation.comparing import Cells, comparisons, predictions
from pipeline.evaluation.criteria import TopK, criteria_for, n_ranked_of
from pipeline.evaluation.estimates import accuracies, destruction_rates, overall_rates
from pipeline.evaluation.flagging import gathered, run_flags
from pipeline.evaluation.judges.counting import judges_of, transfers
from pipeline.evaluation.judges.imported import imported_judgements
from pipeline.evaluation.outcomes import Outcomes, outcomes_of, pairs_by_cell
from pipeline.records import ATTACKED_MODEL, PHOTO, SOURCE, Pair, Transfer, View
from pipeline.settings import Experiment
from pipeline.store import Run
from pipeline.store.artefacts import COUNTED, JUDGED, LAYOUT, PAIRS, SELECTION, TABLES_COUNTED, VIEWS
from pipeline.store.stage import Outcome
from pipeline.studies import study_named
from pipeline.studies.testing import ImageTests

_WHERE_ANY = ("predicted", "transfer")


def rate(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `rates.csv`, `accuracies.csv` and `rates.json` with the counts, rates and 95 % intervals of every condition.

    `overall.csv` holds what the front page says of all cells together. Images in photographs share pages, and their intervals
    allow for it (docs/statistics.md). `comparisons.csv` holds the paired comparisons of methods, strengths and conditions,
    `findings.csv` the tests of what a study observed. Where photographs are predicted as well as taken, `predicted.csv` holds
    both beside each other; where others than the attacked model judge, `transfer.csv` holds their counts. `flags.csv` holds what
    would let any of these numbers mislead (docs/flags.md).
    """
    pairs = PAIRS.read(run)
    views = [view for view in VIEWS.read(run) if view.counts]
    outcomes = outcomes_of(run, views)
    cells = pairs_by_cell(experiment, pairs)
    criteria = criteria_for(n_ranked_of(SELECTION.read(run)["model"]))
    tables: dict[str, list[Any]] = {"destruction_rates": [], "accuracies": []}
    for cell in context.progress(cells, len(cells), "cells"):
        tables["destruction_rates"] += destruction_rates({cell: cells[cell]}, outcomes, criteria)
        tables["accuracies"] += accuracies({cell: cells[cell]}, outcomes, criteria)
    tables["overall"] = list(overall_rates(cells, outcomes))
    tables["comparisons"] = comparisons(cells, outcomes, criteria)
    top_ks = [criterion.k for criterion in criteria]
    images = ImageTests(cells, outcomes, experiment.selection.draw == "shared", top_ks)
    tables["findings"] = study_named(experiment.report.reproduces).findings(images)
    tables["predicted"] = predictions(cells, outcomes, criteria) if experiment.photograph.predicts else []
    tables["transfer"], notes = _transfers(experiment, run, pairs, views, cells, outcomes, criteria)
    rates = tables["destruction_rates"]
    tables["flags"] = run_flags(gathered(run, pairs, views, rates, cells, outcomes, bool(tables["predicted"])))
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


def _transfers(
    experiment: Experiment,
    run: Run,
    pairs: list[Pair],
    views: list[View],
    cells: Cells,
    outcomes: Outcomes,
    criteria: Sequence[TopK],
) -> tuple[list[Transfer], list[str]]:
    """Returns how the attacks fare with all judges, and notes; nothing where nobody judges but the attacked model."""
    labels = [judge.label for judge in experiment.resolved_judges()]
    hashes = {view.view_id: view.sha256 for view in views if view.transform == SOURCE}
    names = SELECTION.read(run)["class_names"]
    judgements, notes = imported_judgements(run, pairs, hashes, names, labels)
    if labels:
        judgements = JUDGED.read(run) + judgements
    if not judgements:
        return [], notes
    pages = {placed.pair_id: placed.page for placed in LAYOUT.read(run).placements} if LAYOUT.exists(run) else {}
    return transfers(cells, [outcomes, *judges_of(judgements, pages)], criteria), notes


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
