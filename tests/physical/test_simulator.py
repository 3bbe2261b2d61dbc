"""The simulator against closed forms: the geometry it claims, and every knob turning the picture the way it should."""

import io
import math
import re
from dataclasses import astuple, fields, replace
from functools import cache
from pathlib import Path
from typing import get_args, get_origin

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import InkproofError, WrongUse
from pipeline.images.colour import linear_from_srgb
from pipeline.images.photo_tags import tags_here
from pipeline.physical import simulator
from pipeline.physical.geometry import apply_homography, box_homography
from pipeline.physical.page_map import PageMap
from pipeline.physical.simulator import Profile, draw_shot, encode_jpeg, is_simulated, load_profile, profile_names, simulate_photo
from pipeline.physical.simulator.camera import exposed
from pipeline.physical.simulator.profile import limits
from pipeline.physical.simulator.scene import add_glare, add_occluders, mask_within, slope_shade
from pipeline.physical.simulator.sheet import curl_of, sheet_of
from pipeline.physical.simulator.warp import Tiles
from pipeline.settings import described

A4 = (210.0, 297.0)
PROFILES = Path(simulator.__file__).parent / "profiles"
SMALL = {"frame_long_px": 1008, "frame_short_px": 756}
IDEAL = replace(load_profile("ideal"), **SMALL)
# a coarse printer, so that a small page is printed quickly
OFFICE = replace(load_profile("office-phone"), printer_dpi=150, screen_lpi=40.0, halftone="am", **SMALL)
GREY = 188
GREY_BOX, WHITE_BOX, BLACK_BOX, RED_BOX = (20, 20, 40, 40), (150, 20, 40, 40), (20, 120, 40, 40), (150, 120, 40, 40)
SOURCES = r"assumed|Stage \d+|Kurakin|Brooks|Google|CIE|PIMoG|neutral|none|drivers|device colours|iPhone 13 Pro"
PAPER_BOX = (85, 20, 40, 40)


@cache
def patches(dpi=75):
    height, width = round(A4[1] * dpi / 25.4), round(A4[0] * dpi / 25.4)
    page = np.full((height, width, 3), 255, np.uint8)
    for (x, y, w, h), colour in ((GREY_BOX, (GREY,) * 3), (BLACK_BOX, (0, 0, 0)), (RED_BOX, (220, 40, 30))):
        page[round(y * dpi / 25.4) : round((y + h) * dpi / 25.4), round(x * dpi / 25.4) : round((x + w) * dpi / 25.4)] = colour
    return page


def photograph(profile, seed=0, page=None):
    return simulate_photo(patches() if page is None else page, *A4, profile, np.random.default_rng(seed))


def middle(photo, box):
    """The inner half of a box of the page, as the photo shows it."""
    x, y, w, h = box
    corners = np.array([[x + w / 4, y + h / 4], [x + 3 * w / 4, y + 3 * h / 4]])
    (x0, y0), (x1, y1) = np.sort(photo.page_map(corners).round().astype(int), axis=0)
    return photo.image[y0:y1, x0:x1].astype(float)


def level(photo, box):
    return middle(photo, box).mean(axis=(0, 1))


def linear(photo, box):
    return linear_from_srgb(middle(photo, box) / 255).mean(axis=(0, 1))


def edge_spread_px(photo):
    """Distance from 25 % to 75 % across the left edge of the black patch."""
    x, y, _, h = BLACK_BOX
    ((px, py),) = photo.page_map(np.array([[x, y + h / 2]]))
    rows = photo.image[int(py) - 20 : int(py) + 20, int(px) - 12 : int(px) + 13, 1].astype(float).mean(axis=0)
    profile = linear_from_srgb(rows / 255)
    share = (profile - profile.min()) / (profile.max() - profile.min())
    return np.interp(-0.25, -share, np.arange(25)) - np.interp(-0.75, -share, np.arange(25))


# --- the true geometry -------------------------------------------------------------------------------------------------

SHAPES = {
    "flat": {},
    "curled": {"curl_mm": (6, 6)},
    "barrel": {"lens_k1": (-0.02, -0.02)},
    "pincushion": {"lens_k1": (0.02, 0.02)},
    "twisted": {"lens_k1": (0.02, 0.02), "lens_k2": (-0.01, 0.01), "lens_p1": (0.003, 0.004), "lens_p2": (-0.004, -0.003)},
    "tilted": {"tilt_deg": (35, 35)},
    "all": {"curl_mm": (6, 6), "lens_k1": (0.02, 0.02), "tilt_deg": (35, 35)},
    "extreme": {"curl_mm": (6, 6), "lens_k1": (-0.02, -0.02), "tilt_deg": (55, 55)},
}
DISC_MM = 2.0
LIGHT_STEPS = linear_from_srgb((np.arange(255) + 0.5) / 255)
DISCS = np.array([[x, y] for x in (14, 60, 105, 150, 196) for y in (14, 80, 148, 216, 283)], float)


def sheets(shape, n=4, box=A4):
    profile = replace(load_profile("ideal"), roll_deg=(-180, 180), **SHAPES[shape])
    for seed in range(n):
        shot = draw_shot(profile, np.random.default_rng(seed))
        yield shot, sheet_of(shot, profile, *box)


