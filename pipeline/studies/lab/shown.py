"""How studies show shares and networks: cells, columns and titles that all of them use."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from pipeline.document.formats import DASH, percent
from pipeline.document.tables import Cell
from pipeline.records import Estimate
from pipeline.report.cell_tables import estimate_cell
from pipeline.statistics import wilson
from pipeline.statistics.means import mean_within
from pipeline.statistics.one_sided import OneSided, paired_less
from pipeline.studies.claims import Check
from pipeline.studies.lab.parts import Observation, share_above

TITLES = {
    "softmax": "softmax",
    "logistic": "logistic, 3 against 7",
    "fc100-100-10": "FC100-100-10 (sigmoid)",
    "maxout": "maxout",
    "maxout-adversarial": "maxout, adversarially trained",
    "maxout-l1": "maxout, L1 weight decay",
    "carlini-mnist": "convolutional",
}


def share_cell(n_hit: int, n: int) -> Cell:
    """Returns a share above its counts and 95 % Wilson interval."""
    low, high = wilson(n_hit, n) or (None, None)
    return estimate_cell(Estimate(n_hit=n_hit, n_eligible=n, rate=n_hit / n if n else None, low=low, high=high))


def counted(is_hit: np.ndarray) -> tuple[int, int]:
    """Returns how many of a bool array are true, and of how many."""
    return int(is_hit.sum()), is_hit.size


def share_of(is_hit: np.ndarray) -> Cell:
    """Returns the share of a bool array that is true."""
    return share_cell(*counted(is_hit))


def paper_cell(share: float | None) -> Cell:
    """Returns what a paper prints, a dash where it prints nothing."""
    return Cell(DASH if share is None else percent(share))


def more_than(
    key: str, statement: str, where: str, hits: tuple[int, int], bound: float, paper: float | None = None
) -> Observation:
    """Returns the observation "the share is above the bound" of (n_hit, n), with what the paper prints beside it."""
    n_hit, n = hits
    beside = "" if paper is None else f" (paper {percent(paper)})"
    check = Check(where, f"{percent(n_hit / n)} > {percent(bound, 0)}{beside}", int(n_hit / n > bound))
    return Observation(key, statement, "share", share_above(n_hit, n, bound), n, (check,))


def more_of_each(key: str, statement: str, where: str, hits: np.ndarray, bound: float, paper: float | None = None) -> Observation:
    """Returns the observation "the share is above the bound" of bool (n_images, n_each), what is of one image being alike.

    The shares of the images are tested (Student); where they do not differ, so that nothing is known of how they could, how many
    images have every one (exact binomial).
    """
    shares = hits.reshape(len(hits), -1).mean(axis=1)
    one = more_than(key, statement, where, counted(hits), bound, paper)
    if np.ptp(shares) > 0:
        return replace(one, test="mean", found=mean_within(shares, low=bound), n_images=len(hits))
    return replace(one, found=share_above(int((shares == 1).sum()), len(hits), bound), n_images=len(hits))


def fewer(
    key: str, statement: str, where: str, less: np.ndarray, more: np.ndarray, paper: str = "", members: np.ndarray | None = None
) -> Observation:
    """Returns the observation "the first is true of fewer of the same images", bool (N,) each.

    Args:
        paper: the two figures that it prints, as words.
        members: which image each belongs to, where an image counts several times.
    """
    groups = np.arange(len(less)) if members is None else members
    beside = f" (paper {paper})" if paper else ""
    is_less = less.mean() < more.mean()
    counts = f"{percent(float(less.mean()))} against {percent(float(more.mean()))}{beside}"
    check = Check(where, counts, int(is_less), is_tie=less.mean() == more.mean())
    return Observation(key, statement, "mcnemar", paired(less, more, groups), len(np.unique(groups)), (check,))


def paired(less: np.ndarray, more: np.ndarray, groups: np.ndarray) -> OneSided | None:
    """Returns the test of "the first is true less often than the second" on the same images, bool (N,) each."""
    return paired_less([(bool(one), bool(other)) for one, other in zip(less, more, strict=True)], [groups.tolist()])


def rising(rows: Sequence[np.ndarray]) -> OneSided | None:
    """Returns the test of "each is true more often than the one before it": as sure as the least sure step."""
    groups = np.arange(len(rows[0]))
    steps = [found for one, other in pairwise(rows) if (found := paired(one, other, groups))]
    return max(steps, key=lambda found: found.p, default=None)
