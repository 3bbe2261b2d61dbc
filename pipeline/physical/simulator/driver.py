"""What a printer's driver makes of sRGB: colours within what its inks reach, relative to its paper and its black."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageFilter

from pipeline.core.errors import BadInput
from pipeline.images.colour import linear_from_srgb, srgb_from_linear
from pipeline.physical.simulator.profile import Profile

# of sRGB's cube, in the order of `Profile.primaries_lab`
_CORNERS = np.array([(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1)])
_STEPS = 33
# How late a colour gives way on its way to full saturation. Of 1, 1.25, 1.5, 2 and 3 nearest in the mean to four measured printer
# profiles, each with its own primaries (perceptual, a lattice of 729 colours: 5.5, 5.2, 5.1, 5.2 and 5.6 CIEDE2000); three are
# nearest to 2 (5.0, 4.6 and 3.7; here 5.2, 4.7 and 3.9), real photographs to less.
_POWER = 1.5
_ICC_MODES = {"RGB": "RGB", "CMYK": "CMYK", "GRAY": "L"}
_INTENTS = {"perceptual": ImageCms.Intent.PERCEPTUAL, "relative": ImageCms.Intent.RELATIVE_COLORIMETRIC}


def driven(page: np.ndarray, profile: Profile) -> np.ndarray:
    """Returns a page, uint8 (H, W, 3) sRGB, in the colours that are printed, between the printer's own black and white."""
    cube = driver_cube(profile)
    if cube is None:
        return page
    # Pillow counts red fastest
    table = np.ascontiguousarray(cube.transpose(2, 1, 0, 3)).ravel()
    filtered = ImageFilter.Color3DLUT(_STEPS, table)
    if np.array_equal(page[..., 0], page[..., 1]) and np.array_equal(page[..., 1], page[..., 2]):
        greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
        return np.asarray(cv2.LUT(page, np.asarray(Image.fromarray(greys).filter(filtered))))
    # a pixel of an image is several dots high, and most rows of dots repeat the one above
    is_new = np.concatenate([[True], (page[1:] != page[:-1]).any(axis=(1, 2))])
    found = np.asarray(Image.fromarray(page[is_new]).filter(filtered))
    return found[np.cumsum(is_new) - 1]


def driver_cube(profile: Profile) -> np.ndarray | None:
    """Returns what a lattice of sRGB colours becomes, float32 (33, 33, 33, 3) in [0, 1], by red, green and blue; None: itself.

    A driver keeps colours that its inks reach, and leads the others towards the most saturated ones that they do: a colour
    moves in CIELAB by what its primary and its secondary colour move, in shares of its amount of them (HSV's chroma), times that
    amount to the power of 1.5. An ICC profile is gone through and back: there by its intent with black-point compensation, back
    by relative colorimetry, where the black that it prints becomes black.

    Raises: BadInput when the file is not an ICC profile of a device that can be printed on.
    """
    if profile.icc_profile:
        return _through_icc(profile.icc_profile, profile.icc_intent)
    if profile.primaries_lab:
        return _towards(profile.primaries_lab, profile.ink_reflectance / profile.paper_reflectance)
    return None


@lru_cache(maxsize=4)
def _towards(primaries_lab: tuple[float, ...], black: float) -> np.ndarray:
    from skimage.color import lab2rgb, rgb2lab

    light = linear_from_srgb(lab2rgb(np.array(primaries_lab).reshape(1, 6, 3))[0])
    reached = rgb2lab(srgb_from_linear((light - black) / (1 - black)))
    moved = reached - rgb2lab(_CORNERS.astype(float))
    colours = _lattice() / 255
    low, middle, high = np.moveaxis(np.sort(colours, axis=-1), -1, 0)
    order = np.argsort(-colours, axis=-1, kind="stable")
    primary = np.array([0, 2, 4])[order[..., 0]]
    # the secondary colour between the two largest lies where the least one is missing
    secondary = np.array([3, 5, 1])[order[..., 2]]
    shares = (high - middle)[..., None] * moved[primary] + (middle - low)[..., None] * moved[secondary]
    lab = rgb2lab(colours) + (high - low)[..., None] ** (_POWER - 1) * shares
    return np.clip(lab2rgb(lab), 0, 1).astype(np.float32)


@lru_cache(maxsize=4)
def _through_icc(profile_file: str, intent: str) -> np.ndarray:
    try:
        screen, printer = ImageCms.createProfile("sRGB"), ImageCms.getOpenProfile(profile_file)
        mode = _ICC_MODES[printer.profile.xcolor_space.strip()]
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        there = ImageCms.buildTransform(screen, printer, "RGB", mode, _INTENTS[intent], flags)
        back = ImageCms.buildTransform(printer, screen, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (OSError, KeyError, ImageCms.PyCMSError) as error:
        raise BadInput(f"{profile_file}: not an ICC profile of a printer that can be used ({error}).") from None
    colours = Image.fromarray(np.ascontiguousarray(_lattice().reshape(_STEPS, -1, 3).astype(np.uint8)))
    light = linear_from_srgb(np.asarray(back.apply(there.apply(colours))).reshape(*[_STEPS] * 3, 3) / 255)
    # LittleCMS takes another black for the way back than for the way there: on one CMYK profile grey 0 came back at L* 13
    black = light[0, 0, 0]
    return srgb_from_linear((light - black) / (1 - black)).astype(np.float32)


def _lattice() -> np.ndarray:
    steps = np.rint(np.linspace(0, 255, _STEPS))
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
