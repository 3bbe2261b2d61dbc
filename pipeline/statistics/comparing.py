"""Tests of two rates over the same images or over different ones, and the correction for asking many such questions at once."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb

from pipeline.statistics.clusters import effective_number
from pipeline.statistics.intervals import independent_difference, paired_difference

Sample = tuple[Sequence[bool], Sequence[Sequence[Hashable]] | None]


@dataclass(frozen=True, slots=True)
class PairedResult:
    """Two rates over the same `n` images: how many are successes of both, of one alone, the difference, its interval and p.

    `difference` is the first rate minus the second; it, the interval and p are None where there is no image.
    """

    n: int
    n_both: int
    n_first: int
    n_second: int
    n_clusters: int
    n_effective: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None


def compare_paired(
    outcomes: Sequence[tuple[bool, bool]], memberships: Sequence[Sequence[Hashable]] | None = None, confidence: float = 0.95
) -> PairedResult:
    """Returns the comparison of two outcomes of each image: McNemar's exact test and Newcombe's interval of the difference.

    Where images share clusters, both are computed from the effective number of images (`effective_number` of the differences):
    the four counts are scaled down together. Where they share none the test is exact.

    Args:
        outcomes: for each image whether the first and whether the second succeeded.
        memberships: for each way of clustering the cluster of every image; None where the images are independent.
    """
    n = len(outcomes)
    n_both = sum(first and second for first, second in outcomes)
    n_first = sum(first and not second for first, second in outcomes)
    n_second = sum(second and not first for first, second in outcomes)
    if not n:
        return PairedResult(0, 0, 0, 0, 0, None, None, None, None, None)
    differences = [float(first) - float(second) for first, second in outcomes]
    number = effective_number(differences, memberships or [range(n)], confidence)
    share, counts = number.n_effective / n, [n_both, n_first, n_second, n - n_both - n_first - n_second]
    scaled = [count * share for count in counts] if share < 1 else counts
    low, high = paired_difference(*scaled)
    p = mcnemar(scaled[1], scaled[2])
    difference = (n_first - n_second) / n
    return PairedResult(n, n_both, n_first, n_second, number.n_clusters, number.n_effective, difference, low, high, p)


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
    """
    if not first[0] or not second[0]:
        return IndependentResult(None, None, None, None)
    (rate, n), (other_rate, other_n) = (
        (sum(hits) / len(hits), effective_number(hits, ways or [range(len(hits))], confidence).n_effective)
        for hits, ways in (first, second)
    )
    low, high = independent_difference(rate * n, n, other_rate * other_n, other_n, confidence)
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


def mcnemar(n_first: float, n_second: float) -> float:
    """Returns the two-sided p of McNemar's exact test (1947): a binomial test of the discordant pairs against one half.

    Twice the smaller tail, at most 1; 1 where nothing is discordant. Counts that were scaled down need not be whole: the tail is
    then the regularised incomplete beta function, which the binomial tail is for whole ones.

    Args:
        n_first, n_second: images that are successes of the one alone.
    """
    if min(n_first, n_second) < 0:
        raise ValueError(f"expected counts, got {n_first} and {n_second}")
    least, most = sorted((n_first, n_second))
    if least == most:
        return 1.0
    from scipy.special import betainc

    return min(1.0, 2 * float(betainc(most, least + 1, 0.5)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Returns p values corrected so that a table's chance of any false alarm stays below the level (Holm 1979).

    A comparison that could not be made (None) takes part in nothing and stays None.
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        corrected[place] = largest
    return corrected
