"""Calibration: the page is read from its codes alone, and a profile fitted to simulated photos is the one they came from."""

import io
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import pytest
import zxingcpp
from kept_files import read_json, read_table
from PIL import Image
from scipy.optimize import brentq, curve_fit
from scipy.special import ndtr
from skimage.color import deltaE_ciede2000, rgb2lab

from pipeline.cli import main
from pipeline.core.errors import BadInput, WrongUse
from pipeline.engine import Context
from pipeline.physical.calibration import Calibration, calibrate_files, fit_profile, read_chart_photo
from pipeline.physical.calibration.colour import fit_colour
from pipeline.physical.calibration.command import parameters_text, told
from pipeline.physical.calibration.edges import FREQUENCIES, edges_of, half_contrast, mean_mtf50, mid_contrast
from pipeline.physical.calibration.fit import Parameter, spread, within_limits
from pipeline.physical.calibration.least_squares import minimise
from pipeline.physical.calibration.light import fit_light
from pipeline.physical.calibration.measuring import Measured, Spot, jpeg_quality, light_table
from pipeline.physical.calibration.report import colour_errors
from pipeline.physical.calibration.twin import Scene, photographed
from pipeline.physical.geometry import box_homography
from pipeline.physical.page_map import PageMap
from pipeline.physical.printing.arrangement import ORIENTATIONS
from pipeline.physical.printing.chart import CHART_PAPERS, SlantedSquare, calibration_chart, chart_of_code
from pipeline.physical.printing.document import build_chart_pdf, chart_raster, render_page
from pipeline.physical.simulator import Profile, Shot, encode_jpeg, load_profile, simulate_photo
from pipeline.physical.simulator.camera import camera_matrix
from pipeline.physical.simulator.driver import driven
from pipeline.physical.simulator.printer import gamut, grown, print_table
from pipeline.physical.simulator.profile_file import profile_text
from pipeline.records import Discard
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_stage
from pipeline.store import Run

MM = 25.4
SHEETS = [(paper, orientation) for paper in CHART_PAPERS for orientation in ORIENTATIONS]
# what a fit promises
MAX_TONE_RMS, MAX_MTF50_RATE, MAX_NOISE_RATE, MAX_MEAN_DELTA_E = 0.01, 0.05, 0.10, 2.0
OFFICE_LIKE = {
    "dot_gain_rate": (0.20, 0.20),
    "ink_reflectance": 0.06,
    "print_saturation_rate": 0.70,
    "saturation": 1.15,
    "blur_px": (1.2, 1.6),
    "iso": (200.0, 800.0),
}
# A page is printed once, with one dot gain. Banding is not fitted, and a photo shows it as noise of middle greys: where there is
# little other noise it has to be the base's.
TRUTHS = {
    "office-like": (replace(load_profile("office-phone"), **OFFICE_LIKE), "office-phone"),
    "nexus": (replace(load_profile("nexus5x-ricoh600"), dot_gain_rate=(0.04, 0.04)), "office-phone"),
    "office from nexus": (
        replace(load_profile("office-phone"), dot_gain_rate=(-0.03, -0.03), banding_rate=0.015),
        "nexus5x-ricoh600",
    ),
}

SMALL_TRUTH = replace(load_profile("office-phone-3mp"), **OFFICE_LIKE)


def photo_file(folder: Path, profile: Profile, seed: int) -> tuple[Path, Shot]:
    chart = calibration_chart()
    raster = render_page(build_chart_pdf(chart), 0, profile.printer_dpi)
    size = chart.printout.page_width_mm, chart.printout.page_height_mm
    photo = simulate_photo(raster, *size, profile, np.random.default_rng(seed))
    path = folder / f"chart-{seed}.jpg"
    path.write_bytes(encode_jpeg(photo))
    return path, photo.shot


@pytest.fixture(scope="session")
def small_photo(tmp_path_factory) -> tuple[Path, Shot]:
    """Three megapixels, for what needs no more."""
    return photo_file(tmp_path_factory.mktemp("small"), SMALL_TRUTH, 11)


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("paper", "orientation"), SHEETS)
def test_the_codes_alone_tell_the_whole_page(paper, orientation):
    chart = calibration_chart(paper, orientation)
    assert chart_of_code(chart.printout.run_code) == chart
    assert all(chart.printout.run_code in code.payload for code in chart.printout.fiducials)


def test_a_run_of_ones_own_is_no_calibration_page():
    assert chart_of_code("ABCDE") is None
    assert len({calibration_chart(*sheet).printout.run_code for sheet in SHEETS}) == len(SHEETS)


