"""What a study that measures is made of: parts, each with what it measures, what it shows, and what it says of the paper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.document.blocks import Block, Finding
from pipeline.records import FindingRow
from pipeline.statistics import holm
from pipeline.statistics.one_sided import OneSided, at_least, at_most
from pipeline.studies.claims import Check, told_finding, verdict

if TYPE_CHECKING:
    from pipeline.studies.lab.bench import Bench

# Numbers, words, lists and dictionaries of them, and arrays.
Measured = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """A statement of the paper, what the images say of it, and the paper's figures beside those found.

    `found` is the test of the statement, None where it could not be made; `n_images` is how many images it is made on.
    """

    key: str
    statement: str
    test: str
    found: OneSided | None
    n_images: int
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What a part says: blocks for its section, and observations."""

    blocks: tuple[Block, ...]
    observations: tuple[Observation, ...] = ()


@dataclass(frozen=True)
class Part:
    """One measurement of a study.

    Attributes:
        measure: what takes time; its result is kept under the part's key, the size, the seed and the networks.
        tell: makes blocks and observations of the result, in a moment.
        networks: those that it asks, of `networks.toml`.
        form: another number where what is measured changes.
    """

    key: str
    title: str
    measure: "Callable[[Bench], Measured]"
    tell: Callable[[Measured], Told]
    networks: tuple[str, ...] = ()
    form: int = 1


@dataclass(frozen=True)
class Lab:
    """A study's parts in their order.

    Attributes:
        data: what has to lie in the data folder, by name, as paths there.
        lead: one paragraph on what the paper says.
    """

    parts: tuple[Part, ...]
    data: Mapping[str, str] = field(default_factory=dict)
    lead: str = ""


def share_above(n_hit: int, n: int, bound: float) -> OneSided:
    """Returns the test of "the share is above the bound", exact binomial."""
    return OneSided(n, n, n_hit, n - n_hit, n_hit / n - bound, at_least(n_hit, n, bound), at_most(n_hit, n, bound))


def share_below(n_hit: int, n: int, bound: float) -> OneSided:
    """Returns the test of "the share is below the bound", exact binomial."""
    return OneSided(n, n, n - n_hit, n_hit, bound - n_hit / n, at_most(n_hit, n, bound), at_least(n_hit, n, bound))


def permuted(statistic: Callable[[np.ndarray], float], order: np.ndarray, rng: np.random.Generator, n: int = 999) -> OneSided:
    """Returns the test of "the statistic is larger than where the labels mean nothing" (permutation test).

    Args:
        statistic: of labels, (N,); larger speaks for the statement.
        order: the labels as they are.
    """
    seen = statistic(order)
    drawn = np.array([statistic(rng.permutation(order)) for _ in range(n)])
    n_above, n_below = int((drawn >= seen).sum()), int((drawn <= seen).sum())
    return OneSided(
        len(order), len(order), None, None, float(seen - drawn.mean()), (n_above + 1) / (n + 1), (n_below + 1) / (n + 1)
    )


def rank_correlation(one: np.ndarray, other: np.ndarray) -> tuple[float, OneSided]:
    """Returns Spearman's correlation of two arrays (N,), and the permutation test of "it is above 0"."""
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (one, other)]

    def rho(order: np.ndarray) -> float:
        return float(np.corrcoef(ranks[0], ranks[1][order])[0, 1])

    order = np.arange(len(one))
    return rho(order), permuted(rho, order, np.random.default_rng(0))


def judged(observations: Sequence[Observation], origin: str) -> list[FindingRow]:
    """Returns a row for each observation, with p corrected over all of them (Holm)."""
    rows = [_row(one, origin) for one in observations]
    n_family = sum(row.p is not None for row in rows)
    corrected = zip(holm([row.p for row in rows]), holm([row.p_against for row in rows]), strict=True)
    return [
        replace(row, p_holm=p, p_against_holm=against, n_family=n_family, verdict=verdict(p, against))
        for row, (p, against) in zip(rows, corrected, strict=True)
    ]


def findings(observations: Sequence[Observation], rows: Sequence[FindingRow]) -> tuple[Finding, ...]:
    """Returns the observations with their verdicts, in the order of the study."""
    return tuple(told_finding(one.statement, one.checks, [row], {}) for one, row in zip(observations, rows, strict=True))


def _row(one: Observation, origin: str) -> FindingRow:
    found = one.found
    if found is None:
        return FindingRow(one.key, "", origin, one.test, 0, 0, None, None, None, None, None, None)
    counts = (found.n, one.n_images, found.n_effective, found.n_for, found.n_against, found.difference)
    return FindingRow(one.key, "", origin, one.test, *counts, found.p, found.p_against)
