"""Geometry against closed forms: the half pixel, the millimetre, and what anti-aliasing must leave alone."""

import cv2
import numpy as np
import pytest

import pipeline.physical.geometry as geometry
from pipeline.physical.geometry import (
    NoHomography,
    apply_homography,
    box_homography,
    homography_from_points,
    image_corners,
    resample,
    robust_homography,
    scale_at,
)

TILTED = np.array([[1.07, 0.03, 3.1], [0.02, 0.97, 2.7], [1.2e-4, 5e-5, 1.0]])
PHOTO_FROM_PAGE = np.array([[13.1, 0.4, 120.0], [-0.3, 13.4, 95.0], [1.5e-4, -2e-4, 1.0]])


def random_points(n, seed=0, size=200.0):
    return np.random.default_rng(seed).uniform(0, size, (n, 2))


def reprojection_rms(h, src, dst):
    return np.sqrt(((apply_homography(h, src) - dst) ** 2).sum(axis=1).mean())


def test_exact_points_give_back_their_homography(subtests):
    for n in [4, 5, 16, 200]:
        for name, h in (("identity", np.eye(3)), ("tilted", TILTED), ("photo", PHOTO_FROM_PAGE)):
            with subtests.test(name, n=n):
                src = random_points(n)
                found = homography_from_points(src, apply_homography(h, src))
                assert reprojection_rms(found, src, apply_homography(h, src)) < 1e-9
                assert np.allclose(found, h, rtol=1e-6, atol=1e-8)


def test_no_homography_nearby_fits_noisy_points_better():
    rng = np.random.default_rng(1)
    src = random_points(16, 1)
    dst = apply_homography(PHOTO_FROM_PAGE, src) + rng.normal(0, 2, (16, 2))
    found = homography_from_points(src, dst)
    best = reprojection_rms(found, src, dst)
    opencv, _ = cv2.findHomography(src, dst, 0)
    assert best <= reprojection_rms(opencv, src, dst) + 1e-9
    for _ in range(200):
        nudged = found * (1 + rng.normal(0, 1e-5, (3, 3)))
        assert reprojection_rms(nudged, src, dst) >= best


def test_a_shift_of_the_origin_does_not_change_the_fit():
    src = random_points(12, 2)
    dst = apply_homography(PHOTO_FROM_PAGE, src) + np.random.default_rng(2).normal(0, 1, (12, 2))
    far = homography_from_points(src + 1e5, dst)
    assert reprojection_rms(far, src + 1e5, dst) == pytest.approx(
        reprojection_rms(homography_from_points(src, dst), src, dst), rel=1e-6
    )


@pytest.mark.parametrize(
    "src",
    [
        np.zeros((3, 2)),
        np.ones((6, 2)),
        np.column_stack([np.arange(6.0), np.arange(6.0)]),
        np.array([[0, 0], [1, 1], [2, 2], [0, 5.0]]),
    ],
    ids=["three", "coincident", "collinear", "three-on-a-line"],
)
@pytest.mark.parametrize("fit", [homography_from_points, lambda a, b: robust_homography(a, b, 1.0)], ids=["plain", "robust"])
def test_points_that_determine_nothing_are_refused(fit, src):
    dst = random_points(len(src))
    with pytest.raises(NoHomography):
        fit(src, dst)


def test_the_robust_fit_ignores_a_code_read_wrong_and_names_it():
    src = random_points(16, 3)
    dst = apply_homography(PHOTO_FROM_PAGE, src) + np.random.default_rng(3).normal(0, 0.1, (16, 2))
    dst[4:8] += [60, -35]
    h, inliers = robust_homography(src, dst, 3.0)
    assert inliers.tolist() == [not 4 <= i < 8 for i in range(16)]
    good = np.delete(np.arange(16), np.s_[4:8])
    assert np.allclose(h, homography_from_points(src[good], dst[good]))
    again, _ = robust_homography(src, dst, 3.0)
    assert (again == h).all()


