"""What a crop is worth, measured on the photo, as numbers and as flags; and how large its page was printed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from pipeline.physical.fiducials.codes import N_MODULES
from pipeline.physical.geometry import grid
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.cropping import pitch_mm
from pipeline.physical.registration.edge_spread import mtf50
from pipeline.physical.registration.shade_and_motion import MIN_MOTION, MIN_SHADE, linear_grey, motion_of_codes, pair_gaps, shades
from pipeline.records import CROP_FLAGS, Capture, CropQuality, Fiducial, Patch, Placement, Printout, Tag

# "at" is where the correlation between a printed perturbation of +-4 of 255 and what the crop shows of it (grey, simulated phone
# at 2 to 4.4 photo px an image pixel) falls below one half.
MAX_PREDICTED_ERROR_PX = 0.6  # at an offset of 0.6 pixels
MIN_MTF50_CYCLES_PER_PX = 0.25  # at 0.23 (3 photo px an image pixel) to 0.25 (2 photo px)
MIN_PHOTO_PX_PER_IMAGE_PX = 1.5  # at 1.45, with the blur of a sharp lens
MIN_WHITE_8BIT = 80.0  # at 75 with noise of 2; the sRGB curve leaves dark differences fewer steps than noise and JPEG take
MAX_CLIPPED_RATE = 0.1  # clipped pixels hold no perturbation: at a tenth the correlation has begun to fall (0.78 to 0.75)
MIN_CONTRAST_8BIT = 70.0  # at 70
MAX_CAST_8BIT = 20.0  # tinted light: a phone's white balance leaves 3 to 8 % of a channel of an ordinary one, 4 to 9 on white
# at 2 (1.6 photo px an image pixel) to 2.7 (2.5 photo px); an image pixel averages its photo pixels' noise
MAX_NOISE_PER_IMAGE_PX_8BIT = 2.5
MAX_TILT_DEG = 45.0  # 0.71 of the page's width and its far side the more out of focus; gloss begins to mirror the lamp

# White is seen between a code's dark modules and the end of its quiet zone, black in the middle of its finders (in modules).
_WHITE_CENTRES = ((-2.0, 10.5), (23.0, 10.5), (10.5, -2.0), (10.5, 23.0))
_WHITE_HALF, _BLACK_HALF = 1.2, 0.6
_BLACK_CENTRES = ((3.5, 3.5), (17.5, 3.5), (3.5, 17.5))
_PATCH_HALF = 0.3
_NOISE_RANGE_8BIT = (8.0, 247.0)  # a block near white or black has lost the tails of its noise
_CLIP_GRID, _CLIP_CELLS = 48, 4
# Bilinear between a few mapped points: a pixel's error in where to look changes no share.
_CLIP_SHARES = (np.arange(_CLIP_GRID) + 0.5) / _CLIP_GRID
_CLIP_WEIGHTS = np.maximum(0, 1 - np.abs(_CLIP_SHARES[:, None] * _CLIP_CELLS - np.arange(_CLIP_CELLS + 1)))
GREY = np.array([0.299, 0.587, 0.114])

DIAGONAL_35MM_MM = math.hypot(36, 24)
USUAL_FOCAL_35MM_MM = 26.0  # the main camera of nearly every phone: 24 to 28 mm
_FOCAL_RANGE_35MM_MM = (13.0, 130.0)
# Below this fall of depth across the page the perspective says little of the focal length: a registration error of a tenth
# of a pixel, or a lens that bends lines, would decide.
_MIN_DEPTH_FALL_RATE = 0.25
# The cosine of 3 degrees is 0.9986, and 1 of 0.9998: what an angle can pass off as a shorter side.
MAX_PHOTO_TILT_DEG, MAX_SCAN_TILT_DEG = 3.0, 1.0
# A0 on A1 to A5 on A4 and back, the outermost scales that a print dialogue offers; beyond, the file was resized after the scan.
_CREDIBLE_SCALES = (0.65, 1.55)
_N_GRID = 9


@dataclass(frozen=True, slots=True, eq=False)
class PatchSeen:
    """One patch of the colour strip as the photo shows it: its mean RGB (3,), its grey's noise, the share of clipped pixels."""

    patch: Patch
    mean_8bit: np.ndarray
    noise_8bit: float
    clipped_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class PageQuality:
    """What a photo is like at the codes of one page, for every crop on it.

    `light_mm` (N, 2): the codes whose light was seen, `white_8bit` and `black_8bit` (N, 3) RGB beside and in them;
    `edge_mm` (M, 2): the codes and tags whose edges were, `mtf50_cycles_per_photo_px` (M,). `noise_8bit` is the standard
    deviation of grey, on white paper or on the grey patches, whichever is noisier; None where nothing unclipped was seen.
    `shade_of` each pair is the light between its images, of the page's brightest, and `motion` how one-sided the blur is
    (see `shade_and_motion`).
    """

    light_mm: np.ndarray
    white_8bit: np.ndarray
    black_8bit: np.ndarray
    edge_mm: np.ndarray
    mtf50_cycles_per_photo_px: np.ndarray
    noise_8bit: float | None
    tilt_deg: float
    shade_of: Mapping[str, float] = field(default_factory=dict)
    motion: float = 1.0


