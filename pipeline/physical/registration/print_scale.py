"""How large a page was printed, as far as a picture of it can tell: its width against its height, and a scan's millimetres.

A photo knows no distance, and the codes shrink with their page. What is left is the ratio of its sides, from straight above,
where the camera's angle shortens neither; and the size in a scan, whose file says how many pixels an inch of paper has.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.physical.geometry import grid
from pipeline.physical.page_map import PageMap
from pipeline.records import Capture, Printout

# The cosine of 3 degrees is 0.9986, and 1 of 0.9998: what an angle can pass off as a shorter side.
MAX_PHOTO_TILT_DEG, MAX_SCAN_TILT_DEG = 3.0, 1.0
# A0 on A1 to A5 on A4 and back, the outermost scales that a print dialogue offers; beyond, the file was resized after the scan.
_CREDIBLE_SCALES = (0.65, 1.55)
_N_GRID = 9


@dataclass(frozen=True, slots=True)
class PrintScale:
    """Printed width to height, relative to the layout's, and printed size to the layout's; None where it cannot be told."""

    aspect: float
    scale: float | None


def print_scale(capture: Capture, printout: Printout) -> PrintScale | None:
    """Returns how the page in a picture was scaled when it was printed, None where the picture was taken at an angle."""
    if capture.photo_from_page is None or capture.tilt_deg is None or capture.tilt_deg > MAX_PHOTO_TILT_DEG:
        return None
    page_map = PageMap.from_numbers(printout.page_width_mm, printout.page_height_mm, capture.photo_from_page, capture.residual_px)
    middles = (np.arange(_N_GRID) + 0.5) / _N_GRID
    places = grid(middles * printout.page_width_mm, middles * printout.page_height_mm)
    px_per_mm = np.linalg.norm(page_map.jacobian(places), axis=1).mean(axis=0)
    scale = None
    if capture.scan_dpi and capture.tilt_deg <= MAX_SCAN_TILT_DEG:
        scale = float(np.sqrt(px_per_mm.prod()) * 25.4 / capture.scan_dpi)
        scale = scale if _CREDIBLE_SCALES[0] <= scale <= _CREDIBLE_SCALES[1] else None
    return PrintScale(float(px_per_mm[0] / px_per_mm[1]), scale)
