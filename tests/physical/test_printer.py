"""The printer against closed forms: tone, dots whose mean is the tone, spread, misregistration, banding, ICC profiles."""

import io
import math
import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import ImageCms

from pipeline.core.errors import BadInput
from pipeline.images.colour import linear_from_srgb
from pipeline.physical.simulator import draw_shot, load_profile, simulate_photo
from pipeline.physical.simulator.kernels import gaussian_kernel
from pipeline.physical.simulator.printer import (
    gamut,
    halftoned,
    icc_cube,
    icc_proof,
    print_table,
    printed_reflectance,
    row_tables,
    screen_tile,
)

IDEAL = load_profile("ideal")
OFFICE = replace(
    load_profile("office-phone"), paper_grain_rate=0.0, banding_rate=0.0, misregistration_um=(0, 0), ink_spread_um=0.0
)
GREY = 188
DPI = 600
DOT_MM = 25.4 / DPI


def printed(page, profile, shrink=1, dot_mm=DOT_MM, seed=0, **shot):
    drawn = replace(draw_shot(profile, np.random.default_rng(seed)), **shot)
    return printed_reflectance(page, page.shape[1] * dot_mm, profile, drawn, shrink, np.random.default_rng(seed))


def flat(value, size=(340, 340)):
    return np.full((*size, 3), value, np.uint8)


# --- tone ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("halftone", ["none", "am", "error-diffusion"])
def test_a_half_tint_darkens_by_the_murray_davies_figure(halftone, subtests):
    for gain, n in [(0.0, 1.0), (0.1, 1.0), (0.2, 1.0), (0.15, 1.7)]:
        with subtests.test(gain=gain, n=n):
            profile = replace(
                OFFICE, dot_gain_rate=gain, yule_nielsen_n=n, paper_reflectance=0.86, ink_reflectance=0.04, halftone=halftone
            )
            nominal = 1 - linear_from_srgb(np.array(GREY / 255))
            grown = nominal + 4 * gain * nominal * (1 - nominal)
            expected = (grown * 0.04 ** (1 / n) + (1 - grown) * 0.86 ** (1 / n)) ** n
            assert print_table(profile)[GREY] == pytest.approx(expected, rel=1e-5)
            assert printed(flat(GREY), profile).mean() == pytest.approx(expected, abs=0.006)
            if n == 1:
                effective = (0.86 - expected) / (0.86 - 0.04)
                assert effective - nominal == pytest.approx(gain, abs=0.005), "GREY is a 50 % tint"


def test_paper_and_ink_are_the_ends_of_the_tone_curve():
    table = print_table(OFFICE)
    assert (np.diff(table, axis=0) >= 0).all()
    assert table[[0, 255], 1] == pytest.approx([OFFICE.ink_reflectance, OFFICE.paper_reflectance])


def test_a_measured_curve_goes_through_its_points_and_never_turns_back():
    points = (0.04, 0.05, 0.3, 0.31, 0.8)
    profile = replace(OFFICE, print_curve_red=points)
    table = print_table(profile)
    at = np.linspace(0, 255, 5)
    assert np.interp(at, np.arange(256), table[:, 0]) == pytest.approx(points, abs=2e-3)
    assert (np.diff(table[:, 0]) >= 0).all()
    assert (table[:, 1:] == print_table(OFFICE)[:, 1:]).all()


def test_monotone_cubics_agree_with_scipy():
    interpolate = pytest.importorskip("scipy.interpolate")
    rng = np.random.default_rng(0)
    curve = np.sort(rng.uniform(0.03, 0.9, 17))
    steps = np.linspace(0, 255, 17)
    expected = interpolate.PchipInterpolator(steps, curve)(np.arange(256))
    table = print_table(replace(OFFICE, print_curve_green=tuple(curve)))[:, 1]
    inner = slice(16, 240)  # SciPy bends the first and the last piece more
    assert table[inner] == pytest.approx(expected[inner], abs=1e-6)


