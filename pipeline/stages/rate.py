"""Counts: accuracies under every condition, and the adversarial destruction rate of every transform and of the photographs."""

from collections import defaultdict
from collections.abc import Iterable

from pipeline.executor import Context
from pipeline.judging.counting import attacked_judgements, transfer_rows
from pipeline.judging.imported import imported_judgements
from pipeline.metrics import destruction_counts, wilson
from pipeline.records import (
    ATTACKED_MODEL,
    PHOTO,
    SOURCE,
    VARIANTS,
    AccuracyRow,
    ComparedRow,
    Judgement,
    Pair,
    Prediction,
    RateRow,
    TransferRow,
    View,
)
from pipeline.settings import Experiment
from pipeline.stages.outcome import Outcome
from pipeline.stages.predicted_rates import compared_rates
from pipeline.store import Run, csv_bytes, read_json, read_table, write_bytes, write_json

TOP_K = (1, 5)
Condition = tuple[str, float | None, str]


def rate(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `rates.csv`, `accuracies.csv` and `rates.json` with the counts, rates and Wilson intervals of every condition.

    Where photographs are predicted as well as taken, `predicted.csv` holds both beside each other; where others than the
    attacked model judge, `transfer.csv` holds their counts.
    """
    pairs = read_table(run.printouts / "pairs.parquet", Pair)
    views = [view for view in read_table(run.reports / "views.parquet", View) if view.counts]
    predictions = {row.view_id: row for row in read_table(run.reports / "predictions.parquet", Prediction)}
    judged = _Judged(views, predictions)
    accuracies: list[AccuracyRow] = []
    rates: list[RateRow] = []
    for case in experiment.selection.cases:
        for attack, epsilon in experiment.cells():
            cell = [pair for pair in pairs if (pair.attack, pair.epsilon_8bit) == (attack, epsilon) and case in pair.cases]
            for condition in judged.conditions:
                for top_k in TOP_K:
                    accuracies += [
                        _accuracy(case, attack, epsilon, cell, variant, condition, top_k, judged) for variant in VARIANTS
                    ]
                    if condition[0] != SOURCE:
                        rates.append(_destruction(case, attack, epsilon, cell, condition, top_k, judged))
    write_bytes(run.reports / "rates.csv", csv_bytes(RateRow, rates))
    write_bytes(run.reports / "accuracies.csv", csv_bytes(AccuracyRow, accuracies))
    tables: dict[str, list] = {"destruction_rates": rates, "accuracies": accuracies}
    outputs = ["rates.csv", "accuracies.csv", "rates.json"]
    compared = _compared(experiment, pairs, views, predictions)
    (run.reports / "predicted.csv").unlink(missing_ok=True)
    if compared:
        tables["predicted"] = compared
        write_bytes(run.reports / "predicted.csv", csv_bytes(ComparedRow, compared))
        outputs.append("predicted.csv")
    transfer, notes = _transfer(experiment, run, pairs, views, predictions)
    (run.reports / "transfer.csv").unlink(missing_ok=True)
    if transfer:
        tables["transfer"] = transfer
        write_bytes(run.reports / "transfer.csv", csv_bytes(TransferRow, transfer))
        outputs.append("transfer.csv")
    write_json(run.reports / "rates.json", tables)
    photo = [row for row in rates if row.transform == PHOTO]
    summary = {
        "n_rates": len(rates),
        "n_photo_rates": len(photo),
        "n_without_eligible": sum(row.n_eligible == 0 for row in rates),
    }
    if transfer:
        summary["n_judges"] = len({row.judge for row in transfer} - {ATTACKED_MODEL})
    return Outcome(tuple(outputs), summary, tuple(notes))


def _transfer(
    experiment: Experiment, run: Run, pairs: list[Pair], views: list[View], predictions: dict[str, Prediction]
) -> tuple[list[TransferRow], list[str]]:
    """Returns what others than the attacked model say, models and predictions from outside alike; nothing where nobody does."""
    labels = [judge.label for judge in experiment.resolved_judges()]
    hashes = {view.view_id: view.sha256 for view in views if view.transform == SOURCE}
    names = read_json(run.printouts / "selection.json")["class_names"]
    judged, notes = imported_judgements(run, pairs, hashes, names, labels)
    if labels:
        judged = read_table(run.reports / "judged.parquet", Judgement) + judged
    if not judged:
        return [], notes
    cells = [(case, *cell) for case in experiment.selection.cases for cell in experiment.cells()]
    return transfer_rows(cells, pairs, [*attacked_judgements(views, predictions), *judged], TOP_K), notes


def _compared(
    experiment: Experiment, pairs: list[Pair], views: list[View], predictions: dict[str, Prediction]
) -> list[ComparedRow]:
    if not experiment.photograph.predicts:
        return []
    cells = [(case, *cell) for case in experiment.selection.cases for cell in experiment.cells()]
    return compared_rates(cells, pairs, views, predictions, TOP_K)


class _Judged:
    """Whether the model is right, by condition, variant and pair."""

    def __init__(self, views: Iterable[View], predictions: dict[str, Prediction]) -> None:
        self._predictions: dict[tuple[Condition, str, str], list[Prediction]] = defaultdict(list)
        self.conditions: list[Condition] = []
        for view in views:
            condition = (view.transform, view.parameter, view.origin)
            if condition not in self.conditions:
                self.conditions.append(condition)
            subject = view.pair_id or view.image_id
            self._predictions[condition, view.variant, subject].append(predictions[view.view_id])
        self.source = next((condition for condition in self.conditions if condition[0] == SOURCE), None)

    def right(self, pair: Pair, variant: str, condition: Condition, top_k: int) -> list[bool]:
        """Returns, for each view (several where every photo of a page counts), whether the true label is in its top k."""
        subject = pair.image_id if variant == "clean" and condition[0] != PHOTO else pair.pair_id
        found = self._predictions.get((condition, variant, subject), [])
        return [prediction.true_label in prediction.labels[:top_k] for prediction in found]


def _accuracy(
    case: str, attack: str, epsilon: int, cell: list[Pair], variant: str, condition: Condition, top_k: int, judged: _Judged
) -> AccuracyRow:
    results = [judged.right(pair, variant, condition, top_k) for pair in cell]
    n_correct, n_images = sum(map(sum, results)), sum(map(len, results))
    interval = wilson(n_correct, n_images)
    return AccuracyRow(
        case=case,
        attack=attack,
        epsilon_8bit=epsilon,
        variant=variant,
        transform=condition[0],
        parameter=condition[1],
        origin=condition[2],
        top_k=top_k,
        n_correct=n_correct,
        n_images=n_images,
        n_discarded=sum(not result for result in results),
        accuracy=n_correct / n_images if n_images else None,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
    )


def _destruction(
    case: str, attack: str, epsilon: int, cell: list[Pair], condition: Condition, top_k: int, judged: _Judged
) -> RateRow:
    present = [(pair, right) for pair in cell for right in judged.right(pair, "adversarial", condition, top_k)]
    counts = destruction_counts(
        (
            any(judged.right(pair, "clean", judged.source, top_k)),
            any(judged.right(pair, "adversarial", judged.source, top_k)),
            right,
        )
        for pair, right in present
    )
    interval = wilson(counts.n_hit, counts.n_eligible)
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
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
    )
