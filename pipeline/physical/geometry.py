"""Plane geometry: homographies from points, millimetres to pixels, and the one anti-aliased warp; pure functions.

Points are (x, y), right and down; pixel centres are whole numbers, so an image spans -0.5 .. W - 0.5. A matrix is named
destination-from-source: `crop_from_page @ page_from_photo`.
"""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.images.colour import linear_levels, srgb_from_linear

_REFINEMENTS, _N_NODES = 20, 9
_SAMPLE_PX = 1.25
# A tile of a warp, its samples and the source beneath it fit into a processor's cache and need no new memory.
_TILE_SAMPLES = 300

# The corners of a unit square in the order of all outlines: top left, top right, bottom right, bottom left.
SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)

_AROUND = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float64)

Floats = NDArray[np.floating[Any]]
Mapping = Callable[[Floats], Floats]


class NoHomography(ValueError):
    """The points are too few, or lie on too few lines, to determine a homography."""


def homography_from_points(src: Floats, dst: Floats, rough: bool = False) -> Floats:
    """Returns the 3x3 float64 `dst_from_src` with the least sum of squared distances in `dst`, scaled so that H[2, 2] = 1.

    Normalised direct linear transform, then Levenberg-Marquardt on the distances (Hartley & Zisserman, *Multiple View
    Geometry*, Algorithms 4.2 and 4.3).

    Args: `src`, `dst` (N, 2), N >= 4, of which four with no three on one line; `rough` leaves the second step out.
    Raises: NoHomography when the points do not determine one.
    """
    src, dst = _point_pairs(src, dst)
    src_unit, dst_unit = _unit_from_points(src), _unit_from_points(dst)
    src, dst = apply_homography(src_unit, src), apply_homography(dst_unit, dst)
    unit = _direct_linear_transform(src, dst)
    h = np.linalg.inv(dst_unit) @ (unit if rough or len(src) == 4 else _refined(unit, src, dst)) @ src_unit
    h /= h[2, 2]
    return h


def robust_homography(src: Floats, dst: Floats, threshold_px: float) -> tuple[Floats, Floats]:
    """Returns `dst_from_src` fitted to the points that agree on it, and the (N,) bool mask of those within `threshold_px`.

    RANSAC (Fischler & Bolles 1981) with a fixed seed finds the agreement; the fit to it is exact least squares. NoHomography
    where no four points agree on one.
    """
    src, dst = _point_pairs(src, dst)
    rough, mask = cv2.findHomography(src, dst, cv2.RANSAC, threshold_px, maxIters=5000, confidence=0.9999)
    if rough is None or mask.sum() < 4:
        raise NoHomography(f"no 4 of {len(src)} points agree within {threshold_px} px")
    h: Floats = np.asarray(rough, np.float64)
    inliers = mask.ravel().astype(bool)
    for _ in range(_REFINEMENTS):
        h = homography_from_points(src[inliers], dst[inliers])
        closer = np.linalg.norm(apply_homography(h, src) - dst, axis=1) <= threshold_px
        if closer.sum() < 4 or (closer == inliers).all():
            break
        inliers = closer
    return h, inliers


def apply_homography(h: Floats, points: Floats) -> Floats:
    """Returns the (N, 2) float64 points that the 3x3 matrix `h` takes `points` (N, 2) to."""
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"expected points of shape (N, 2), got {points.shape}")
    mapped = points @ h[:, :2].T + h[:, 2]
    return mapped[:, :2] / mapped[:, 2:]


def jacobian(mapping: Mapping, points: Floats, step: float) -> Floats:
    """Returns the derivatives (N, 2, 2) of a map at points (N, 2), by central differences over twice a `step`."""
    around = mapping((points + step * _AROUND[:, None]).reshape(-1, 2)).reshape(4, -1, 2)
    return np.stack([around[0] - around[1], around[2] - around[3]], axis=2) / (2 * step)


def box_homography(x_mm: float, y_mm: float, width_mm: float, height_mm: float, width_px: int, height_px: int) -> Floats:
    """Returns `page_from_image` for an image printed in a box of the page: pixel edge -0.5 falls on the box's edge."""
    sx, sy = width_mm / width_px, height_mm / height_px
    return np.array([[sx, 0, x_mm + sx / 2], [0, sy, y_mm + sy / 2], [0, 0, 1]], np.float64)