# --- dots ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("halftone", ["am", "error-diffusion"])
def test_dots_have_on_average_the_tone_asked_for(halftone, subtests):
    for colour in [(255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 60, 30), (20, 90, 180), (240, 235, 225)]:
        for black in [0.0, 0.5, 1.0]:
            with subtests.test(colour=colour, black=black):
                profile = replace(OFFICE, halftone=halftone, black_generation_rate=black)
                page = np.tile(np.uint8(colour), (520, 520, 1))
                expected = gamut(profile) @ print_table(profile)[colour, range(3)]
                # error diffusion follows the area; its separations are not quite independent of each other
                tolerance = 0.006 if halftone == "am" else 0.02
                assert printed(page, profile).mean(axis=(0, 1)) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("angle, lpi", [(15.0, 106.0), (75.0, 106.0), (0.0, 106.0), (45.0, 106.0), (45.0, 150.0), (15.0, 85.0)])
def test_a_screen_has_the_ruling_and_the_angle_asked_for(angle, lpi):
    tile = screen_tile(DPI, lpi, angle)
    dots = np.tile(tile < 128, (4, 4)).astype(float)
    spectrum = np.abs(np.fft.rfft2(dots - dots.mean()))
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    down, across = np.fft.fftfreq(len(dots))[row], np.fft.rfftfreq(len(dots))[column]
    assert math.hypot(down, across) * DPI == pytest.approx(lpi, rel=0.07)
    # a square screen looks the same after a quarter turn
    off = (math.degrees(math.atan2(down, across)) - angle + 45) % 90 - 45
    assert abs(off) < 4


@pytest.mark.parametrize("area", [1, 40, 128, 200, 254])
def test_a_screen_inks_just_the_area(area):
    for angle in (15.0, 0.0, 45.0):
        assert (screen_tile(DPI, 106.0, angle) < area).mean() * 255 == pytest.approx(area, abs=0.1)


def test_dots_of_a_screen_are_clustered_and_diffused_dots_are_not():
    def neighbours(halftone):
        dots = halftoned(flat(70), replace(OFFICE, halftone=halftone, black_generation_rate=0.0))[..., 1] > 0
        return (dots[:, 1:] & dots[:, :-1]).sum() / dots.sum()

    assert neighbours("am") > 0.6 > 0.3 > neighbours("error-diffusion")


def test_black_ink_takes_the_grey_and_leaves_the_colours_their_rest():
    area = np.tile(np.uint8([200, 150, 100]), (400, 400, 1))
    inked = halftoned(area, replace(OFFICE, black_generation_rate=1.0)) > 0
    assert inked.mean(axis=(0, 1)) * 255 == pytest.approx([200, 150, 100], abs=2)
    # where there is black, all three are covered: yellow's whole area is black's
    assert inked.all(axis=2).sum() == inked[..., 2].sum()


def test_a_part_of_the_page_is_screened_as_the_whole():
    area = np.random.default_rng(0).integers(0, 256, (300, 280, 3), dtype=np.uint8)
    whole = halftoned(area, OFFICE)
    assert (halftoned(area[70:200, 33:], OFFICE, 70, 33) == whole[70:200, 33:]).all()


# --- spread, misregistration, banding, grain --------------------------------------------------------------------------------


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize("spread_um", [35, 60])
def test_ink_spreads_as_a_gaussian_of_its_width_in_micrometres(shrink, spread_um):
    page = flat(255, (60, 1200))
    page[:, :600] = 0
    row = printed(page, replace(IDEAL, ink_spread_um=spread_um), shrink)[10, :, 1]
    distance_mm = (np.arange(len(row)) - (len(row) - 1) / 2) * DOT_MM * shrink
    slope = np.diff(row)
    middle = (distance_mm[1:] + distance_mm[:-1]) / 2
    variance = (slope * middle**2).sum() / slope.sum()
    # a step through the mean of `shrink` dots falls between two samples, so it is sharp before it spreads
    assert math.sqrt(variance) * 1000 == pytest.approx(spread_um, rel=0.02)


