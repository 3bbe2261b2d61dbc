"""The shape of a sheet of paper in a real photograph: its four sides as curves, found without anything of ours on it.

A sheet on a darker or more colourful table is told by its whiteness. A book's page, which has no outline of its own, is
told by its lines of print: the first and the last are its top and bottom, their ends its sides.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.physical.geometry import Floats, apply_homography, homography_from_points

_WORK_PX = 1000
_N_PLACES, _DEGREE = 240, 3
_MIN_AREA_RATE = 0.05
_OPENINGS = (21, 61, 101, 141, 181)
_MAX_SCATTER_PX = 3.0
_ROUNDS = ((0.025, 1), (0.012, 1), (0.012, 3), (0.006, 3))
_N_OUTLIER_ROUNDS, _LEAST_OUTLIER_PX = 6, 2.0
_MARGIN_PX = 15
_UNKNOWN_BLUR_PX, _LINES_BEYOND_RATE = 1.2, 0.08
_UNIT = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])


@dataclass(frozen=True, eq=False)
class Outline:
    """A sheet with curved sides: `corners` (4, 2) px from its top left clockwise, and each side's distance from its chord.

    `sides` are polynomials over the chord, from 0 to 1, whose values are px along the chord's normal; 0 at both ends.
    `blur_px` is the Gaussian that its edge is seen through; `scatter_px` what the sides leave of the edge points. The sheet goes
    beyond these sides by `beyond_rate` of their distance: lines of print have a margin around them.
    """

    corners: Floats
    sides: tuple[np.ndarray, ...]
    blur_px: float
    scatter_px: float
    beyond_rate: float = 0.0

    def photo_from_unit(self, unit: Floats) -> Floats:
        """Returns the photo px (N, 2) of points (N, 2) of the sheet as a unit square: a homography and a Coons patch of bends."""
        h = homography_from_points(_UNIT, self.corners)
        unit = unit + self.beyond_rate * (2 * unit - 1)
        s, t = unit.T
        total = apply_homography(h, unit)
        weights = (1 - t, s, t, 1 - s)
        on_side = [np.column_stack(one) for one in ((s, 0 * s), (0 * t + 1, t), (s, 0 * s + 1), (0 * t, t))]
        for k, (weight, place) in enumerate(zip(weights, on_side, strict=True)):
            a, b = self.corners[k], self.corners[(k + 1) % 4]
            chord = b - a
            along = (apply_homography(h, place) - a) @ chord / (chord @ chord)
            total = total + (weight * np.polynomial.polynomial.polyval(along, self.sides[k]))[:, None] * _normal(chord)
        return total


def outline_of(photo: np.ndarray) -> Outline | None:
    """Returns the shape of the largest sheet in a photo, uint8 (H, W, 3); None where there is none with four sides."""
    return _of_sheet(photo) or _of_lines(photo)


def _of_sheet(photo: np.ndarray) -> Outline | None:
    corners = _rough_corners(photo)
    if corners is None:
        return None
    grey = cv2.GaussianBlur(photo.min(axis=2).astype(np.float32), (0, 0), 1.0)
    diagonal = float(np.hypot(*photo.shape[:2]))
    curves = [np.zeros(1)] * 4
    # straight lines find the corners that opening cut off; bends are sought near by
    for reach_rate, degree in _ROUNDS:
        reach = reach_rate * diagonal
        points = [_edge_points(grey, corners[k], corners[(k + 1) % 4], curves[k], reach) for k in range(4)]
        fits = [_fit_from_chord(points[k], corners[k], corners[(k + 1) % 4], degree) for k in range(4)]
        corners = _corners(corners, [fit[0] for fit in fits])
        kept = [points[k][fits[k][2]] for k in range(4)]
        curves = [_from_chord(kept[k], corners[k], corners[(k + 1) % 4], degree) for k in range(4)]
    scatter, fitted = [fit[1] for fit in fits], tuple(curves)
    if max(scatter) > _MAX_SCATTER_PX:
        return None
    return Outline(corners, fitted, _blur(photo, corners, fitted), float(np.median(scatter)))


def _rough_corners(photo: np.ndarray) -> Floats | None:
    """The corners of the largest white quadrilateral: what touches it, such as a lamp mirrored in the table, is opened away."""
    scale = min(1.0, _WORK_PX / max(photo.shape[:2]))
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    least, most = small.min(axis=2).astype(np.float32), np.maximum(small.max(axis=2), 1).astype(np.float32)
    # wood is told from paper by its darkest channel, and where a lamp is mirrored in it by its colour
    for white in (least, least * (least / most) ** 2):
        soft = cv2.GaussianBlur(white.astype(np.uint8), (0, 0), 2)
        soft = cv2.morphologyEx(soft, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
        _, whole = cv2.threshold(soft, 0, 255, cv2.THRESH_OTSU)
        for size in _OPENINGS:
            quad = _quadrilateral(cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones((size, size), np.uint8)))
            if quad is not None:
                return _clockwise((quad + 0.5) / scale - 0.5)
    return None


def _quadrilateral(mask: np.ndarray) -> Floats | None:
    """The four corners (4, 2) of the largest part of a mask; None where it is small, cut by the frame or of another shape."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=cv2.contourArea, default=None)
    if contour is None or cv2.contourArea(contour) < _MIN_AREA_RATE * mask.size:
        return None
    hull = cv2.convexHull(contour)
    x, y, width, height = cv2.boundingRect(hull)
    if x <= 1 or y <= 1 or x + width >= mask.shape[1] - 1 or y + height >= mask.shape[0] - 1:
        return None
    quads = (cv2.approxPolyDP(hull, rate * cv2.arcLength(hull, True), True) for rate in np.linspace(0.01, 0.1, 40))
    quad = next((one for one in quads if len(one) == 4), None)
    if quad is None or not cv2.contourArea(contour) > 0.93 * cv2.contourArea(quad) > 0.85 * cv2.contourArea(hull):
        return None
    return quad[:, 0].astype(np.float64)


