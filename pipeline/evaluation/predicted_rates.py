"""Predicted against measured: the rates of simulated photographs beside those of real ones, over the same pairs."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.evaluation.judged import Hit, Judged
from pipeline.records import COMPARED, SIMULATED, Cell, ComparedRow, Pair
from pipeline.statistics import cluster_interval, compare_paired


def compared_rates(cells: Mapping[Cell, Sequence[Pair]], judged: Judged, top_ks: Iterable[int]) -> list[ComparedRow]:
    """Returns destruction rate and accuracy of clean photographs for each cell, measured and predicted; [] without both.

    A pair takes part where it was photographed by a camera and by the simulator. Where several photographs of a page count, the
    one with the least predicted registration error speaks for it: one pair is one observation. The two photographs of a pair
    show one page, and the pairs of a page fall together.

    Args:
        cells: the pairs of every (case, attack, epsilon_8bit).
    """
    by_origin = {condition[2]: condition for condition in judged.photos}
    if not {"camera", SIMULATED} <= set(by_origin):
        return []
    rows = []
    for cell, pairs in cells.items():
        for top_k in top_ks:
            for quantity in COMPARED:
                measured, predicted = (judged.hits(quantity, pairs, by_origin[name], top_k) for name in ("camera", SIMULATED))
                both = [(measured[image], predicted[image]) for image in measured if image in predicted]
                rows.append(_row(cell, quantity, top_k, both))
    return rows


def _row(cell: Cell, quantity: str, top_k: int, both: Sequence[tuple[Hit, Hit]]) -> ComparedRow:
    n = len(both)
    pages = [measured.page for measured, _ in both]
    measured, predicted = ([side.is_hit for side in sides] for sides in zip(*both, strict=True)) if both else ([], [])
    of_measured, of_predicted = (cluster_interval(side, pages) or (None, None) for side in (measured, predicted))
    found = compare_paired(list(zip(predicted, measured, strict=True)), [pages])
    return ComparedRow(
        *cell,
        quantity=quantity,
        top_k=top_k,
        n=n,
        n_measured=sum(measured),
        n_predicted=sum(predicted),
        n_both=found.n_both,
        measured=sum(measured) / n if n else None,
        measured_low=of_measured[0],
        measured_high=of_measured[1],
        predicted=sum(predicted) / n if n else None,
        predicted_low=of_predicted[0],
        predicted_high=of_predicted[1],
        difference=found.difference,
        difference_low=found.low,
        difference_high=found.high,
        interval="cluster",
        n_clusters=found.n_clusters,
        n_effective=found.n_effective,
    )