def page_quality(
    photo_grey: np.ndarray,
    photo: np.ndarray,
    page_map: PageMap,
    printout: Printout,
    page: int,
    focal_35mm_mm: float | None = None,
) -> PageQuality:
    """Returns what the photo is like at the codes, tags and colour patches of one page; what is hidden is left out.

    Args: `photo_grey` uint8 (H, W), `photo` uint8 (H, W, 3), the same picture; `focal_35mm_mm` what its EXIF says.
    """
    sheet = printout.of_page(page)
    codes = sheet.fiducials
    sharp = _sharpness(photo_grey, page_map, codes, sheet.tags)
    light, noises = [], []
    centres, halves = zip(*map(_light_places, codes), strict=True) if codes else ((), ())
    blocks = blocks_at(photo, page_map, np.array(centres).reshape(-1, 2), np.array(halves).ravel())
    n_white, n_each = len(_WHITE_CENTRES), len(_WHITE_CENTRES) + len(_BLACK_CENTRES)
    for code, first in zip(codes, range(0, len(blocks), n_each), strict=True):
        whites = [b for b in blocks[first : first + n_white] if b is not None]
        blacks = [b for b in blocks[first + n_white : first + n_each] if b is not None]
        noises += [grey_noise(block) for block in whites if _in_range(_mean_8bit(block))]
        if whites and blacks:
            white, black = (np.median([_mean_8bit(block) for block in group], axis=0) for group in (whites, blacks))
            # a hidden code has no white beside its black; its light is of whatever hides it
            if white @ GREY > black @ GREY:
                light.append((_middle(code), white, black))
    seen = see_patches(photo, page_map, printout, page)
    greys = [p.noise_8bit for p in seen if p.patch.red == p.patch.green == p.patch.blue and _in_range(p.mean_8bit)]
    levels = [float(np.median(group)) for group in (noises, greys) if group]
    return PageQuality(
        np.array([place for place, _, _ in light]).reshape(-1, 2),
        np.array([white for _, white, _ in light]).reshape(-1, 3),
        np.array([black for _, _, black in light]).reshape(-1, 3),
        np.array([place for place, _ in sharp]).reshape(-1, 2),
        np.array([value for _, value in sharp]),
        max(levels) if levels else None,
        tilt_deg(page_map, (photo_grey.shape[1], photo_grey.shape[0]), focal_35mm_mm),
        _shade_of(photo, page_map, printout, page, [white for _, white, _ in light]),
        motion_of_codes(photo_grey, page_map, codes),
    )


def _sharpness(
    photo_grey: np.ndarray, page_map: PageMap, codes: Sequence[Fiducial], tags: Sequence[Tag]
) -> list[tuple[tuple[float, float], float]]:
    """Returns where on the page each code shows its sharpness, and that; where one does not, the tag beside it may."""
    sharp: dict[str, tuple[tuple[float, float], float]] = {}
    about: float | None = None
    squares: list[Fiducial | Tag] = [*codes, *tags]
    for square in squares:
        if square.corner not in sharp and (about := mtf50(photo_grey, page_map, square, about)) is not None:
            sharp[square.corner] = _middle(square), about
    return list(sharp.values())


def _shade_of(
    photo: np.ndarray, page_map: PageMap, printout: Printout, page: int, whites: Sequence[np.ndarray]
) -> dict[str, float]:
    found = {}
    for pair_id, (places, half) in pair_gaps(printout, page).items():
        blocks = blocks_at(photo, page_map, places, np.full(len(places), half))
        found[pair_id] = [linear_grey(np.rint(b @ GREY).astype(np.uint8)) for b in blocks if b is not None]
    return shades(found, [linear_grey(np.rint(white @ GREY).astype(np.uint8)) for white in whites])