@pytest.mark.parametrize(("paper", "orientation"), SHEETS)
def test_the_rendered_page_bears_all_that_is_measured(paper, orientation):
    """Found in the picture of the page by other readers than the project's, which know nothing of where things lie."""
    page, dpi = render_page(build_chart_pdf(calibration_chart(paper, orientation)), 0, 150), 150
    fields = Counter(fields_of_one_colour(page, at_least_px=round((5 * dpi / MM) ** 2)))
    greys = {colour[0]: n for colour, n in fields.items() if len(set(colour)) == 1}
    assert len(greys) >= 16 and min(greys.values()) >= 2 and min(greys) == 0 and max(greys) >= 240
    assert np.diff(sorted(greys)).max() <= 16
    assert sum(n >= 2 for colour, n in fields.items() if len(set(colour)) > 1) >= 24
    turned = [side for side, angle in black_squares(page) if side * MM / dpi == pytest.approx(20, abs=0.2) and 4.9 < angle < 5.1]
    assert len(turned) == 5
    assert len(zxingcpp.read_barcodes(page)) == 4
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    assert len(cv2.aruco.ArucoDetector(family).detectMarkers(page)[0]) == 4


def fields_of_one_colour(page: np.ndarray, at_least_px: int) -> list[tuple[int, int, int]]:
    """The colours of all upright boxes that stand alone on white, are that large and have one colour within their border."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((page < 255).any(2).astype(np.uint8))
    found = []
    for left, top, width, height, area in stats[1:]:
        if min(width, height) ** 2 >= at_least_px and area >= 0.98 * width * height:
            inside = page[top + 2 : top + height - 2, left + 2 : left + width - 2]
            found += [tuple(inside[0, 0].tolist())] if (inside == inside[0, 0]).all() else []
    return found


def black_squares(page: np.ndarray) -> list[tuple[float, float]]:
    """The side in pixels and the turn in degrees, to either side, of everything black and square."""
    contours, _ = cv2.findContours((page.max(2) < 128).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    boxes = [cv2.minAreaRect(contour) for contour in contours]
    return [(width, min(angle % 90, -angle % 90)) for _, (width, height), angle in boxes if abs(width - height) < 0.5]


@pytest.mark.parametrize(("paper", "orientation"), SHEETS)
def test_every_patch_is_printed_as_sent_and_every_white_place_is_bare(paper, orientation):
    chart, dpi = calibration_chart(paper, orientation), 150
    page = render_page(build_chart_pdf(chart), 0, dpi)

    def block(x_mm: float, y_mm: float, half_mm: float) -> np.ndarray:
        left, top, right, bottom = (round(v * dpi / MM) for v in (x_mm - half_mm, y_mm - half_mm, x_mm + half_mm, y_mm + half_mm))
        return page[top : max(bottom, top + 1), left : max(right, left + 1)]

    for p in chart.printout.patches:
        colour = block(p.x_mm + p.width_mm / 2, p.y_mm + p.height_mm / 2, 0.45 * p.width_mm)
        assert (colour == (p.red, p.green, p.blue)).all()
    for white in chart.whites:
        assert (block(white.x_mm, white.y_mm, white.half_mm) == 255).all()
    for square in chart.squares:
        assert (block(square.x_mm, square.y_mm, 0.42 * square.side_mm) == 0).all()


def test_the_raster_without_paper_is_the_pdf_s():
    chart = calibration_chart()
    drawn, printed = chart_raster(chart, 300), render_page(build_chart_pdf(chart), 0, 300)
    for square in chart.squares:
        box = np.s_[*(slice(round((v - 14) * 300 / MM), round((v + 14) * 300 / MM)) for v in (square.y_mm, square.x_mm)),]
        assert np.abs(drawn[box].astype(int) - printed[box]).max() <= 4


# --- the parts of the fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma_px", [0.8, 1.3, 2.5])
@pytest.mark.parametrize("turn_deg", [5.0, -8.0])
def test_the_slanted_edge_of_a_gaussian_lens_has_its_mtf(sigma_px, turn_deg):
    """The edge spread of a Gaussian is the normal distribution; its contrast at f is exp(-2 (pi sigma f)^2)."""
    square, scale = SlantedSquare(20.0, 20.0, 20.0, turn_deg), 10.0
    y, x = np.mgrid[0:400, 0:400]
    angle = math.radians(turn_deg)
    dx, dy = (x + 0.5) / scale - 20, (y + 0.5) / scale - 20
    inside = np.ones((400, 400))
    for across in (dx * math.cos(angle) + dy * math.sin(angle), dy * math.cos(angle) - dx * math.sin(angle)):
        inside *= ndtr((10 - across) * scale / sigma_px) * ndtr((10 + across) * scale / sigma_px)
    page_map = PageMap(40.0, 40.0, np.linalg.inv(box_homography(0, 0, 40, 40, 400, 400)))
    edges = edges_of((0.8 - 0.7 * inside).astype(np.float32), page_map, [square])
    assert [edge.is_upright for edge in edges].count(True) == 2 and len(edges) == 4
    expected = np.exp(-2 * (np.pi * sigma_px * FREQUENCIES) ** 2)
    for edge in edges:
        assert np.abs(edge.mtf - expected).max() < 0.01
    assert mean_mtf50(edges) == pytest.approx(min(0.5, half_contrast(expected)), rel=0.01)


@pytest.mark.parametrize(("sigma_px", "least_lift"), [(0.8, 0.1), (1.3, 0.04), (2.5, 0.005)])
def test_the_contrast_at_half_of_mtf50_tells_sharpening_from_blur(sigma_px, least_lift):
    """Of a Gaussian of any width it is 2^(-1/4); an unsharp mask lifts it, the less the wider the blur."""

    def contrast(f, rate):
        return np.exp(-2 * (np.pi * sigma_px * f) ** 2) * (1 + rate * (1 - np.exp(-2 * (np.pi * 1.4 * f) ** 2)))

    seen = [mid_contrast(contrast(FREQUENCIES, rate)) for rate in (0.0, 0.5, 1.0)]
    assert seen[0] == pytest.approx(2**-0.25, abs=0.002)
    exact = [contrast(brentq(lambda f, rate=rate: contrast(f, rate) - 0.5, 0.01, 0.49) / 2, rate) for rate in (0.0, 0.5, 1.0)]
    assert seen == pytest.approx(exact, abs=0.004)
    assert seen[2] - seen[0] > least_lift


def test_a_tilted_photos_near_and_far_squares_are_left_out():
    """The twin has the scale of the page's middle alone."""
    squares = [SlantedSquare(20.0, y_mm, 14.0, 5.0) for y_mm in (12.0, 40.0, 68.0)]
    corners = np.array([[0, 0], [40, 0], [40, 80], [0, 80]], np.float64)
    seen = {}
    for lean in (0.0, 90.0):
        photo_from_page = cv2.getPerspectiveTransform(
            corners.astype(np.float32), np.float32([[lean, 0], [400 - lean, 0], [400, 800], [0, 800]])
        )
        page = np.full((800, 400), 0.8, np.float32)
        for square in squares:
            cv2.fillConvexPoly(page, np.rint(16 * (10 * square.corners_mm - 0.5)).astype(np.int32), 0.1, cv2.LINE_AA, 4)
        light = cv2.warpPerspective(page, photo_from_page @ np.diag([0.1, 0.1, 1]), (400, 800), flags=cv2.INTER_CUBIC)
        seen[lean] = len(edges_of(cv2.GaussianBlur(light, (0, 0), 1), PageMap(40.0, 80.0, photo_from_page), squares))
    assert seen == {0.0: 12, 90.0: 4}