def grid(x: Floats, y: Floats) -> Floats:
    """Returns every point (N, 2) of columns `x` and lines `y`, line by line."""
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def image_corners(width_px: int, height_px: int) -> Floats:
    """Returns the outer corners TL, TR, BR, BL of an image, (4, 2) px."""
    return SQUARE * (width_px, height_px) - 0.5


def scale_at(destination_from_source: Floats, point: Floats) -> float:
    """Returns how many source pixels one destination pixel spans at the destination `point` (2,), where it spans most.

    It is the larger singular value of the Jacobian of the inverse map: above 1 the warp shrinks and must average.
    """
    inverse = np.linalg.inv(destination_from_source)
    x, y, w = inverse @ [point[0], point[1], 1.0]
    jacobian = (inverse[:2, :2] * w - np.outer([x, y], inverse[2, :2])) / w**2
    return float(np.linalg.svd(jacobian, compute_uv=False)[0])


def resample(
    image: np.ndarray, source_from_destination: Mapping, size: tuple[int, int], linear_light: bool = False
) -> np.ndarray:
    """Returns the image resampled to `size` along a smooth map without aliasing, uint8 (H, W, C) (or (H, W) as given).

    Where a destination pixel spans s > 1 source pixels, it is the mean of k x k samples spread evenly over its area, each
    interpolated linearly and standing for at most 1.25 x 1.25 source pixels: for s of 2, 3 and 4 that is the mean of the
    s x s source pixels beneath. Where the map does not shrink, Keys' cubic convolution (a = -0.5, 1981), which like the mean
    leaves linear ramps as they are. The map is evaluated at 9 x 9 Chebyshev points and interpolated by polynomials in
    between. Beyond the image its edge pixel is repeated.

    Args: `source_from_destination` takes points (N, 2) px to points (N, 2) px; `size` (W, H) of the destination in pixels;
    `linear_light` averages light instead of sRGB values (IEC 61966-2-1).
    Raises: ValueError for an image that is not uint8 (H, W) or (H, W, C), or an empty size.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"expected uint8 (H, W) or (H, W, C), got {image.dtype} {image.shape}")
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"expected a size of at least 1 x 1 px, got {size}")
    nodes = chebyshev_nodes(_N_NODES)
    lattice = grid((nodes + 1) / 2 * width - 0.5, (nodes + 1) / 2 * height - 0.5)
    places = source_from_destination(lattice).reshape(_N_NODES, _N_NODES, 2)
    n_sub = samples_a_side(round(_largest_span(places, size), 6))
    # counted from the middle, single precision holds a place in a photo to a ten-thousandth of a pixel: enough for means
    kind = np.float32 if n_sub > 1 else np.float64
    across, down = (_at_middles(side * n_sub).astype(kind, copy=False) for side in size)
    origin = np.floor(places[_N_NODES // 2, _N_NODES // 2])
    near = np.moveaxis(places - origin, 2, 0).astype(kind)
    levels = (255 * linear_levels()).astype(np.float32) if linear_light else None
    side = max(1, _TILE_SAMPLES // n_sub)
    out = np.empty((height, width, *image.shape[2:]), np.uint8)
    for top, left in product(range(0, height, side), range(0, width, side)):
        lines, columns = down[top * n_sub : (top + side) * n_sub], across[left * n_sub : (left + side) * n_sub]
        x, y = (lines @ axis @ columns.T for axis in near)
        part, (part_x, part_y) = _part_beneath(image, x, y, origin)
        part = _padded(part).astype(np.float32) if levels is None else _padded(levels[part])
        x -= part_x
        y -= part_y
        sampled = _shrunk(part, x, y, n_sub) if n_sub > 1 else _cubic(part, x, y)
        # the last digits of the interpolated places must not decide how a half is rounded
        np.round(sampled, 3, sampled)
        if linear_light:
            sampled = 255 * srgb_from_linear(sampled / 255)
        whole = cv2.convertScaleAbs(sampled if n_sub > 1 else np.maximum(sampled, 0))  # rounds, at most to 255
        is_padded = whole.shape[2:] != out.shape[2:]
        out[top : top + side, left : left + side] = cv2.cvtColor(whole, cv2.COLOR_RGBA2RGB) if is_padded else whole
    return out


def samples_a_side(span_px: float) -> int:
    """Returns how many samples a side `resample` averages where a destination pixel spans so many source pixels."""
    return 1 if span_px <= 1 else max(2, math.ceil(span_px / _SAMPLE_PX))


def chebyshev_nodes(n: int) -> Floats:
    """Returns the n Chebyshev points of the first kind in (-1, 1), ascending: polynomials through them do not oscillate."""
    return -np.cos((2 * np.arange(n) + 1) * np.pi / (2 * n))


def interpolation(n: int, x: Floats) -> Floats:
    """Returns the (N, n) matrix from values at `chebyshev_nodes(n)` to `x` in [-1, 1] (Berrut and Trefethen 2004, Eq. 4.2)."""
    nodes, weights = _nodes_and_weights(n)
    apart = np.asarray(x, np.float64)[:, None] - nodes
    exact = apart == 0
    is_hit = exact.any()
    ratios: Floats = weights / (np.where(exact, 1.0, apart) if is_hit else apart)
    ratios /= ratios.sum(axis=1, keepdims=True)
    if is_hit:
        hit = exact.any(axis=1)
        ratios[hit] = exact[hit]
    return ratios


@cache
def _nodes_and_weights(n: int) -> tuple[Floats, Floats]:
    k = np.arange(n)
    return chebyshev_nodes(n), (-1.0) ** k * np.sin((2 * k + 1) * np.pi / (2 * n))


def _point_pairs(src: Floats, dst: Floats) -> tuple[Floats, Floats]:
    src, dst = np.asarray(src, np.float64), np.asarray(dst, np.float64)
    if src.ndim != 2 or src.shape[1] != 2 or src.shape != dst.shape:
        raise ValueError(f"expected two arrays of shape (N, 2), got {src.shape} and {dst.shape}")
    if len(src) < 4:
        raise NoHomography(f"expected at least 4 points, got {len(src)}")
    return src, dst


def _unit_from_points(points: Floats) -> Floats:
    """Centroid to the origin, mean distance to sqrt(2): without it the linear system is ill-conditioned."""
    centre = points.mean(axis=0)
    spread = np.linalg.norm(points - centre, axis=1).mean()
    if spread == 0:
        raise NoHomography("all points coincide")
    s = math.sqrt(2) / spread
    return np.array([[s, 0, -s * centre[0]], [0, s, -s * centre[1]], [0, 0, 1]])


def homography_rows(src: Floats, dst: Floats) -> Floats:
    """Returns what is linear in the eight free entries of a homography, (N, 2, 8): both equations of each pair of points."""
    x, y = src.T
    one, nil = np.ones_like(x), np.zeros_like(x)
    straight = [x, y, one, nil, nil, nil], [nil, nil, nil, x, y, one]
    return np.stack([np.stack([*row, -u * x, -u * y], axis=1) for row, u in zip(straight, dst.T, strict=True)], axis=1)


def _direct_linear_transform(src: Floats, dst: Floats) -> Floats:
    rows = np.concatenate([homography_rows(src, dst), -dst[..., None]], axis=2).swapaxes(0, 1).reshape(-1, 9)
    _, singular, vt = np.linalg.svd(rows, full_matrices=len(rows) < 9)
    if singular[7] < 1e-10 * singular[0]:
        raise NoHomography("the points lie on too few lines")
    h: Floats = vt[8].reshape(3, 3)
    if abs(np.linalg.det(h)) < 1e-12 or abs(h[2, 2]) < 1e-12:
        raise NoHomography("the points lie on too few lines")
    h /= h[2, 2]
    return h


def _refined(h: Floats, src: Floats, dst: Floats) -> Floats:
    """Levenberg-Marquardt of our own: every crop's pixels hang on its last digits, which no other SciPy shall change."""
    damping, residual = 1e-6, (apply_homography(h, src) - dst).ravel()
    homogeneous = np.column_stack([src, np.ones(len(src))])
    for _ in range(_REFINEMENTS):
        mapped = homogeneous @ h.T
        u, v = (mapped[:, :2] / mapped[:, 2:]).T
        over_depth = homogeneous / mapped[:, 2:]
        jacobian = np.zeros((len(src), 2, 8))
        jacobian[:, 0, 0:3] = over_depth
        jacobian[:, 1, 3:6] = over_depth
        jacobian[:, 0, 6:8] = -u[:, None] * over_depth[:, :2]
        jacobian[:, 1, 6:8] = -v[:, None] * over_depth[:, :2]
        j = jacobian.reshape(-1, 8)
        normal = j.T @ j
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -j.T @ residual)
        trial = h + np.append(step, 0.0).reshape(3, 3)
        trial_residual = (apply_homography(trial, src) - dst).ravel()
        if trial_residual @ trial_residual < residual @ residual:
            h, residual, damping = trial, trial_residual, damping / 10
            if np.abs(step).max() < 1e-14:
                break
        elif np.abs(step).max() < 1e-10:
            break
        else:
            damping *= 100
    return h


