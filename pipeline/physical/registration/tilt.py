"""How far from straight above a page was photographed, from the page's homography alone."""

import math

import numpy as np

from pipeline.physical.page_map import PageMap

_DIAGONAL_35MM_MM = math.hypot(36, 24)
# the main camera of nearly every phone: 24 to 28 mm
_USUAL_FOCAL_35MM_MM = 26.0
_FOCAL_RANGE_35MM_MM = (13.0, 130.0)
# Below this fall of depth across the page the perspective says little of the focal length: a registration error of a tenth
# of a pixel, or a lens that bends lines, would decide.
_MIN_DEPTH_FALL_RATE = 0.25


def tilt_deg(page_map: PageMap, size: tuple[int, int], focal_35mm_mm: float | None = None) -> float:
    """Returns the angle between the camera's axis and the page's normal, 0 .. 90 degrees.

    The columns of K^-1 H are the page's axes as the camera sees them (Zhang 2000, section 3.1), with the principal point in the
    picture's middle. The focal length is `focal_35mm_mm` (millimetres for a picture of 36 x 24 mm, by the diagonal), else the
    one that makes those axes orthogonal and equally long, else 26 mm.

    Args: `size` (W, H) of the photo in px.
    """
    width, height = size
    centred_from_photo = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    middle = np.array([[1, 0, page_map.width_mm / 2], [0, 1, page_map.height_mm / 2], [0, 0, 1]])
    h = centred_from_photo @ page_map.homography @ middle
    h = h / h[2, 2]
    px_per_35mm = math.hypot(width, height) / _DIAGONAL_35MM_MM
    given_px = focal_35mm_mm * px_per_35mm if focal_35mm_mm else None
    focal_px = given_px or _solved_focal_px(h, page_map, px_per_35mm) or _USUAL_FOCAL_35MM_MM * px_per_35mm
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
