"""One printed image cut out of a photo, in a single anti-aliased warp along the page's surface."""

from collections.abc import Sequence

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
    return registration_errors(estimated, true, [placement])[0]


def registration_errors(estimated: PageMap, true: PageMap, placements: Sequence[Placement]) -> list[float]:
    """Returns the `registration_error` of each of some crops: all at once takes little more time than one."""
    grids = [[np.linspace(-0.5, side - 0.5, _ERROR_GRID) for side in (p.width_px, p.height_px)] for p in placements]
    page_mm = np.concatenate([_page_from_image(p, grid(x, y)) for p, (x, y) in zip(placements, grids, strict=True)])
    there = true.inverse(estimated(page_mm), page_mm)
    off_px = (there - page_mm).reshape(len(placements), -1, 2) / [[pitch_mm(p)] for p in placements]
    errors: list[float] = np.sqrt((off_px**2).sum(axis=2).mean(axis=1)).tolist()
    return errors


def pitch_mm(placement: Placement) -> np.ndarray:
    """Returns the width and height (2,) of one printed image pixel."""
    return np.array([placement.width_mm / placement.width_px, placement.height_mm / placement.height_px])


def _page_from_image(placement: Placement, points: np.ndarray) -> np.ndarray:
    return (points + 0.5) * pitch_mm(placement) + (placement.x_mm, placement.y_mm)
