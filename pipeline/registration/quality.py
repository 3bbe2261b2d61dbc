"""What a crop is worth, measured on the photo itself: sharpness, light, colour cast, noise, clipping and tilt, as numbers and flags."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.fiducials import N_MODULES
from pipeline.page_map import PageMap
from pipeline.records import CropQuality, Fiducial, Patch, Placement, Printout
from pipeline.registration.edge_spread import mtf50
from pipeline.registration.tilt import tilt_deg

MAX_PREDICTED_ERROR_PX = 0.3
MIN_MTF50_CYCLES_PER_PX = 0.2
MIN_PHOTO_PX_PER_IMAGE_PX = 1.5
MIN_WHITE_8BIT = 110.0
MAX_CLIPPED_RATE = 0.02
MIN_CONTRAST_8BIT = 90.0
MAX_CAST_8BIT = 25.0
MAX_NOISE_PER_IMAGE_PX_8BIT = 4.0
MAX_TILT_DEG = 40.0

# White is seen between a code's dark modules and the end of its quiet zone, black in the middle of its finders (in modules).
_WHITE_CENTRES = ((-2.0, 10.5), (23.0, 10.5), (10.5, -2.0), (10.5, 23.0))
_WHITE_HALF, _BLACK_HALF = 1.2, 0.6
_BLACK_CENTRES = ((3.5, 3.5), (17.5, 3.5), (3.5, 17.5))
_PATCH_HALF = 0.3
_MIN_BLOCK_PX = 3
# A block near white or black has lost the tails of its noise.
_NOISE_RANGE_8BIT = (8.0, 247.0)
_CLIP_GRID = 96
_GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True, eq=False)
class PatchSeen:
    """One patch of the colour strip as the photo shows it: mean RGB (3,), noise (3,), both 8-bit; share of clipped pixels."""

    patch: Patch
    mean_8bit: np.ndarray
    noise_8bit: np.ndarray
    clipped_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class PageQuality:
    """What a photo is like at the codes of one page, for every crop on it.

    `light_mm` (N, 2): the codes whose light was seen, `white_8bit` and `black_8bit` (N, 3) RGB beside and in them;
    `edge_mm` (M, 2): the codes and tags whose edges were, `mtf50_cycles_per_photo_px` (M,). `noise_8bit` is the standard deviation
    of grey, on white paper or on the grey patches, whichever is noisier; None where nothing unclipped was seen.
    """

    light_mm: np.ndarray
    white_8bit: np.ndarray
    black_8bit: np.ndarray
    edge_mm: np.ndarray
    mtf50_cycles_per_photo_px: np.ndarray
    noise_8bit: float | None
    tilt_deg: float
    patches: tuple[PatchSeen, ...]


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
    codes = [f for f in printout.fiducials if f.page == page]
    squares = codes + [t for t in printout.tags if t.page == page]
    sharp = [(_middle(f), value) for f in squares if (value := mtf50(photo_grey, page_map, f)) is not None]
    light, noises = [], []
    for code in codes:
        whites = _blocks(photo, page_map, *_in_code(code, _WHITE_CENTRES, _WHITE_HALF))
        blacks = _blocks(photo, page_map, *_in_code(code, _BLACK_CENTRES, _BLACK_HALF))
        noises += [noise for block in whites if (noise := _grey_noise(block)) is not None]
        if whites and blacks:
            white, black = (np.median([b.mean(axis=(0, 1)) for b in group], axis=0) for group in (whites, blacks))
            # a hidden code has no white beside its black; its light is of whatever hides it
            if white @ _GREY > black @ _GREY:
                light.append((_middle(code), white, black))
    patches = see_patches(photo, page_map, printout, page)
    greys = [float(np.sqrt(((p.noise_8bit * _GREY) ** 2).sum())) for p in patches if _is_grey(p.patch) and _in_range(p.mean_8bit)]
    levels = [float(np.median(group)) for group in (noises, greys) if group]
    height, width = photo_grey.shape
    return PageQuality(
        np.array([place for place, _, _ in light]).reshape(-1, 2),
        np.array([white for _, white, _ in light]).reshape(-1, 3),
        np.array([black for _, _, black in light]).reshape(-1, 3),
        np.array([place for place, _ in sharp]).reshape(-1, 2),
        np.array([value for _, value in sharp]),
        max(levels) if levels else None,
        tilt_deg(page_map, (width, height), focal_35mm_mm),
        patches,
    )
