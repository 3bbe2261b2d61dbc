"""The camera against closed forms: what spreads a point of light, the mosaic, the light's colour, detail and noise."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.physical.simulator import draw_shot, load_profile
from pipeline.physical.simulator.camera import camera_matrix, demosaiced, developed, exposed, lens_sigma_px, seen_through_lens
from pipeline.physical.simulator.kernels import airy_sigma_px, disc_kernel, joined, motion_kernel
from pipeline.physical.simulator.profile import daylight_gains

IDEAL = load_profile("ideal")
BLACK, WHITE = 2048, 65535 - 2048


def shot_of(profile, **drawn):
    return replace(draw_shot(profile, np.random.default_rng(0)), **drawn)


def point(size=61, at=None):
    scene = np.zeros((size, size, 3), np.float32)
    scene[at or (size // 2, size // 2)] = 1
    return scene


def moments(image):
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    total = image.sum()
    mean = np.array([(image * x).sum(), (image * y).sum()]) / total
    return total, mean, np.array([(image * (x - mean[0]) ** 2).sum(), (image * (y - mean[1]) ** 2).sum()]) / total


# --- what spreads a point of light -----------------------------------------------------------------------


@pytest.mark.parametrize("length, angle_deg", [(3.0, 0.0), (5.0, 90.0), (4.0, 30.0), (0.7, 120.0)])
def test_motion_blur_is_an_even_line(length, angle_deg):
    kernel = motion_kernel(length, angle_deg).astype(float)
    reach = len(kernel) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert [(kernel * x).sum(), (kernel * y).sum()] == pytest.approx([0, 0], abs=1e-6)
    along = x * math.cos(math.radians(angle_deg)) + y * math.sin(math.radians(angle_deg))
    # a line of length L has variance L^2 / 12, and sharing light among neighbours adds at most a quarter in x and in y
    spread = (kernel * along**2).sum()
    assert length**2 / 12 <= spread + 1e-3 and spread <= length**2 / 12 + 0.25


@pytest.mark.parametrize("diameter", [0.0, 0.5, 1.0, 2.0, 5.0, 9.3])
def test_defocus_is_an_even_disc(diameter):
    kernel = disc_kernel(diameter).astype(float)
    total, mean, variance = moments(kernel)
    assert total == pytest.approx(1, abs=1e-6)
    assert mean == pytest.approx([len(kernel) // 2] * 2)
    # a disc of radius R has variance R^2 / 4 an axis; whole pixels cut its rim into steps
    if diameter > 2:
        assert variance == pytest.approx(np.full(2, diameter**2 / 16 + 1 / 12), rel=0.05)
    if diameter > 4:
        assert (kernel > 0.99 * kernel.max()).mean() > 0.3


def test_two_kernels_joined_do_what_they_do_in_turn():
    rng = np.random.default_rng(0)
    picture = rng.random((40, 40)).astype(np.float32)
    one, other = disc_kernel(4.0), motion_kernel(5.0, 30.0)
    in_turn = cv2.filter2D(cv2.filter2D(picture, -1, one), -1, other)
    at_once = cv2.filter2D(picture, -1, joined(one, other))
    assert np.abs(in_turn - at_once)[8:-8, 8:-8].max() < 1e-5


@pytest.mark.parametrize("f_number, pixel_um", [(2.0, 1.55), (4.0, 1.0)])
def test_diffraction_is_as_wide_as_the_airy_patterns_gaussian(f_number, pixel_um):
    """The Airy pattern's own intensity at its Gaussian's width: (2 J1(v) / v)^2 falls to exp(-1/2) within 8 %."""
    special = pytest.importorskip("scipy.special")
    sigma = airy_sigma_px(f_number, pixel_um)
    v = math.pi * sigma * pixel_um / (0.55 * f_number)
    assert (2 * special.j1(v) / v) ** 2 == pytest.approx(math.exp(-0.5), rel=0.08)
    profile = replace(IDEAL, f_number=f_number, pixel_um=pixel_um)
    assert lens_sigma_px(shot_of(profile, blur_px=1.2), profile) == pytest.approx(math.hypot(1.2, sigma))


def test_the_lens_spreads_a_point_by_all_its_parts():
    profile = replace(IDEAL, f_number=2.8, pixel_um=1.4)
    seen = seen_through_lens(
        point(), shot_of(profile, blur_px=1.0, defocus_px=4.0, motion_px=6.0, motion_direction_deg=0.0), profile
    )
    total, mean, variance = moments(seen[..., 1].astype(float))
    assert total == pytest.approx(1, abs=1e-3) and mean == pytest.approx([30, 30], abs=1e-3)
    still = lens_sigma_px(shot_of(profile, blur_px=1.0), profile) ** 2 + moments(disc_kernel(4.0).astype(float))[2][0]
    across = moments(motion_kernel(6.0, 0.0).astype(float))[2]
    assert variance == pytest.approx(still + across, rel=0.02)


@pytest.mark.parametrize("chromatic_px", [1.0, -2.0])
def test_red_moves_outwards_and_blue_inwards_by_what_the_shot_drew(chromatic_px):
    at = (40, 220)
    scene = cv2.GaussianBlur(point(241, at), (0, 0), 2.0)
    seen = seen_through_lens(scene.copy(), shot_of(IDEAL, chromatic_px=chromatic_px), IDEAL)
    red, green, blue = (moments(seen[..., c].astype(float))[1] for c in range(3))
    from_centre = np.array([at[1], at[0]]) - 120
    share = chromatic_px / (math.hypot(241, 241) / 2)
    assert green == pytest.approx([220, 40], abs=1e-3)
    assert red - green == pytest.approx(share * from_centre, abs=0.06)
    assert blue - green == pytest.approx(-share * from_centre, abs=0.06)


# --- the mosaic ------------------------------------------------------------------------------------------


def mosaic_of(picture):
    mosaic = picture[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = picture[0::2, 0::2, 0], picture[1::2, 1::2, 2]
    return mosaic


@pytest.mark.parametrize("shape", [(41, 60), (64, 33)])
def test_colours_of_a_ramp_come_through_the_mosaic_unchanged(shape):
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    grey = 0.2 + 0.004 * x + 0.006 * y
    picture = np.dstack([grey + 0.1, grey, grey - 0.1]).astype(np.float32)
    found = np.dstack(demosaiced(mosaic_of(picture)))
    assert np.abs(found - picture)[4:-4, 4:-4].max() < 1e-5
    assert np.abs(found - picture).max() < 0.03


def test_fine_detail_comes_through_the_mosaic_better_than_bilinear():
    y, x = np.mgrid[:96, :96].astype(np.float32)
    grey = (0.5 + 0.25 * np.sin(2 * np.pi * (0.21 * x + 0.13 * y))).astype(np.float32)
    picture = np.dstack([grey] * 3)
    found = np.dstack(demosaiced(mosaic_of(picture)))
    bilinear = cv2.cvtColor(np.uint16(mosaic_of(picture) * 60000), cv2.COLOR_BayerRGGB2RGB) / 60000
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(found - picture)[inner].mean() < 0.6 * np.abs(bilinear - picture)[inner].mean()


@pytest.mark.parametrize("colour", range(3))
def test_each_colour_of_a_flat_scene_is_read_where_it_stands(colour):
    picture = np.zeros((20, 22, 3), np.float32)
    picture[..., colour] = 0.5
    profile = replace(IDEAL, bayer=True)
    seen = exposed(picture, np.ones((20, 22), np.float32), shot_of(profile), profile, np.random.default_rng(0))
    assert ((seen.astype(float) - BLACK) / WHITE)[8:12, 8:12, colour] == pytest.approx(0.5, abs=0.35)
    total = ((seen.astype(float) - BLACK) / WHITE).mean(axis=(0, 1))
    assert total.argmax() == colour


# --- the light's colour ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kelvin, x, y", [(2856, 0.4476, 0.4074), (4000, 0.3805, 0.3768), (6504, 0.3135, 0.3237)])
def test_the_colour_of_a_black_body_is_the_one_in_the_tables(kelvin, x, y):
    """Chromaticities of the Planckian locus (CIE 1931)."""
    red, blue = daylight_gains(kelvin)
    red_65, blue_65 = daylight_gains(6504.0)
    assert (red_65, blue_65) == pytest.approx((1, 1))
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

    def linear(at_x, at_y):
        return np.linalg.inv(matrix) @ [at_x / at_y, 1, (1 - at_x - at_y) / at_y]

    here, there = linear(x, y), linear(0.3135, 0.3237)
    ratio = here / there
    assert (red, blue) == pytest.approx((ratio[0] / ratio[1], ratio[2] / ratio[1]), rel=0.02, abs=0.01)


def test_warm_light_leaves_colours_alone_and_makes_blue_noisier():
    scene, light = np.full((200, 200, 3), 0.4, np.float32), np.ones((200, 200), np.float32)

    def seen(kelvin):
        profile = replace(
            load_profile("office-phone"), bayer=False, illuminant_k=(kelvin, kelvin), iso=(400, 400), exposure=(1, 1)
        )
        shot = replace(shot_of(profile), red_light=1.0, blue_light=1.0)
        return exposed(scene, light, shot, profile, np.random.default_rng(0)).astype(float)

    warm, cold = seen(2800.0), seen(6504.0)
    assert warm.mean(axis=(0, 1)) == pytest.approx(cold.mean(axis=(0, 1)), rel=2e-3)
    assert warm[..., 2].std() > 1.3 * cold[..., 2].std() and warm[..., 0].std() < 0.9 * cold[..., 0].std()


# --- development -----------------------------------------------------------------------------------------


def linear16(value_8bit):
    v = np.asarray(value_8bit, float) / 255
    return np.rint(BLACK + WHITE * np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)).astype(np.uint16)


def test_without_processing_the_photo_is_srgb():
    values = np.arange(256).repeat(3).reshape(16, 16, 3)
    assert (developed(linear16(values), IDEAL) == values).all()


def test_a_colour_matrix_acts_on_light_above_the_black_level():
    matrix = np.array([[1.4, -0.3, -0.1], [-0.2, 1.3, -0.1], [0.0, -0.2, 1.1]])
    colour = np.array([0.3, 0.4, 0.2])
    picture = np.rint(BLACK + WHITE * np.tile(colour, (4, 4, 1))).astype(np.uint16)
    profile = replace(IDEAL, colour_matrix=tuple(matrix.ravel()))
    expected = matrix @ colour
    seen = developed(picture, profile)[0, 0] / 255
    assert np.where(seen <= 0.04045, seen / 12.92, ((seen + 0.055) / 1.055) ** 2.4) == pytest.approx(expected, abs=0.004)
    assert camera_matrix(IDEAL) == pytest.approx(np.eye(3))


@pytest.mark.parametrize("detail, kept", [(2.0, 0.2), (4.0, 0.5), (12.0, 0.9)])
def test_coring_takes_small_detail_for_noise(detail, kept):
    """Detail d becomes d^3 / (d^2 + t^2): a fifth at half the threshold, half at the threshold, nine tenths at thrice."""
    stripes = np.where(np.arange(64)[:, None] % 2, 128 + detail, 128 - detail) * np.ones((64, 64))
    picture = linear16(stripes)[..., None].repeat(3, axis=2)
    seen = developed(picture, replace(IDEAL, luma_denoise_8bit=4.0, sharpen_px=2.0)).astype(float)
    assert np.ptp(seen[30:34, 32, 1]) / 2 == pytest.approx(kept * detail, abs=0.75)
    assert developed(picture, IDEAL).astype(float)[30:34, 32, 1] == pytest.approx(stripes[30:34, 32])


def test_denoising_quiets_a_flat_patch_and_leaves_an_edge_sharp():
    rng = np.random.default_rng(0)
    patch = np.full((128, 128), 110.0)
    patch[:, 64:] = 190
    noisy = linear16(np.clip(patch + rng.normal(0, 3, patch.shape), 0, 255))[..., None].repeat(3, axis=2)
    plain, quiet = (developed(noisy, replace(IDEAL, luma_denoise_8bit=t)).astype(float)[..., 1] for t in (0.0, 6.0))
    assert quiet[:, :48].std() < 0.6 * plain[:, :48].std()
    assert (quiet[:, 64] - quiet[:, 63]).mean() > 0.95 * (plain[:, 64] - plain[:, 63]).mean()
