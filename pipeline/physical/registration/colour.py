"""Colours as they were sent to the printer: each channel's tone curve, read off the printed strip's greys, undone."""

import numpy as np

from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.quality import see_patches
from pipeline.records import Printout

_MIN_GREYS = 4
# A patch that is clipped says no more than "at least"; the curve can do without one at either end, not without two.
_MAX_CLIPPED_RATE = 0.2
_MIN_STEP_8BIT = 1.0
_MIN_RANGE_8BIT = 60.0


def strip_correction(photo: np.ndarray, page_map: PageMap, printout: Printout, page: int) -> tuple[np.ndarray | None, str]:
    """Returns the tone curves that make the strip's greys what they were sent as, and "" or, without them, why there are none.

    They are uint8 (256, 3), one column a channel: what was sent for each value seen in the photo, uint8 (H, W, 3). White balance
    and tone together: per channel straight lines through the grey patches as seen, on beyond the outermost; neighbours too alike
    to be told apart count as one grey.
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
    curves = [_steps([(float(s.mean_8bit[channel]), s.patch.green) for s in usable]) for channel in range(3)]
    if any(len(x) < _MIN_GREYS or np.ptp(x) < _MIN_RANGE_8BIT for x, _ in curves):
        return None, "the colour strip's greys cannot be told apart"
    tables = np.column_stack([_curve(x, y) for x, y in curves])
    return np.clip(np.rint(tables), 0, 255).astype(np.uint8), ""


def corrected(pixels: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Returns the colours as they were sent to the printer, uint8 (H, W, 3), of `pixels` uint8 (H, W, 3) from the photo."""
    return curves[pixels, np.arange(3)]


def _steps(pairs: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns seen and sent values, ascending, of pairs in the order sent: violators are pooled (Ayer et al. 1955)."""
    groups: list[tuple[float, float, int]] = []
    for seen, sent in pairs:
        group = (seen, float(sent), 1)
        while groups and group[0] - groups[-1][0] < _MIN_STEP_8BIT:
            x, y, n = groups.pop()
            total = n + group[2]
            group = ((x * n + group[0] * group[2]) / total, (y * n + group[1] * group[2]) / total, total)
        groups.append(group)
    return np.array([x for x, _, _ in groups]), np.array([y for _, y, _ in groups])


def _curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the values (256,) at 0 .. 255 of the straight lines through ascending points, the outermost ones going on."""
    at = np.arange(256.0)
    below = y[0] + (at - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
    above = y[-1] + (at - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    return np.where(at < x[0], below, np.where(at > x[-1], above, np.interp(at, x, y)))
