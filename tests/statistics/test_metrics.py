"""Rates and intervals against closed forms, SciPy and the paper's own tables."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest

from pipeline.statistics import l2_8bit, linf_8bit, ssim, wilson
from pipeline.studies.kurakin2016.published import PAPER_TABLE_1, PAPER_TABLE_2, PAPER_TABLE_3


def test_wilson_equals_scipy(subtests):
    for confidence in [0.9, 0.95, 0.99]:
        for n_hit, n in [(0, 1), (1, 1), (0, 20), (20, 20), (3, 48), (50, 102), (101, 102), (7, 10000)]:
            with subtests.test(confidence=confidence, n_hit=n_hit, n=n):
                expected = binomtest(n_hit, n).proportion_ci(confidence, method="wilson")
                assert wilson(n_hit, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_none():
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("n_hit", "n"), [(-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(n_hit, n):
    with pytest.raises(ValueError, match="expected 0 <= n_hit <= n"):
        wilson(n_hit, n)


def test_the_papers_tables_have_all_cells_in_one_order():
    keys = [[(row.attack, row.epsilon_8bit) for row in table] for table in (PAPER_TABLE_1, PAPER_TABLE_2, PAPER_TABLE_3)]
    assert keys[0] == keys[1] == keys[2] and len(set(keys[0])) == 12


def test_distances_equal_numpy_and_do_not_wrap_around():
    first = np.array([[[0, 255, 10]]], np.uint8)
    second = np.array([[[255, 0, 13]]], np.uint8)
    assert linf_8bit(first, second) == 255
    assert l2_8bit(first, second) == pytest.approx(np.linalg.norm([255, 255, 3]))
    with pytest.raises(ValueError, match="one shape"):
        linf_8bit(first, second[0])


def test_ssim_equals_the_formula_of_wang_et_al():
    """Written again from the paper: Gaussian-weighted moments, C1 = (0.01 L)^2, C2 = (0.03 L)^2, mean of the valid map."""
    generator = np.random.default_rng(2)
    first = generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    second = np.clip(first + generator.normal(0, 25, first.shape), 0, 255).astype(np.uint8)
    x, y = first.astype(float), second.astype(float)

    def mean(values):
        return gaussian_filter(values, sigma=(1.5, 1.5, 0), truncate=3.5, mode="reflect")

    var_x, var_y, cov = mean(x * x) - mean(x) ** 2, mean(y * y) - mean(y) ** 2, mean(x * y) - mean(x) * mean(y)
    luminance = (2 * mean(x) * mean(y) + 2.55**2) / (mean(x) ** 2 + mean(y) ** 2 + 2.55**2)
    structure = (2 * cov + 7.65**2) / (var_x + var_y + 7.65**2)
    assert ssim(first, second) == pytest.approx((luminance * structure)[5:-5, 5:-5].mean(), abs=1e-6)
    assert ssim(first, first) == pytest.approx(1)


@pytest.mark.parametrize("side_px", [1, 8, 10, 11])
def test_structural_similarity_is_defined_for_images_smaller_than_its_window(side_px):
    image = np.random.default_rng(side_px).integers(0, 256, (side_px, side_px, 3), np.uint8)
    assert ssim(image, image) == pytest.approx(1)
    assert -1 <= ssim(image, 255 - image) < 0.9