def test_an_edge_along_the_pixels_is_not_measured():
    square = SlantedSquare(20.0, 20.0, 20.0, 0.0)
    light = np.full((400, 400), 0.8, np.float32)
    light[100:300, 100:300] = 0.1
    page_map = PageMap(40.0, 40.0, np.linalg.inv(box_homography(0, 0, 40, 40, 400, 400)))
    assert edges_of(light, page_map, [square]) == ()


def test_a_curve_and_its_errors_are_found_with_and_without_beliefs():
    rng = np.random.default_rng(1)
    x = np.linspace(0, 4, 60)
    y = 2.0 * np.exp(-0.7 * x) + 0.3 + rng.normal(0, 0.02, 60)
    start = np.array([1.0, 1.0, 0.0])

    def curve(x, a, b, c):
        return a * np.exp(-b * x) + c

    def slopes(p):
        return np.column_stack([np.exp(-p[1] * x), -p[0] * x * np.exp(-p[1] * x), np.ones_like(x)])

    found = minimise(lambda p: curve(x, *p) - y, start)
    expected, covariance = curve_fit(curve, x, y, p0=start)
    assert found.parameters == pytest.approx(expected, abs=1e-5)
    assert found.sd == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-4)
    assert minimise(lambda p: curve(x, *p) - y, start, jacobian_of=slopes).parameters == pytest.approx(expected, abs=1e-7)
    believed = minimise(lambda p: np.append((curve(x, *p) - y) / 0.02, p[2] / 0.004), start, n_priors=1)
    assert believed.sd[2] < 0.004 < found.sd[2] and 0 < believed.parameters[2] < 0.1