def crop_qualities(
    view_ids: Sequence[str],
    photo: np.ndarray,
    page_map: PageMap,
    placements: Sequence[Placement],
    quality: PageQuality,
    predicted_errors_px: Sequence[float],
    registration_errors_px: Sequence[float | None],
) -> list[CropQuality]:
    """Returns each crop's record: the page's values where the crop lies, its own clipping and scale, and the flags that follow.

    Args: `photo` uint8 (H, W, 3); `quality` of the same photo and page.
    """
    if not placements:
        return []
    middles = np.array([_middle(placement) for placement in placements])
    pitches_mm = np.array([pitch_mm(placement) for placement in placements])
    photo_px = np.linalg.svd(page_map.jacobian(middles) * pitches_mm[:, None], compute_uv=False)[:, -1].tolist()
    sharp = _values_at(middles, quality.edge_mm, quality.mtf50_cycles_per_photo_px[:, None])
    light = _values_at(middles, quality.light_mm, np.hstack([quality.white_8bit, quality.black_8bit]))
    clipped = _clipped_rates(photo, page_map, placements)
    rows = []
    for i, placement in enumerate(placements):
        white, black = (None, None) if light is None else (light[i, :3], light[i, 3:])
        unflagged = CropQuality(
            view_id=view_ids[i],
            predicted_error_px=float(predicted_errors_px[i]),
            registration_error_px=registration_errors_px[i],
            mtf50_cycles_per_px=None if sharp is None else float(sharp[i, 0]) * photo_px[i],
            white_8bit=None if white is None else float(white @ GREY),
            black_8bit=None if black is None else float(black @ GREY),
            cast_red_8bit=None if white is None else float(white[0] - white[1]),
            cast_blue_8bit=None if white is None else float(white[2] - white[1]),
            noise_8bit=quality.noise_8bit,
            clipped_rate=clipped[i],
            photo_px_per_image_px=photo_px[i],
            tilt_deg=quality.tilt_deg,
            flags=(),
        )
        shade = quality.shade_of.get(placement.pair_id, 1.0)
        rows.append(replace(unflagged, flags=flags_of([unflagged], shade, quality.motion)))
    return rows


def flags_of(crops: Sequence[CropQuality], shade: float = 1.0, motion: float = 1.0) -> tuple[str, ...]:
    """Returns the keys of CROP_FLAGS that the crops of one pair raise, by the means of their numbers, in their order there.

    Two images side by side lie in one light: they share a verdict, and what is printed in them has no say in it. What was not
    measured raises none. One cause has one flag: where there is a shadow it is not called dark, and where it is dark not flat;
    where the camera moved it is not called soft.
    """
    crop = _mean_of(crops)
    white, black, cast, noise = crop.white_8bit, crop.black_8bit, crop.cast_red_8bit, crop.noise_8bit
    is_blurred = crop.mtf50_cycles_per_px is not None and crop.mtf50_cycles_per_px < MIN_MTF50_CYCLES_PER_PX
    is_shadowed = white is not None and shade < MIN_SHADE
    is_dark = white is not None and white < MIN_WHITE_8BIT
    is_flat = white is not None and black is not None and white - black < MIN_CONTRAST_8BIT
    raised = {
        "uncertain": crop.predicted_error_px > MAX_PREDICTED_ERROR_PX,
        "soft": is_blurred and motion < MIN_MOTION,
        "moved": is_blurred and motion >= MIN_MOTION,
        "coarse": crop.photo_px_per_image_px < MIN_PHOTO_PX_PER_IMAGE_PX,
        "shadowed": is_shadowed,
        "dark": is_dark and not is_shadowed,
        "clipped": crop.clipped_rate > MAX_CLIPPED_RATE,
        "flat": is_flat and not is_dark and not is_shadowed,
        "cast": cast is not None and max(abs(cast), abs(crop.cast_blue_8bit or 0.0)) > MAX_CAST_8BIT,
        "noisy": noise is not None and noise / crop.photo_px_per_image_px > MAX_NOISE_PER_IMAGE_PX_8BIT,
        "tilted": crop.tilt_deg > MAX_TILT_DEG,
    }
    return tuple(flag for flag in CROP_FLAGS if raised[flag])


def _mean_of(crops: Sequence[CropQuality]) -> CropQuality:
    """Returns a record with the mean of what was measured of each number."""
    first = crops[0]
    means: dict[str, Any] = {}
    for name in (item.name for item in fields(first) if item.name not in ("view_id", "flags", "registration_error_px")):
        values = [value for crop in crops if (value := getattr(crop, name)) is not None]
        means[name] = sum(values) / len(values) if values else None
    return replace(first, **means)