def page_of_discs(dpi=300):
    width, height = round(A4[0] * dpi / 25.4), round(A4[1] * dpi / 25.4)
    page = np.full((height, width, 3), 255, np.uint8)
    raster_from_page = np.linalg.inv(box_homography(0, 0, *A4, width, height))
    radius = DISC_MM * dpi / 25.4
    reach = math.ceil(radius) + 2
    for x, y in apply_homography(raster_from_page, DISCS):
        window = np.s_[int(y) - reach : int(y) + reach + 1, int(x) - reach : int(x) + reach + 1]
        yy, xx = np.mgrid[int(y) - reach : int(y) + reach + 1 : 0.125, int(x) - reach : int(x) + reach + 1 : 0.125] - 0.4375
        light = (np.hypot(xx - x, yy - y) > radius).reshape(2 * reach + 1, 8, 2 * reach + 1, 8).mean(axis=(1, 3))
        page[window] = np.searchsorted(LIGHT_STEPS, light)[..., None]
    return page


def true_centres(page_map):
    """Where the middle of each disc's picture lies: of its area in the photo, not the picture of its middle."""
    radius, angle = np.meshgrid((np.arange(12) + 0.5) / 12 * DISC_MM, np.arange(24) * np.pi / 12)
    spokes = np.column_stack([(radius * np.cos(angle)).ravel(), (radius * np.sin(angle)).ravel()])
    centres = []
    for disc in DISCS:
        weight = radius.ravel() * np.abs(np.linalg.det(page_map.jacobian(disc + spokes)))
        centres.append(weight @ page_map(disc + spokes) / weight.sum())
    return np.array(centres)


def seen_centres(photo, least=0.02):
    found = []
    for disc in DISCS:
        x, y = photo.page_map(disc[None])[0].round().astype(int)
        reach = round(1.9 * DISC_MM * np.linalg.norm(photo.page_map.jacobian(disc[None])[0], 2))
        window = linear_from_srgb(photo.image[y - reach : y + reach + 1, x - reach : x + reach + 1, 1] / 255)
        yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        rim = np.hypot(xx, yy) > 0.85 * reach
        # paper that is shaded by its slope is darker on one side: a plane through the rim, and what is darker than it
        plane = np.column_stack([xx.ravel(), yy.ravel(), np.ones(xx.size)])
        paper = (plane @ np.linalg.lstsq(plane[rim.ravel()], window[rim], rcond=None)[0]).reshape(window.shape)
        dark = np.clip(1 - window / paper - least, 0, None)
        found.append([x + (dark * xx).sum() / dark.sum(), y + (dark * yy).sum() / dark.sum()])
    return np.array(found)


@pytest.mark.parametrize("shape", ["flat", "curled", "pincushion", "tilted", "all"])
def test_the_pixels_are_where_the_true_map_says(shape):
    profile = replace(load_profile("ideal"), frame_long_px=2688, frame_short_px=2016, blur_px=(0.7, 0.7), **SHAPES[shape])
    photo = simulate_photo(page_of_discs(), *A4, profile, np.random.default_rng(1))
    error = np.linalg.norm(seen_centres(photo) - true_centres(photo.page_map), axis=1)
    assert error.max() < 0.025
    assert np.sqrt((error**2).mean()) < 0.012


@pytest.mark.parametrize("name, most_px", [("office-phone", 0.15), ("harsh", 0.5)])
def test_noise_blur_and_colour_filter_move_no_disc_to_one_side(name, most_px):
    profile = replace(load_profile(name), glare_rate=(0, 0), frame_long_px=2688, frame_short_px=2016)
    photo = simulate_photo(page_of_discs(), *A4, profile, np.random.default_rng(0))
    error = seen_centres(photo, 0.25) - true_centres(photo.page_map)
    assert np.linalg.norm(error, axis=1).max() < most_px
    assert np.abs(error.mean(axis=0)).max() < most_px / 4


@pytest.mark.parametrize("dpi, most_px", [(150, 0.08), (300, 0.05), (600, 0.05)])
def test_the_raster_resolution_does_not_move_the_page(dpi, most_px):
    photo = simulate_photo(page_of_discs(dpi), *A4, replace(IDEAL, tilt_deg=(8, 8)), np.random.default_rng(4))
    error = seen_centres(photo) - true_centres(photo.page_map)
    assert np.linalg.norm(error, axis=1).max() < most_px
    assert np.abs(error.mean(axis=0)).max() < 0.02


@pytest.mark.parametrize("shape", SHAPES)
def test_the_page_map_is_the_whole_truth_and_its_inverse_leads_back(shape):
    page = np.random.default_rng(0).uniform(0, 1, (1000, 2)) * A4
    for _, sheet in sheets(shape):
        photo = sheet.photo_from_page(page)
        truth = PageMap.from_numbers(*A4, *sheet.page_map.numbers)
        assert np.abs(truth(page) - photo).max() < (1e-3 if shape == "extreme" else 1e-4)
        assert np.abs(sheet.page_from_photo(photo) - page).max() < 1e-6
        assert np.abs(sheet.table_from_photo(sheet.photo_from_table(page)) - page).max() < 1e-6


def test_a_page_that_is_not_flat_needs_more_than_a_homography():
    for shape, least_px in (("curled", 1), ("pincushion", 3)):
        assert all(np.abs(sheet.page_map.residual_px).max() > least_px for _, sheet in sheets(shape))
    assert all(np.abs(sheet.page_map.residual_px).max() < 1e-6 for _, sheet in sheets("tilted"))