def test_a_line_and_its_errors_are_those_of_the_closed_form():
    """A belief of unit variance is one more row of the normal equations, whose weight is what the data's scatter says."""
    rng = np.random.default_rng(2)
    x = np.linspace(0, 1, 40)
    design = np.column_stack([np.ones_like(x), x])
    y = design @ (0.4, 1.3) + rng.normal(0, 0.1, 40)
    found = minimise(lambda p: design @ p - y, np.zeros(2))
    exact, squares, *_ = np.linalg.lstsq(design, y, rcond=None)
    assert found.parameters == pytest.approx(exact, abs=1e-9)
    assert found.covariance == pytest.approx(squares[0] / 38 * np.linalg.inv(design.T @ design), rel=1e-6)


def test_fewer_data_than_parameters_still_give_a_minimum():
    found = minimise(lambda p: np.array([p[0] + p[1] - 2.0]), np.zeros(2))
    assert found.parameters.sum() == pytest.approx(2.0)


@pytest.mark.parametrize("contrast_rate", [0.0, 0.15, 0.3])
def test_the_tone_curve_is_undone(contrast_rate):
    light = np.array([0.0, 0.02, 0.1, 0.2, 0.5, 0.8, 1.0])
    v = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    shown = np.rint(255 * (v + contrast_rate * (v * v * (3 - 2 * v) - v))).astype(int)
    assert light_table(contrast_rate)[shown] == pytest.approx(light, abs=0.005)


def spot(page_mm, photo_px, light) -> Spot:
    return Spot((255,) * 3, True, tuple(page_mm), tuple(photo_px), np.full(3, light), 200.0, 2.0, 0.0, 400)


@pytest.mark.parametrize("shadow_rate", [0.0, 0.10])
def test_fall_vignette_and_shadow_are_told_apart(shadow_rate):
    size, page_size = (3000, 4000), np.array([210.0, 297.0])
    x, y = np.meshgrid(np.linspace(15, 195, 14), np.linspace(30, 265, 17))
    page = np.column_stack([x.ravel(), y.ravel()])
    photo = page * 12.5 + (180, 140)
    half = np.linalg.norm(page_size) / 2
    along = (page - page_size / 2) @ (np.cos(0.6), np.sin(0.6)) / half
    square = (((photo - (np.array(size) - 1) / 2) / (np.hypot(*size) / 2)) ** 2).sum(axis=1)
    shadow = (1 + np.tanh(2 * ((page - page_size / 2) @ (-0.8, 0.6) - 30) / 15)) / 2
    light = 0.7 * (1 - 0.2 * (along + 1) / 2) * (1 - 0.1 * square) * (1 - shadow_rate * shadow)
    light *= np.random.default_rng(2).normal(1, 0.002, len(light))
    measured = Measured(tuple(map(spot, page, photo, light)), (), size, 12.5)
    found = fit_light(measured, tuple(page_size))
    assert found.light_fall_rate == pytest.approx(0.2, abs=0.01) and found.vignette_rate == pytest.approx(0.1, abs=0.02)
    assert found.shadow_rate == pytest.approx(shadow_rate, abs=0.01)
    assert found.at(page, photo) == pytest.approx(light / 0.7, rel=0.02)


def test_what_no_profile_holds_is_cut_and_told():
    def fitted(key, value):
        return Parameter(key, value, 0.1, "", "photos", None)

    wild = [fitted("red_error_rate", (-0.7, 0.2)), fitted("lens_k1", (0.01, 0.02)), fitted("luma_denoise_8bit", 80.0)]
    kept, notes = within_limits([*wild, fitted("frame_long_px", 4032), fitted("icc_profile", ""), fitted("print_curve_red", ())])
    values = {parameter.key: parameter.value for parameter in kept}
    assert values["red_error_rate"] == (-0.5, 0.2) and values["luma_denoise_8bit"] == 50.0
    assert values["lens_k1"] == (0.01, 0.02) and values["frame_long_px"] == 4032 and values["print_curve_red"] == ()
    assert len(notes) == 2 and "red_error_rate" in notes[0] and "luma_denoise_8bit" in notes[1]


def test_photos_that_agree_give_one_value_and_others_a_range():
    (low, high), sd = spread([1.0, 1.1], [0.1, 0.1])
    assert low == high == pytest.approx(1.05) and sd == pytest.approx(0.1 / math.sqrt(2))
    assert spread([1.0, 2.0, 1.5], [0.1, 0.1, 0.1])[0] == (1.0, 2.0)


