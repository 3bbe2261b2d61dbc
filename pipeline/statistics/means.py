"""Means: their interval, and whether a mean, or the difference of two, lies between two bounds."""

from math import inf, sqrt

import numpy as np

from pipeline.statistics.one_sided import OneSided


def mean_within(values: np.ndarray, low: float = -inf, high: float = inf, other: np.ndarray | None = None) -> OneSided | None:
    """Returns the test of "the mean lies between `low` and `high`"; None with fewer than two values on a side.

    Student's t test against each bound that is given (Welch's where there is an `other` sample). With both it is as sure as the
    less sure one (two one-sided tests, Schuirmann 1987), and its opposite twice as unsure as the surer one. `difference` is how
    far the mean lies within the nearer bound.

    Args:
        values: (N,); differences of pairs make it a paired test.
        low, high: of the mean, or, with `other`, of the mean less that of the other sample; one of them finite at least.
        other: (M,), independent of the first.
    """
    from scipy.special import stdtr

    sides = [side for side in (values, other) if side is not None]
    if min(len(side) for side in sides) < 2:
        return None
    n = sum(len(side) for side in sides)
    parts = [float(side.var(ddof=1)) / len(side) for side in sides]
    error = sqrt(sum(parts)) or float(np.finfo(float).tiny)
    spread = sum(part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True))
    degrees = sum(parts) ** 2 / spread if spread else n - len(sides)
    mean = float(values.mean()) - (0.0 if other is None else float(other.mean()))
    rooms = [room for room in (mean - low, high - mean) if room < inf]
    misses = [float(stdtr(degrees, -room / error)) for room in rooms]
    against = min(1.0, len(rooms) * (1 - max(misses)))
    return OneSided(n, n, None, None, min(rooms), max(misses), against)


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the ends of Student's interval of the mean of two values or more, (N,)."""
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, 0.5 + confidence / 2)) * float(values.std(ddof=1)) / sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half
