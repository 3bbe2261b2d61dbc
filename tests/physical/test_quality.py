"""What is measured of a photo against closed forms: known blur, noise, light and angle, and each flag about its limit."""

import dataclasses

import numpy as np
import pytest
from scipy.special import ndtr

from pipeline.physical.fiducials.codes import encode_payload, modules, tag_modules
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration import quality as limits
from pipeline.physical.registration.colour import corrected, strip_correction
from pipeline.physical.registration.edge_spread import GAUSSIAN_MTF50, mtf50
from pipeline.physical.registration.quality import crop_qualities, flags_of, page_quality, see_patches, tilt_deg
from pipeline.physical.registration.shade_and_motion import MIN_MOTION, MIN_SHADE
from pipeline.records import CORNERS, CROP_FLAGS, CropQuality, Fiducial, Patch, Placement, Printout, Tag

MODULE_MM, CODE_MM, PAGE_MM = 0.5, 10.5, (60.0, 80.0)
PX_PER_MM = 16.0
PAYLOADS = {corner: encode_payload("K7QXM", 1, corner) for corner in CORNERS}
BOX = Placement(1, "p", "clean", "c", 20.0, 30.0, 16.0, 16.0, 64, 64)
GREYS = (0, 40, 90, 130, 170, 215, 255)


def crop_quality(photo, box, page) -> CropQuality:
    return crop_qualities(["v"], photo, FLAT, [box], page, [0.1], [None])[0]


def srgb(light: np.ndarray) -> np.ndarray:
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.clip(light, 0, None) ** (1 / 2.4) - 0.055)


def blurred_square(dark: np.ndarray, cell_px: float, turn: float, sigma_px: float, growth_px: float = 0.0):
    """A matrix of dark cells seen turned, with its exact Gaussian blur (grey uint8), and its map from cells to px."""
    n_cells, n_px = len(dark), int(len(dark) * cell_px * 1.5 + 8 * cell_px)
    y, x = np.mgrid[0:n_px, 0:n_px] - (n_px - 1) / 2 - 0.3
    cos, sin = np.cos(turn), np.sin(turn)
    u, v = ((along / cell_px + n_cells / 2).ravel() for along in (cos * x + sin * y, cos * y - sin * x))
    changes = np.diff(np.pad(dark.astype(int), ((0, 0), (1, 1))), axis=1)
    places = np.arange(n_cells + 1)
    below = ndtr((v[:, None] - places) * cell_px / sigma_px)
    starts, ends = (ndtr(((u[:, None] - places) * cell_px + sign * growth_px) / sigma_px) for sign in (1, -1))
    lines = starts @ (changes > 0).T.astype(float) - ends @ (changes < 0).T.astype(float)
    share = ((below[:, :-1] - below[:, 1:]) * lines).sum(axis=1)
    photo = np.rint(srgb(0.8 - 0.76 * share)).astype(np.uint8).reshape(n_px, n_px)
    shift = (n_px - 1) / 2 + 0.3
    rotation = cell_px * np.array([[cos, -sin], [sin, cos]])
    photo_from_cells = np.eye(3)
    photo_from_cells[:2, :2], photo_from_cells[:2, 2] = rotation, shift - rotation @ [n_cells / 2, n_cells / 2]
    return photo, PageMap(float(n_cells), float(n_cells), photo_from_cells)


def a_printout(**changes) -> Printout:
    fiducials = tuple(
        Fiducial(
            1,
            corner,
            PAYLOADS[corner],
            4.0 if corner.endswith("L") else PAGE_MM[0] - 4.0 - CODE_MM,
            4.0 if corner.startswith("T") else PAGE_MM[1] - 4.0 - CODE_MM,
            CODE_MM,
        )
        for corner in CORNERS
    )
    patches = tuple(Patch(1, grey, grey, grey, 6.0 + 6 * i, 52.0, 6.0, 6.0) for i, grey in enumerate(GREYS))
    everything = Printout(1, "r", "K7QXM", "A6", "portrait", *PAGE_MM, 600, MODULE_MM, 1, "", (BOX,), fiducials, patches=patches)
    return dataclasses.replace(everything, **changes)


