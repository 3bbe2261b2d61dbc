"""Confidence intervals of rates and of the difference of two rates."""

from functools import lru_cache
from math import hypot, sqrt


def wilson(n_hit: float, n: float, confidence: float = 0.95) -> tuple[float, float] | None:
    """Returns the Wilson score interval of a proportion (Wilson 1927), or None where `n` is 0.

    Args:
        n_hit: successes, 0 to n.
        n: trials, or the number of independent trials that dependent ones are worth, which need not be whole.
        confidence: coverage, in (0, 1).
    """
    if not 0 <= n_hit <= n * (1 + 1e-12):
        raise ValueError(f"expected 0 <= n_hit <= n, got {n_hit} of {n}")
    return score_interval(n_hit, n, confidence) if n else None


def score_interval(n_hit: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Returns `wilson` of one trial or more."""
    z = normal_quantile(0.5 + confidence / 2)
    rate = min(1.0, n_hit / n)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (0.0 if n_hit == 0 else centre - half), (1.0 if rate == 1 else centre + half)


def binomial_bounds(n_hit: int, n: int, alpha: float) -> tuple[float, float]:
    """Returns a lower and an upper bound of a proportion, each of which alone is wrong with a chance of `alpha` at most.

    Clopper and Pearson (1934), one-sided each, as in Cohen et al. 2019, Algorithm 1; both together cover 1 - 2 alpha.

    Args:
        n_hit: successes, 0 to n, of n trials, 1 or more.
    """
    from scipy.special import betaincinv

    if not 0 <= n_hit <= n or n < 1:
        raise ValueError(f"expected 0 <= n_hit <= n and n >= 1, got {n_hit} of {n}")
    low = float(betaincinv(n_hit, n - n_hit + 1, alpha)) if n_hit else 0.0
    return low, float(betaincinv(n_hit + 1, n - n_hit, 1 - alpha)) if n_hit < n else 1.0


@lru_cache(maxsize=4096)
def normal_quantile(probability: float) -> float:
    """Returns the value below which a standard normal variable lies with this probability, in (0, 1)."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def paired_difference(
    n_both: float, n_first: float, n_second: float, n_neither: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of the first rate minus the second where both are of the same items, one or more.

    Newcombe 1998, *Improved confidence intervals for the difference between binomial proportions based on paired data*,
    Statistics in Medicine 17, method 10: two Wilson intervals, squared and added, less what the two rates share (phi, corrected
    for continuity).

    Args:
        n_both, n_neither: items that are successes of both, and of neither.
        n_first, n_second: items that are successes of the one alone.
    """
    n = n_both + n_first + n_second + n_neither
    if min(n_both, n_first, n_second, n_neither) < 0 or not n:
        raise ValueError(f"expected counts, got {n_both}, {n_first}, {n_second}, {n_neither}")
    first, second = (n_both + n_first) / n, (n_both + n_second) / n
    (low_1, high_1), (low_2, high_2) = (score_interval(n_both + alone, n, confidence) for alone in (n_first, n_second))
    below, above = first - low_1, high_1 - first
    margins = (n_both + n_first) * (n_second + n_neither) * (n_both + n_second) * (n_first + n_neither)
    product = n_both * n_neither - n_first * n_second
    if product > 0:
        product = max(0.0, product - n / 2)
    phi = product / sqrt(margins) if margins else 0.0

    def joint(one: float, other: float) -> float:
        return sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

    difference = first - second
    return difference - joint(below, high_2 - second), difference + joint(above, second - low_2)


def independent_difference(
    n_hit: float, n: float, other_hit: float, other_n: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of the first rate minus the second where they are of different items, one or more each.

    Newcombe 1998, *Interval estimation for the difference between independent proportions*, Statistics in Medicine 17, method 10:
    two Wilson intervals, squared and added.

    Args:
        n_hit, n: successes and trials of the first, which need not be whole.
        other_hit, other_n: of the second.
    """
    ends, other_ends = score_interval(n_hit, n, confidence), score_interval(other_hit, other_n, confidence)
    first, second = n_hit / n, other_hit / other_n
    below, above = hypot(first - ends[0], other_ends[1] - second), hypot(ends[1] - first, second - other_ends[0])
    return first - second - below, first - second + above
