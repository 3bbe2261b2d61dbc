"""Tests of two rates over different images: nothing pairs them, so each is what its own images say."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb

from pipeline.statistics.clusters import EffectiveNumber, effective_number
from pipeline.statistics.intervals import independent_interval

Sample = tuple[Sequence[bool], Sequence[Sequence[Hashable]] | None]


@dataclass(frozen=True, slots=True)
class IndependentResult:
    """The first rate minus the second, its interval and p; all are None where either side has no image."""

    difference: float | None
    low: float | None
    high: float | None
    p: float | None


def compare_independent(first: Sample, second: Sample, confidence: float = 0.95) -> IndependentResult:
    """Returns the comparison of two independent samples: Fisher's exact test and Newcombe's interval of the difference.

    Where images share clusters each side counts as its effective number of images, for Fisher's test rounded down to a whole one
    (the hits to the nearest).

    Args:
        first, second: whether each image counts, and for each way of clustering the cluster of every image; None for the latter
            where the images are independent.
        confidence: coverage, in (0, 1).
    """
    if not first[0] or not second[0]:
        return IndependentResult(None, None, None, None)
    (rate, n), (other_rate, other_n) = (_worth(*sample, confidence) for sample in (first, second))
    low, high = independent_interval(rate * n, n, other_rate * other_n, other_n, confidence)
    p = fisher(round(rate * int(n)), int(n), round(other_rate * int(other_n)), int(other_n))
    return IndependentResult(rate - other_rate, low, high, p)


def fisher(n_hit: int, n: int, other_hit: int, other_n: int) -> float:
    """Returns the two-sided p of Fisher's exact test (1935): the chance, all margins given, of a table no likelier than this one.

    In whole numbers, so that tables that are equally likely are told to be: no rounding, and no scipy.stats to wait for.

    Args:
        n_hit, n: successes and trials of the one sample.
        other_hit, other_n: of the other.
    """
    if not (0 <= n_hit <= n and 0 <= other_hit <= other_n):
        raise ValueError(f"expected 0 <= n_hit <= n, got {n_hit} of {n} and {other_hit} of {other_n}")
    hits = n_hit + other_hit
    ways = [comb(n, k) * comb(other_n, hits - k) for k in range(max(0, hits - other_n), min(hits, n) + 1)]
    observed = comb(n, n_hit) * comb(other_n, other_hit)
    return sum(way for way in ways if way <= observed) / sum(ways)


def _worth(outcomes: Sequence[bool], memberships: Sequence[Sequence[Hashable]] | None, confidence: float) -> tuple[float, float]:
    """Returns the rate and the number of independent images behind it."""
    n = len(outcomes)
    number = effective_number([float(hit) for hit in outcomes], memberships, confidence) if memberships else None
    number = number or EffectiveNumber(n, n, n)
    return sum(outcomes) / n, number.n_effective