def _of_lines(photo: np.ndarray) -> Outline | None:
    """A page by its lines of print, where at least eight of them run over most of its width."""
    scale = min(1.0, _WORK_PX / max(photo.shape[:2]))
    grey = cv2.cvtColor(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    ink = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 41, 18)
    joined = cv2.dilate(ink, np.ones((1, 23), np.uint8))
    n, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    lines = []
    for k in range(1, n):
        x, y, width, height, area = stats[k]
        if width < 0.3 * grey.shape[1] or height > 0.12 * width or x <= 1 or x + width >= grey.shape[1] - 1:
            continue
        rows, columns = np.nonzero((labels[y : y + height, x : x + width] == k) & (ink[y : y + height, x : x + width] > 0))
        if area > 200 and np.ptp(columns) > 0:
            lines.append((x + columns.min(), x + columns.max(), np.polynomial.Polynomial.fit(x + columns, y + rows, 3)))
    if len(lines) < 8:
        return None
    lines.sort(key=lambda line: float(line[2]((line[0] + line[1]) / 2)))
    left = _robust_line(np.array([(line[2](line[0]), line[0]) for line in lines]), low=True)
    right = _robust_line(np.array([(line[2](line[1]), line[1]) for line in lines]), low=False)
    full = [
        one for one in lines if all(abs(x - side(one[2](x))) < _MARGIN_PX for x, side in zip(one[:2], (left, right), strict=True))
    ]
    if len(full) < 2:
        return None
    ends = []
    for line in (full[0][2], full[-1][2]):
        y = [float(line(np.mean(line.domain)))] * 2
        for _ in range(5):
            y = [float(line(side(value))) for side, value in zip((left, right), y, strict=True)]
        ends.append([(side(value), value) for side, value in zip((left, right), y, strict=True)])
    corners = np.array([ends[0][0], ends[0][1], ends[1][1], ends[1][0]])
    sides = []
    for k, line in ((0, full[0][2]), (2, full[-1][2])):
        x = np.linspace(*sorted((corners[k][0], corners[k + 1][0])), _N_PLACES)
        sides.append(_fit_from_chord(np.column_stack([x, line(x)]), corners[k], corners[k + 1])[0] / scale)
    flat = np.zeros(2)
    corners = (corners + 0.5) / scale - 0.5
    return Outline(corners, (sides[0], flat, sides[1], flat), _UNKNOWN_BLUR_PX, 0.0, _LINES_BEYOND_RATE)


def _robust_line(points: np.ndarray, low: bool) -> np.poly1d:
    """x of y along a margin: lines that begin later, or end sooner, are left out round by round."""
    kept = np.ones(len(points), bool)
    for _ in range(8):
        line = np.poly1d(np.polyfit(points[kept, 0], points[kept, 1], 1))
        off = (points[:, 1] - line(points[:, 0])) * (1 if low else -1)
        new = off < max(6.0, 2 * float(np.median(np.abs(off[kept]))))
        if new.sum() < 4 or (new == kept).all():
            break
        kept = new
    return line


