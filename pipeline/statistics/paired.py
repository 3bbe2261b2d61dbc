"""Tests of two rates over the same images, and the correction for asking many such questions at once."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from pipeline.statistics.clusters import effective_of
from pipeline.statistics.intervals import paired_interval


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
    number = effective_of(differences, memberships or [range(n)], confidence)
    share = number.n_effective / n
    counts = [count * share for count in (n_both, n_first, n_second, n - n_both - n_first - n_second)]
    low, high = paired_interval(*(counts if share < 1 else (n_both, n_first, n_second, n - n_both - n_first - n_second)))
    p = mcnemar(counts[1], counts[2]) if share < 1 else mcnemar(n_first, n_second)
    difference = (n_first - n_second) / n
    return PairedResult(n, n_both, n_first, n_second, number.n_clusters, number.n_effective, difference, low, high, p)


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
