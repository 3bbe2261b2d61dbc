"""Tests and intervals of means, against SciPy's."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp, ttest_ind

from pipeline.statistics.means import mean_interval, mean_within

VALUES = np.array([0.31, -0.2, 0.15, 0.4, 0.02, 0.11, -0.05])
OTHER = np.array([0.2, 0.5, 0.44, 0.1])


@pytest.mark.parametrize("bound", [-0.1, 0.0, 0.1, 0.3])
def test_below_and_above_a_bound_are_students_tests(bound):
    below, above = mean_within(VALUES, high=bound), mean_within(VALUES, low=bound)
    less, greater = (ttest_1samp(VALUES, bound, alternative=side).pvalue for side in ("less", "greater"))
    assert (below.p, below.p_against) == (pytest.approx(less), pytest.approx(greater))
    assert (above.p, above.p_against) == (pytest.approx(greater), pytest.approx(less))
    assert below.difference == pytest.approx(bound - VALUES.mean()) and above.difference == pytest.approx(VALUES.mean() - bound)


@pytest.mark.parametrize("margin", [0.1, 0.4, 0.8])
def test_between_two_bounds_it_is_as_sure_as_the_less_sure_of_two_tests_of_welch(margin):
    found = mean_within(VALUES, -margin, margin, OTHER)
    above = ttest_ind(VALUES, OTHER - margin, equal_var=False, alternative="greater").pvalue
    below = ttest_ind(VALUES, OTHER + margin, equal_var=False, alternative="less").pvalue
    assert found.p == pytest.approx(max(above, below))
    assert found.p_against == pytest.approx(min(1, 2 * min(1 - above, 1 - below)))
    assert found.n == len(VALUES) + len(OTHER)
    assert found.difference == pytest.approx(margin - abs(VALUES.mean() - OTHER.mean()))


def test_a_mean_that_differs_is_rarely_called_alike_and_one_that_does_not_is_rarely_called_below():
    rng = np.random.default_rng(0)
    at_the_bound = [mean_within(rng.normal(0.1, 0.2, 8), -0.1, 0.1) for _ in range(1000)]
    none = [mean_within(rng.normal(0.0, 0.2, 8), high=0.0) for _ in range(1000)]
    assert np.mean([found.p < 0.05 for found in at_the_bound]) < 0.07
    assert 0.035 < np.mean([found.p < 0.05 for found in none]) < 0.065


def test_one_value_tells_nothing_and_equal_values_tell_everything():
    assert mean_within(VALUES[:1], high=1.0) is None and mean_within(VALUES, high=1.0, other=OTHER[:1]) is None
    same = mean_within(np.full(5, 0.2), high=0.5)
    assert (same.p, same.p_against) == (0, 1)
    assert mean_within(np.zeros(4), high=0.0).p == 0.5


def test_the_interval_is_students():
    low, high = mean_interval(VALUES)
    error = VALUES.std(ddof=1) / len(VALUES) ** 0.5
    assert (low, high) == pytest.approx(t.interval(0.95, len(VALUES) - 1, VALUES.mean(), error))