@lru_cache(maxsize=32)
def _at_middles(n: int) -> Floats:
    """Returns the (n, 9) matrix from values at the nodes to the middles of n equal parts."""
    return interpolation(_N_NODES, (2 * np.arange(n) + 1) / n - 1)


@cache
def _at_few_places() -> tuple[Floats, Floats]:
    """Returns the (3, 9) matrices from values at the nodes to those and to the slopes at three places."""
    middles, step = np.linspace(-0.9, 0.9, 3), 1e-3
    ahead, back, at = (interpolation(_N_NODES, middles + shift) for shift in (step, -step, 0.0))
    return at, (ahead - back) / step


def _largest_span(places: Floats, size: tuple[int, int]) -> float:
    """Returns how many source pixels one destination pixel spans at most, from the map's values at the nodes."""
    at, slopes = _at_few_places()
    axes = np.moveaxis(places, 2, 0)
    steps = np.stack([at @ axes @ slopes.T / size[0], slopes @ axes @ at.T / size[1]], axis=-1)
    return float(np.linalg.svd(np.moveaxis(steps, 0, -2), compute_uv=False).max())


def _part_beneath(image: np.ndarray, x: np.ndarray, y: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """The part of the source that some places reach, and where it begins: a whole photo is too large for one tile."""
    (left, right), (top, bottom) = (
        (min(max(math.floor(at.min() + first) - 2, 0), n - 1), min(max(math.ceil(at.max() + first) + 3, 1), n))
        for at, first, n in zip((x, y), origin.tolist(), image.shape[1::-1], strict=True)
    )
    begins = left - float(origin[0]), top - float(origin[1])
    return image[top : max(bottom, top + 1), left : max(right, left + 1)], begins


def _padded(part: np.ndarray) -> np.ndarray:
    """Returns three channels as four, which OpenCV interpolates in half the time."""
    return cv2.cvtColor(part, cv2.COLOR_RGB2RGBA) if part.ndim == 3 and part.shape[2] == 3 else part


def _shrunk(part: np.ndarray, x: np.ndarray, y: np.ndarray, n_sub: int) -> np.ndarray:
    samples = cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    height, width = x.shape
    return cv2.resize(samples, (width // n_sub, height // n_sub), interpolation=cv2.INTER_AREA)


def _cubic(part: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # cv2's cubic has a = -0.75, which bends ramps, and 1/32 px steps
    points = np.column_stack([x.ravel(), y.ravel()])
    # beyond the edge every sample is the edge pixel; without the bound a far point would overflow the index
    points = np.clip(points, -3, np.array(part.shape[1::-1]) + 2)
    whole = np.floor(points).astype(np.int64)
    weights_x, weights_y = (_cubic_weights(points[:, axis] - whole[:, axis]) for axis in (0, 1))
    columns, lines = (np.clip(whole[:, axis, None] + np.arange(-1, 3), 0, part.shape[1 - axis] - 1) for axis in (0, 1))
    pixels = part.reshape(*part.shape[:2], -1)
    total = np.zeros((len(points), pixels.shape[2]))
    for j, i in product(range(4), repeat=2):
        total += (weights_y[j] * weights_x[i])[:, None] * pixels[lines[:, j], columns[:, i]]
    return total.reshape(*x.shape, *part.shape[2:])


def _cubic_weights(t: np.ndarray) -> tuple[np.ndarray, ...]:
    return (t * (-0.5 + t * (1 - 0.5 * t)), 1 + t * t * (-2.5 + 1.5 * t), t * (0.5 + t * (2 - 1.5 * t)), t * t * (-0.5 + 0.5 * t))