@pytest.mark.parametrize("quality", [50, 75, 85, 92, 97])
def test_the_quality_of_a_jpeg_is_read_off_its_tables(quality, tmp_path):
    Image.new("RGB", (32, 32), "grey").save(tmp_path / "a.jpg", quality=quality)
    assert jpeg_quality(tmp_path / "a.jpg") == quality


def test_other_files_have_no_jpeg_quality(tmp_path):
    Image.new("RGB", (32, 32), "grey").save(tmp_path / "a.png")
    assert jpeg_quality(tmp_path / "a.png") is None


# --- the round trip ---------------------------------------------------------------------------------------------------


def composite(profile: Profile, sent: np.ndarray) -> np.ndarray:
    """What a photo sees of 8-bit colours (N, 3) under even light, in linear light of its own colours, paper = 1."""
    sent = driven(sent[None].astype(np.uint8), profile)[0].astype(np.int64)
    gain = np.float64(fmean(profile.dot_gain_rate))
    asked = grown(np.take_along_axis(print_table(profile).astype(np.float64), sent, axis=0), profile, gain)
    mixed = camera_matrix(profile) @ gamut(profile).astype(np.float64)
    return asked @ mixed.T / (print_table(profile)[255].astype(np.float64) @ mixed.T)


def patches_of(profile: Profile, red_rate: float, blue_rate: float) -> list[tuple[Spot, float]]:
    """What a photo in light of that tint shows of the page's patches and of bare paper, good to 0.3 %."""
    sent = np.array([(p.red, p.green, p.blue) for p in calibration_chart().printout.patches] + [(255,) * 3])
    asked = np.take_along_axis(
        print_table(profile).astype(np.float64), driven(sent[None].astype(np.uint8), profile)[0].astype(int), 0
    )
    seen = asked @ gamut(profile).T * (0.8 * (1 + red_rate), 0.8, 0.8 * (1 + blue_rate)) @ camera_matrix(profile).T
    seen = seen * np.random.default_rng(3).normal(1, 0.003, seen.shape)
    return [
        (Spot(tuple(map(int, colour)), bool(colour.min() == 255), (0, 0), (0, 0), light, 200.0, 2.0, 0.0, 2000), 1.0)
        for colour, light in zip(sent, seen, strict=True)
    ]


def test_two_tints_tell_a_printer_that_fades_from_a_camera_that_does_and_one_cannot():
    base = load_profile("office-phone")
    truth = replace(base, print_saturation_rate=0.7, saturation=1.15)
    alone = fit_colour([patches_of(truth, 0.1, -0.2)], base)
    assert alone.saturation_rate == pytest.approx(base.print_saturation_rate, abs=1e-3) and alone.saturation_sd > 0.1
    both = fit_colour([patches_of(truth, 0.1, -0.2), patches_of(truth, -0.05, 0.1)], base)
    assert both.saturation_rate == pytest.approx(0.7, abs=0.02) and both.saturation_sd < 0.02
    assert both.matrix == pytest.approx(camera_matrix(truth), abs=0.02)


def lab(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return rgb2lab(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)[None])[0]


def middle_noise(measured: Measured) -> float:
    """Of the greys about the middle, as photographed: one patch alone is good to 3 %."""
    return float(np.mean([s.noise_8bit for s in measured.spots if s.sent[0] in range(90, 165, 15)]))


