"""What a rate is worth whose images share pages: the crops of one photograph succeed and fail together."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from pipeline.statistics.intervals import normal_quantile

# How far two images of a page are taken to fall together before anything is seen, and how many pages that is worth.
ASSUMED_CORRELATION, ASSUMED_PAGES = 0.2, 4


@dataclass(frozen=True, slots=True)
class EffectiveNumber:
    """How many independent images are worth as much as `n` images in `n_clusters` clusters."""

    n: int
    n_clusters: int
    n_effective: float


def effective_number(
    values: Sequence[float], memberships: Sequence[Sequence[Hashable]], confidence: float = 0.95, n_different: int | None = None
) -> EffectiveNumber:
    """Returns the effective number of images behind the mean of one value or more.

    n_eff = n / (1 + (D - 1) (t / z)^2). The design effect D, at least 1, is the variance of the mean that G clusters give (the
    linearised one, which resampling whole clusters converges to, times G / (G - 1)) over that of independent images, averaged
    with that of ASSUMED_CORRELATION: few clusters hardly know their spread, so the one counts as G - 1 degrees of freedom and the
    other as ASSUMED_PAGES. Student's quantile t of all of these pays for D being estimated. Where all values are equal nothing
    can be estimated, and D is the assumed one. Every cluster counts for one image at least, a single cluster for just one.

    Args:
        values: one number an image: 0 or 1 for a rate, -1, 0 or 1 for a difference of paired images.
        memberships: for each way of clustering the cluster of every image. Several ways (the page of the one image of a pair,
            the page of the other, what both show) are joined as in Cameron, Gelbach and Miller 2011, Journal of Business &
            Economic Statistics 29, Eq. 2.3 and 2.13.
        confidence: of the interval that is to be made.
        n_different: how many different images there are, where one may be there several times; they count for no more.
    """
    observed = np.asarray(values, dtype=np.float64)
    if not memberships or any(len(way) != len(observed) for way in memberships) or not len(observed):
        raise ValueError(f"expected a cluster for each of {len(observed)} values, got {[len(way) for way in memberships]}")
    n = len(observed)
    codes = [_codes(way) for way in memberships]
    n_clusters = min(int(code.max()) + 1 for code in codes)
    if n_clusters in (1, n):
        return EffectiveNumber(n, n_clusters, float(n_clusters))
    residuals = observed - observed.mean()
    independent = float(residuals @ residuals)
    assumed = 1 + (max(float(np.square(np.bincount(code)).sum()) / n for code in codes) - 1) * ASSUMED_CORRELATION
    seen = assumed if independent < 1e-12 * n else _variance(residuals, codes) / independent
    n_effective = _worth(n, n_clusters, seen, assumed, confidence)
    return EffectiveNumber(n, n_clusters, min(n_effective, n_different or n))


def planned_effective_number(n: int, n_clusters: int, correlation: float, confidence: float = 0.95) -> float:
    """Returns what `effective_number` will be of n images, spread evenly over clusters in which two images correlate so.

    The design effect of equal clusters is 1 + (n / n_clusters - 1) correlation (Kish 1965); 0 without images.
    """
    if not 0 <= n_clusters <= n or not 0 <= correlation <= 1:
        raise ValueError(f"expected 0 <= n_clusters <= n and a correlation in [0, 1], got {n_clusters, n, correlation}")
    if n_clusters in (0, 1, n):
        return float(n_clusters)
    together = n / n_clusters - 1
    return _worth(n, n_clusters, 1 + together * correlation, 1 + together * ASSUMED_CORRELATION, confidence)


def _codes(clusters: Sequence[Hashable]) -> np.ndarray:
    """Numbers the clusters in the order in which they appear."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(cluster, len(known)) for cluster in clusters], dtype=np.int64)


def _worth(n: int, n_clusters: int, seen: float, assumed: float, confidence: float) -> float:
    """The effective number of n images, from the design effect that was seen and the one that is assumed."""
    degrees = n_clusters - 1 + ASSUMED_PAGES
    excess = max(0.0, ((n_clusters - 1) * seen + ASSUMED_PAGES * assumed) / degrees - 1)
    return max(float(n_clusters), n / (1 + excess * _t_over_z(degrees, confidence) ** 2))


def _variance(residuals: np.ndarray, codes: Sequence[np.ndarray]) -> float:
    """n^2 times the variance of the mean: that of every way added, what ways share taken off, never below that of one way."""
    joint = 0.0
    for n_ways in range(1, len(codes) + 1):
        for chosen in combinations(codes, n_ways):
            shared = chosen[0] if n_ways == 1 else _codes(list(zip(*(code.tolist() for code in chosen), strict=True)))
            joint -= (-1) ** n_ways * _between(residuals, shared)
    return max(joint, *(_between(residuals, code) for code in codes))


def _between(residuals: np.ndarray, codes: np.ndarray) -> float:
    """The sum of squared cluster totals, corrected for the number of clusters: n^2 times the variance of the mean."""
    totals = np.bincount(codes, weights=residuals)
    return float(totals @ totals) * len(totals) / (len(totals) - 1)


@lru_cache(maxsize=4096)
def _t_over_z(degrees: int, confidence: float) -> float:
    from scipy.special import stdtrit

    tail = 0.5 + confidence / 2
    return float(stdtrit(degrees, tail)) / normal_quantile(tail)