def a_photo(white=(200.0, 200.0, 200.0), black=(40.0, 40.0, 40.0), noise: float = 0.0, fall: float = 0.0) -> np.ndarray:
    """What `a_printout` says from straight above, 16 px a millimetre, uint8 (H, W, 3); light falls by `fall` to the right."""
    width, height = (round(side * PX_PER_MM) for side in PAGE_MM)
    share = np.ones((height, width))
    for f in a_printout().fiducials:
        left, top, cell = round(f.x_mm * PX_PER_MM), round(f.y_mm * PX_PER_MM), round(MODULE_MM * PX_PER_MM)
        share[top : top + 21 * cell, left : left + 21 * cell] = np.kron(~modules(f.payload), np.ones((cell, cell)))
    for p in a_printout().patches:
        left, top, side = round(p.x_mm * PX_PER_MM), round(p.y_mm * PX_PER_MM), round(p.width_mm * PX_PER_MM)
        share[top : top + side, left : left + side] = p.green / 255
    photo = np.array(black) + share[..., None] * (np.array(white) - black)
    photo = photo * (1 - fall * np.arange(width) / width)[:, None]
    photo = photo + np.random.default_rng(0).normal(0, noise, (height, width, 1))
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8)


FLAT = PageMap(*PAGE_MM, np.array([[PX_PER_MM, 0, -0.5], [0, PX_PER_MM, -0.5], [0, 0, 1]]))


def seen(photo: np.ndarray, **changes) -> limits.PageQuality:
    return page_quality(photo[..., 1], photo, FLAT, a_printout(**changes), 1)


@pytest.mark.parametrize("kind", ["code at 6 px", "code at 10 px", "tag"])
def test_mtf50_of_a_gaussian_blur_is_its_closed_form(kind, subtests):
    for turn in [0.1, 2.0]:
        for sigma_px in [0.8, 1.2, 1.8, 2.5]:
            with subtests.test(turn=turn, sigma_px=sigma_px):
                if kind == "tag":
                    photo, page_map = blurred_square(tag_modules(5), 14.0, turn, sigma_px)
                    square = Tag(1, "TL", 5, 0.0, 0.0, 8.0)
                else:
                    photo, page_map = blurred_square(modules(PAYLOADS["TL"]), float(kind.split()[2]), turn, sigma_px)
                    square = Fiducial(1, "TL", PAYLOADS["TL"], 0.0, 0.0, 21.0)
                assert mtf50(photo, page_map, square) == pytest.approx(np.sqrt(np.log(2) / 2) / np.pi / sigma_px, rel=0.03)


def test_ink_that_spreads_and_a_map_that_is_off_do_not_count_as_blur():
    photo, page_map = blurred_square(modules(PAYLOADS["TL"]), 9.0, 0.1, 1.0, growth_px=0.8)
    off = dataclasses.replace(page_map, residual_px=np.array([[[0.5, -0.4]]]))
    square = Fiducial(1, "TL", PAYLOADS["TL"], 0.0, 0.0, 21.0)
    assert mtf50(photo, off, square) == pytest.approx(GAUSSIAN_MTF50 / 1.0, rel=0.05)


@pytest.mark.parametrize(
    "hide",
    [
        pytest.param(lambda photo, page_map: (np.full_like(photo, 200), page_map), id="blank"),
        pytest.param(lambda photo, page_map: (photo[:90], page_map), id="cut"),
        pytest.param(lambda photo, page_map: (photo[:, ::-1].copy(), page_map), id="something else"),
    ],
)
def test_a_code_that_is_not_seen_has_no_sharpness(hide):
    photo, page_map = blurred_square(modules(PAYLOADS["TL"]), 8.0, 0.6, 1.0)
    assert mtf50(*hide(photo, page_map), Fiducial(1, "TL", PAYLOADS["TL"], 0.0, 0.0, 21.0)) is None


