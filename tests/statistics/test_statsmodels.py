"""Intervals, tests and corrections beside those of statsmodels, an independent implementation."""

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.statistics import holm, independent_difference, mcnemar, wilson
from pipeline.statistics.one_sided import stratified_less
from pipeline.statistics.survival import median_threshold, surviving

tables = pytest.importorskip("statsmodels.stats.contingency_tables")
multitest = pytest.importorskip("statsmodels.stats.multitest")
proportion = pytest.importorskip("statsmodels.stats.proportion")
survival = pytest.importorskip("statsmodels.duration.survfunc")

COUNTS = [(0, 7, 3, 9), (12, 12, 0, 12), (5, 40, 11, 38), (61, 102, 44, 99), (1, 204, 9, 204)]


@pytest.mark.parametrize(("hit", "n", "other_hit", "other_n"), COUNTS)
def test_intervals_of_a_rate_and_of_two_independent_rates(hit, n, other_hit, other_n):
    assert wilson(hit, n) == pytest.approx(proportion.proportion_confint(hit, n, method="wilson"), abs=1e-12)
    expected = proportion.confint_proportions_2indep(hit, n, other_hit, other_n, method="newcomb", compare="diff")
    assert independent_difference(hit, n, other_hit, other_n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_first", "n_second"), [(3, 9), (12, 12), (40, 61), (1, 30), (0, 6)])
def test_mcnemars_exact_test(n_first, n_second):
    expected = tables.mcnemar([[20, n_first], [n_second, 5]], exact=True).pvalue
    assert mcnemar(n_first, n_second) == pytest.approx(expected, rel=1e-9)


def test_holms_correction():
    p_values = np.random.default_rng(5).uniform(0, 0.2, 40).tolist()
    assert holm(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1].tolist(), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_mantel_haenszel_test_of_independent_images(seed):
    generator = np.random.default_rng(seed)
    strata = generator.integers(0, 5, 300)
    sides = generator.random(300) < 0.4
    hits = generator.random(300) < 0.2 + 0.1 * strata + 0.08 * sides
    found = stratified_less(sides.tolist(), hits.tolist(), strata.tolist(), [list(range(300))])
    by_stratum = [
        np.array(
            [[np.sum((sides == side) & (hits == hit) & (strata == stratum)) for hit in (True, False)] for side in (True, False)]
        )
        for stratum in range(5)
    ]
    expected = tables.StratifiedTable(by_stratum).test_null_odds(correction=True)
    smaller = min(found.p, found.p_against)
    assert smaller == pytest.approx(norm.sf(np.sqrt(expected.statistic)), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_survival_curves_and_their_medians(seed):
    drawn = np.round(np.random.default_rng(seed).exponential(2, 31), 1)
    known = np.where(drawn > 4, 4, drawn)
    expected = survival.SurvfuncRight(known, drawn <= 4)
    steps = surviving([None if value > 4 else float(value) for value in drawn], 0.0)
    left = {value: n_left / 31 for value, n_left, _, _ in steps[1:]}
    assert left == pytest.approx(dict(zip(expected.surv_times.tolist(), expected.surv_prob.tolist(), strict=True)))
    found = median_threshold([None if value > 4 else float(value) for value in drawn])
    assert found.median == pytest.approx(expected.quantile(0.5))
