"""How a lens bends straight lines, from the printed points of one photo: pose, focal length, curl and distortion at once."""

import math
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

from pipeline.physical.calibration.least_squares import Minimum, minimise
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.registration.page import Registration
from pipeline.physical.registration.points import sights, targets
from pipeline.records import Printout

_DIAGONAL_35MM_MM = 43.267
_REACH_MM = 0.35
_POINT_SD_PX = 0.05
# beliefs before the photo is seen, standard deviations: EXIF gives whole millimetres, paper on a table is nearly flat
_LOG_FOCAL_SD, _CURL_SD_MM, _SKEW_SD, _TANGENTIAL_SD, _RADIAL_SD = 0.015, 2.0, 0.3, 0.001, 0.03
_CURL_STARTS_DEG, _FIRST_CURL_MM = (0, 30, 60, 90, 120, 150), 0.7
_MIN_POINTS = 20
_SCATTER_KEPT = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class LensFit:
    """Brown's distortion about the photo's middle, as shares of the half diagonal at the corners, with standard errors.

    `k1` (radial), `p1` and `p2` (tangential). `photo_px` (N, 2) are the points used, `bend_px` (N, 2) how far
    the lens moves each.
    """

    k1: float
    p1: float
    p2: float
    k1_sd: float
    p1_sd: float
    p2_sd: float
    n_points: int
    photo_px: np.ndarray
    bend_px: np.ndarray


def fit_lens(pyramid: Pyramid, found: Registration, printout: Printout, focal_35mm_mm: float) -> LensFit | None:
    """Returns the lens of one photo, None where too few printed points are seen.

    A curled sheet and a lens bend points alike in one direction, but only the lens in all: the sheet is a cylinder with a
    parabola's and a cubic's height, its direction tried from six starts. Focal length and curl have priors (see above).
    """
    known = targets(printout, found.page)
    places = sights(pyramid, found.page_map, known, [_REACH_MM] * len(known))
    page = np.array([target.centre_mm for target, place in zip(known, places, strict=True) if place is not None])
    photo = np.array([place for place in places if place is not None])
    if len(page) < _MIN_POINTS:
        return None
    size_mm = np.array([printout.page_width_mm, printout.page_height_mm])
    view = _View(np.array(pyramid.size), page - size_mm / 2, size_mm, focal_35mm_mm)
    fit = _fitted(view, photo)
    distance = np.linalg.norm(view.project(fit.parameters) - photo, axis=1)
    keep = distance <= _SCATTER_KEPT * max(_POINT_SD_PX, float(np.median(distance)))
    if not keep.all() and keep.sum() >= _MIN_POINTS:
        view = _View(view.size, view.centred_mm[keep], size_mm, focal_35mm_mm)
        photo = photo[keep]
        fit = _fitted(view, photo)
    p, sd = fit.parameters, fit.sd
    straight = view.project(np.concatenate([p[:7], [0, 0, 0], p[10:]]))
    (k1, p1, p2), (k1_sd, p1_sd, p2_sd) = map(float, p[7:10]), map(float, sd[7:10])
    return LensFit(k1, p1, p2, k1_sd, p1_sd, p2_sd, len(photo), photo, view.project(p) - straight)


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Points (N, 2) mm from the page's middle, and the frame that sees them.

    Parameters: turn (3), place in m (3), ln of focal length over the given one, k1, p1, p2, curl in mm, skew, direction of curl.
    """

    size: np.ndarray
    centred_mm: np.ndarray
    size_mm: np.ndarray
    focal_35mm_mm: float

    @property
    def focal_px(self) -> float:
        return self.focal_35mm_mm * float(np.hypot(*self.size)) / _DIAGONAL_35MM_MM

    def project(self, p: np.ndarray) -> np.ndarray:
        """Returns photo px (N, 2)."""
        turn, _ = cv2.Rodrigues(p[:3])
        space = self._curled(*p[10:13]) @ turn.T + 1000 * p[3:6]
        unit = float(np.hypot(*self.size)) / 2
        x, y = (space[:, :2] / space[:, 2:]).T * self.focal_px * math.exp(p[6]) / unit
        square = x * x + y * y
        radial = 1 + p[7] * square
        bent_x = x * radial + 2 * p[8] * x * y + p[9] * (square + 2 * x * x)
        bent_y = y * radial + p[8] * (square + 2 * y * y) + 2 * p[9] * x * y
        return np.column_stack([bent_x, bent_y]) * unit + (self.size - 1) / 2

    def _curled(self, curl_mm: float, skew: float, direction: float) -> np.ndarray:
        axis = np.array([math.cos(direction), math.sin(direction)])
        normal = np.array([-axis[1], axis[0]])
        half = float(np.abs(axis) @ self.size_mm) / 2
        t = self.centred_mm @ axis / half
        height = curl_mm * (1 - t * t) * (1 + skew * t)
        # paper does not stretch: its way along the table is shorter by half the square of its slope, summed up
        b = skew
        lost = b * b * t + (4 - 6 * b * b) * t**3 / 3 + 9 * b * b * t**5 / 5 - 2 * b * t**2 + 3 * b * t**4
        along = half * t - curl_mm**2 / (2 * half) * lost
        return np.column_stack([along[:, None] * axis + (self.centred_mm @ normal)[:, None] * normal, -height])


def _fitted(view: _View, photo: np.ndarray) -> Minimum:
    camera = np.array([[view.focal_px, 0, (view.size[0] - 1) / 2], [0, view.focal_px, (view.size[1] - 1) / 2], [0, 0, 1]])
    flat = np.column_stack([view.centred_mm, np.zeros(len(photo))])
    _, turn, place = cv2.solvePnP(flat, photo, camera, None)

    def residual_of(p: np.ndarray) -> np.ndarray:
        beliefs = p[6:12] / (_LOG_FOCAL_SD, _RADIAL_SD, _TANGENTIAL_SD, _TANGENTIAL_SD, _CURL_SD_MM, _SKEW_SD)
        return np.concatenate([((view.project(p) - photo) / _POINT_SD_PX).ravel(), beliefs])

    start = np.concatenate([turn.ravel(), place.ravel() / 1000, np.zeros(7)])
    fits = []
    for direction, sign in product(_CURL_STARTS_DEG, (1, -1)):
        start[10], start[12] = sign * _FIRST_CURL_MM, math.radians(direction)
        fits.append(minimise(residual_of, start, n_priors=6, max_steps=30))
    return min(fits, key=lambda fit: float(fit.residual @ fit.residual))
