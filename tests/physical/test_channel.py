"""The channel against the simulator that it stands for, effect by effect, and its gradient against finite differences.

Tolerances are root mean squares in 8-bit levels over a crop with hard edges, saturated patches and detail down to single pixels,
whose standard deviation is 45 levels. Without any effect 0.9 are left: the simulator draws a page from averaged printer dots.
"""

import io
import math
import subprocess
import sys
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from pipeline.physical.geometry import resample
from pipeline.physical.simulator import draw_shot, encode_jpeg, load_profile, simulate_photo
from pipeline.physical.simulator.channel import Channel
from pipeline.physical.simulator.torch_jpeg import jpeg

HEIGHT, WIDTH, DOTS_PER_PX, DPI = 96, 112, 6, 600
DOT_MM = 25.4 / DPI
IMAGE_MM = WIDTH * DOTS_PER_PX * DOT_MM
PAGE_DOTS, CORNER_DOTS = (1400, 1500), (300, 420)
PAGE_MM = (PAGE_DOTS[0] * DOT_MM, PAGE_DOTS[1] * DOT_MM)
CORNER_MM = (CORNER_DOTS[0] * DOT_MM, CORNER_DOTS[1] * DOT_MM)
NOTHING = (0.0, 0.0)
PLAIN = replace(
    load_profile("office-phone"),
    printer_dpi=DPI,
    halftone="none",
    dot_gain_rate=NOTHING,
    primaries_lab=(),
    gloss_reflectance=0.0,
    paper_reflectance=0.8,
    ink_reflectance=0.05,
    print_saturation_rate=1.0,
    ink_spread_um=20.0,
    banding_rate=0.0,
    paper_grain_rate=0.0,
    edge_shadow_rate=0.0,
    illuminant_k=(6504.0, 6504.0),
    quarter_turn_rate=0.0,
    page_fill_rate=(0.93, 0.93),
    frame_long_px=1008,
    frame_short_px=944,
    blur_px=(0.8, 0.8),
    f_number=0.0,
    exposure=(1.0, 1.0),
    bayer=False,
    iso=NOTHING,
    saturation=1.0,
    tone_contrast_rate=0.0,
    chroma_denoise_px=0.0,
    luma_denoise_8bit=0.0,
    sharpen_rate=0.0,
    jpeg_quality=(95.0, 95.0),
    **dict.fromkeys(
        (
            *("misregistration_um", "curl_mm", "light_fall_rate", "cast_shadow_rate", "glare_rate", "n_occluders"),
            *("red_error_rate", "blue_error_rate", "tilt_deg", "roll_deg", "defocus_px", "motion_px", "lens_k1", "lens_k2"),
            *("lens_p1", "lens_p2", "chromatic_px", "vignette_rate"),
        ),
        NOTHING,
    ),
)
# what is turned on, how far that is from the simulator at most, and how much it changes at least
EFFECTS = {
    "nothing": ({}, 1.0, 0),
    "dot gain": ({"dot_gain_rate": (0.15, 0.15), "yule_nielsen_n": 1.7}, 1.1, 5),
    "as much of it as there can be": ({"dot_gain_rate": (0.4, 0.4), "banding_rate": 0.1, "banding_mm": 3.0}, 1.3, 5),
    "gamut": ({"print_saturation_rate": 0.7}, 1.0, 5),
    "print curves": (
        {
            "print_curve_red": (0.05, 0.1, 0.3, 0.5, 0.8),
            "print_curve_green": (0.06, 0.12, 0.25, 0.55, 0.8),
            "print_curve_blue": (0.04, 0.1, 0.2, 0.5, 0.8),
        },
        1.1,
        5,
    ),
    "banding": ({"banding_rate": 0.1, "banding_mm": 3.0}, 1.1, 3),
    "primaries": ({"primaries_lab": load_profile("office-phone").primaries_lab}, 1.2, 3),
    "gloss": ({"gloss_reflectance": 0.3, "tilt_deg": (25.0, 25.0)}, 1.6, 5),
    "ICC profile": ({"icc_profile": "small gamut"}, 1.3, 5),
    "ink spread": ({"ink_spread_um": 90.0}, 1.0, 3),
    "misregistration": ({"misregistration_um": (150.0, 150.0)}, 1.1, 5),
    "lens blur": ({"blur_px": (1.6, 1.6)}, 0.9, 3),
    "diffraction": ({"f_number": 8.0, "pixel_um": 1.0}, 0.9, 3),
    "defocus": ({"defocus_px": (4.0, 4.0)}, 1.0, 2),
    "motion": ({"motion_px": (5.0, 5.0)}, 1.0, 2),
    "chromatic aberration": ({"chromatic_px": (4.0, 4.0)}, 1.1, 3),
    "vignette": ({"vignette_rate": (0.4, 0.4)}, 1.0, 1),
    "fall of light": ({"light_fall_rate": (0.5, 0.5), "cast_shadow_rate": (0.4, 0.4)}, 1.0, 5),
    "glare": ({"glare_rate": (0.2, 0.2)}, 1.0, 5),
    "exposure and white balance": (
        {"exposure": (0.7, 0.7), "red_error_rate": (-0.1, 0.0), "blue_error_rate": (0.1, 0.1)},
        1.0,
        5,
    ),
    "clipped highlights": ({"exposure": (1.4, 1.4)}, 1.1, 5),
    "colour filter": ({"bayer": True}, 1.0, 1),
    "colour matrix": ({"colour_matrix": (1.5, -0.4, -0.1, -0.2, 1.4, -0.2, 0.0, -0.5, 1.5)}, 1.3, 5),
    "saturation": ({"saturation": 1.3}, 1.1, 3),
    "tone contrast": ({"tone_contrast_rate": 0.5}, 1.2, 5),
    "chroma smoothing": ({"chroma_denoise_px": 2.0}, 1.0, 1),
    "coring": ({"luma_denoise_8bit": 15.0}, 1.0, 0.5),
    "sharpening": ({"sharpen_rate": 0.8}, 1.2, 2),
    "JPEG 75": ({"jpeg_quality": (75.0, 75.0)}, 1.4, 1.5),
    "JPEG 50": ({"jpeg_quality": (50.0, 50.0)}, 1.7, 2),
    "clustered dots": ({"halftone": "am"}, 2.4, 5),
    "diffused errors": ({"halftone": "error-diffusion"}, 2.6, 5),
}
PHONE = {
    "dot_gain_rate": (0.13, 0.13),
    "print_saturation_rate": 0.85,
    "primaries_lab": load_profile("office-phone").primaries_lab,
    "gloss_reflectance": 0.03,
    "banding_rate": 0.03,
    "banding_mm": 3.0,
    "ink_spread_um": 35.0,
    "misregistration_um": (50.0, 50.0),
    "f_number": 1.8,
    "chromatic_px": (1.0, 1.0),
    "vignette_rate": (0.1, 0.1),
    "light_fall_rate": (0.2, 0.2),
    "glare_rate": (0.05, 0.05),
    "exposure": (0.9, 0.9),
    "red_error_rate": (-0.05, 0.05),
    "blue_error_rate": (-0.05, 0.05),
    "bayer": True,
    "saturation": 1.1,
    "tone_contrast_rate": 0.15,
    "chroma_denoise_px": 1.2,
    "luma_denoise_8bit": 2.0,
    "sharpen_rate": 0.45,
    "defocus_px": (2.0, 2.0),
    "motion_px": (2.0, 2.0),
    "jpeg_quality": (90.0, 90.0),
}
POSES = {
    "tilt": {"tilt_deg": (10.0, 10.0)},
    "roll": {"roll_deg": (5.0, 5.0)},
    "quarter turn": {"roll_deg": (90.0, 90.0)},
    "upside down": {"roll_deg": (180.0, 180.0)},
    "curl": {"curl_mm": (1.0, 1.0)},
    "distortion": {"lens_k1": (0.01, 0.01), "lens_p1": (0.001, 0.001)},
    "all": {"tilt_deg": (10.0, 10.0), "roll_deg": (94.0, 94.0), "curl_mm": (1.0, 1.0), "lens_k1": (0.01, 0.01)},
}