def test_paper_bends_but_does_not_stretch():
    page = np.random.default_rng(0).uniform(-1, 1, (500, 2)) * (105, 148.5)
    for shot, sheet in sheets("curled"):
        by_x, by_y = (
            (sheet.curl.in_space(page + step) - sheet.curl.in_space(page - step)) / 0.4 for step in ([0.2, 0], [0, 0.2])
        )
        for product, expected in ((by_x * by_x, 1), (by_y * by_y, 1), (by_x * by_y, 0)):
            assert np.abs(product.sum(axis=1) - expected).max() < 1e-4
        edge = np.array([[x, y] for x in np.linspace(-105, 105, 200) for y in (-148.5, 148.5)])
        height = -sheet.curl.in_space(np.concatenate([page, edge]))[:, 2]
        assert height.min() > -1e-6 and height.max() <= 6 + 1e-6
        assert np.ptp(height) > 0.97 * shot.curl_mm


def test_sheets_bulge_and_lift_to_either_side():
    shapes = [curl_of(shot, *A4) for shot, _ in sheets("curled", 24)]
    middles = [np.interp(0, curl.along, curl.height) for curl in shapes]
    assert any(m > 4 for m in middles) and any(m < 1 for m in middles)
    half = [(abs(curl.axis[0]) * A4[0] + abs(curl.axis[1]) * A4[1]) / 2 for curl in shapes]
    rises = [np.interp(h, c.across, c.height) - np.interp(-h, c.across, c.height) for h, c in zip(half, shapes, strict=True)]
    assert min(rises) < -1 and max(rises) > 1


def test_the_lens_moves_points_as_brown_says():
    for shot, sheet in sheets("twisted"):
        points = np.random.default_rng(0).uniform(0, 1, (100, 2)) * sheet.lens.size
        # OpenCV measures the radius in focal lengths instead of half diagonals; with a camera of that focal length both agree
        half = math.hypot(*sheet.lens.size) / 2
        centre = (np.array(sheet.lens.size) - 1) / 2
        camera = np.array([[half, 0, centre[0]], [0, half, centre[1]], [0, 0, 1]])
        rays = np.column_stack([(points - centre) / half, np.ones(len(points))])
        coefficients = np.array([shot.lens_k1, shot.lens_k2, shot.lens_p1, shot.lens_p2])
        expected, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera, coefficients)
        assert np.abs(sheet.lens.bent(points) - expected[:, 0]).max() < 1e-6


def test_the_camera_is_a_real_pinhole_that_sees_the_whole_page(subtests):
    for name in profile_names():
        for box in [A4, A4[::-1], (215.9, 279.4)]:
            with subtests.test(name=name, box=box):
                profile = load_profile(name)
                for seed in range(5):
                    shot = draw_shot(profile, np.random.default_rng(seed))
                    sheet = sheet_of(shot, profile, *box)
                    size = np.array(sheet.lens.size)
                    outline = sheet.outline()
                    assert (outline > 0).all() and (outline < size - 1).all()
                    assert (np.ptp(outline, axis=0) / size).max() == pytest.approx(shot.page_fill_rate, abs=1e-6)
                    focal = profile.focal_35mm_mm * math.hypot(*size) / 43.267
                    camera = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
                    right, down, _ = (np.linalg.inv(camera) @ sheet.photo_from_flat).T
                    assert np.linalg.norm(right) == pytest.approx(np.linalg.norm(down))
                    assert right @ down == pytest.approx(0, abs=1e-9 * (right @ right))
                    normal = np.cross(right, down) / (right @ right)
                    assert math.degrees(math.acos(min(1, normal[2]))) == pytest.approx(shot.tilt_deg, abs=1e-3)


@pytest.mark.parametrize("fill", [0.6, 0.95])
def test_a_strongly_tilted_page_is_framed_too(fill):
    profile = replace(load_profile("harsh"), tilt_deg=(55, 55), page_fill_rate=(fill, fill))
    for seed in range(12):
        sheet = sheet_of(draw_shot(profile, np.random.default_rng(seed)), profile, *A4)
        assert (np.ptp(sheet.outline(), axis=0) / sheet.lens.size).max() == pytest.approx(fill, abs=1e-6)


