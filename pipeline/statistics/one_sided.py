"""One-sided tests of statements like "this is destroyed less often than that", each with the p of its opposite.

Of paired `outcomes` each says whether the first and whether the second is a success; `memberships` holds for each way of
clustering the cluster of every item (see `effective_number`).
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from pipeline.statistics.clusters import effective_number
from pipeline.statistics.intervals import paired_difference

# A confidence so near to one that no interval of it is of use.
_SUREST = 1 - 1e-12
Memberships = Sequence[Sequence[Hashable]]


@dataclass(frozen=True, slots=True)
class OneSided:
    """What `n` observations, worth `n_effective` independent ones, say for a statement (`p`) and for its opposite (`p_against`).

    Both p are one-sided: a small `p` speaks for the statement, a small `p_against` against it. `n_for` and `n_against` count the
    observations on either side, `difference` is what the statement is about, positive as stated; None where there is none.
    """

    n: int
    n_effective: float | None
    n_for: int | None
    n_against: int | None
    difference: float | None
    p: float
    p_against: float


def paired_less(outcomes: Sequence[tuple[bool, bool]], memberships: Memberships) -> OneSided | None:
    """Returns the test of "the first rate is below the second" over the same items; None without items.

    McNemar's exact test (1947): given the items that are successes of one side alone, each is of the second with probability one
    half. Where items share clusters the counts are scaled down together, as in `compare_paired`.
    """
    if not outcomes:
        return None
    n_for = sum(second and not first for first, second in outcomes)
    n_against = sum(first and not second for first, second in outcomes)
    worth = effective_number([float(second) - float(first) for first, second in outcomes], memberships)
    share = worth.n_effective / worth.n
    scaled = n_for * share, n_against * share
    p, p_against = (at_least(each, sum(scaled), 0.5) for each in scaled)
    return OneSided(worth.n, worth.n_effective, n_for, n_against, (n_for - n_against) / worth.n, p, p_against)


def stratified_less(
    is_second: Sequence[bool], outcomes: Sequence[bool], strata: Sequence[Hashable], memberships: Memberships
) -> OneSided | None:
    """Returns the test of "the first side's rate is below the second's" within strata; None where no stratum has both sides.

    Cochran (1954), Mantel and Haenszel (1959): the second side's successes less what the margins of each stratum make expected,
    continuity-corrected by one half, over the square root of the hypergeometric variances' sum; these are divided by the share
    of independent items, so that items in a cluster count for fewer. `difference` is Mantel and Haenszel's.

    Args:
        is_second: the side of each item.
        outcomes: whether each is a success.
        strata: within which sides are compared; a stratum with one side alone takes no part.
    """
    from scipy.special import ndtr

    members: dict[Hashable, list[int]] = defaultdict(list)
    for place, stratum in enumerate(strata):
        members[stratum].append(place)
    sides, hits = np.asarray(is_second, dtype=bool), np.asarray(outcomes, dtype=np.float64)
    kept, scores, variance, weight = [], [], 0.0, 0.0
    for places in members.values():
        second, hit = sides[places], hits[places]
        n, n_second, rate = len(places), int(second.sum()), float(hit.mean())
        if 0 < n_second < n:
            kept += places
            scores += list((hit - rate) * np.where(second, n - n_second, -n_second) / n)
            variance += n_second * (n - n_second) * rate * (1 - rate) / (n - 1)
            weight += n_second * (n - n_second) / n
    if not kept:
        return None
    worth = effective_number(scores, [[way[place] for place in kept] for way in memberships])
    score, share = float(sum(scores)), worth.n_effective / worth.n
    excess = (side * score - 0.5 for side in (1, -1))
    p, p_against = (1.0 if variance <= 0 else float(ndtr(-each / sqrt(variance / share))) for each in excess)
    return OneSided(worth.n, worth.n_effective, None, None, score / weight, p, p_against)


def loss_within(outcomes: Sequence[tuple[bool, bool]], low: float, high: float, memberships: Memberships) -> OneSided | None:
    """Returns the test of "from first to second between `low` and `high` are lost" over the same items; None without items.

    `p` is below 0.05 where Newcombe's 95 % interval of paired rates lies within the bounds, `p_against` where it lies outside:
    each is twice the one-sided level at which the interval ends at a bound. Two one-sided tests (Schuirmann 1987) would do
    with the 90 % interval, which calls losses at the bound within it too often (docs/statistics.md). `difference` is the loss.

    Args:
        low, high: bounds of the loss, as shares.
    """
    if not outcomes:
        return None
    worth = effective_number([float(first) - float(second) for first, second in outcomes], memberships)
    n_lost = sum(first and not second for first, second in outcomes)
    n_won = sum(second and not first for first, second in outcomes)
    n_both = sum(first and second for first, second in outcomes)
    n, share = worth.n, worth.n_effective / worth.n
    counts = [count * share for count in (n_both, n_lost, n_won, n - n_both - n_lost - n_won)]
    above, below = _exceeds(counts, low), 1 - _exceeds(counts, high)
    p, p_against = min(1.0, 2 * max(above, below)), min(1.0, 2 * min(1 - above, 1 - below))
    return OneSided(n, worth.n_effective, None, None, (n_lost - n_won) / n, p, p_against)


def at_least(n_hit: float, n: float, rate: float) -> float:
    """Returns the chance of `n_hit` or more successes in n trials of a `rate`; counts that were scaled need not be whole."""
    if not 0 <= n_hit <= n * (1 + 1e-12):
        raise ValueError(f"expected 0 <= n_hit <= n, got {n_hit} of {n}")
    if n_hit <= 0:
        return 1.0
    from scipy.special import betainc

    return float(betainc(n_hit, max(n - n_hit, 0.0) + 1, rate))


def at_most(n_hit: float, n: float, rate: float) -> float:
    """Returns the chance of `n_hit` or fewer successes in n trials of a `rate`."""
    return at_least(n - n_hit, n, 1 - rate)


def _exceeds(counts: Sequence[float], bound: float) -> float:
    """The one-sided p of "the first rate exceeds the second by more than the bound", from Newcombe's interval turned round."""
    from scipy.optimize import brentq

    both, first, second, neither = counts
    end, side = (0, 1) if (first - second) / sum(counts) > bound else (1, -1)

    def room(confidence: float) -> float:
        return side * (paired_difference(both, first, second, neither, confidence)[end] - bound)

    reached = 0.0 if room(0.0) <= 0 else _SUREST if room(_SUREST) > 0 else brentq(room, 0.0, _SUREST)
    return (1 - side * reached) / 2