def assert_recovered(fitted: Calibration, truth: Profile, shots: list[Shot]) -> None:
    """The four bars, each against the true profile itself, in the light of the photo; noise with and without a halftone.

    What they are measured at is printed: the table of docs/calibration.md.
    """
    greys = np.repeat(np.arange(256)[:, None], 3, axis=1)
    tone = np.sqrt(((composite(fitted.profile, greys) - composite(truth, greys)) ** 2).mean())
    shared = f"sharpen_rate {fitted.profile.sharpen_rate}, luma_denoise_8bit {fitted.profile.luma_denoise_8bit}"
    print(f"\n{fitted.base.name}, {len(shots)} photos: {shared}, tone {tone:.2%}", end="")
    assert tone <= MAX_TONE_RMS
    colours = np.random.default_rng(7).integers(0, 256, (300, 3))
    errors = deltaE_ciede2000(lab(0.75 * composite(fitted.profile, colours)), lab(0.75 * composite(truth, colours)))
    print(f", colour {errors.mean():.2f} ({errors.max():.1f})")
    assert errors.mean() <= MAX_MEAN_DELTA_E
    assert colour_errors(fitted)[1] <= MAX_MEAN_DELTA_E
    # two copies of a patch in different light agree once the light is taken out
    assert np.sqrt(((fitted.colour.seen - fitted.colour.fitted) ** 2).mean()) <= 0.004
    for fit, shot in zip(fitted.photos, shots, strict=True):
        scene = Scene(fit.measured.px_per_mm, 0.75, shot.jpeg_quality)
        lit = replace(truth, illuminant_k=(shot.illuminant_k,) * 2)
        true = photographed(lit, shot.blur_px, shot.iso, scene, seed=5)
        mine = photographed(fitted.profile, fit.match.blur_px, fit.match.iso, scene, seed=6)
        even = [
            middle_noise(photographed(replace(p, halftone="none", paper_grain_rate=0.0), blur_px, iso, scene))
            for p, blur_px, iso in (
                (lit, shot.blur_px, shot.iso),
                (fitted.profile, fit.match.blur_px, fit.match.iso),
            )
        ]
        # the twin has no motion: where the hand moved, the photo itself is the truth
        wanted = fit.wanted.mtf50 if shot.motion_px else mean_mtf50(true.edges)
        noise = [middle_noise(mine) / middle_noise(true) - 1, even[1] / even[0] - 1]
        print(f"MTF50 {mean_mtf50(mine.edges) / wanted - 1:+.1%}, noise {noise[0]:+.1%} ({noise[1]:+.1%} even), ", end="")
        print(f"blur {fit.match.blur_px:.3f} ({shot.blur_px:.3f}), ISO {fit.match.iso:.0f} ({shot.iso:.0f})")
        assert even[1] == pytest.approx(even[0], rel=MAX_NOISE_RATE)
        assert mean_mtf50(mine.edges) == pytest.approx(wanted, rel=MAX_MTF50_RATE)
        assert middle_noise(mine) == pytest.approx(middle_noise(true), rel=MAX_NOISE_RATE)
        assert fit.lens.k1 == pytest.approx(shot.lens_k1, abs=3e-4)
        assert fit.lens.p1 == pytest.approx(shot.lens_p1, abs=1e-4) and fit.lens.p2 == pytest.approx(shot.lens_p2, abs=1e-4)
        assert fit.light.vignette_rate == pytest.approx(shot.vignette_rate, abs=0.05)
        assert fit.light.light_fall_rate == pytest.approx(shot.light_fall_rate, abs=0.08)


def round_trip(name: str, n_photos: int, folder: Path) -> tuple[Calibration, Profile, list[Shot]]:
    truth, base = TRUTHS[name]
    taken = [photo_file(folder, truth, 11 + index) for index in range(n_photos)]
    fitted = fit_profile([read_chart_photo(path) for path, _ in taken], load_profile(base))
    return fitted, truth, [shot for _, shot in taken]


def test_one_small_photo_recovers_the_profile_that_it_came_from(written, small_photo):
    assert_recovered(written[0], SMALL_TRUTH, [small_photo[1]])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["office-like", "nexus"])
def test_one_photo_recovers_the_profile_that_it_came_from(name, tmp_path):
    fitted, truth, shots = round_trip(name, 1, tmp_path)
    assert_recovered(fitted, truth, shots)
    if not shots[0].motion_px:
        assert fitted.photos[0].match.blur_px == pytest.approx(shots[0].blur_px, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTHS)
def test_three_photos_recover_the_profile_that_they_came_from(name, tmp_path):
    fitted, truth, shots = round_trip(name, 3, tmp_path)
    assert_recovered(fitted, truth, shots)
    # three tints of the light tell a printer that fades from a camera that does
    assert fitted.profile.print_saturation_rate == pytest.approx(truth.print_saturation_rate, abs=0.05)
    # a sharp lens shows sharpening; under a soft one, or a moved one, it passes for some of the blur
    sharpen_within = 0.15 if name == "office from nexus" else 0.35
    assert fitted.profile.sharpen_rate == pytest.approx(truth.sharpen_rate, abs=sharpen_within)
    # under lamps, where the base has daylight, the white balance's gains are others and ISO is taken for what they do
    rate = 1.45 if name == "nexus" else 1.2
    low, high = fitted.profile.iso
    assert min(shot.iso for shot in shots) / rate <= low <= min(shot.iso for shot in shots) * rate
    assert max(shot.iso for shot in shots) / rate <= high <= max(shot.iso for shot in shots) * rate


@pytest.mark.slow
def test_in_the_bases_own_light_the_sensitivity_comes_back(tmp_path):
    """The same printer and phone whose ISO comes out up to 1.45 times too high under lamps."""
    truth = replace(load_profile("nexus5x-ricoh600"), illuminant_k=(4770.0, 4770.0))
    taken = [photo_file(tmp_path, truth, seed) for seed in (11, 12, 13)]
    fitted = fit_profile([read_chart_photo(path) for path, _ in taken], load_profile("office-phone"))
    for fit, (_, shot) in zip(fitted.photos, taken, strict=True):
        assert fit.match.iso == pytest.approx(shot.iso, rel=0.12)


