"""Predicted against measured: the rates of simulated photographs beside those of real ones, over the same pairs."""

from collections.abc import Iterable, Iterator, Mapping

from pipeline.metrics import paired_difference, wilson
from pipeline.records import PHOTO, SOURCE, ComparedRow, Pair, Prediction, View
from pipeline.stages.photo_reading import SIMULATED

_Right = dict[tuple[str, str, str], tuple[int, ...]]


def compared_rates(
    cells: Iterable[tuple[str, str, int]],
    pairs: Iterable[Pair],
    views: Iterable[View],
    predictions: Mapping[str, Prediction],
    top_ks: Iterable[int],
) -> list[ComparedRow]:
    """Returns destruction rate and accuracy of clean photographs for each cell, measured and predicted; [] without both.

    A pair takes part where it was photographed by a camera and by the simulator. Where several photographs of a page count, the
    one with the least predicted registration error speaks for it: one pair is one observation.
    """
    labels = _labels(views, predictions)
    if {origin for origin, _, _ in labels} & {"camera", SIMULATED} != {"camera", SIMULATED}:
        return []
    pairs = list(pairs)
    rows = []
    for case, attack, epsilon in cells:
        cell = [pair for pair in pairs if (pair.attack, pair.epsilon_8bit) == (attack, epsilon) and case in pair.cases]
        for top_k in top_ks:
            for quantity, outcomes in (
                ("destruction_rate", _destroyed(cell, labels, top_k)),
                ("clean_accuracy", _clean_right(cell, labels, top_k)),
            ):
                rows.append(_row(case, attack, epsilon, quantity, top_k, list(outcomes)))
    return rows


def _labels(views: Iterable[View], predictions: Mapping[str, Prediction]) -> _Right:
    """The model's labels by (origin of a photograph or "" for a file, variant, pair or image)."""
    best: dict[tuple[str, str, str], View] = {}
    for view in views:
        if view.counts and view.transform in (SOURCE, PHOTO):
            key = (view.origin if view.transform == PHOTO else "", view.variant, view.pair_id or view.image_id)
            if key not in best or _error(view) < _error(best[key]):
                best[key] = view
    return {key: predictions[view.view_id].labels for key, view in best.items()}


def _error(view: View) -> tuple[float, str]:
    return (float("inf") if view.predicted_error_px is None else view.predicted_error_px, view.view_id)


def _destroyed(cell: list[Pair], labels: _Right, top_k: int) -> Iterator[tuple[bool, bool]]:
    """Yields whether the real and the simulated photograph undid the attack, for every attack that worked as a file."""
    for pair in cell:
        photos = _photos(pair, "adversarial", labels, top_k)
        clean, adversarial = labels.get(("", "clean", pair.image_id), ()), labels.get(("", "adversarial", pair.pair_id), ())
        works = pair.true_label in clean[:top_k] and pair.true_label not in adversarial[:top_k]
        if photos and works:
            yield photos


def _clean_right(cell: list[Pair], labels: _Right, top_k: int) -> Iterator[tuple[bool, bool]]:
    for pair in cell:
        if photos := _photos(pair, "clean", labels, top_k):
            yield photos


def _photos(pair: Pair, variant: str, labels: _Right, top_k: int) -> tuple[bool, bool] | None:
    """Whether the real and the simulated photograph are classified right; None where one of them is missing."""
    keys = [(origin, variant, pair.pair_id) for origin in ("camera", SIMULATED)]
    if not all(key in labels for key in keys):
        return None
    measured, predicted = (pair.true_label in labels[key][:top_k] for key in keys)
    return measured, predicted


def _row(case: str, attack: str, epsilon: int, quantity: str, top_k: int, outcomes: list[tuple[bool, bool]]) -> ComparedRow:
    n = len(outcomes)
    n_measured, n_predicted = sum(measured for measured, _ in outcomes), sum(predicted for _, predicted in outcomes)
    n_both = sum(measured and predicted for measured, predicted in outcomes)
    of_measured, of_predicted = wilson(n_measured, n) or (None, None), wilson(n_predicted, n) or (None, None)
    only_measured, only_predicted = n_measured - n_both, n_predicted - n_both
    neither = n - n_both - only_measured - only_predicted
    of_difference = paired_difference(n_both, only_predicted, only_measured, neither) or (None, None)
    return ComparedRow(
        case=case,
        attack=attack,
        epsilon_8bit=epsilon,
        quantity=quantity,
        top_k=top_k,
        n=n,
        n_measured=n_measured,
        n_predicted=n_predicted,
        n_both=n_both,
        measured=n_measured / n if n else None,
        measured_low=of_measured[0],
        measured_high=of_measured[1],
        predicted=n_predicted / n if n else None,
        predicted_low=of_predicted[0],
        predicted_high=of_predicted[1],
        difference=(n_predicted - n_measured) / n if n else None,
        difference_low=of_difference[0],
        difference_high=of_difference[1],
    )