def test_sharpness_of_a_crop_is_per_image_pixel():
    page = seen(a_photo())
    page = dataclasses.replace(page, mtf50_cycles_per_photo_px=np.full(len(page.edge_mm), 0.1))
    crop = crop_quality(a_photo(), BOX, page)
    assert crop.photo_px_per_image_px == pytest.approx(PX_PER_MM * BOX.width_mm / BOX.width_px)
    assert crop.mtf50_cycles_per_px == pytest.approx(0.1 * crop.photo_px_per_image_px)


@pytest.mark.parametrize("noise", [1.0, 4.0, 10.0])
def test_noise_is_its_standard_deviation_also_where_light_falls_off(noise):
    assert seen(a_photo(noise=noise, fall=0.6)).noise_8bit == pytest.approx(np.hypot(noise, 12**-0.5), rel=0.08)


def test_the_edges_and_modules_of_codes_are_no_noise():
    assert seen(a_photo(), patches=()).noise_8bit == pytest.approx(0.0, abs=0.01)


def test_overexposed_paper_says_nothing_of_noise():
    assert seen(a_photo(white=(255.0, 255.0, 255.0), noise=3.0), patches=()).noise_8bit is None


def test_white_black_and_cast_are_the_gains_of_the_channels():
    photo = a_photo(white=(210.0, 200.0, 170.0), black=(31.0, 30.0, 29.0))
    crop = crop_quality(photo, BOX, seen(photo))
    grey = np.array([0.299, 0.587, 0.114])
    assert crop.white_8bit == pytest.approx(grey @ [210, 200, 170], abs=0.01)
    assert crop.black_8bit == pytest.approx(grey @ [31, 30, 29], abs=0.01)
    assert (crop.cast_red_8bit, crop.cast_blue_8bit) == pytest.approx((10, -30), abs=0.01)


def test_light_is_that_of_the_crops_place_and_never_beyond_what_was_seen():
    photo = a_photo(fall=0.4)
    page = seen(photo)
    left, right, beyond = (dataclasses.replace(BOX, x_mm=x) for x in (6.0, 38.0, 300.0))
    rows = crop_qualities(["a", "b", "c"], photo, FLAT, [left, right, beyond], page, [0.1] * 3, [None] * 3)
    whites = [row.white_8bit for row in rows]
    for white, box in zip(whites[:2], (left, right), strict=True):
        assert white == pytest.approx(200 * (1 - 0.4 * (box.x_mm + 8) / PAGE_MM[0]), abs=1.0)
    assert whites[2] == pytest.approx((page.white_8bit @ [0.299, 0.587, 0.114]).min())