@pytest.mark.slow
def test_standard_errors_are_neither_far_too_small_nor_far_too_large(tmp_path):
    """Of blur and radial distortion over six photos: the root mean square of error over its own standard error."""
    truth, base = TRUTHS["office-like"]
    z_blur, z_k1 = [], []
    for seed in range(30, 36):
        path, shot = photo_file(tmp_path, truth, seed)
        fitted = fit_profile([read_chart_photo(path)], load_profile(base))
        errors = {p.key: p.sd for p in fitted.parameters}
        z_blur.append((fitted.photos[0].match.blur_px - shot.blur_px) / errors["blur_px"])
        z_k1.append((fitted.photos[0].lens.k1 - shot.lens_k1) / errors["lens_k1"])
    for z in (z_blur, z_k1):
        assert 0.2 < float(np.sqrt(np.mean(np.square(z)))) < 4


# --- files and commands -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(small_photo, tmp_path_factory) -> tuple[Calibration, Path]:
    """What one calibration of a small photo gives, and the profile that it wrote."""
    output = tmp_path_factory.mktemp("written") / "mine.toml"
    return calibrate_files([small_photo[0]], "office-phone-3mp", output), output


@pytest.mark.slow
def test_the_profile_on_disk_is_the_fitted_one_and_says_how_sure_it_is(written):
    fitted, output = written
    assert replace(load_profile(output), name=fitted.profile.name) == fitted.profile
    assert fitted.profile != fitted.base
    text = output.read_text(encoding="utf-8")
    assert 'base = "office-phone-3mp"' in text and "SIMULATED" in text
    for parameter in fitted.parameters:
        assert f"\n{parameter.key} = " in text and told(parameter, 1) in text
        assert parameter.sd is None or (parameter.sd > 0 and "+-" in told(parameter, 1))
    assert output.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_the_same_photos_give_the_same_bytes(small_photo, written, tmp_path):
    calibrate_files([small_photo[0]], "office-phone-3mp", tmp_path / "mine.toml")
    for file in ("mine.toml", "mine.pdf"):
        assert (tmp_path / file).read_bytes() == written[1].with_name(file).read_bytes()


@pytest.mark.slow
def test_a_profile_of_ones_own_can_be_the_base_from_another_folder(small_photo, tmp_path):
    path, _ = small_photo
    (tmp_path / "profiles").mkdir()
    base = tmp_path / "profiles" / "base.toml"
    base.write_text('base = "office-phone-3mp"\n[camera]\nsharpen_px = 1.3\n', encoding="utf-8")
    calibrate_files([path], str(base), tmp_path / "mine.toml")
    assert load_profile(tmp_path / "mine.toml").sharpen_px == 1.3


@pytest.mark.slow
def test_a_base_for_photos_of_another_size_is_told(small_photo):
    fitted = fit_profile([read_chart_photo(small_photo[0])], load_profile("office-phone"))
    assert any("choose a --base of this size" in note for note in fitted.notes)


def test_nothing_is_written_over_unless_asked(small_photo, tmp_path):
    path, _ = small_photo
    for name in ("mine.toml", "mine.pdf"):
        (tmp_path / name).write_text("precious", encoding="utf-8")
        with pytest.raises(BadInput, match="is there already"):
            calibrate_files([path], "office-phone-3mp", tmp_path / "mine.toml")
        assert (tmp_path / name).read_text(encoding="utf-8") == "precious"
        (tmp_path / name).unlink()


def test_what_is_no_photo_of_the_page_says_what_to_do(tmp_path):
    Image.new("RGB", (400, 300), "grey").save(tmp_path / "grey.png")
    with pytest.raises(BadInput, match="calibrate --page"):
        read_chart_photo(tmp_path / "grey.png")


def test_an_overexposed_photo_says_what_to_do(tmp_path):
    page = render_page(build_chart_pdf(calibration_chart()), 0, 150)
    Image.fromarray(page).save(tmp_path / "white.png")
    with pytest.raises(BadInput, match="overexposed"):
        fit_profile([read_chart_photo(tmp_path / "white.png")], load_profile("office-phone"))


def test_a_profile_file_refuses_what_is_no_parameter():
    with pytest.raises(ValueError, match="sharpness"):
        profile_text("A printer.", "office-phone", {"sharpness": 1.0}, {})