@pytest.mark.parametrize("step", [0.3, 0.9, 1.0, 1.15])
def test_a_ramp_stays_a_ramp(step):
    ramp = np.arange(600, dtype=np.float32)[None].repeat(400, axis=0)
    tiles = Tiles((300, 280), np.ones((280, 300), bool))
    drawn = tiles.drawn(ramp, tiles.nodes * step + 40.3, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
    # one part in 32 of a pixel is as fine as some builds of OpenCV resample
    assert np.abs(drawn - (np.arange(300) * step + 40.3)).max() < 0.018


def test_tiles_leave_no_seam():
    y, x = np.mgrid[0:877, 0:620] / 40
    page = np.rint(127 + 60 * np.sin(x) + 60 * np.cos(y)).astype(np.uint8)[..., None].repeat(3, axis=2)
    photo = simulate_photo(page, *A4, replace(IDEAL, tilt_deg=(30, 30), curl_mm=(4, 4)), np.random.default_rng(2)).image
    bend = np.abs(np.diff(photo[..., 1].astype(int), 2, axis=0))
    inside = np.s_[:, 300:450]
    for seam in (256, 512, 768):
        assert bend[seam - 2 : seam + 1][inside].max() <= 4


def test_fine_print_far_away_turns_grey_instead_of_moire():
    page = np.full((3508, 2480, 3), 255, np.uint8)
    page[:, ::2] = 0
    photo = simulate_photo(page, *A4, IDEAL, np.random.default_rng(0))
    assert linear(photo, (60, 60, 90, 170)) == pytest.approx(0.5, abs=0.02)
    assert linear_from_srgb(middle(photo, (60, 60, 90, 170)) / 255).std() < 0.03


def test_the_photo_is_turned_the_way_the_page_is_seen():
    upright = photograph(IDEAL)
    turned = photograph(replace(IDEAL, roll_deg=(90, 90)))
    assert upright.image.shape == (1008, 756, 3)
    assert turned.image.shape == (756, 1008, 3)
    step = turned.page_map(np.array([[100, 100], [110, 100.0]]))
    assert np.allclose((step[1] - step[0]) / np.linalg.norm(step[1] - step[0]), [0, 1], atol=1e-6)
    landscape = simulate_photo(patches().transpose(1, 0, 2).copy(), *A4[::-1], IDEAL, np.random.default_rng(0))
    assert landscape.image.shape == (756, 1008, 3)


# --- what lies on the table and on the page -----------------------------------------------------------------------------


def test_a_picture_lies_on_the_table_and_nothing_else_moves():
    red = np.zeros((400, 500, 3), np.uint8)
    red[..., 0] = 200
    wood, carpet = (simulate_photo(patches(), *A4, OFFICE, np.random.default_rng(1), b) for b in (None, red))
    page = mask_within(wood.page_map(np.array([[2, 2], [208, 2], [208, 295], [2, 295]])), wood.image.shape[1::-1]) == 255
    assert (np.abs(wood.image[page].astype(int) - carpet.image[page]) <= 1).mean() > 0.999
    outside = mask_within(wood.page_map(np.array([[0, 0], [210, 0], [210, 297], [0, 297]])), wood.image.shape[1::-1]) == 0
    middle_colour = np.median(carpet.image[outside], axis=0)
    assert middle_colour[0] > 120 and (middle_colour[1:] < 30).all()


def test_a_background_covers_the_table_without_being_stretched():
    squares = np.zeros((300, 900, 3), np.uint8)
    squares[100:200, 400:500] = 255
    photo = simulate_photo(patches(), *A4, replace(IDEAL, page_fill_rate=(0.2, 0.2)), np.random.default_rng(0), squares)
    # the square is 100 of 300 px high: a third of the table's shorter side at least, as high as wide; the page hides its middle
    bright = (photo.image[..., 1] > 200).astype(np.uint8)
    y, x = np.nonzero(bright)
    assert np.ptp(x) == pytest.approx(np.ptp(y), rel=0.35)


def test_fingers_and_coins_hide_what_lies_beneath_and_nothing_else():
    bare = np.full((877, 620, 3), 255, np.uint8)
    clear, hidden = (photograph(replace(IDEAL, n_occluders=(n, n)), 3, bare) for n in (0, 4))
    changed = (np.abs(clear.image.astype(int) - hidden.image) > 8).any(axis=2)
    assert 0.005 < changed.mean() < 0.15
    assert (clear.image[~changed] == hidden.image[~changed]).mean() > 0.99
    assert hidden.shot.n_occluders == 4
    assert np.array_equal(clear.page_map.homography, hidden.page_map.homography)


@pytest.mark.parametrize("width_mm", [10.0, 25.0])
def test_occluders_are_as_wide_as_they_should_be(width_mm):
    shot = draw_shot(replace(IDEAL, n_occluders=(1, 1), occluder_mm=(width_mm, width_mm)), np.random.default_rng(0))
    sheet = sheet_of(shot, IDEAL, *A4)
    areas = []
    for seed in range(30):
        scene = np.ones((*sheet.lens.size[::-1], 3), np.float32)
        add_occluders(scene, replace(shot, occluder_seed=seed), sheet)
        areas.append((scene[..., 2] < 0.9).sum())
    scale = np.linalg.norm(sheet.page_map.jacobian(sheet.centre_mm[None])[0], 2)
    # the smallest is a coin, at most 15 % smaller than drawn, or one cut off by the frame
    assert np.median(sorted(areas)[5:15]) == pytest.approx(math.pi / 4 * (width_mm * scale) ** 2, rel=0.35)


def test_glare_is_a_blob_of_the_size_and_peak_drawn():
    profile = replace(IDEAL, glare_rate=(0.3, 0.3))
    shot = draw_shot(profile, np.random.default_rng(0))
    sheet = sheet_of(shot, profile, *A4)
    scene = np.zeros((*sheet.lens.size[::-1], 3), np.float32)
    add_glare(scene, shot, sheet)
    lamp = np.array([[shot.glare_x * A4[0], shot.glare_y * A4[1]]])
    rim = lamp + [[shot.glare_mm / 2, 0], [-shot.glare_mm / 2, 0], [0, shot.glare_mm / 2], [0, -shot.glare_mm / 2]]
    (x0, y0), *edges = sheet.photo_from_page(np.concatenate([lamp, rim])).round().astype(int)
    assert scene[y0, x0] == pytest.approx(0.3, abs=0.02)
    within = [scene[y, x, 1] for x, y in edges if 0 <= x < scene.shape[1] and 0 <= y < scene.shape[0]]
    assert within == pytest.approx([0.15] * len(within), abs=0.02)


def test_a_slope_towards_the_light_is_brighter():
    profile = replace(IDEAL, curl_mm=(6, 6))
    for seed in range(6):
        shot = draw_shot(profile, np.random.default_rng(seed))
        sheet = sheet_of(shot, profile, *A4)
        shade = slope_shade(shot, sheet, 21, 30)
        assert shade.max() <= 1 and 0.7 < shade.min() < 0.995
        y, x = np.unravel_index(shade.argmax(), shade.shape)
        mm = np.array([(x + 0.5) / 21 - 0.5, (y + 0.5) / 30 - 0.5]) * A4
        light = np.array([math.cos(math.radians(shot.light_direction_deg)), math.sin(math.radians(shot.light_direction_deg))])
        # the light comes from behind `light`; going with it on the brightest part leads uphill
        uphill = sheet.curl.in_space((mm - light)[None])[0, 2] - sheet.curl.in_space((mm + light)[None])[0, 2]
        assert uphill > 0


# --- light and colour --------------------------------------------------------------------------------------------------


def test_the_ideal_photo_shows_the_page_as_it_is():
    photo = photograph(IDEAL)
    for box, colour in ((GREY_BOX, (GREY,) * 3), (WHITE_BOX, (255,) * 3), (BLACK_BOX, (0,) * 3), (RED_BOX, (220, 40, 30))):
        assert np.abs(middle(photo, box) - colour).max() <= 1


@pytest.mark.parametrize("seed", range(4))
def test_an_office_photo_has_plausible_colours(seed):
    photo = photograph(OFFICE, seed)
    white, grey, black, red = (level(photo, box) for box in (WHITE_BOX, GREY_BOX, BLACK_BOX, RED_BOX))
    assert (white > 130).all() and (white[1] > 150) and (white[1] < 250)
    assert (black > 3).all() and (black < 60).all()
    assert (black + 40 < grey).all() and (grey + 20 < white).all()
    assert red[0] > red[1] + 60 and red[0] < 235


def test_ink_loses_saturation_but_keeps_its_luminance():
    luma = np.array([0.2126, 0.7152, 0.0722])
    full, faded = (linear(photograph(replace(IDEAL, print_saturation_rate=s)), RED_BOX) for s in (1.0, 0.7))
    assert full @ luma == pytest.approx(faded @ luma, abs=0.005)
    assert (faded[0] - faded[2]) / (full[0] - full[2]) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("exposure", [1.0, 0.7, 0.4])
def test_exposure_scales_linear_light(exposure):
    assert linear(photograph(replace(IDEAL, exposure=(exposure, exposure))), WHITE_BOX) == pytest.approx(exposure, rel=0.01)


def test_white_balance_tints_red_and_blue_and_leaves_green():
    red, green, blue = linear(photograph(replace(IDEAL, red_error_rate=(-0.1, -0.1), blue_error_rate=(-0.2, -0.2))), WHITE_BOX)
    assert (red, green, blue) == pytest.approx((0.9, 1, 0.8), abs=0.01)


def test_light_falls_across_the_page_by_the_rate_given():
    page = np.full((877, 620, 3), 255, np.uint8)
    for seed in range(3):
        photo = photograph(replace(IDEAL, light_fall_rate=(0.4, 0.4)), seed, page)
        angle = math.radians(photo.shot.light_direction_deg)
        far = np.array(A4) / 2 + 90 * np.array([math.cos(angle), math.sin(angle)])
        near = np.array(A4) - far
        x, y = photo.page_map(np.stack([near, far])).round().astype(int).T
        bright, dark = linear_from_srgb(photo.image[y, x, 1] / 255)
        half_diagonal = math.hypot(*A4) / 2
        assert bright - dark == pytest.approx(0.4 * 90 / half_diagonal, abs=0.02)


def test_the_vignette_darkens_the_corners_alone():
    plain, vignetted = (
        photograph(replace(IDEAL, vignette_rate=(v, v)), 0, np.full((877, 620, 3), 255, np.uint8)).image for v in (0.0, 0.25)
    )
    ratio = linear_from_srgb(vignetted[..., 1] / 255) / np.maximum(linear_from_srgb(plain[..., 1] / 255), 1e-3)
    assert ratio[504, 378] == pytest.approx(1, abs=0.01)
    assert ratio[5, 5] == pytest.approx(0.75, abs=0.02)


def test_a_cast_shadow_darkens_one_side():
    shadow = photograph(replace(IDEAL, cast_shadow_rate=(0.4, 0.4)), 0, np.full((877, 620, 3), 255, np.uint8))
    inner = linear_from_srgb(shadow.image[100:-100, 100:-100, 1] / 255)
    assert inner.max() == pytest.approx(1, abs=0.01)
    assert inner.min() == pytest.approx(0.6, abs=0.01)


# --- the camera --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_blur_spreads_an_edge_as_its_sigma_says(sigma):
    sharp, soft = (edge_spread_px(photograph(replace(IDEAL, blur_px=(s, s)))) for s in (0.0, sigma))
    assert soft > sharp
    # 25 % to 75 % of a Gaussian edge is 1.349 sigma; the page's own pixels add their share
    assert math.sqrt(soft**2 - sharp**2) == pytest.approx(1.349 * sigma, rel=0.2)


def test_motion_smears_across_an_edge_and_not_along_it():
    still, across, along = (
        edge_spread_px(moved(direction, length)) for direction, length in ((0.0, 0.0), (0.0, 6.0), (90.0, 6.0))
    )
    assert across - still > 2
    assert along == pytest.approx(still, abs=0.3)


def moved(direction_deg, length_px):
    from pipeline.physical.simulator import photo as module

    drawn = module.draw_shot
    try:
        module.draw_shot = lambda profile, rng: replace(
            drawn(profile, rng), motion_px=length_px, motion_direction_deg=direction_deg
        )
        return photograph(IDEAL)
    finally:
        module.draw_shot = drawn


def test_sharpening_steepens_an_edge_and_overshoots():
    soft = photograph(replace(IDEAL, blur_px=(1.5, 1.5), exposure=(0.5, 0.5)))
    crisp = photograph(replace(IDEAL, blur_px=(1.5, 1.5), exposure=(0.5, 0.5), sharpen_rate=0.6))
    assert edge_spread_px(crisp) < 0.9 * edge_spread_px(soft)
    assert crisp.image.max() > soft.image.max()


def test_noise_has_the_variance_of_shot_and_read_noise(subtests):
    for value in [0.05, 0.2, 0.8]:
        for iso, full_well_e in [(150, 5000), (100, 3000), (2500, 5000)]:
            with subtests.test(value=value, iso=iso, full_well_e=full_well_e):
                profile = replace(IDEAL, iso=(iso, iso), full_well_e=full_well_e)
                shot, shot_noise = draw_shot(profile, np.random.default_rng(0)), iso / 100 / full_well_e
                assert shot.read_noise == pytest.approx(math.exp(2.18 * math.log(shot_noise) + 1.20))
                scene, light = np.full((300, 300, 3), value, np.float32), np.ones((300, 300), np.float32)
                picture = exposed(scene, light, shot, profile, np.random.default_rng(1))
                spread = picture.astype(float).std(axis=(0, 1)) / (65535 - 2048)
                assert spread == pytest.approx(math.sqrt(shot_noise * value + shot.read_noise), rel=0.03)


def test_white_balance_gain_makes_red_and_blue_noisier():
    profile = replace(IDEAL, iso=(500, 500), red_gain=2.0, blue_gain=1.5)
    shot = draw_shot(profile, np.random.default_rng(0))
    scene, light = np.full((300, 300, 3), 0.3, np.float32), np.ones((300, 300), np.float32)
    spread = exposed(scene, light, shot, profile, np.random.default_rng(1)).astype(float).var(axis=(0, 1))
    assert spread / spread[1] == pytest.approx([2, 1, 1.5], rel=0.05)


def test_noise_grows_on_a_flat_patch_of_the_finished_photo():
    spreads = [
        middle(photograph(replace(OFFICE, iso=(s, s), paper_grain_rate=0, halftone="none")), GREY_BOX).std()
        for s in (0, 150, 1500)
    ]
    assert spreads[0] + 1 < spreads[1] < spreads[2] - 2


def test_the_colour_filter_array_keeps_the_colours_of_a_flat_scene():
    scene = np.tile(np.float32([0.6, 0.3, 0.1]), (61, 43, 1))
    shot = draw_shot(IDEAL, np.random.default_rng(0))
    profile = replace(IDEAL, bayer=True)
    picture = exposed(scene, np.ones((61, 43), np.float32), shot, profile, np.random.default_rng(0))
    assert (picture.astype(float) - 2048) / (65535 - 2048) == pytest.approx(scene, abs=1e-4)


def test_a_better_jpeg_is_larger_and_nearer_to_the_photo():
    photo = photograph(OFFICE)
    sizes, errors = [], []
    for quality in (50, 75, 95):
        data = encode_jpeg(replace(photo, shot=replace(photo.shot, jpeg_quality=quality)))
        sizes.append(len(data))
        errors.append(np.abs(np.asarray(Image.open(io.BytesIO(data))).astype(int) - photo.image).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


TURNED = {
    "dot_gain_rate": (0.2, 0.2),
    "yule_nielsen_n": 1.5,
    "paper_reflectance": 0.8,
    "ink_reflectance": 0.06,
    "gloss_reflectance": 0.3,
    "primaries_lab": load_profile("unmanaged-laser").primaries_lab,
    "print_saturation_rate": 0.7,
    "ink_spread_um": 150.0,
    "paper_grain_rate": 0.01,
    "table_reflectance": (0.5, 0.5, 0.5),
    "table_grain_rate": 0.05,
    "edge_shadow_rate": 0.9,
    "light_fall_rate": (0.3, 0.3),
    "cast_shadow_rate": (0.3, 0.3),
    "cast_shadow_softness_mm": (2.0, 3.0),
    "red_error_rate": (0.2, 0.2),
    "blue_error_rate": (0.2, 0.2),
    "tilt_deg": (14.0, 15.0),
    "roll_deg": (8.0, 9.0),
    "quarter_turn_rate": 1.0,
    "page_fill_rate": (0.8, 0.81),
    "focal_35mm_mm": 28.0,
    "frame_long_px": 512,
    "frame_short_px": 384,
    "blur_px": (2.0, 2.0),
    "vignette_rate": (0.25, 0.25),
    "exposure": (0.6, 0.6),
    "bayer": False,
    "red_gain": 2.4,
    "blue_gain": 1.5,
    "iso": (2500, 2500),
    "full_well_e": 1000.0,
    "read_noise_log_sd": 2.0,
    "saturation": 1.3,
    "tone_contrast_rate": 0.5,
    "chroma_denoise_px": 3.0,
    "sharpen_rate": 0.0,
    "sharpen_px": 3.0,
    "jpeg_quality": (60, 60),
    "curl_mm": (5, 5),
    "lens_k1": (0.03, 0.03),
    "motion_px": (6, 6),
    "glare_rate": (0.5, 0.5),
    "n_occluders": (2, 2),
    "occluder_mm": (60, 60),
    "printer_dpi": 300,
    "halftone": "none",
    "screen_lpi": 30.0,
    "black_generation_rate": 1.0,
    "print_curve_red": (0.1, 0.3, 0.9),
    "print_curve_green": (0.1, 0.3, 0.9),
    "print_curve_blue": (0.1, 0.3, 0.9),
    "misregistration_um": (250, 260),
    "banding_rate": 0.1,
    "banding_mm": 7.0,
    "paper_grain_mm": 1.0,
    "illuminant_k": (2000, 2000),
    "defocus_px": (4, 4),
    "f_number": 6.0,
    "pixel_um": 0.5,
    "lens_k2": (0.03, 0.03),
    "lens_p1": (0.02, 0.02),
    "lens_p2": (0.02, 0.02),
    "chromatic_px": (3, 3),
    "colour_matrix": (1.5, -0.25, -0.25, 0, 1, 0, 0.1, 0.1, 0.8),
    "luma_denoise_8bit": 9.0,
}


def test_the_table_of_knobs_is_complete():
    assert TURNED.keys() == {f.name for f in fields(Profile)} - {
        "name",
        "icc_profile",
        "icc_intent",
    }  # need a file: see test_driver.py


TINY = replace(OFFICE, frame_long_px=504, frame_short_px=378, n_occluders=(1, 1), f_number=3.0)


@pytest.fixture(scope="module")
def tiny_photo():
    return photograph(TINY, 3)


@pytest.mark.slow
def test_every_knob_changes_the_photo(tiny_photo, subtests):
    for knob in TURNED:
        with subtests.test(knob=knob):
            profile = replace(TINY, **{knob: TURNED[knob]})
            turned = photograph(profile, 3)
            if knob == "jpeg_quality":
                assert encode_jpeg(tiny_photo) != encode_jpeg(turned)
                continue
            assert turned.image.shape != tiny_photo.image.shape or (turned.image != tiny_photo.image).mean() > 1e-4


def test_turning_one_knob_leaves_all_other_draws_alone(subtests):
    for knob in [k for k in TURNED if isinstance(getattr(OFFICE, k), tuple) and len(getattr(OFFICE, k)) == 2]:
        with subtests.test(knob=knob):
            before, after = (
                astuple(draw_shot(p, np.random.default_rng(3))) for p in (OFFICE, replace(OFFICE, **{knob: TURNED[knob]}))
            )
            n_moved = {"iso": 3, "misregistration_um": 2, "illuminant_k": 3}.get(knob, 1)
            assert sum(a != b for a, b in zip(before, after, strict=True)) == n_moved


# --- the file, the seed, the profile -----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads():
    n_threads = cv2.getNumThreads()
    try:
        files = []
        for n in (1, 4):
            cv2.setNumThreads(n)
            files.append(encode_jpeg(photograph(OFFICE, 5)))
    finally:
        cv2.setNumThreads(n_threads)
    assert files[0] == files[1]
    assert encode_jpeg(photograph(OFFICE, 6)) != files[0]


def is_marked(content, folder):
    path = folder / "photo"
    path.write_bytes(content)
    tags = next(tags_here(path))
    return is_simulated(tags.maker, tags.software)


def test_a_simulated_photo_says_so_and_no_other_does(tmp_path):
    photo = photograph(OFFICE)
    data = encode_jpeg(photo)
    assert is_marked(data, tmp_path)
    with Image.open(io.BytesIO(data)) as image:
        tags = image.getexif()
        assert (tags[0x010F], tags[0x0110], tags[0x0131]) == ("inkproof", "simulated office-phone", "inkproof simulator")
        assert tags.get_ifd(0x8769)[0x9003] == "2000:01:01 00:00:00"
        assert tags.get_ifd(0x8769)[0xA405] == 26
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "JPEG")
    assert not is_marked(plain.getvalue(), tmp_path)
    assert not is_marked(b"no picture", tmp_path) and not is_marked(data[:40], tmp_path)


def test_a_broken_avif_is_no_simulated_photo(tmp_path):
    """Pillow says of some that they are a RuntimeError, others it opens."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 90)).save(file, "AVIF")
    whole, n_runtime_errors, rng = file.getvalue(), 0, np.random.default_rng(0)
    for _ in range(100):
        broken = np.frombuffer(whole, np.uint8).copy()
        broken[rng.integers(len(broken), size=3)] = rng.integers(256, size=3)
        assert not is_marked(broken.tobytes(), tmp_path)
        try:
            Image.open(io.BytesIO(broken.tobytes())).getexif()
        except RuntimeError:
            n_runtime_errors += 1
        except Exception:
            continue
    assert n_runtime_errors


def test_profiles_load_and_an_unknown_one_names_its_neighbour():
    assert {"office-phone", "ideal", "harsh"} <= set(profile_names())
    assert [load_profile(name).name for name in profile_names()] == profile_names()
    with pytest.raises(WrongUse, match="office-phone"):
        load_profile("ofice-phone")


@pytest.mark.parametrize(
    "old, new",
    [
        ("bayer = true", ""),
        ("bayer = true", "bayer = true\nfisheye = 1"),
        ("bayer = true", "bayer = 3"),
        ("tilt_deg = [1.0, 12.0]", "tilt_deg = [1.0]"),
        ("tilt_deg = [1.0, 12.0]", "tilt_deg = [12.0, 1.0]"),
        ("tilt_deg = [1.0, 12.0]", "tilt_deg = [1.0, 120.0]"),
        ('halftone = "none"', 'halftone = "fm"'),
        ("colour_matrix = []", "colour_matrix = [1.0, 0.0]"),
        ("primaries_lab = [54.5, ", "primaries_lab = ["),
        ("[pose]", 'base = "office-phone"\n\n[pose]'),
        ("[pose]", "[pose"),
    ],
    ids=[
        "missing",
        "unknown",
        "wrong-type",
        "short-range",
        "backwards",
        "out-of-range",
        "choice",
        "short-list",
        "one-number-less",
        "base",
        "no-toml",
    ],
)
def test_a_damaged_profile_is_refused(old, new, tmp_path):
    text = (PROFILES / "office-phone.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "damaged.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InkproofError, match="damaged"):
        load_profile(tmp_path / "damaged.toml")


def test_an_old_key_is_answered_with_its_neighbour(tmp_path):
    (tmp_path / "old.toml").write_text('base = "ideal"\n[scene]\nred_eror_rate = [0.0, 0.0]\n', encoding="utf-8")
    with pytest.raises(InkproofError, match="red_eror_rate") as caught:
        load_profile(tmp_path / "old.toml")
    assert "red_error_rate" in f"{caught.value} {caught.value.hint}"


def test_a_profile_is_its_base_with_what_it_says_otherwise(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "harsh"\n\n[camera]\niso = [50.0, 60.0]\n', encoding="utf-8")
    (tmp_path / "finer.toml").write_text('base = "mine.toml"\n\n[printer]\nprinter_dpi = 1200\n', encoding="utf-8")
    expected = replace(load_profile("harsh"), name="finer", iso=(50.0, 60.0), printer_dpi=1200)
    assert load_profile(tmp_path / "finer.toml") == expected
    (tmp_path / "mine.toml").write_text('base = "finer.toml"\n', encoding="utf-8")
    with pytest.raises(InkproofError, match="back to itself"):
        load_profile(tmp_path / "finer.toml")
    with pytest.raises(WrongUse, match="no such profile file"):
        load_profile(tmp_path / "yours.toml")


def test_every_value_of_a_profile_has_a_source(subtests):
    for name in profile_names():
        with subtests.test(name=name):
            text = (PROFILES / f"{name}.toml").read_text(encoding="utf-8")
            lines = text.splitlines()
            values = [at for at, line in enumerate(lines) if re.match(r"\w+ =", line) and not line.startswith("base")]
            assert values
            for at in values:
                # behind the value, or in the lines right above it
                above = next(n for n in range(at, -1, -1) if n == 0 or not lines[n - 1].startswith("#"))
                said = re.search("#.*", "\n".join([*lines[above:at], lines[at]]), re.DOTALL)
                assert said and re.search(rf"\b({SOURCES})\b", said.group()), lines[at]


def test_every_parameter_has_a_range_and_a_meaning():
    parameters = [item for item in described(Profile) if item.name != "name"]
    assert not [item.name for item in parameters if not item.doc.endswith(".")]
    numbers = [item.name for item in parameters if item.kind in (int, float) or get_origin(item.kind) is tuple]
    assert numbers == [item.name for item in parameters if limits(item.name)]


def parameters_table() -> str:
    """Returns a Markdown table of every parameter: unit, the values that it can have, the default profile's, what it means."""
    default = load_profile("office-phone")
    rows = ["| parameter | unit | range | office-phone | meaning |", "|---|---|---|---|---|"]
    for item in described(Profile):
        if item.name == "name":
            continue
        value = getattr(default, item.name)
        allowed = f"{item.limits[0]:g} to {item.limits[1]:g}" if item.limits else ", ".join(get_args(item.kind))
        shown = f"{value[0]:g} to {value[1]:g} per photo" if item.kind == tuple[float, float] else as_words(value)
        rows.append(f"| `{item.name}` | {item.unit or '–'} | {allowed or '–'} | {shown} | {item.doc} |")
    return "\n".join(rows)


def as_words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{v:g}" for v in value) or "none"
    return f"{value:g}" if type(value) in (int, float) else str(value).lower() or "none"


def test_the_page_of_the_simulator_has_the_table_of_today():
    assert parameters_table() in (PROFILES.parents[3] / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_a_page_that_is_not_8_bit_colour_is_refused():
    with pytest.raises(ValueError, match="uint8"):
        photograph(OFFICE, page=np.zeros((10, 10), np.uint8))