def _clockwise(corners: Floats) -> Floats:
    """From the corner nearest to the top left; right and down are positive, so clockwise is a positive area."""
    area = cv2.contourArea(corners.astype(np.float32), oriented=True)
    corners = corners if area > 0 else corners[::-1]
    return np.roll(corners, -int(np.argmin(corners.sum(axis=1))), axis=0)


def _normal(chord: Floats) -> Floats:
    """To the left of a side that is walked clockwise: out of the sheet."""
    return np.array([chord[1], -chord[0]]) / np.linalg.norm(chord)


def _edge_points(grey: np.ndarray, a: Floats, b: Floats, curve: np.ndarray, reach: float) -> Floats:
    """Where grey falls most steeply across a side, (N, 2) px, at places along it: within reach of its curve so far."""
    along = np.linspace(0.03, 0.97, _N_PLACES)
    offsets = np.arange(-reach, reach + 0.25, 0.5)
    line = a + along[:, None] * (b - a) + np.polynomial.polynomial.polyval(along, curve)[:, None] * _normal(b - a)
    places = line[:, None] + offsets[None, :, None] * _normal(b - a)
    x, y = places[..., 0].astype(np.float32), places[..., 1].astype(np.float32)
    seen = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    steep = -np.gradient(cv2.GaussianBlur(seen, (0, 0), sigmaX=2.0, sigmaY=0.01), axis=1)
    k = np.clip(steep.argmax(axis=1), 1, len(offsets) - 2)
    rows = np.arange(len(k))
    before, peak, after = (steep[rows, k + shift] for shift in (-1, 0, 1))
    offset = offsets[k] + 0.25 * (before - after) / np.minimum(before - 2 * peak + after, -1e-6)
    good = peak > 0.25 * np.median(peak)
    return (line + offset[:, None] * _normal(b - a))[good]


def _fit_from_chord(points: Floats, a: Floats, b: Floats, degree: int = _DEGREE) -> tuple[np.ndarray, float, np.ndarray]:
    chord = b - a
    along, aside = (points - a) @ chord / (chord @ chord), (points - a) @ _normal(chord)
    kept = np.ones(len(points), bool)
    for _ in range(_N_OUTLIER_ROUNDS):
        fit = np.polynomial.polynomial.polyfit(along[kept], aside[kept], degree)
        off = np.abs(aside - np.polynomial.polynomial.polyval(along, fit))
        scatter = 1.48 * float(np.median(off[kept]))
        kept = off < max(_LEAST_OUTLIER_PX, 4 * scatter)
    return fit, scatter, kept


def _corners(corners: Floats, curves: list[np.ndarray]) -> Floats:
    """Where neighbouring sides meet, by walking each to the other's end in turn."""
    found = corners.copy()
    for k in range(4):
        before, a, b = corners[k - 1], corners[k], corners[(k + 1) % 4]
        for _ in range(20):
            point = found[k]
            for start, end, curve in ((before, a, curves[k - 1]), (a, b, curves[k])):
                chord = end - start
                u = (point - start) @ chord / (chord @ chord)
                point = start + u * chord + np.polynomial.polynomial.polyval(u, curve) * _normal(chord)
            found[k] = point
    return found


def _from_chord(points: Floats, a: Floats, b: Floats, degree: int) -> np.ndarray:
    """The side over the chord between its final corners, brought to 0 at both ends."""
    ends = np.repeat([a, b], 40, axis=0)
    return _fit_from_chord(np.concatenate([points, ends]), a, b, degree)[0]


def _blur(photo: np.ndarray, corners: Floats, sides: tuple[np.ndarray, ...]) -> float:
    """The Gaussian that the sheet's own edges are seen through, the median of places along them, in px."""
    grey = photo.astype(np.float32).mean(axis=2)
    offsets = np.arange(-8, 8.01, 0.25)
    sigmas = []
    for k in range(4):
        a, b = corners[k], corners[(k + 1) % 4]
        u = np.linspace(0.1, 0.9, 60)
        on_side = a + u[:, None] * (b - a) + np.polynomial.polynomial.polyval(u, sides[k])[:, None] * _normal(b - a)
        places = on_side[:, None] + offsets[None, :, None] * _normal(b - a)
        seen = cv2.remap(grey, *(places[..., axis].astype(np.float32) for axis in (0, 1)), cv2.INTER_LINEAR)
        for row in seen:
            high, low = np.median(row[:12]), np.median(row[-12:])
            if high - low > 25:
                steepest = float(-np.gradient(row, 0.25).min())
                sigmas.append((high - low) / steepest / np.sqrt(2 * np.pi))
    return float(np.percentile(sigmas, 30)) if sigmas else 1.0
