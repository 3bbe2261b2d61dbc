"""Why a printed code was not found at its known place in a photo."""

import cv2
import numpy as np

from pipeline.physical.fiducials import N_MODULES, SQUARE, modules, outline_mm
from pipeline.physical.page_map import PageMap
from pipeline.records import Fiducial

_SAMPLES_PER_MODULE = 4
_MARGIN_MODULES = 3
_DARK_8BIT, _BRIGHT_8BIT, _CLIPPED_8BIT = 50, 200, 248
_MIN_CLIPPED_RATE = 0.35
_MIN_MODULE_PX = 2.2
_BLURS_MODULES = (0.25, 0.6, 1.0, 1.6, 2.4)
_SHARP_MODULES = 0.6
_MIN_LIKENESS, _MIN_SHARP_LIKENESS, _MAX_SHIFT_MODULES = 0.6, 0.8, 0.8


def code_trouble(photo_grey: np.ndarray, page_map: PageMap, code: Fiducial) -> str:
    """Returns why a code was not found at its known place.

    One of "outside the photo", "in the dark", "in glare" (white where black is printed), "too small" (under 2.2 px a module),
    "covered" (something else is there), "blurred" (its modules agree once blurred), "out of its place" (they agree beside it)
    and "faint" (all is as printed, but noise or lack of contrast hides it from decoders).

    Args: `photo_grey` uint8 (H, W).
    """
    height, width = photo_grey.shape
    outline = page_map(outline_mm(code))
    if (outline < -0.5).any() or (outline > np.array([width, height]) - 0.5).any():
        return "outside the photo"
    seen = _seen_upright(photo_grey, page_map, code)
    margin = _MARGIN_MODULES * _SAMPLES_PER_MODULE
    inside = seen[margin:-margin, margin:-margin]
    dark = np.kron(modules(code.payload), np.ones((_SAMPLES_PER_MODULE, _SAMPLES_PER_MODULE), bool))
    if np.percentile(seen, 95) < _DARK_8BIT:
        return "in the dark"
    clipped_rate = float((inside[dark] >= _CLIPPED_8BIT).mean())
    is_pale = (inside < _BRIGHT_8BIT).mean() < 0.5 * dark.mean()
    if clipped_rate > _MIN_CLIPPED_RATE and is_pale:
        return "in glare"
    if np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1).min() < _MIN_MODULE_PX * N_MODULES:
        return "too small"
    likeness, blur, shift = _likeness(seen, dark)
    is_sharp = blur <= _SHARP_MODULES
    if likeness < (_MIN_SHARP_LIKENESS if is_sharp else _MIN_LIKENESS):
        return "in glare" if clipped_rate > _MIN_CLIPPED_RATE else "covered"
    if not is_sharp:
        return "blurred"
    return "out of its place" if shift > _MAX_SHIFT_MODULES else "faint"


def _seen_upright(photo_grey: np.ndarray, page_map: PageMap, code: Fiducial) -> np.ndarray:
    """Returns a code with a margin of three modules, upright, four samples a module, uint8; few and large steps are averaged."""
    n_modules = N_MODULES + 2 * _MARGIN_MODULES
    module_mm, n = code.size_mm / N_MODULES, n_modules * _SAMPLES_PER_MODULE
    corner_mm = np.array([code.x_mm, code.y_mm]) - _MARGIN_MODULES * module_mm
    outline = page_map(SQUARE * n_modules * module_mm + corner_mm)
    side_px = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1).max()
    finer = max(1, int(np.ceil(side_px / n)))
    square = (SQUARE * n * finer - 0.5).astype(np.float32)
    photo_from_samples = cv2.getPerspectiveTransform(square, outline.astype(np.float32))
    size, flags = (n * finer, n * finer), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpPerspective(photo_grey, photo_from_samples, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(fine, (n, n), interpolation=cv2.INTER_AREA)


def _likeness(seen: np.ndarray, dark: np.ndarray) -> tuple[float, float, float]:
    """Returns the best correlation of the code's modules with what is seen, at which blur and how far off, both in modules."""
    margin, best = _MARGIN_MODULES * _SAMPLES_PER_MODULE, (-1.0, 0.0, 0.0)
    padded = np.pad(np.where(dark, 0, 255).astype(np.float32), margin, constant_values=255)
    for blur in _BLURS_MODULES:
        template = cv2.GaussianBlur(padded, (0, 0), blur * _SAMPLES_PER_MODULE)[margin:-margin, margin:-margin]
        scores = cv2.matchTemplate(seen.astype(np.float32), template, cv2.TM_CCOEFF_NORMED)
        _, score, _, place = cv2.minMaxLoc(scores)
        if score > best[0]:
            best = (score, blur, float(np.linalg.norm(np.array(place) - margin)) / _SAMPLES_PER_MODULE)
    return best
