"""Counts: accuracies under every condition, and the adversarial destruction rate of every transform and of the photographs."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from pipeline.engine import Context
from pipeline.evaluation.comparing import comparisons
from pipeline.evaluation.flagging import Evidence, run_flags
from pipeline.evaluation.judged import Condition, Judged, pages_of, pairs_by_cell
from pipeline.evaluation.judges.counting import attacked_judgements, transfer_rows
from pipeline.evaluation.judges.imported import imported_judgements
from pipeline.evaluation.predicted_rates import compared_rates
from pipeline.physical.registration.photo_reading import SIMULATED
from pipeline.records import (
    ATTACKED_MODEL,
    PHOTO,
    SOURCE,
    VARIANTS,
    AccuracyRow,
    CellFill,
    ModelFlag,
    Pair,
    Prediction,
    RateRow,
    TransferRow,
    View,
)
from pipeline.settings import Experiment
from pipeline.statistics import EffectiveNumber, PairedResult, compare_paired, destruction_counts, effective_number, wilson
from pipeline.statistics.likeness import Alike
from pipeline.store import Run, record_from
from pipeline.store.artefacts import (
    ACCURACIES,
    CAPTURED,
    COMPARISONS,
    COUNTED,
    DISCARDS,
    FINDINGS,
    FLAGS,
    JUDGED,
    LAYOUT,
    PAIRS,
    PREDICTED,
    PREDICTIONS,
    RATES,
    SELECTION,
    TRANSFER,
    VIEWS,
)
from pipeline.store.stage import Outcome
from pipeline.studies.kurakin2016.finding_tests import tested_findings

TOP_K = (1, 5)


def rate(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `rates.csv`, `accuracies.csv` and `rates.json` with the counts, rates and 95 % intervals of every condition.

    Images in photographs share pages, and their intervals allow for it (docs/statistics.md). `comparisons.csv` holds the paired
    comparisons of methods, strengths and conditions, `findings.csv` the tests of what the paper observed. Where photographs are
    predicted as well as taken, `predicted.csv` holds both beside each other; where others than the attacked model judge,
    `transfer.csv` holds their counts. `flags.csv` holds what would let any of these numbers mislead (docs/flags.md).
    """
    pairs = PAIRS.read(run)
    views = [view for view in VIEWS.read(run) if view.counts]
    predictions = {row.view_id: row for row in PREDICTIONS.read(run)}
    judged = Judged(views, predictions, pages_of(run, views))
    accuracies: list[AccuracyRow] = []
    rates: list[RateRow] = []
    cells = pairs_by_cell(experiment, pairs)
    for (case, attack, epsilon), cell in context.progress(cells.items(), len(cells), "cells"):
        for condition in judged.conditions:
            for top_k in TOP_K:
                accuracies += [_accuracy(case, attack, epsilon, cell, variant, condition, top_k, judged) for variant in VARIANTS]
                if condition[0] != SOURCE:
                    rates.append(_destruction(case, attack, epsilon, cell, condition, top_k, judged))
    compared_pairs = comparisons(cells, judged, TOP_K)
    RATES.write(run, rates)
    ACCURACIES.write(run, accuracies)
    COMPARISONS.write(run, compared_pairs)
    findings = tested_findings(cells, judged, is_shared=experiment.selection.draw == "shared")
    FINDINGS.write(run, findings)
    tables: dict[str, list] = {
        "destruction_rates": rates,
        "accuracies": accuracies,
        "comparisons": compared_pairs,
        "findings": findings,
    }
    outputs = [RATES.name, ACCURACIES.name, COMPARISONS.name, FINDINGS.name, COUNTED.name]
    compared = compared_rates(cells, judged, TOP_K) if experiment.photograph.predicts else []
    PREDICTED.remove(run)
    if compared:
        tables["predicted"] = compared
        PREDICTED.write(run, compared)
        outputs.append(PREDICTED.name)
    transfer, notes = _transfer(experiment, run, pairs, views, predictions)
    TRANSFER.remove(run)
    if transfer:
        tables["transfer"] = transfer
        TRANSFER.write(run, transfer)
        outputs.append(TRANSFER.name)
    flags = run_flags(_evidence(run, pairs, views, rates, cells, judged, bool(compared)))
    tables["flags"] = flags
    FLAGS.write(run, flags)
    outputs.append(FLAGS.name)
    COUNTED.write(run, tables)
    photo = [row for row in rates if row.transform == PHOTO]
    summary = {
        "n_rates": len(rates),
        "n_photo_rates": len(photo),
        "n_without_eligible": sum(row.n_eligible == 0 for row in rates),
        "flags": dict(Counter(row.flag for row in flags)),
    }
    if transfer:
        summary["n_judges"] = len({row.judge for row in transfer} - {ATTACKED_MODEL})
    return Outcome(tuple(outputs), summary, tuple(notes))


def _evidence(
    run: Run,
    pairs: Sequence[Pair],
    views: Sequence[View],
    rates: Sequence[RateRow],
    cells: Mapping[tuple[str, str, int], Sequence[Pair]],
    judged: Judged,
    is_predicted: bool,
) -> Evidence:
    """Gathers what flags are found from; `is_predicted`: simulated photographs are shown beside real ones, never for them."""
    selection = SELECTION.read(run)
    origins = {condition[2] for condition in judged.photos}
    origin = next(iter(sorted(origins)), "")
    simulated = {view.capture_id for view in views if view.transform == PHOTO and view.origin == SIMULATED}
    return Evidence(
        rates=rates,
        pairs=pairs,
        fills=[record_from(CellFill, row) for row in selection["fills"]],
        views=views,
        captures=CAPTURED.read(run) if origins else (),
        discards=DISCARDS.read(run) if origins else (),
        origin=origin,
        n_simulated=0 if is_predicted else len(simulated),
        clean=_clean(cells, judged, origin),
        printout=LAYOUT.read(run) if origins else None,
        alike=[record_from(Alike, row) for row in selection["alike"]],
        model_flags=[record_from(ModelFlag, row) for row in selection["model_flags"]],
    )