def test_clipping_is_counted_on_the_crops_own_pixels():
    photo = a_photo()
    left, top, side = (round(v * PX_PER_MM) for v in (BOX.x_mm, BOX.y_mm, BOX.width_mm))
    photo[top : top + side, left : left + side // 4, 0] = 255
    photo[top : top + side, left + side - side // 8 : left + side] = 0
    photo[:top] = 255
    assert crop_quality(photo, BOX, seen(photo)).clipped_rate == pytest.approx(3 / 8, abs=0.01)


def test_tilt_is_the_cameras_angle(subtests):
    for focal_35mm_mm in [None, 26.0, 50.0]:
        for true_deg in [0.0, 5.0, 15.0, 30.0, 45.0, 55.0]:
            for direction_deg in [0.0, 37.0, 90.0]:
                with subtests.test(focal_35mm_mm=focal_35mm_mm, true_deg=true_deg, direction_deg=direction_deg):
                    size, true_focal = (3024, 4032), (focal_35mm_mm or 28.0) * 5040 / np.hypot(36, 24)
                    assert tilt_deg(a_view(true_deg, direction_deg, size, true_focal), size, focal_35mm_mm) == pytest.approx(
                        true_deg, abs=1e-6 if focal_35mm_mm else 1.5
                    )


def a_view(true_deg: float, direction_deg: float, size: tuple[int, int], focal_px: float) -> PageMap:
    direction, tilt = np.radians(direction_deg), np.radians(true_deg)
    axis = np.array([np.cos(direction), np.sin(direction), 0])
    cross = np.array([[0, 0, axis[1]], [0, 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(tilt) * cross + (1 - np.cos(tilt)) * cross @ cross
    camera = np.array([[focal_px, 0, (size[0] - 1) / 2], [0, focal_px, (size[1] - 1) / 2], [0, 0, 1]])
    h = camera @ np.column_stack([turn[:, 0], turn[:, 1], [3.0, 5.0, 330.0] - turn[:, :2] @ [105.0, 148.5]])
    return PageMap(210.0, 297.0, h / h[2, 2])


GOOD = CropQuality("v", 0.1, None, 0.6, 220.0, 40.0, 3.0, -3.0, 2.0, 0.0, 3.0, 5.0, ())
LIMITS = {
    "uncertain": ("predicted_error_px", limits.MAX_PREDICTED_ERROR_PX, 1),
    "soft": ("mtf50_cycles_per_px", limits.MIN_MTF50_CYCLES_PER_PX, -1),
    "coarse": ("photo_px_per_image_px", limits.MIN_PHOTO_PX_PER_IMAGE_PX, -1),
    "dark": ("white_8bit", limits.MIN_WHITE_8BIT, -1),
    "clipped": ("clipped_rate", limits.MAX_CLIPPED_RATE, 1),
    "flat": ("black_8bit", GOOD.white_8bit - limits.MIN_CONTRAST_8BIT, 1),
    "cast": ("cast_blue_8bit", -limits.MAX_CAST_8BIT, -1),
    "noisy": ("noise_8bit", limits.MAX_NOISE_PER_IMAGE_PX_8BIT * GOOD.photo_px_per_image_px, 1),
    "tilted": ("tilt_deg", limits.MAX_TILT_DEG, 1),
}


@pytest.mark.parametrize("flag", LIMITS)
def test_a_flag_is_raised_just_beyond_its_limit_and_not_just_before(flag):
    name, limit, beyond = LIMITS[flag]
    step = beyond * 1e-6
    # dark paper is close to black unless black is darker too; few photo pixels leave more noise
    rest = {"dark": {"black_8bit": 0.0}, "coarse": {"noise_8bit": 0.0}}.get(flag, {})
    before, after = (dataclasses.replace(GOOD, **rest, **{name: limit + sign * step}) for sign in (-1, 1))
    assert flags_of([before]) == ()
    assert flags_of([after]) == (flag,)


def test_one_cause_has_one_flag():
    blurred, dim = dataclasses.replace(GOOD, mtf50_cycles_per_px=0.1), dataclasses.replace(GOOD, white_8bit=60.0)
    assert flags_of([blurred], motion=MIN_MOTION) == ("moved",) and flags_of([blurred], motion=MIN_MOTION - 0.1) == ("soft",)
    assert flags_of([dim], shade=MIN_SHADE - 0.01) == ("shadowed",) and flags_of([dim], shade=MIN_SHADE) == ("dark",)
    assert flags_of([GOOD], shade=MIN_SHADE - 0.01, motion=MIN_MOTION) == ("shadowed",)
    assert set(LIMITS) | {"moved", "shadowed"} == set(CROP_FLAGS)


def test_the_two_images_of_a_pair_are_judged_together():
    white_sky, speckled = (dataclasses.replace(GOOD, clipped_rate=rate) for rate in (0.16, 0.02))
    assert flags_of([white_sky]) == ("clipped",) and flags_of([white_sky, speckled]) == flags_of([speckled, white_sky]) == ()
    unmeasured = dataclasses.replace(GOOD, white_8bit=None, black_8bit=None)
    assert flags_of([unmeasured, dataclasses.replace(GOOD, white_8bit=60.0)]) == ("dark",)


def test_a_red_cast_counts_like_a_blue_one():
    assert flags_of([dataclasses.replace(GOOD, cast_red_8bit=limits.MAX_CAST_8BIT + 1)]) == ("cast",)


def test_what_was_not_measured_raises_no_flag():
    nothing = dict.fromkeys(
        ("mtf50_cycles_per_px", "white_8bit", "black_8bit", "cast_red_8bit", "cast_blue_8bit", "noise_8bit"), None
    )
    assert flags_of([dataclasses.replace(GOOD, **nothing)]) == ()


def test_a_page_without_a_visible_code_is_measured_as_far_as_it_can_be():
    blank = np.full_like(a_photo(), 128)
    crop = crop_quality(blank, BOX, seen(blank, patches=()))
    assert crop.mtf50_cycles_per_px is None and crop.white_8bit is None and crop.clipped_rate == 0.0


def test_patches_are_seen_as_they_are():
    photo = a_photo(white=(210.0, 200.0, 170.0), black=(31.0, 30.0, 29.0))
    for grey, patch in zip(GREYS, see_patches(photo, FLAT, a_printout(), 1), strict=True):
        assert patch.mean_8bit == pytest.approx(
            np.rint(np.array([31, 30, 29]) + grey / 255 * np.array([179, 170, 141])), abs=0.01
        )


def test_the_strips_greys_come_out_as_they_were_sent():
    photo = a_photo(white=(210.0, 200.0, 170.0), black=(31.0, 30.0, 29.0))
    correction, reason = strip_correction(photo, FLAT, a_printout(), 1)
    assert reason == ""
    for grey, patch in zip(GREYS, see_patches(corrected(photo, correction), FLAT, a_printout(), 1), strict=True):
        assert patch.mean_8bit == pytest.approx([grey] * 3, abs=1.0)


def test_between_the_greys_a_linear_photo_comes_out_linear_and_stays_in_range():
    photo = a_photo(white=(210.0, 200.0, 170.0), black=(31.0, 30.0, 29.0))
    tables, _ = strip_correction(photo, FLAT, a_printout(), 1)
    assert tables is not None
    ramp = np.arange(256)
    for channel, (white, black) in enumerate(((210, 31), (200, 30), (170, 29))):
        assert np.abs(tables[:, channel] - np.clip(255 * (ramp - black) / (white - black), 0, 255)).max() <= 1.5


def test_dark_greys_that_ink_closed_up_count_as_one():
    photo = a_photo()
    patches = a_printout().patches
    for patch in patches[:2]:
        left, top, side = (round(v * PX_PER_MM) for v in (patch.x_mm, patch.y_mm, patch.width_mm))
        photo[top : top + side, left : left + side] = 40
    tables, _ = strip_correction(photo, FLAT, a_printout(), 1)
    assert tables is not None
    assert tables[40].tolist() == [20, 20, 20]


@pytest.mark.parametrize(
    ("photo", "changes", "reason"),
    [
        pytest.param(a_photo(), {"patches": ()}, "no colour strip", id="no strip"),
        pytest.param(a_photo()[:700], {}, "not wholly in the photo", id="cut"),
        pytest.param(a_photo(white=(500.0, 500.0, 500.0)), {}, "overexposed", id="burnt"),
        pytest.param(a_photo(white=(60.0, 60.0, 60.0)), {}, "cannot be told apart", id="flat"),
    ],
)
def test_without_a_usable_strip_there_is_a_reason(photo, changes, reason):
    correction, why = strip_correction(photo, FLAT, a_printout(**changes), 1)
    assert correction is None and reason in why.replace("over- or underexposed", "overexposed")