def test_a_box_in_millimetres_spans_the_image_edge_to_edge():
    page_from_image = box_homography(20, 30, 60, 45, 224, 168)
    corners = apply_homography(page_from_image, image_corners(224, 168))
    assert np.allclose(corners, [[20, 30], [80, 30], [80, 75], [20, 75]])
    assert np.allclose(apply_homography(page_from_image, np.array([[111.5, 83.5]])), [[50, 52.5]])


@pytest.mark.parametrize("h, expected", [(np.eye(3), 1), (np.diag([0.25, 0.5, 1]), 4), (np.diag([2.0, 2, 1]), 0.5)])
def test_scale_counts_source_pixels_per_destination_pixel(h, expected):
    assert scale_at(h, np.array([7, 9])) == pytest.approx(expected)


def test_scale_is_the_largest_stretch_of_a_small_circle():
    point = np.array([40.0, 60.0])
    angles = np.linspace(0, 2 * np.pi, 721)
    circle = point + 1e-4 * np.column_stack([np.cos(angles), np.sin(angles)])
    inverse = np.linalg.inv(TILTED)
    stretch = np.linalg.norm(apply_homography(inverse, circle) - apply_homography(inverse, point[None]), axis=1) / 1e-4
    assert scale_at(TILTED, point) == pytest.approx(stretch.max(), rel=1e-4)


def noise_image(height=60, width=80, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def centred_scale(factor):
    """Maps image edge to image edge: -0.5 stays -0.5."""
    return np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])


def warp(image, h, size):
    """Resamples along the homography `destination_from_source`."""
    return resample(image, lambda points: apply_homography(np.linalg.inv(h), points), size)


def test_the_identity_returns_the_same_pixels():
    image = noise_image()
    assert (warp(image, np.eye(3), (80, 60)) == image).all()


def test_a_whole_shift_moves_whole_pixels():
    image = noise_image()
    moved = warp(image, np.array([[1, 0, -7], [0, 1, -3], [0, 0, 1.0]]), (60, 50))
    assert (moved == image[3:53, 7:67]).all()