@cache
def picture(seed=0):
    rng = np.random.default_rng(seed)
    noise = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cells, size in (((4, 5), 60), ((12, 14), 35), ((48, 56), 22), ((96, 112), 10)):
        grain = rng.standard_normal((*cells, 3)).astype(np.float32)
        noise += size * cv2.resize(grain, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    image = 0.6 * noise.mean(axis=2, keepdims=True) + 0.6 * noise + 128
    image[10:30, 10:30] = (230, 30, 30)
    image[0:8, 90:] = (20, 200, 60)
    image[40:60, 60:80], image[64:80, 20:50] = 255, 0
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def small_gamut(tmp_path_factory):
    """An ICC profile whose primaries lie halfway between sRGB's and white."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {}
    for place in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12):
        tags[bytes(data[place : place + 4])] = int.from_bytes(data[place + 4 : place + 8], "big") + 8
    columns = np.array([np.frombuffer(data[tags[t] : tags[t] + 12], ">i4") for t in (b"rXYZ", b"gXYZ", b"bXYZ")], np.int64)
    shrunk = columns // 2 + columns.sum(axis=0) // 6
    for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), shrunk, strict=True):
        data[tags[tag] : tags[tag] + 12] = column.astype(">i4").tobytes()
    path = tmp_path_factory.mktemp("icc") / "small.icc"
    path.write_bytes(bytes(data))
    return str(path)


def simulated(profile, image, seed=0):
    """The crop that the simulator leads to, float (H, W, 3), and its shot."""
    page = np.full((PAGE_DOTS[1], PAGE_DOTS[0], 3), 255, np.uint8)
    dots = np.repeat(np.repeat(image, DOTS_PER_PX, axis=0), DOTS_PER_PX, axis=1)
    page[CORNER_DOTS[1] :, CORNER_DOTS[0] :][: dots.shape[0], : dots.shape[1]] = dots
    photo = simulate_photo(page, *PAGE_MM, profile, np.random.default_rng(seed))
    decoded = np.asarray(Image.open(io.BytesIO(encode_jpeg(photo))).convert("RGB"))
    mm_per_px = DOTS_PER_PX * DOT_MM
    crop = resample(decoded, lambda px: photo.page_map(np.array(CORNER_MM) + (px + 0.5) * mm_per_px), image.shape[1::-1])
    return crop.astype(float), photo.shot


def tensor(image, dtype=torch.float32):
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(dtype) / 255


def crop_of(profile, image, shot, generator=None, **options):
    channel = Channel(profile, image.shape[:2], IMAGE_MM, PAGE_MM, **{"most_photo_px": None, "halftone": True} | options)
    with torch.no_grad():
        out = channel(tensor(image), channel.drawn_at(shot, CORNER_MM), generator)
    return 255 * out[0].permute(1, 2, 0).double().numpy()


def apart(one, other):
    return math.sqrt(((one - other) ** 2).mean())


def with_file(settings, small_gamut):
    return settings | {"icc_profile": small_gamut} if "icc_profile" in settings else settings


@pytest.mark.slow
def test_each_effect_is_the_simulators(small_gamut, subtests):
    for effect in EFFECTS:
        with subtests.test(effect=effect):
            settings, tolerance, least_change = EFFECTS[effect]
            profile = replace(PLAIN, **with_file(settings, small_gamut))
            wanted, shot = simulated(profile, picture())
            crop = crop_of(profile, picture(), shot)
            assert apart(crop, wanted) < tolerance
            assert abs((crop - wanted).mean()) < 0.3
            assert apart(crop, crop_of(PLAIN, picture(), draw_shot(PLAIN, np.random.default_rng(0)))) >= least_change


@pytest.mark.parametrize("halftone, tolerance", [("none", 1.1), ("am", 1.8), ("error-diffusion", 1.8)])
def test_all_effects_together_are_the_simulators(halftone, tolerance):
    profile = replace(PLAIN, **PHONE, halftone=halftone)
    wanted, shot = simulated(profile, picture())
    assert apart(crop_of(profile, picture(), shot), wanted) < tolerance


@pytest.mark.parametrize("pose", POSES)
def test_a_photo_that_is_not_taken_upright_and_frontal_is_met_more_loosely(pose):
    profile = replace(PLAIN, **PHONE, **POSES[pose])
    for seed in (0, 1):
        wanted, shot = simulated(profile, picture(), seed)
        assert apart(crop_of(profile, picture(), shot), wanted) < 1.6


@pytest.mark.parametrize("roll_deg", [90.0, 180.0, 45.0])
def test_what_has_a_direction_turns_with_the_photo(roll_deg):
    directed = {"motion_px": (8.0, 8.0), "chromatic_px": (4.0, 4.0), "misregistration_um": (100.0, 100.0)}
    profile = replace(PLAIN, **directed, roll_deg=(roll_deg, roll_deg))
    for seed in (0, 1):
        wanted, shot = simulated(profile, picture(), seed)
        assert apart(crop_of(profile, picture(), shot), wanted) < 1.5


def test_the_mean_tone_stands_for_the_dots_unless_they_are_asked_for():
    profile = replace(PLAIN, halftone="am")
    wanted, shot = simulated(profile, picture())
    assert apart(crop_of(profile, picture(), shot), wanted) < 2.4
    without = crop_of(profile, picture(), shot, halftone=False)
    assert 4 < apart(without, wanted) < 7
    assert np.array_equal(without, crop_of(PLAIN, picture(), shot))


@pytest.mark.parametrize(
    "settings",
    [{"bayer": True}, pytest.param({"bayer": False}, marks=pytest.mark.slow), PHONE],
    ids=["filter", "three chips", "phone"],
)
def test_noise_has_the_simulators_size_and_grain(settings):
    profile = replace(PLAIN, **settings | {"iso": (1600.0, 1600.0), "motion_px": NOTHING, "defocus_px": NOTHING})
    grey = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    statistics = []
    for side in ("simulator", "channel"):
        crops = []
        for seed in range(4):
            crop, shot = simulated(profile, grey, seed)
            if side == "channel":
                crop = crop_of(profile, grey, shot, torch.Generator().manual_seed(seed))
            crops.append(crop[8:-8, 8:-8])
        noise = np.stack(crops) - cv2.GaussianBlur(np.mean(crops, axis=0), (0, 0), 15)
        noise = noise - noise.mean(axis=(1, 2), keepdims=True)
        variance = (noise**2).mean(axis=(0, 1, 2))
        beside = (noise[:, :, 1:] * noise[:, :, :-1]).mean(axis=(0, 1, 2)) / variance
        below = (noise[:, 1:] * noise[:, :-1]).mean(axis=(0, 1, 2)) / variance
        colours = (noise[..., 0] * noise[..., 1]).mean() / math.sqrt(variance[0] * variance[1])
        statistics.append((np.sqrt(variance), beside, below, colours))
    (sd, *correlations), (sd_here, *correlations_here) = statistics
    assert np.abs(sd_here / sd - 1).max() < 0.05
    for there, here in zip(correlations, correlations_here, strict=True):
        assert np.abs(there - here).max() < 0.06


def test_the_papers_grain_has_the_simulators_size():
    profile = replace(PLAIN, paper_grain_rate=0.04)
    grey = np.full((HEIGHT, WIDTH, 3), 160, np.uint8)
    sd = []
    for seed in range(3):
        there, shot = simulated(profile, grey, seed)
        here = crop_of(profile, grey, shot, torch.Generator().manual_seed(seed))
        sd.append([crop[8:-8, 8:-8].mean(axis=2).std() for crop in (there, here)])
    there, here = np.mean(sd, axis=0)
    assert there > 1
    assert abs(here / there - 1) < 0.1


def test_jpeg_is_pillows():
    image = cv2.resize(picture(), (336, 288), interpolation=cv2.INTER_CUBIC)
    for quality, tolerance in ((95, 1.0), (75, 1.0), (50, 1.1), (20, 1.3)):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        decoded = np.asarray(Image.open(file)).astype(float)
        ours = jpeg(tensor(image) * 255, [quality])[0].permute(1, 2, 0).numpy()
        assert apart(ours, decoded) < tolerance < apart(image, decoded) / 2


# --- what a coarser photo costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("most_photo_px, tolerance", [(3.0, 1.5), (2.0, 3.0)])
def test_a_coarser_photo_is_nearly_the_same(most_photo_px, tolerance):
    profile = replace(PLAIN, **PHONE)
    shot = draw_shot(profile, np.random.default_rng(0))
    fine, coarse = (crop_of(profile, picture(), shot, most_photo_px=most) for most in (None, most_photo_px))
    assert 0 < apart(fine, coarse) < tolerance


def test_a_coarser_photo_is_as_noisy():
    profile = replace(PLAIN, iso=(1600.0, 1600.0))
    grey = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    shot = draw_shot(profile, np.random.default_rng(0))
    noises = (crop_of(profile, grey, shot, torch.Generator().manual_seed(0), most_photo_px=most) for most in (None, 2.0))
    fine, coarse = (noise.std() for noise in noises)
    assert abs(coarse / fine - 1) < 0.1


# --- the gradient ------------------------------------------------------------------------------------------------------

TINY = (9, 12)
CORED = {"luma_denoise_8bit": 25.0, "sharpen_rate": 0.5}


def tiny(profile, n=1, **options):
    channel = Channel(profile, TINY, 12 * DOTS_PER_PX * DOT_MM, PAGE_MM, **options)
    rng = np.random.default_rng(5)
    images = torch.from_numpy(rng.integers(20, 235, (n, 3, *TINY)) + 0.37).double() / 255
    return channel, images, channel.draw(n, rng)


@pytest.mark.parametrize(
    "settings",
    [{}, {"bayer": True}, {"halftone": "am", "print_saturation_rate": 0.8}, PHONE, PHONE | {"exposure": (1.5, 1.5)}, CORED],
    ids=["plain", "filter", "inks", "phone", "clipped", "cored"],
)
@pytest.mark.parametrize("most_photo_px", [2.0, None])
def test_the_gradient_is_that_of_the_function_without_rounding(settings, most_photo_px):
    channel, images, draws = tiny(replace(PLAIN, **settings), rounded=False, most_photo_px=most_photo_px)
    images.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: channel(x, draws), images, eps=1e-6, atol=1e-5, rtol=1e-3, fast_mode=True)


def test_the_gradient_through_an_icc_profile(small_gamut):
    channel, images, draws = tiny(replace(PLAIN, icc_profile=small_gamut), rounded=False)
    images.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: channel(x, draws), images, eps=1e-6, atol=1e-5, rtol=1e-3, fast_mode=True)


def test_rounding_lets_the_gradient_through():
    profile = replace(PLAIN, **PHONE)
    channel = Channel(profile, (HEIGHT, WIDTH), IMAGE_MM, PAGE_MM)
    smooth = Channel(profile, (HEIGHT, WIDTH), IMAGE_MM, PAGE_MM, rounded=False)
    draws = channel.draw(1, np.random.default_rng(0))
    direction = torch.randn(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    gradients = []
    for one in (channel, smooth):
        image = tensor(picture()).requires_grad_()
        gradients.append(torch.autograd.grad((one(image, draws) * direction).sum(), image)[0].flatten())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.97


def test_where_the_photo_is_clipped_there_is_no_gradient():
    channel, images, draws = tiny(replace(PLAIN, exposure=(4.0, 4.0), ink_reflectance=0.3))
    images.requires_grad_()
    out = channel(images, draws)
    assert out.min() == 1
    assert not torch.autograd.grad(out.sum(), images)[0].any()


def test_only_images_have_gradients():
    channel, images, draws = tiny(replace(PLAIN, **PHONE), 2)
    assert not channel(images, draws, torch.Generator().manual_seed(0)).requires_grad


def test_images_are_left_as_they_are():
    channel, images, draws = tiny(replace(PLAIN, **PHONE), 2)
    before = images.clone()
    channel(images, draws, torch.Generator().manual_seed(0))
    assert torch.equal(images, before)


# --- batches, seeds and sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["office-phone", "harsh"])
def test_a_crop_does_not_depend_on_its_neighbours(name):
    """Nor on those whose matrices are made in the same calls."""
    profile = replace(load_profile(name), frame_long_px=1008, frame_short_px=756)
    channel = Channel(profile, (40, 56), 40.0)
    images = torch.rand(5, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    draws = channel.draw(5, np.random.default_rng(0))
    alone = torch.cat([channel(images[i : i + 1], draws[i : i + 1]) for i in range(5)])
    assert torch.equal(channel(images, draws), alone)
    whole = channel(images, draws, torch.Generator().manual_seed(3))
    others = torch.cat([images[:2], 1 - images[2:]])
    assert torch.equal(channel(others, draws, torch.Generator().manual_seed(3))[:2], whole[:2])
    assert torch.equal(channel(images[:2], draws[:2], torch.Generator().manual_seed(3)), whole[:2])


def test_one_image_meets_all_draws_as_copies_of_it_would():
    profile = replace(load_profile("office-phone"), frame_long_px=1008, frame_short_px=756)
    channel = Channel(profile, (40, 56), 40.0)
    image = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0)).requires_grad_()
    draws = channel.draw(5, np.random.default_rng(0))
    weights = torch.randn(5, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    seen = [channel(one, draws, torch.Generator().manual_seed(3)) for one in (image, image.expand(5, -1, -1, -1))]
    assert torch.equal(*seen)
    one, copies = (torch.autograd.grad((each * weights).sum(), image)[0] for each in seen)
    assert (one - copies).abs().max() < 1e-4 * copies.abs().max()


def test_images_that_go_together_are_the_same_as_one_by_one(monkeypatch):
    """On a GPU many images go together, with one band of columns for all."""
    profile = replace(load_profile("harsh"), frame_long_px=1008, frame_short_px=756)
    channel = Channel(profile, (40, 56), 40.0)
    images = torch.rand(5, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    draws = channel.draw(5, np.random.default_rng(0))
    one_by_one = channel(images, draws, torch.Generator().manual_seed(3))
    monkeypatch.setattr("pipeline.physical.simulator.channel._AT_ONCE_ON_CPU", 5)
    together = channel(images, draws, torch.Generator().manual_seed(3))
    assert (together - one_by_one).abs().mean() < 0.01 / 255
    assert ((together - one_by_one).abs() * 255 > 0.5).float().mean() < 0.005


def test_the_same_seed_makes_the_same_crops_and_another_seed_others():
    channel, images, draws = tiny(replace(PLAIN, **PHONE, iso=(400.0, 400.0)), 2)
    one, again, other = (channel(images, draws, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one, channel(images, draws))


def test_draws_follow_the_generator_and_fill_the_page():
    channel = Channel(load_profile("office-phone"), (30, 60), 100.0)
    one, again, other = (channel.draw(40, np.random.default_rng(seed)) for seed in (1, 1, 2))
    corners = np.array([place.corner_mm for place in one])
    assert np.array_equal(corners, [place.corner_mm for place in again])
    assert [place.shot for place in one] == [place.shot for place in again]
    assert [place.shot for place in one] != [place.shot for place in other]
    assert (corners >= 0).all() and (corners <= (110, 247)).all()
    assert (corners.min(axis=0) < (15, 30)).all() and (corners.max(axis=0) > (95, 215)).all()


@pytest.mark.parametrize("size", [(7, 31), (31, 7), (1, 1), (64, 64)])
def test_any_size_of_image_comes_back_in_its_size(size):
    profile = replace(load_profile("office-phone"), frame_long_px=1008, frame_short_px=756)
    channel = Channel(profile, size, 20.0)
    out = channel(torch.full((1, 3, *size), 0.5), channel.draw(1, np.random.default_rng(0)), torch.Generator().manual_seed(0))
    assert out.shape == (1, 3, *size)
    assert torch.equal((out * 255).round() / 255, out)


def test_bare_paper_stays_even():
    channel = Channel(PLAIN, (40, 56), 40.0)
    out = channel(torch.ones(1, 3, 40, 56), channel.draw(1, np.random.default_rng(0)))
    assert out.min() == out.max()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="fits"):
        Channel(PLAIN, (10, 10), 250.0)
    with pytest.raises(ValueError, match="above 0"):
        Channel(PLAIN, (10, 0))
    channel, images, draws = tiny(PLAIN, 3)
    with pytest.raises(ValueError, match="one a draw"):
        channel(images[:2], draws)


def test_the_simulator_alone_does_not_import_torch():
    code = "import sys, pipeline.physical.simulator; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_crops():
    channel = Channel(load_profile("office-phone"), (64, 64))
    images, draws = torch.rand(4, 3, 64, 64), channel.draw(4, np.random.default_rng(0))
    assert ((channel(images.cuda(), draws).cpu() - channel(images, draws)).abs() * 255).mean() < 0.1
