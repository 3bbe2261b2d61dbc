"""What the benchmarks against real photographs measure, on pictures whose truth is known."""

import dataclasses
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.core.errors import BadInput
from pipeline.images.colour import srgb_from_linear
from pipeline.physical.simulator import load_profile

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from page_outlines import outline_of
from print_cells import Print, read_prints, seen_cells, to_srgb
from print_copy import photographed
from real_prints import errors, fitted, relative

N, CELL, CORNER, FINE = 12, 18, 40, 5


def _original() -> np.ndarray:
    """Cells of black, white and colours; half of it is a coarse chequer, whose edges have plateaus."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (N, N, 3), dtype=np.uint8)
    y, x = np.mgrid[0:N, 0:N]
    cells[:, : N // 2] = np.where((x // 2 + y // 2) % 2, 255, 0)[:, : N // 2, None]
    return cells


def _photo(original: np.ndarray, sigma_px: float, turn_deg: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A picture of it, slightly turned, blurred by a Gaussian in sRGB values, and its photo_from_original in pixel centres."""
    angle = np.radians(turn_deg)
    scale = CELL * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    homography = np.array([[*scale[0], CORNER], [*scale[1], CORNER], [0, 0, 1]])
    side = N * CELL + 2 * CORNER
    fine = np.diag([FINE, FINE, 1.0]) @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]) @ homography
    large = np.kron(original, np.ones((CELL, CELL, 1), np.uint8))
    shrunk = fine @ np.diag([1 / CELL, 1 / CELL, 1]) @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    move = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]) @ shrunk
    drawn = cv2.warpPerspective(large, move, (side * FINE, side * FINE), flags=cv2.INTER_NEAREST, borderValue=(255,) * 3)
    soft = cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), sigma_px * FINE)
    return np.rint(cv2.resize(soft, (side, side), interpolation=cv2.INTER_AREA)).astype(np.uint8), homography


def _print(original: np.ndarray, photo: np.ndarray, homography: np.ndarray) -> Print:
    return Print("one.png", "one", original, photo, (0, 0), photo.shape[1::-1], homography, 60.0, np.zeros((10, 2)))


@pytest.mark.parametrize("sigma_px", [0.8, 1.6])
def test_a_gaussian_edge_is_as_wide_and_as_sharp_as_theory_says(sigma_px: float) -> None:
    photo, homography = _photo(_original(), sigma_px)
    edge = seen_cells(photo, _print(_original(), photo, homography)).edge
    assert edge is not None
    # a pixel's own aperture adds 1/12 px^2, a bin of a quarter pixel little
    sigma = np.sqrt(sigma_px**2 + 1 / 12)
    assert edge.spread_px == pytest.approx(2.563 * sigma, rel=0.06)
    assert edge.mtf50 == pytest.approx(0.18739 / sigma, rel=0.06)
    assert abs(edge.over_rate) < 0.02 and abs(edge.under_rate) < 0.02


def test_cells_show_the_light_that_was_sent() -> None:
    original = _original()
    photo, homography = _photo(original, 0.8)
    cells = seen_cells(photo, _print(original, photo, homography))
    shown = np.rint(255 * srgb_from_linear(cells.light))
    assert np.abs(shown - original).mean() < 2


def test_noise_is_told_from_a_slope() -> None:
    original = np.full((N, N, 3), 128, np.uint8)
    photo, homography = _photo(original, 0.8)
    slope = np.linspace(-20, 20, photo.shape[1])[None, :, None]
    noise = np.random.default_rng(1).normal(0, 4, (*photo.shape[:2], 1))
    noisy = np.clip(np.rint(photo + slope + noise), 0, 255).astype(np.uint8)
    measured = seen_cells(noisy, _print(original, noisy, homography)).noise_8bit
    assert np.nanmean(measured) == pytest.approx(4, rel=0.05)


def test_a_bent_print_is_found_where_it_lies(tmp_path: Path) -> None:
    original = _original()
    photo, homography = _photo(original, 0.8)
    y, x = np.mgrid[0 : photo.shape[0], 0 : photo.shape[1]].astype(np.float32)
    bump = 5 * np.cos(np.pi * (x / photo.shape[1] - 0.5))
    bent = cv2.remap(photo, x, (y + bump).astype(np.float32), cv2.INTER_LINEAR)
    Image.fromarray(bent).save(tmp_path / "one_2in.png")
    Image.fromarray(original).save(tmp_path / "original.png")
    edges = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]) @ homography
    entry = {"original": "original.png", "photo_from_original": edges.tolist()}
    (tmp_path / "homographies.json").write_text(json.dumps({"one_2in.png": entry}))
    (one,) = read_prints(tmp_path)
    assert one.width_mm == pytest.approx(50.8)
    flat = seen_cells(one.photo, one, np.zeros_like(one.bend))
    found = seen_cells(one.photo, one)
    right = [np.abs(255 * srgb_from_linear(cells.light) - original).mean() for cells in (flat, found)]
    assert right[1] < 3 < right[0]