def _clean(cells: Mapping[tuple[str, str, int], Sequence[Pair]], judged: Judged, origin: str) -> dict[str, PairedResult]:
    """Returns, by case, clean images right as files and in photographs; an image printed for several cells, or a page, is one."""
    found: dict[str, list[tuple[tuple[bool, bool], int | str, str]]] = defaultdict(list)
    for photo in (condition for condition in judged.photos if condition[2] == origin):
        for (case, _, _), pairs in cells.items():
            for pair in pairs:
                seen = [judged.best(pair, "clean", condition) for condition in (judged.source, photo)]
                if all(seen):
                    right = tuple(pair.true_label == view.labels[0] for view in seen)
                    found[case].append((right, seen[1].page, pair.image_id))
    return {
        case: compare_paired([right for right, _, _ in rows], [[page for _, page, _ in rows], [image for _, _, image in rows]])
        for case, rows in found.items()
    }


def _transfer(
    experiment: Experiment, run: Run, pairs: list[Pair], views: list[View], predictions: dict[str, Prediction]
) -> tuple[list[TransferRow], list[str]]:
    """Returns what others than the attacked model say, models and predictions from outside alike; nothing where nobody does."""
    labels = [judge.label for judge in experiment.resolved_judges()]
    hashes = {view.view_id: view.sha256 for view in views if view.transform == SOURCE}
    names = SELECTION.read(run)["class_names"]
    judged, notes = imported_judgements(run, pairs, hashes, names, labels)
    if labels:
        judged = JUDGED.read(run) + judged
    if not judged:
        return [], notes
    cells = [(case, *cell) for case in experiment.selection.cases for cell in experiment.cells()]
    pages = {placed.pair_id: placed.page for placed in LAYOUT.read(run).placements} if LAYOUT.exists(run) else {}
    return transfer_rows(cells, pairs, [*attacked_judgements(views, predictions), *judged], TOP_K, pages), notes


def _accuracy(
    case: str, attack: str, epsilon: int, cell: list[Pair], variant: str, condition: Condition, top_k: int, judged: Judged
) -> AccuracyRow:
    seen = [judged.views(pair, variant, condition) for pair in cell]
    outcomes = [pair.true_label in view.labels[:top_k] for pair, views in zip(cell, seen, strict=True) for view in views]
    number = _effective(outcomes, [view.page for views in seen for view in views], sum(map(bool, seen)), condition)
    interval = _interval(sum(outcomes), len(outcomes), number)
    return AccuracyRow(
        case=case,
        attack=attack,
        epsilon_8bit=epsilon,
        variant=variant,
        transform=condition[0],
        parameter=condition[1],
        origin=condition[2],
        top_k=top_k,
        n_correct=sum(outcomes),
        n_images=len(outcomes),
        n_discarded=sum(not views for views in seen),
        accuracy=sum(outcomes) / len(outcomes) if outcomes else None,
        low=interval[0],
        high=interval[1],
        interval="cluster" if number else "wilson",
        n_clusters=number.n_clusters if number else None,
        n_effective=number.n_effective if number else None,
    )


def _destruction(
    case: str, attack: str, epsilon: int, cell: list[Pair], condition: Condition, top_k: int, judged: Judged
) -> RateRow:
    present = [(pair, view) for pair in cell for view in judged.views(pair, "adversarial", condition)]
    outcomes = [
        (
            any(judged.right(pair, "clean", judged.source, top_k)),
            any(judged.right(pair, "adversarial", judged.source, top_k)),
            pair.true_label in view.labels[:top_k],
        )
        for pair, view in present
    ]
    counts = destruction_counts(outcomes)
    eligible = [
        (after, view.page, pair.pair_id)
        for (clean, adversarial, after), (pair, view) in zip(outcomes, present, strict=True)
        if clean and not adversarial
    ]
    hits, pages, images = zip(*eligible, strict=True) if eligible else ((), (), ())
    number = _effective(hits, pages, len(set(images)), condition)
    interval = _interval(counts.n_hit, counts.n_eligible, number)
    return RateRow(
        case=case,
        attack=attack,
        epsilon_8bit=epsilon,
        transform=condition[0],
        parameter=condition[1],
        origin=condition[2],
        top_k=top_k,
        n_hit=counts.n_hit,
        n_eligible=counts.n_eligible,
        n_images=len(present),
        n_discarded=len(cell) - len({pair.pair_id for pair, _ in present}),
        destruction_rate=counts.rate,
        low=interval[0],
        high=interval[1],
        interval="cluster" if number else "wilson",
        n_clusters=number.n_clusters if number else None,
        n_effective=number.n_effective if number else None,
    )


def _effective(
    outcomes: Sequence[bool], pages: Sequence[int | str], n_images: int, condition: Condition
) -> EffectiveNumber | None:
    """Returns what images in photographs are worth, those of a page falling together; None of files, which are independent."""
    return effective_number(outcomes, [pages], n_different=n_images) if condition[0] == PHOTO else None


def _interval(n_hit: int, n: int, number: EffectiveNumber | None) -> tuple[float, float] | tuple[None, None]:
    if number is None:
        return wilson(n_hit, n) or (None, None)
    return wilson(n_hit / n * number.n_effective, number.n_effective) or (None, None)
