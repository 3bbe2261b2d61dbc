"""Whether a shadow lies on a page, and whether the camera moved: what darkness all over and a lens out of focus are told from."""

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.images.colour import linear_levels
from pipeline.physical.fiducials.codes import outline_mm
from pipeline.physical.fiducials.detection import straightened
from pipeline.physical.geometry import grid
from pipeline.physical.page_map import PageMap
from pipeline.records import Fiducial, Placement, Printout

# Of the brightest paper on the page, in linear light: judgement. In simulated photos of eight profiles, two each, pairs have 0.66
# and more, of "harsh" 0.49; with a soft shadow that takes 65 % of the light 0.34 and less.
MIN_SHADE = 0.4
# How much finer detail is along one direction than along the poorest. The codes of the same photos: 1.31 at most. A hand's path
# of 5 px in three megapixels: 1.7, of 6 px 2.05, of 9 px 2.9.
MIN_MOTION = 1.6

_LIGHT = linear_levels()
_HEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_MOST_HALF_MM, _LEAST_HALF_MM, _TO_IMAGE_MM = 1.0, 0.3, 0.5
_N_GRID = 24
_SMOOTH_PX, _DETAIL_PX = 1.0, 2.5
_MOST_CODE_PX = 400


def pair_gaps(printout: Printout, page: int) -> dict[str, tuple[np.ndarray, float]]:
    """Returns for each pair points (N, 2) in mm on bare paper between its images, and how far around them there is nothing."""
    sheet = printout.of_page(page)
    pairs: dict[str, list[Placement]] = {}
    for placement in sheet.placements:
        pairs.setdefault(placement.pair_id, []).append(placement)
    printed = [(mark.x_mm, mark.y_mm, mark.size_mm, mark.size_mm) for mark in sheet.marks]
    printed += [(p.x_mm, p.y_mm, p.width_mm, p.height_mm) for p in sheet.patches]
    found = {}
    for pair_id, images in pairs.items():
        left, right = min(images, key=lambda p: p.x_mm), max(images, key=lambda p: p.x_mm)
        gap_mm = right.x_mm - left.x_mm - left.width_mm
        half = min(gap_mm / 2 - _TO_IMAGE_MM, _MOST_HALF_MM)
        x, top, height = left.x_mm + left.width_mm + gap_mm / 2, left.y_mm, left.height_mm
        places = [(x, top + share * height) for share in _HEIGHTS]
        bare = [place for place in places if not any(_touches(place, half, box) for box in printed)]
        if half >= _LEAST_HALF_MM and bare:
            found[pair_id] = np.array(bare), half
    return found


def shades(light: dict[str, list[float]], at_codes: Sequence[float]) -> dict[str, float]:
    """Returns for each pair how much light its darkest paper has of the page's brightest; `light` and `at_codes` are linear."""
    brightest = max([*at_codes, *(value for values in light.values() for value in values)], default=0.0)
    return {pair_id: min(values) / brightest for pair_id, values in light.items() if values and brightest > 0}


def linear_grey(levels_8bit: np.ndarray) -> float:
    """Returns the mean linear light of grey levels, uint8."""
    return float(_LIGHT[levels_8bit].mean())


def page_white_8bit(photo_grey: np.ndarray, page_map: PageMap) -> float:
    """Returns how bright the brightest twentieth of a page is, of those points that lie in the photo, uint8 (H, W)."""
    middles = (np.arange(_N_GRID) + 0.5) / _N_GRID
    x, y = np.rint(page_map(grid(middles * page_map.width_mm, middles * page_map.height_mm))).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < photo_grey.shape[1]) & (y < photo_grey.shape[0])
    return float(np.percentile(photo_grey[y[inside], x[inside]], 95)) if inside.any() else 0.0


def motion_of_codes(photo_grey: np.ndarray, page_map: PageMap, codes: Sequence[Fiducial]) -> float:
    """Returns how one-sided the blur of a page's codes is (see `one_sidedness`), the median over those in the photo, else 1."""
    found = []
    for code in codes:
        outline = page_map(outline_mm(code))
        if (outline < 0).any() or (outline > np.array(photo_grey.shape[::-1]) - 1).any():
            continue
        side_px = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1).max()
        found.append(one_sidedness(straightened(photo_grey, outline, int(np.clip(side_px, 40, _MOST_CODE_PX)))))
    return float(np.median(found)) if found else 1.0


def one_sidedness(grey: np.ndarray) -> float:
    """Returns how much more fine detail a picture, uint8 (H, W), has along one direction than along the poorest, 1 for equal.

    A hand's movement wipes out what is fine along its path and keeps what is fine across it, whatever its direction; a lens out
    of focus wipes out both. Detail is the mean square slope of the high-passed picture over two pixels: the two are the ends of
    its structure tensor's spectrum.
    """
    small = cv2.GaussianBlur(grey, (0, 0), _SMOOTH_PX).astype(np.float32)
    fine = small - cv2.GaussianBlur(small, (0, 0), _DETAIL_PX)
    across, down = fine[1:-1, 2:] - fine[1:-1, :-2], fine[2:, 1:-1] - fine[:-2, 1:-1]
    squares, product = (across**2).mean() + (down**2).mean(), (across * down).mean()
    apart = float(np.hypot((across**2).mean() - (down**2).mean(), 2 * product))
    poorest = (float(squares) - apart) / 2
    return (poorest + apart) / max(poorest, 1e-9) if squares > 0 else 1.0


def _touches(place: tuple[float, float], half_mm: float, box: tuple[float, float, float, float]) -> bool:
    x, y, width, height = box
    across = x - half_mm - _TO_IMAGE_MM < place[0] < x + width + half_mm + _TO_IMAGE_MM
    return across and y - half_mm - _TO_IMAGE_MM < place[1] < y + height + half_mm + _TO_IMAGE_MM