def test_a_folder_without_homographies_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="photo_from_original"):
        read_prints(tmp_path)


def test_a_photo_with_a_profile_is_brought_to_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    tagged = Image.fromarray(pixels)
    tagged.info["icc_profile"] = profile
    assert np.abs(to_srgb(tagged).astype(int) - pixels).max() <= 1


def test_the_copy_lies_over_the_photograph() -> None:
    original = _original()
    photo, homography = _photo(original, 0.8)
    one = _print(original, photo, homography)
    copy = photographed(one, load_profile("ideal"), np.random.default_rng(0))
    ours, theirs = (relative(seen_cells(pixels, one).light, original) for pixels in (copy, photo))
    assert copy.shape == photo.shape
    assert errors(ours, theirs)[0] < 1.5


def test_dot_gain_is_seen_as_darker_cells() -> None:
    original = np.full((N, N, 3), 128, np.uint8)
    original[0] = 255
    photo, homography = _photo(original, 0.8)
    one = _print(original, photo, homography)
    light = [
        relative(seen_cells(photographed(one, profile, np.random.default_rng(0)), one).light, original)[N // 2].mean()
        for profile in (dataclasses.replace(load_profile("ideal"), dot_gain_rate=(gain, gain)) for gain in (0.0, 0.15))
    ]
    assert light[1] < 0.8 * light[0]


def test_fitting_the_light_takes_out_gain_and_fall_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    light = rng.uniform(0.05, 0.8, (10, 10, 3))
    fall = 1 + 0.2 * np.linspace(-1, 1, 10)[None, :, None]
    real = light * np.array([1.1, 1.0, 0.8]) * fall
    assert errors(light, real)[0] > 8
    assert errors(fitted(light, real, with_tone=False), real)[0] < 0.1
    power = real**1.3
    assert errors(fitted(light, power, with_tone=False), power)[0] > 2
    assert errors(fitted(light, power, with_tone=True), power)[0] < 0.5


def test_a_sheet_with_bent_sides_is_found_to_a_third_of_a_pixel() -> None:
    corners = np.array([[150.0, 120.0], [620.0, 150.0], [600.0, 850.0], [120.0, 800.0]])
    t = np.linspace(0, 1, 200)[:, None]
    sides = []
    for k, bend in enumerate((14.0, -6.0, 9.0, 5.0)):
        a, b = corners[k], corners[(k + 1) % 4]
        normal = np.array([(b - a)[1], -(b - a)[0]]) / np.linalg.norm(b - a)
        sides.append(a + t * (b - a) + bend * 4 * t * (1 - t) * normal)
    outline = np.concatenate(sides)
    photo = np.full((1000, 760, 3), (70, 55, 40), np.uint8)
    large = cv2.resize(photo, None, fx=4, fy=4)
    cv2.fillPoly(large, [np.rint((outline + 0.5) * 4 - 0.5).astype(np.int32)], (225, 226, 220))
    photo = cv2.GaussianBlur(cv2.resize(large, (760, 1000), interpolation=cv2.INTER_AREA), (0, 0), 1.0)
    found = outline_of(photo)
    assert found is not None
    assert np.abs(found.corners - corners).max() < 1.0
    across = found.photo_from_unit(np.column_stack([np.linspace(0.1, 0.9, 9), np.zeros(9)]))
    distance = np.abs(across[:, None] - sides[0][None]).sum(axis=2).min(axis=1)
    assert distance.max() < 1.5
    top, bottom = found.photo_from_unit(np.array([[0.5, 0.0], [0.5, 1.0]]))
    assert top[1] < 135 - 12 and bottom[1] > 825 + 6


def test_a_picture_without_a_sheet_has_no_outline() -> None:
    rng = np.random.default_rng(0)
    assert outline_of(rng.integers(60, 90, (400, 300, 3), dtype=np.uint8)) is None