def see_patches(photo: np.ndarray, page_map: PageMap, printout: Printout, page: int) -> tuple[PatchSeen, ...]:
    """Returns the patches of one page's colour strip that lie in the photo, each from its inner third."""
    patches = printout.of_page(page).patches
    centres = np.array([_middle(patch) for patch in patches]).reshape(-1, 2)
    halves = np.array([_PATCH_HALF * min(p.width_mm, p.height_mm) for p in patches])
    seen = []
    for patch, block in zip(patches, blocks_at(photo, page_map, centres, halves), strict=True):
        if block is not None:
            clipped = (block == 255).any(axis=2) | (block == 0).all(axis=2)
            seen.append(PatchSeen(patch, _mean_8bit(block), grey_noise(block), float(clipped.mean())))
    return tuple(seen)


def _light_places(code: Fiducial) -> tuple[np.ndarray, list[float]]:
    """Returns where a code shows white, then where black, in page mm, and how far around each."""
    module_mm = code.size_mm / N_MODULES
    halves = [_WHITE_HALF * module_mm] * len(_WHITE_CENTRES) + [_BLACK_HALF * module_mm] * len(_BLACK_CENTRES)
    return (code.x_mm, code.y_mm) + np.array(_WHITE_CENTRES + _BLACK_CENTRES) * module_mm, halves


def _middle(one: Fiducial | Tag | Placement | Patch) -> tuple[float, float]:
    width, height = (one.size_mm, one.size_mm) if isinstance(one, Fiducial | Tag) else (one.width_mm, one.height_mm)
    return one.x_mm + width / 2, one.y_mm + height / 2


def blocks_at(photo: np.ndarray, page_map: PageMap, centres_mm: np.ndarray, halves_mm: np.ndarray) -> list[np.ndarray | None]:
    """Returns the largest square of photo pixels within `halves_mm` of each page point, None below 3 px or beyond the photo."""
    if not len(centres_mm):
        return []
    height, width = photo.shape[:2]
    page_from_photo = np.linalg.inv(page_map.jacobian(centres_mm))
    halves = (halves_mm / np.abs(page_from_photo).sum(axis=2).max(axis=1)).astype(int)
    blocks: list[np.ndarray | None] = []
    for (x, y), half in zip(np.rint(page_map(centres_mm)).astype(int), halves, strict=True):
        inside = half >= 1 and half <= x < width - half and half <= y < height - half
        blocks.append(photo[y - half : y + half + 1, x - half : x + half + 1] if inside else None)
    return blocks


def grey_noise(block: np.ndarray) -> float:
    """Returns the standard deviation of a block's grey about its plane of best fit: light falls off, noise does not."""
    grey = block @ GREY
    side = np.arange(len(grey)) - (len(grey) - 1) / 2
    grey = grey - grey.mean()
    squares = (side**2).sum() * len(side)
    grey = grey - side * ((grey * side).sum() / squares) - side[:, None] * ((grey * side[:, None]).sum() / squares)
    return float(np.sqrt((grey**2).sum() / (grey.size - 3)))


def _mean_8bit(block: np.ndarray) -> np.ndarray:
    return np.array(cv2.mean(block)[:3])


def _in_range(mean_8bit: np.ndarray) -> bool:
    return bool(_NOISE_RANGE_8BIT[0] <= mean_8bit.min() and mean_8bit.max() <= _NOISE_RANGE_8BIT[1])


