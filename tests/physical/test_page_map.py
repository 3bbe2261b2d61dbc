"""The map from page to photo: exact at closed forms, invertible, and the same after a round trip through its numbers."""

import numpy as np
import pytest

from pipeline.physical.geometry import apply_homography, chebyshev_nodes, interpolation
from pipeline.physical.page_map import PageMap

H = np.array([[9.0, 1.0, 200.0], [0.4, 8.0, 300.0], [2e-4, 9e-4, 1.0]])
PAGE = np.random.default_rng(0).uniform([0, 0], [210, 297], (500, 2))


def bent(points: np.ndarray) -> np.ndarray:
    return apply_homography(H, points) + np.column_stack([8 * np.sin(points[:, 0] / 60), 5 * np.cos(points[:, 1] / 80)])


def test_a_smooth_function_is_reproduced_all_over_the_page() -> None:
    page_map = PageMap.fitted(bent, 210, 297)
    assert np.abs(page_map(PAGE) - bent(PAGE)).max() < 1e-6
    assert np.abs(page_map.residual_px).max() > 3, "a homography alone could not"


def test_the_inverse_undoes_the_map() -> None:
    page_map = PageMap.fitted(bent, 210, 297)
    assert np.abs(page_map.inverse(page_map(PAGE)) - PAGE).max() < 1e-6
    assert page_map.inverse(np.zeros((0, 2))).shape == (0, 2)


def test_numbers_give_the_same_map_again() -> None:
    page_map = PageMap.fitted(bent, 210, 297)
    again = PageMap.from_numbers(210, 297, *page_map.numbers)
    assert (again(PAGE) == page_map(PAGE)).all()
    flat = PageMap.from_numbers(210, 297, H.ravel(), ())
    assert np.abs(flat(PAGE) - apply_homography(H, PAGE)).max() < 1e-12


def test_beyond_the_page_the_bend_stays_that_of_its_edge() -> None:
    page_map = PageMap.fitted(bent, 210, 297)
    beyond = np.array([[-500.0, 100.0], [1000.0, -900.0]])
    difference = page_map(beyond) - apply_homography(page_map.homography, beyond)
    assert np.abs(difference).max() < 20


def test_the_jacobian_is_that_of_the_function() -> None:
    page_map = PageMap.fitted(lambda p: p @ np.array([[3.0, 0.5], [-0.2, 4.0]]) + p[:, :1] ** 2 * 1e-3, 210, 297)
    found = page_map.jacobian(np.array([[50.0, 60.0]]))[0]
    assert np.allclose(found, [[3.0 + 0.1, -0.2], [0.5 + 0.1, 4.0]], atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5, 13])
def test_interpolation_is_exact_for_polynomials_of_lower_degree(n: int) -> None:
    x = np.linspace(-1, 1, 17)
    for degree in range(n):
        values = chebyshev_nodes(n) ** degree
        assert np.abs(interpolation(n, x) @ values - x**degree).max() < 1e-10
    assert (interpolation(n, chebyshev_nodes(n)) == np.eye(n)).all()