def test_a_shift_by_half_a_pixel_is_keys_mean_of_four():
    image = noise_image()
    moved = warp(image, np.array([[1, 0, -10.5], [0, 1, -5], [0, 0, 1.0]]), (40, 40))
    taps = [image[5:45, 9 + i : 49 + i].astype(float) for i in range(4)]
    expected = np.clip(np.rint((9 * (taps[1] + taps[2]) - taps[0] - taps[3]) / 16), 0, 255)
    assert np.abs(moved - expected).max() <= 0


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shrinking_by_a_whole_number_is_the_block_mean(factor):
    image = noise_image(60, 120)
    small = warp(image, centred_scale(1 / factor), (120 // factor, 60 // factor))
    blocks = image.reshape(60 // factor, factor, 120 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(small - blocks).max() <= 0.501


@pytest.mark.parametrize(
    "h",
    [TILTED, centred_scale(0.37), centred_scale(2.6), centred_scale(0.25) @ TILTED],
    ids=["tilted", "shrunk", "grown", "tilted-and-shrunk"],
)
@pytest.mark.parametrize("axis", [0, 1], ids=["x", "y"])
def test_a_linear_ramp_stays_where_it_is(h, axis):
    y, x = np.mgrid[0:250, 0:250]
    image = (x, y)[axis].astype(np.uint8)
    size = (40, 30)
    yy, xx = np.mgrid[0 : size[1], 0 : size[0]]
    source = apply_homography(np.linalg.inv(h), np.column_stack([xx.ravel(), yy.ravel()]))
    inside = ((source > 4) & (source < 245)).all(axis=1)
    error = warp(image, h, size).ravel()[inside] - source[inside, axis]
    assert inside.sum() > 100
    assert np.abs(error).max() <= 0.505
    assert abs(error.mean()) < 0.05


def test_every_warp_leaves_a_constant_image_constant():
    image = np.full((50, 70, 3), (255, 128, 1), np.uint8)
    for h in (TILTED, centred_scale(0.3), centred_scale(3.3)):
        assert (warp(image, h, (90, 65)) == image[0, 0]).all()


def test_detail_finer_than_the_destination_averages_out():
    checkers = (np.indices((300, 300)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = warp(checkers, centred_scale(0.31), (90, 90))
    assert np.abs(small.astype(float) - 127.5).max() < 30
    plain = cv2.warpPerspective(checkers, centred_scale(0.31), (90, 90), flags=cv2.INTER_LINEAR)
    assert plain.std() > 4 * small.std()


def test_a_fractional_shrink_agrees_with_brute_force_area_integration():
    smooth = cv2.GaussianBlur(noise_image(240, 240), (0, 0), 2.0)
    h = centred_scale(0.29) @ TILTED
    fine = 12
    samples = cv2.warpPerspective(
        smooth.astype(np.float32),
        centred_scale(fine) @ h,
        (40 * fine, 40 * fine),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    expected = samples.reshape(40, fine, 40, fine, 3).mean(axis=(1, 3))
    assert np.abs(warp(smooth, h, (40, 40)) - expected).max() < 1.5


def test_beyond_the_edge_the_edge_pixel_is_repeated():
    image = noise_image(20, 20)
    far = np.array([[1, 0, 5000.0], [0, 1, 5000.0], [0, 0, 1]])
    assert (warp(image, far, (8, 8)) == image[0, 0]).all()
    assert (warp(image, np.array([[1, 0, -19.0], [0, 1, 0], [0, 0, 1]]), (9, 20)) == image[:, -1:]).all()


@pytest.mark.parametrize("factor", [0.4, 1.3])
def test_working_in_tiles_changes_no_more_than_the_rounding_of_ties(factor, monkeypatch):
    image = noise_image(200, 200)
    whole = warp(image, centred_scale(factor) @ TILTED, (70, 70))
    monkeypatch.setattr(geometry, "_TILE_SAMPLES", 60)
    tiled = warp(image, centred_scale(factor) @ TILTED, (70, 70))
    difference = np.abs(tiled.astype(int) - whole)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_grey_and_colour_images_keep_their_shape():
    image = noise_image()
    grey = warp(image[..., 0], TILTED, (33, 22))
    assert grey.shape == (22, 33)
    assert (warp(image, TILTED, (33, 22))[..., 0] == grey).all()


@pytest.mark.parametrize(
    "image, h, size",
    [
        (np.zeros((5, 5, 3), np.float32), np.eye(3), (5, 5)),
        (np.zeros((5, 5, 3), np.uint8), np.eye(3), (0, 5)),
    ],
    ids=["float", "empty"],
)
def test_a_warp_that_makes_no_sense_is_refused(image, h, size):
    with pytest.raises(ValueError, match="expected"):
        warp(image, h, size)


def test_a_bent_map_is_followed_between_its_nodes():
    x = np.mgrid[0:200, 0:200][1]

    def bent(points):
        return points * 2.2 + 20 + np.column_stack([3 * np.sin(points[:, 1] / 15), 2 * np.cos(points[:, 0] / 12)])

    out = resample(x.astype(np.uint8), bent, (70, 60)).astype(float)
    rows, columns = np.mgrid[0:60, 0:70]
    wanted = bent(np.column_stack([columns.ravel(), rows.ravel()]).astype(float))[:, 0].reshape(60, 70)
    assert np.abs(out - wanted).max() < 0.55
    assert abs((out - wanted).mean()) < 0.02


def test_linear_light_averages_light():
    checkers = np.zeros((40, 40, 3), np.uint8)
    checkers[::2, ::2] = checkers[1::2, 1::2] = 255
    half = resample(checkers, lambda points: points * 2 + 0.5, (20, 20), linear_light=True)
    assert (half == 188).all(), "half the light of white is sRGB 188"
    assert (resample(checkers, lambda points: points * 2 + 0.5, (20, 20)) == 128).all()
    assert (resample(checkers, lambda points: points, (40, 40), linear_light=True) == checkers).all()