def test_a_kernel_has_the_mean_and_the_variance_asked_for(subtests):
    for sigma in [0.0, 0.3, 0.5, 0.69, 0.71, 1.0, 2.5]:
        for shift in [0.0, 0.25, -0.5, 1.7, -3.2]:
            with subtests.test(sigma=sigma, shift=shift):
                kernel = gaussian_kernel(sigma, shift).astype(float)
                at = np.arange(len(kernel)) - len(kernel) // 2
                assert kernel.sum() == pytest.approx(1, abs=1e-6)
                assert (kernel * at).sum() == pytest.approx(-shift, abs=3e-3)
                assert (kernel * at**2).sum() - shift**2 == pytest.approx(sigma**2, rel=0.02, abs=1e-6)


def test_cyan_and_yellow_are_printed_where_the_shot_says():
    page = flat(255, (400, 400))
    page[150:250, 150:250] = 0
    shifts = {"cyan_shift_mm": (0.06, -0.02), "yellow_shift_mm": (-0.03, 0.09)}
    dark = 1 - printed(page, replace(IDEAL, ink_spread_um=40), **shifts)
    y, x = np.mgrid[:400, :400] * DOT_MM
    centres = [((dark[..., c] * x).sum() / dark[..., c].sum(), (dark[..., c] * y).sum() / dark[..., c].sum()) for c in range(3)]
    assert np.subtract(centres[0], centres[1]) == pytest.approx(shifts["cyan_shift_mm"], abs=1e-4)
    assert np.subtract(centres[2], centres[1]) == pytest.approx(shifts["yellow_shift_mm"], abs=1e-4)
    # as a photo's brightness sees them, they lie where the page says
    bright = np.average(centres, axis=0, weights=(0.299, 0.587, 0.114))
    assert bright == pytest.approx([199.5 * DOT_MM] * 2, abs=1e-4)


@pytest.mark.parametrize("halftone", ["none", "am"])
def test_bands_follow_the_feed_with_their_period_and_leave_bare_paper_alone(halftone):
    profile = replace(OFFICE, banding_rate=0.03, banding_mm=3.0, halftone=halftone)
    rows = printed(flat(GREY, (709, 136)), profile, banding_phase=0.0)[..., 1].mean(axis=1)
    y_mm = (np.arange(len(rows)) + 0.5) * DOT_MM
    wave = np.exp(-2j * np.pi * y_mm / 3.0)
    amplitude = 2 * (rows * wave).mean()
    paper, ink, middle = profile.paper_reflectance, profile.ink_reflectance, print_table(profile)[GREY, 1]
    expected = 0.03 * 4 * (paper - middle) * (middle - ink) / (paper - ink)
    assert abs(amplitude) == pytest.approx(expected, rel=0.1)
    # more ink, less light, in the first half of the period
    assert amplitude.imag == pytest.approx(expected, rel=0.1)
    assert np.ptp(printed(flat(255, (709, 136)), profile)) < 1e-6
    assert len(row_tables(replace(profile, banding_rate=0.0), draw_shot(profile, np.random.default_rng(0)), y_mm)) == 1


@pytest.mark.parametrize("dot_mm, shrink", [(25.4 / 600, 2), (25.4 / 300, 1)])
@pytest.mark.parametrize("grain_mm", [0.17, 0.5])
def test_grain_has_its_spread_and_its_size_whatever_the_raster(dot_mm, shrink, grain_mm):
    size = round(50 / dot_mm)
    paper = printed(flat(255, (size, size)), replace(IDEAL, paper_grain_rate=0.01, paper_grain_mm=grain_mm), shrink, dot_mm)
    grain = paper[..., 1] - paper[..., 1].mean()
    assert grain.std() == pytest.approx(0.01, rel=0.05)

    def alike(fibres):
        lag = round(fibres * grain_mm / (dot_mm * shrink))
        return (grain[:, lag:] * grain[:, :-lag]).mean() / grain.var()

    assert alike(0.5) > 0.4 and abs(alike(2)) < 0.1


def test_printing_band_by_band_leaves_no_seam():
    page = np.random.default_rng(0).integers(0, 256, (1101, 51, 3), dtype=np.uint8)
    profile = replace(OFFICE, halftone="none", ink_spread_um=100)
    whole = printed(page, profile, dot_mm=4.3 / 51)
    ends = [printed(part, profile, dot_mm=4.3 / 51) for part in (page[400:700], page[900:])]
    assert np.abs(whole[500:600] - ends[0][100:200]).max() < 1e-6
    assert np.abs(whole[1000:] - ends[1][100:]).max() < 1e-6
    assert printed(page, profile, 2).shape == (551, 26, 3)


