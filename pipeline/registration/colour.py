"""Colours as they were sent to the printer: each channel's tone curve, read off the printed strip's greys, undone."""

from dataclasses import dataclass

import numpy as np

from pipeline.page_map import PageMap
from pipeline.records import Printout
from pipeline.registration.quality import see_patches

_MIN_GREYS = 4
# A patch that is clipped says no more than "at least"; the curve can do without one at either end, not without two.
_MAX_CLIPPED_RATE = 0.2
_MIN_STEP_8BIT = 1.0
_MIN_RANGE_8BIT = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """Tone curves that take a photo's colours to those sent to the printer: `tables` uint8 (256, 3), one column a channel."""

    tables: np.ndarray


def strip_correction(photo: np.ndarray, page_map: PageMap, printout: Printout, page: int) -> tuple[Correction | None, str]:
    """Returns the correction that makes the strip's greys what they were sent as, and "" or, without one, why there is none.

    White balance and tone together: per channel a monotone cubic (Fritsch and Carlson 1980) through the grey patches as seen.
    Beyond the darkest and the lightest the curve goes on straight.

    Args: `photo` uint8 (H, W, 3).
    """
    greys = [p for p in printout.patches if p.page == page and p.red == p.green == p.blue]
    if not greys:
        return None, "the page has no colour strip"
    seen = [s for s in see_patches(photo, page_map, printout, page) if s.patch in greys]
    if len(seen) < len(greys):
        return None, "the colour strip is not wholly in the photo"
    usable = sorted((s for s in seen if s.clipped_rate <= _MAX_CLIPPED_RATE), key=lambda s: s.patch.green)
    if len(usable) < max(_MIN_GREYS, len(seen) - 2):
        return None, "the colour strip is over- or underexposed"
    sent = np.array([s.patch.green for s in usable], np.float64)
    means = np.array([s.mean_8bit for s in usable])
    if (np.diff(means, axis=0) < _MIN_STEP_8BIT).any() or (np.ptp(means, axis=0) < _MIN_RANGE_8BIT).any():
        return None, "the colour strip's greys cannot be told apart"
    tables = np.column_stack([_monotone_curve(means[:, channel], sent) for channel in range(3)])
    return Correction(np.clip(np.rint(tables), 0, 255).astype(np.uint8)), ""


def corrected(pixels: np.ndarray, correction: Correction) -> np.ndarray:
    """Returns the colours as they were sent to the printer, uint8 (H, W, 3), of `pixels` uint8 (H, W, 3) from the photo."""
    return np.stack([correction.tables[:, channel][pixels[..., channel]] for channel in range(3)], axis=-1)


def _monotone_curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the values (256,) at 0 .. 255 of the monotone cubic through ascending points (N,), straight beyond them."""
    step, slope = np.diff(x), np.diff(y) / np.diff(x)
    # harmonic means weighted by the steps keep it monotone; at the ends the outermost chord's slope
    before, after = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    inner = (before + after) / (before / slope[:-1] + after / slope[1:])
    slopes = np.concatenate([slope[:1], inner, slope[-1:]])
    at = np.arange(256.0)
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = (at - x[k]) / step[k]
    cubic = (
        (1 + 2 * t) * (1 - t) ** 2 * y[k]
        + t * t * (3 - 2 * t) * y[k + 1]
        + t * (1 - t) * step[k] * ((1 - t) * slopes[k] - t * slopes[k + 1])
    )
    straight = np.where(at < x[0], y[0] + slope[0] * (at - x[0]), y[-1] + slope[-1] * (at - x[-1]))
    return np.where((at < x[0]) | (at > x[-1]), straight, cubic)
