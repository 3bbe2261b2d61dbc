"""How many of some items are left over a growing load, and the median load that they bear, where the strongest never gave way."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.statistics.intervals import score_interval


class Median(NamedTuple):
    """A median and the ends of its interval; None is beyond the range, and for both ends that there is no interval."""

    median: float | None
    low: float | None
    high: float | None


def surviving(
    thresholds: Sequence[float | None], start: float, is_growing: bool = True
) -> tuple[tuple[float, int, float, float], ...]:
    """Returns (load, number left, low, high) at the start and at every load at which an item gave way, in the order of the load.

    The number left over n is Kaplan and Meier's (1958) estimate: no item is lost from sight before the end of the range, so that
    it is a plain share, and its 95 % interval at any one load is Wilson's.

    Args:
        thresholds: the load at which each item gave way; None where it outlasted the range. At least one.
        start: the load at which all are left.
        is_growing: whether a larger value is a heavier load.
    """
    n_left = n = len(thresholds)
    steps = [(start, n, *score_interval(n, n))]
    for load in sorted({value for value in thresholds if value is not None}, reverse=not is_growing):
        n_left -= thresholds.count(load)
        steps.append((load, n_left, *score_interval(n_left, n)))
    return tuple(steps)


def median_threshold(thresholds: Sequence[float | None], is_growing: bool = True, confidence: float = 0.95) -> Median:
    """Returns the first load at which no more than half of the items are left, and its interval.

    The interval lies between the order statistics r and n + 1 - r, with the largest r for which it covers the population's median
    with probability `confidence` at least, whatever the distribution: 1 - 2 P(B < r), B binomial of n and 1/2 (David and
    Nagaraja 2003, Order Statistics, section 7.1). Below 6 items there is none for 95 %.

    Args:
        thresholds, is_growing: as for `surviving`.
    """
    from scipy.special import bdtr

    n = len(thresholds)
    known = sorted((value for value in thresholds if value is not None), reverse=not is_growing)
    ranked: list[float | None] = [*known, *[None] * (n - len(known))]
    rank = int((2 * bdtr(np.arange(n), n, 0.5) <= 1 - confidence).sum())
    middle = ranked[(n + 1) // 2 - 1]
    return Median(middle, ranked[rank - 1], ranked[n - rank]) if rank else Median(middle, None, None)
