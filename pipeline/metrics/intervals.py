"""Confidence intervals of rates."""

from math import sqrt
from statistics import NormalDist


def wilson(n_hit: int, n: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Returns the Wilson score interval of a proportion (Wilson 1927), or None where `n` is 0.

    Args:
        n_hit: successes, 0 to n.
        n: trials.
        confidence: coverage, in (0, 1).
    """
    if not 0 <= n_hit <= n:
        raise ValueError(f"expected 0 <= n_hit <= n, got {n_hit} of {n}")
    if n == 0:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = n_hit / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (0.0 if n_hit == 0 else centre - half), (1.0 if n_hit == n else centre + half)
