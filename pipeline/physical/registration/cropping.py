"""One printed image cut out of a photo, in a single anti-aliased warp along the page's surface."""

import cv2
import numpy as np

from pipeline.physical.geometry import grid, image_corners, resample
from pipeline.physical.page_map import PageMap
from pipeline.records import Placement

_ERROR_GRID = 9


def crop(photo: np.ndarray, page_map: PageMap, placement: Placement, linear_light: bool = False) -> np.ndarray | None:
    """Returns one image cut out of a photo at its source size, uint8 (height_px, width_px, 3), in a single anti-aliased warp.

    None when part of it lies beyond the edge of the photo, uint8 (H, W, 3); `linear_light` averages light instead of sRGB values.
    """
    size = placement.width_px, placement.height_px
    outline = page_map(_page_from_image(placement, image_corners(*size)))
    height, width = photo.shape[:2]
    if not ((outline >= -0.5).all() and (outline <= np.array([width, height]) - 0.5).all()):
        return None
    return resample(photo, lambda points: page_map(_page_from_image(placement, points)), size, linear_light)


def sharpness_of(pixels: np.ndarray) -> float:
    """Returns the variance of the Laplacian over that of the grey values, 20 for white noise; `pixels` uint8 (H, W, 3).

    The division makes it blind to contrast and exposure, so photos of one image can be compared; images of different content
    cannot (after Pech-Pacheco et al. 2000).
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    edges, spread = (float(cv2.meanStdDev(image)[1].item()) for image in (cv2.Laplacian(grey, cv2.CV_16S), grey))
    return (edges / spread) ** 2 if spread > 0 else 0.0


def registration_error(estimated: PageMap, true: PageMap, placement: Placement) -> float:
    """Returns how far the pixels of one crop are from where they should be, root mean square over a 9 x 9 grid, crop pixels.

    The pixel that the crop took from a place of the photo belongs where the true map has that place.
    """
    x, y = (np.linspace(-0.5, side - 0.5, _ERROR_GRID) for side in (placement.width_px, placement.height_px))
    page_mm = _page_from_image(placement, grid(x, y))
    there = true.inverse(estimated(page_mm), page_mm)
    return float(np.sqrt((((there - page_mm) / pitch_mm(placement)) ** 2).sum(axis=1).mean()))


def pitch_mm(placement: Placement) -> np.ndarray:
    """Returns the width and height (2,) of one printed image pixel."""
    return np.array([placement.width_mm / placement.width_px, placement.height_mm / placement.height_px])


def _page_from_image(placement: Placement, points: np.ndarray) -> np.ndarray:
    return (points + 0.5) * pitch_mm(placement) + (placement.x_mm, placement.y_mm)