def test_a_page_of_any_resolution_is_printed_in_the_printers_dots():
    """The same page at 150 and at 600 dpi: a pixel becomes four dots a side, and the photos are the same."""
    page = np.random.default_rng(0).integers(0, 256, (1754, 1240, 3), dtype=np.uint8)
    fine = cv2.resize(page, (4960, 7016), interpolation=cv2.INTER_NEAREST_EXACT)
    profile = replace(load_profile("office-phone"), frame_long_px=806, frame_short_px=604)
    one, other = (simulate_photo(p, 210.0, 296.99, profile, np.random.default_rng(2)).image.astype(int) for p in (page, fine))
    assert np.abs(one - other).mean() < 0.1


# --- ICC -------------------------------------------------------------------------------------------------------------------


def small_gamut(saturation):
    """An ICC profile (version 2, matrix and curves, gamma 2.2) whose primaries lie between sRGB's and grey."""
    srgb = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    white = srgb.sum(axis=1)
    primaries = saturation * srgb + (1 - saturation) * white[:, None] / 3

    def xyz(values):
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    text = b"inkproof test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(12 + 67),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(white),
        **{name + b"XYZ": xyz(primaries[:, i]) for i, name in enumerate((b"r", b"g", b"b"))},
        **{name + b"TRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) for name in (b"r", b"g", b"b")},
    }
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = offset + len(body)
    d50 = b"".join(struct.pack(">i", round(v * 65536)) for v in (0.9642, 1.0, 0.8249))
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + d50 + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


@pytest.fixture
def icc_file(tmp_path):
    path = tmp_path / "dull.icc"
    path.write_bytes(small_gamut(0.6))
    ImageCms.getOpenProfile(io.BytesIO(path.read_bytes()))
    return str(path)


def test_an_icc_profile_keeps_colours_that_can_be_printed_and_dulls_those_that_cannot(icc_file):
    colours = np.uint8([[[255, 255, 255], [128, 128, 128], [0, 0, 0], [150, 130, 120], [255, 0, 0], [0, 0, 255]]])
    proof = icc_proof(colours, icc_file).astype(int)
    assert np.abs(proof[0, :4] - colours[0, :4]).max() <= 2
    red, blue = linear_from_srgb(proof[0, 4:] / 255)
    # the small gamut's own red: 0.6 of sRGB's and 0.4 of a third of white
    assert red == pytest.approx([0.6 + 0.4 / 3, 0.4 / 3, 0.4 / 3], abs=0.02)
    assert blue == pytest.approx([0.4 / 3, 0.4 / 3, 0.6 + 0.4 / 3], abs=0.02)


def test_a_page_is_printed_through_its_icc_profile_and_torch_gets_the_same_table(icc_file):
    profile = replace(OFFICE, icc_profile=icc_file, halftone="none", dot_gain_rate=0.3, print_saturation_rate=0.1)
    colour = np.uint8([230, 40, 90])
    expected = profile.paper_reflectance * linear_from_srgb(icc_proof(colour[None, None], icc_file)[0, 0] / 255)
    assert printed(np.tile(colour, (40, 40, 1)), profile).mean(axis=(0, 1)) == pytest.approx(expected, abs=2e-3)
    cube = icc_cube(icc_file)
    lattice = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    assert cube[32, 0, 0] == pytest.approx(icc_proof(lattice, icc_file)[0, 0] / 255, abs=1e-6)
    assert cube[0, 0, 32] == pytest.approx(icc_proof(lattice, icc_file)[0, 2] / 255, abs=1e-6)


def test_a_file_that_is_no_icc_profile_is_refused(tmp_path):
    path = tmp_path / "no.icc"
    path.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="not an ICC profile"):
        icc_proof(flat(0), str(path))
    with pytest.raises(BadInput, match="not an ICC profile"):
        icc_proof(flat(0), str(tmp_path / "missing.icc"))
