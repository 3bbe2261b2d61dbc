"""The page's surface from its points: against true bends, its own prediction of its error, and points that lie."""

import dataclasses

import numpy as np
import pytest

from pipeline.physical.geometry import apply_homography, homography_from_points
from pipeline.physical.registration.surface import fit_surface

H = np.array([[10.0, 0.6, 200.0], [-0.4, 10.5, 300.0], [1e-5, 2e-4, 1.0]])
CODES = np.array([(x + i, y + j) for x in (10, 186) for y in (10, 273) for i in (3.6, 10.7) for j in (3.6, 10.7)])
MARKS = np.array([(x, y) for x in (15, 60, 105, 150, 195) for y in (32, 90, 148, 206, 265)], float)
POINTS = np.vstack([CODES, MARKS])
GROUPS = np.concatenate([np.repeat(np.arange(4), 4), 4 + np.arange(len(MARKS))])
INSIDE = np.random.default_rng(5).uniform([26, 30], [184, 267], (400, 2))
NOISE_PX = 0.07


def bent(points: np.ndarray, bend_px: float) -> np.ndarray:
    """A sheet that bulges across a diagonal, with a lens on top."""
    across = (points @ [0.8, 0.6] - 170) / 150
    lift = bend_px * (1 - across**2) * (1 + 0.4 * across)
    photo = apply_homography(H, points) + np.outer(lift, [0.6, -0.8])
    from_centre = (photo - [1300, 1900]) / 2500
    return photo + 25 * from_centre * (from_centre**2).sum(axis=1, keepdims=True) * (bend_px > 0)


def fitted(bend_px: float, seed: int, points: np.ndarray = POINTS, groups: np.ndarray = GROUPS, wrong: dict | None = None):
    noise = np.random.default_rng(seed).normal(0, NOISE_PX, points.shape)
    photo = bent(points, bend_px) + noise
    for group, shift in (wrong or {}).items():
        photo[groups == group] += shift
    return fit_surface(points, photo, groups, 210, 297)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).sum(axis=1).mean()))


@pytest.mark.parametrize("bend_px", [0.0, 10.0, 40.0, 80.0])
def test_the_bend_between_the_points_is_found(bend_px: float) -> None:
    errors = [rms(fitted(bend_px, seed).page_map(INSIDE) - bent(INSIDE, bend_px)) for seed in range(4)]
    assert max(errors) < 0.2


@pytest.mark.parametrize("bend_px", [0.0, 10.0, 40.0, 80.0])
def test_the_predicted_error_is_the_true_one_within_a_factor_of_one_and_a_half(bend_px: float) -> None:
    true, predicted = [], []
    for seed in range(8):
        surface = fitted(bend_px, seed)
        true.append(rms(surface.page_map(INSIDE) - bent(INSIDE, bend_px)))
        predicted.append(float(np.sqrt((surface.sd_px(INSIDE) ** 2).mean())))
    ratio = np.sqrt(np.mean(np.square(true)) / np.mean(np.square(predicted)))
    assert 1 / 1.5 < ratio < 1.5


def test_where_no_point_is_near_a_larger_error_is_predicted() -> None:
    top = POINTS[:, 1] < 150
    surface = fitted(20.0, 0, POINTS[top], GROUPS[top])
    near, far = surface.sd_px(np.array([[105.0, 90.0], [105.0, 280.0]]))
    assert far > 10 * near


@pytest.mark.parametrize(
    "wrong",
    [{0: (12.0, 0.0)}, {1: (0.0, -40.0)}, {10: (8.0, 3.0)}, {10: (8.0, 3.0), 20: (-9.0, 5.0)}],
    ids=["a code off by 1 mm", "a code off by 4 mm", "one mark", "two marks"],
)
@pytest.mark.parametrize("bend_px", [0.0, 30.0])
def test_points_that_lie_are_left_out_and_no_others(wrong: dict, bend_px: float) -> None:
    surface = fitted(bend_px, 3, wrong=wrong)
    assert set(GROUPS[~surface.used]) == set(wrong)
    assert rms(surface.page_map(INSIDE) - bent(INSIDE, bend_px)) < 0.2


def test_without_outliers_every_point_is_used() -> None:
    assert all(fitted(bend, seed).used.all() for bend in (0.0, 30.0) for seed in range(5))


def bulged(points: np.ndarray, seed: int, bend_mm: float = 0.7) -> np.ndarray:
    """A sheet whose edges bulge between the corners and lie straight at them, as the codes see it."""
    share = points / [210, 297]
    bump = 16 * share**2 * (1 - share) ** 2
    left, right, top, bottom = np.random.default_rng(seed).normal(0, bend_mm, 4)
    x, y = share.T
    moved = np.column_stack([((1 - x) * left + x * right) * bump[:, 1], ((1 - y) * top + y * bottom) * bump[:, 0]])
    return apply_homography(H, points + moved)


def of_codes(true, seed: int):
    """The surface through the four codes alone, its error, the error that it expects and that of a homography, RMS px."""
    photo = true(CODES) + np.random.default_rng(seed).normal(0, NOISE_PX, CODES.shape)
    surface = fit_surface(CODES, photo, GROUPS[: len(CODES)], 210, 297)
    straight = rms(apply_homography(homography_from_points(CODES, photo), INSIDE) - true(INSIDE))
    expected = float(np.sqrt((surface.sd_px(INSIDE) ** 2).mean()))
    return surface, rms(surface.page_map(INSIDE) - true(INSIDE)), expected, straight


@pytest.mark.parametrize("bend_px", [2.0, 10.0, 20.0])
def test_four_codes_alone_follow_a_curled_sheet_and_expect_the_error_that_is_left(bend_px: float) -> None:
    errors, expected, straight = zip(*(of_codes(lambda at: bent(at, bend_px), seed)[1:] for seed in range(8)), strict=True)
    assert max(errors) < 0.5 * min(straight)
    assert 0.5 < np.sqrt(np.mean(np.square(errors)) / np.mean(np.square(expected))) < 1.5


def test_a_flat_page_seen_by_its_codes_alone_is_placed_well_and_expected_so() -> None:
    flat = [of_codes(lambda points: apply_homography(H, points), seed) for seed in range(8)]
    assert max(error for _, error, *_ in flat) < max(expected for *_, expected, _ in flat) < 0.6


def test_bulges_that_the_codes_hardly_show_are_followed_better_than_by_a_homography() -> None:
    for seed in range(8):
        _, error, _, straight = of_codes(lambda points, seed=seed: bulged(points, seed), seed)
        assert error < straight


def test_beyond_the_codes_the_expected_error_of_a_guess_is_not_lessened() -> None:
    surface = of_codes(lambda points: bent(points, 20.0), 0)[0]
    whole = dataclasses.replace(surface, is_guessed=False)
    beyond, among = np.array([[105.0, 420.0]]), np.array([[105.0, 150.0]])
    assert surface.is_guessed and surface.sd_px(beyond) == whole.sd_px(beyond)
    assert surface.sd_px(among) != whole.sd_px(among)


def test_points_on_one_side_of_a_place_do_not_surround_it() -> None:
    top = POINTS[:, 1] < 150
    surface = fitted(5.0, 0, POINTS[top], GROUPS[top])
    assert surface.has_points_around(np.array([105.0, 90.0]))
    assert not surface.has_points_around(np.array([105.0, 200.0]))