def _values_at(places_mm: np.ndarray, known_mm: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Returns the plane through values (N, C) at places (M, 2), kept within what was seen; their mean for fewer than three."""
    if not len(values):
        return None
    mean = values.mean(axis=0)
    if len(values) < 3:
        return np.tile(mean, (len(places_mm), 1))
    middle_mm = known_mm.mean(axis=0)
    slopes = np.linalg.lstsq(known_mm - middle_mm, values - mean, rcond=1e-6)[0]
    return np.clip(mean + (places_mm - middle_mm) @ slopes, values.min(axis=0), values.max(axis=0))


def _clipped_rates(photo: np.ndarray, page_map: PageMap, placements: Sequence[Placement]) -> list[float]:
    """Returns for each crop the share of clipped pixels among up to 48 x 48 of the photo's, spread evenly over it."""
    height, width = photo.shape[:2]
    coarse = np.arange(_CLIP_CELLS + 1) / _CLIP_CELLS
    page_mm = np.concatenate([grid(p.x_mm + coarse * p.width_mm, p.y_mm + coarse * p.height_mm) for p in placements])
    corners = np.moveaxis(page_map(page_mm).reshape(len(placements), _CLIP_CELLS + 1, _CLIP_CELLS + 1, 2), 3, 0)
    x, y = np.rint(_CLIP_WEIGHTS @ corners @ _CLIP_WEIGHTS.T).astype(int).reshape(2, len(placements), -1)
    red, green, blue = np.moveaxis(photo[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], 2, 0)
    brightest = np.maximum(np.maximum(red, green), blue)
    rates: list[float] = ((brightest == 255) | (brightest == 0)).mean(axis=1).tolist()
    return rates


def tilt_deg(page_map: PageMap, size: tuple[int, int], focal_35mm_mm: float | None = None) -> float:
    """Returns the angle between the camera's axis and the page's normal, 0 .. 90 degrees.

    The columns of K^-1 H are the page's axes as the camera sees them (Zhang 2000, section 3.1), with the principal point in the
    picture's middle, its `size` (W, H) px. The focal length is `focal_35mm_mm` (for a picture of 36 x 24 mm, by the diagonal),
    else the one that makes those axes orthogonal and equally long, else 26 mm.
    """
    width, height = size
    centred_from_photo = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    middle = np.array([[1, 0, page_map.width_mm / 2], [0, 1, page_map.height_mm / 2], [0, 0, 1]])
    h = centred_from_photo @ page_map.homography @ middle
    h = h / h[2, 2]
    px_per_35mm = math.hypot(width, height) / DIAGONAL_35MM_MM
    given_px = focal_35mm_mm * px_per_35mm if focal_35mm_mm else None
    focal_px = given_px or _solved_focal_px(h, page_map, px_per_35mm) or USUAL_FOCAL_35MM_MM * px_per_35mm
    across, down = h[:, 0] / (focal_px, focal_px, 1), h[:, 1] / (focal_px, focal_px, 1)
    normal = np.cross(across, down)
    return math.degrees(math.atan2(math.hypot(normal[0], normal[1]), abs(normal[2])))


def _solved_focal_px(h: np.ndarray, page_map: PageMap, px_per_35mm: float) -> float | None:
    """Returns the focal length from r1 . r2 = 0 and r1 . r1 = r2 . r2, least squares; None where they say too little."""
    fall = abs(h[2, 0]) * page_map.width_mm + abs(h[2, 1]) * page_map.height_mm
    if fall < _MIN_DEPTH_FALL_RATE:
        return None
    (a, d), (b, e), (c, g) = h[0, :2], h[1, :2], h[2, :2]
    seen = np.array([a * d + b * e, a * a + b * b - d * d - e * e])
    depth = np.array([c * g, c * c - g * g])
    inverse_square = -(seen @ depth) / (seen @ seen)
    if inverse_square <= 0:
        return None
    focal_px = 1 / math.sqrt(inverse_square)
    low, high = (focal * px_per_35mm for focal in _FOCAL_RANGE_35MM_MM)
    return focal_px if low <= focal_px <= high else None


class PrintScale(NamedTuple):
    """Printed width to height and printed size, relative to the layout's; None where it cannot be told. `error`: of the size."""

    aspect: float | None
    scale: float | None
    error: float = 0.0


def print_scale(capture: Capture, printout: Printout) -> PrintScale | None:
    """Returns how the page in a picture was scaled when it was printed, None where the picture tells nothing of it.

    A photo knows no distance, and the codes shrink with their page: what is left is the ratio of its sides from straight above,
    where the camera's angle shortens neither, and the size in a scan, whose file says how many pixels an inch of paper has, or
    by a ruler that lies beside the page.
    """
    seen = px_per_mm(capture, printout)
    if seen is None or capture.tilt_deg is None:
        return None
    aspect = float(seen[0] / seen[1]) if capture.tilt_deg <= MAX_PHOTO_TILT_DEG else None
    scale, error = None, 0.0
    if capture.scan_dpi and capture.tilt_deg <= MAX_SCAN_TILT_DEG:
        scale = float(np.sqrt(seen.prod()) * 25.4 / capture.scan_dpi)
        scale = scale if _CREDIBLE_SCALES[0] <= scale <= _CREDIBLE_SCALES[1] else None
    if scale is None and capture.ruler_scale is not None:
        scale, error = capture.ruler_scale, capture.ruler_error or 0.0
    return None if aspect is None and scale is None else PrintScale(aspect, scale, error)


def px_per_mm(capture: Capture, printout: Printout) -> np.ndarray | None:
    """Returns the mean photo pixels a millimetre of the layout, across and down (2,); None where no page was registered."""
    if capture.photo_from_page is None:
        return None
    page_map = PageMap.from_numbers(printout.page_width_mm, printout.page_height_mm, capture.photo_from_page, capture.residual_px)
    middles = (np.arange(_N_GRID) + 0.5) / _N_GRID
    places = grid(middles * printout.page_width_mm, middles * printout.page_height_mm)
    found: np.ndarray = np.linalg.norm(page_map.jacobian(places), axis=1).mean(axis=0)
    return found