@pytest.mark.slow
def test_the_command_tells_what_it_fitted(small_photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["calibrate", str(small_photo[0]), "--base", "office-phone-3mp", "--output", "mine.toml"]
    assert main([*arguments, "--dry-run"]) == 0 and not Path("mine.toml").exists()
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    told_json = json.loads(capsys.readouterr().out)
    assert {"print_curve_green", "colour_matrix", "blur_px", "iso", "lens_k1", "light_fall_rate", "vignette_rate"} <= {
        parameter["key"] for parameter in told_json["parameters"]
    }
    assert "photograph.profile=mine.toml" in told_json["next"] and Path(told_json["report"]).is_file()
    assert main(arguments) == 3


def test_a_person_is_told_every_parameter_with_its_error(written):
    fitted, _ = written
    lines = parameters_text(fitted).splitlines()
    assert [line.split()[0] for line in lines[: len(fitted.parameters)]] == [p.key for p in fitted.parameters]
    assert all(("±" in line) == (p.sd is not None) for line, p in zip(lines, fitted.parameters, strict=False))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "no photo"),
        (("a.jpg", "--output", "mine.txt"), 2, "ends in .toml"),
        (("a.jpg", "--page", "b.pdf"), 2, "leave out one"),
        (("--page", "b.pdf", "--paper", "A5"), 2, "argument --paper: invalid choice: 'a5'"),
        (("--page", "b.pdf", "--orientation", "askew"), 2, "orientation"),
        (("a.jpg", "--base", "ofice-phone"), 2, "office-phone"),
        (("missing.jpg",), 3, "missing.jpg"),
    ],
)
def test_wrong_use_of_the_command(arguments, code, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", *arguments]) == code
    assert words in capsys.readouterr().err.lower()


def test_the_page_alone_is_written_for_people_without_a_run(tmp_path):
    page = tmp_path / "page.pdf"
    assert main(["calibrate", "--page", str(page), "--paper", "Letter"]) == 0
    assert page.read_bytes() == build_chart_pdf(calibration_chart("Letter"))


# --- in a run ---------------------------------------------------------------------------------------------------------

RUN = """
name = "run"
seed = 5
[dataset]
n_images = 4
[selection]
n_images = 1
cases = ["average"]
[[attacks]]
name = "fgsm"
epsilons_8bit = [16]
[photograph]
profile = "office-phone-3mp"
"""


@pytest.mark.slow
def test_a_run_prints_photographs_and_lists_its_calibration_page(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(RUN, encoding="utf-8")
    run = Run(tmp_path, "run")
    for stage in ("select", "generate", "layout"):
        run_stage(stage, load_experiment(file), run, Context(), False)
    plain, page = read_json(run.printouts / "layout.json"), render_page(run.printouts / "printout.pdf", 1, 100)
    experiment = load_experiment(file, ("layout.calibration=true",))
    for stage in ("layout", "photograph", "crop"):
        run_stage(stage, experiment, run, Context(), False)
    assert read_json(run.printouts / "layout.json") | {"pdf_sha256": ""} == plain | {"pdf_sha256": ""}
    assert (render_page(run.printouts / "printout.pdf", 1, 100) == page).all()
    assert (
        render_page(run.printouts / "printout.pdf", plain["n_pages"] + 1, 100)
        == render_page(build_chart_pdf(calibration_chart()), 0, 100)
    ).all()
    discards = read_table(run.captures / "discards.parquet", Discard)
    assert [(row.photo, row.reason) for row in discards] == [("simulated-calibration.jpg", "calibration")]
    assert read_chart_photo(run.photos / "simulated-calibration.jpg").is_simulated
    # and without it again the photo goes
    for stage in ("layout", "photograph"):
        run_stage(stage, load_experiment(file), run, Context(), False)
    assert not (run.photos / "simulated-calibration.jpg").exists() and (run.photos / "simulated-page-001.jpg").exists()


def test_a_screen_has_no_calibration_page(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(RUN, encoding="utf-8")
    experiment = load_experiment(file, ("layout.calibration=true", 'layout.medium="screen"'))
    for stage in ("select", "generate"):
        run_stage(stage, experiment, Run(tmp_path, "run"), Context(), False)
    with pytest.raises(WrongUse, match="screen has no calibration page"):
        run_stage("layout", experiment, Run(tmp_path, "run"), Context(), False)


def test_jpeg_bytes_of_a_chart_photo_are_read_as_written(small_photo):
    with Image.open(io.BytesIO(small_photo[0].read_bytes())) as image:
        assert np.array_equal(read_chart_photo(small_photo[0]).pixels, np.asarray(image.convert("RGB")))
