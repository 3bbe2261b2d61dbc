"""Plane geometry: homographies from points, millimetres to pixels, and the one anti-aliased warp; pure functions.

Points are (x, y), right and down; pixel centres are whole numbers, so an image spans -0.5 .. W - 0.5. A matrix is named
destination-from-source: `crop_from_page @ page_from_photo`.
"""

import math

import cv2
import numpy as np

_REFINEMENTS = 20
_BAND_SAMPLES = 1 << 20


class NoHomography(ValueError):
    """The points are too few, or lie on too few lines, to determine a homography."""


def homography_from_points(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """Returns the 3x3 float64 `dst_from_src` with the least sum of squared distances in `dst`, scaled so that H[2, 2] = 1.

    Normalised direct linear transform, then Levenberg-Marquardt on the distances (Hartley & Zisserman, *Multiple View
    Geometry*, Algorithms 4.2 and 4.3).

    Args:
        src, dst: (N, 2), N >= 4, of which four with no three on one line.

    Raises:
        NoHomography: the points do not determine one.
    """
    src, dst = _point_pairs(src, dst)
    if len(src) < 4:
        raise NoHomography(f"expected at least 4 points, got {len(src)}")
    src_unit, dst_unit = _unit_from_points(src), _unit_from_points(dst)
    unit = _refined(
        _direct_linear_transform(apply_homography(src_unit, src), apply_homography(dst_unit, dst)),
        apply_homography(src_unit, src),
        apply_homography(dst_unit, dst),
    )
    h = np.linalg.inv(dst_unit) @ unit @ src_unit
    return h / h[2, 2]


def robust_homography(src: np.ndarray, dst: np.ndarray, threshold_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns `dst_from_src` fitted to the points that agree on it, and the (N,) bool mask of those within `threshold_px`.

    RANSAC (Fischler & Bolles 1981) with a fixed seed finds the agreement; the fit to it is exact least squares.

    Raises:
        NoHomography: no four points agree on one.
    """
    src, dst = _point_pairs(src, dst)
    if len(src) < 4:
        raise NoHomography(f"expected at least 4 points, got {len(src)}")
    h, mask = cv2.findHomography(src, dst, cv2.RANSAC, threshold_px, maxIters=5000, confidence=0.9999)
    if h is None or mask.sum() < 4:
        raise NoHomography(f"no 4 of {len(src)} points agree within {threshold_px} px")
    inliers = mask.ravel().astype(bool)
    for _ in range(_REFINEMENTS):
        h = homography_from_points(src[inliers], dst[inliers])
        closer = np.linalg.norm(apply_homography(h, src) - dst, axis=1) <= threshold_px
        if closer.sum() < 4 or (closer == inliers).all():
            break
        inliers = closer
    return h, inliers


def apply_homography(h: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns the (N, 2) float64 points that the 3x3 matrix `h` takes `points` (N, 2) to."""
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"expected points of shape (N, 2), got {points.shape}")
    mapped = points @ h[:, :2].T + h[:, 2]
    return mapped[:, :2] / mapped[:, 2:]


def reprojection_rms(h: np.ndarray, src: np.ndarray, dst: np.ndarray) -> float:
    """Returns the root mean square distance between h(src) and dst, in the units of `dst`; NaN for no points."""
    src, dst = _point_pairs(src, dst)
    if not len(src):
        return math.nan
    return float(np.sqrt(((apply_homography(h, src) - dst) ** 2).sum(axis=1).mean()))


def box_homography(x_mm: float, y_mm: float, width_mm: float, height_mm: float, width_px: int, height_px: int) -> np.ndarray:
    """Returns `page_from_image` for an image printed in a box of the page: pixel edge -0.5 falls on the box's edge."""
    sx, sy = width_mm / width_px, height_mm / height_px
    return np.array([[sx, 0, x_mm + sx / 2], [0, sy, y_mm + sy / 2], [0, 0, 1]], np.float64)


def image_corners(width_px: int, height_px: int) -> np.ndarray:
    """Returns the outer corners TL, TR, BR, BL of an image, (4, 2) px."""
    right, bottom = width_px - 0.5, height_px - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])


def scale_at(destination_from_source: np.ndarray, point: np.ndarray) -> float:
    """Returns how many source pixels one destination pixel spans at the destination `point` (2,), where it spans most.

    It is the larger singular value of the Jacobian of the inverse map: above 1 the warp shrinks and must average.
    """
    inverse = np.linalg.inv(destination_from_source)
    x, y, w = inverse @ np.array([point[0], point[1], 1.0])
    jacobian = (inverse[:2, :2] * w - np.outer([x, y], inverse[2, :2])) / w**2
    return float(np.linalg.svd(jacobian, compute_uv=False)[0])


def warp(image: np.ndarray, destination_from_source: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the image resampled to `size` without aliasing, uint8 (H, W, C) (or (H, W) as given).

    Where a destination pixel spans s > 1 source pixels, it is the mean of k x k samples spread evenly over its area,
    k = ceil(s), each interpolated linearly: for a whole s that is the mean of the s x s source pixels beneath. Where the
    warp does not shrink, Keys' cubic convolution (a = -0.5, 1981), which like the mean leaves linear ramps as they are.
    Positions are not quantised, and rounding to 8 bits happens once. Beyond the image its edge pixel is repeated.

    Args:
        image: uint8 (H, W) or (H, W, C).
        destination_from_source: 3x3, pixel to pixel.
        size: (W, H) of the destination in pixels.

    Raises:
        ValueError: not uint8, an empty size, or a horizon that crosses the destination.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"expected uint8 (H, W) or (H, W, C), got {image.dtype} {image.shape}")
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"expected a size of at least 1 x 1 px, got {size}")
    source_from_destination = np.linalg.inv(destination_from_source)
    corners = image_corners(width, height)
    depths = corners @ source_from_destination[2, :2] + source_from_destination[2, 2]
    if depths.min() * depths.max() <= 0:
        raise ValueError("expected a destination on one side of the horizon, got one that crosses it")
    part, origin = _part_beneath(image, apply_homography(source_from_destination, corners))
    part_from_destination = np.array([[1, 0, -origin[0]], [0, 1, -origin[1]], [0, 0, 1.0]]) @ source_from_destination
    # rounded, so that a whole scale with floating-point dust is not averaged over one sample too many
    n_sub = math.ceil(round(max(scale_at(destination_from_source, corner) for corner in corners), 6))
    sample = _shrunk if n_sub > 1 else _cubic
    out = np.empty((height, width, *image.shape[2:]), np.uint8)
    n_rows = max(1, _BAND_SAMPLES // (width * n_sub**2))
    for top in range(0, height, n_rows):
        rows = min(n_rows, height - top)
        band_from_rows = part_from_destination @ np.array([[1, 0, 0], [0, 1, top], [0, 0, 1.0]])
        out[top : top + rows] = np.clip(np.rint(sample(part, band_from_rows, width, rows, n_sub)), 0, 255).reshape(
            rows, width, *image.shape[2:]
        )
    return out


def _point_pairs(src: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    src, dst = np.asarray(src, np.float64), np.asarray(dst, np.float64)
    if src.ndim != 2 or src.shape[1] != 2 or src.shape != dst.shape:
        raise ValueError(f"expected two arrays of shape (N, 2), got {src.shape} and {dst.shape}")
    return src, dst


def _unit_from_points(points: np.ndarray) -> np.ndarray:
    """Centroid to the origin, mean distance to sqrt(2): without it the linear system is ill-conditioned."""
    centre = points.mean(axis=0)
    spread = np.linalg.norm(points - centre, axis=1).mean()
    if spread == 0:
        raise NoHomography("all points coincide")
    s = math.sqrt(2) / spread
    return np.array([[s, 0, -s * centre[0]], [0, s, -s * centre[1]], [0, 0, 1]])


def _direct_linear_transform(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    x, y = src.T
    u, v = dst.T
    one, nil = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate(
        [
            np.stack([x, y, one, nil, nil, nil, -u * x, -u * y, -u], axis=1),
            np.stack([nil, nil, nil, x, y, one, -v * x, -v * y, -v], axis=1),
        ]
    )
    _, singular, vt = np.linalg.svd(rows)
    if singular[7] < 1e-10 * singular[0]:
        raise NoHomography("the points lie on too few lines")
    h = vt[8].reshape(3, 3)
    if abs(np.linalg.det(h)) < 1e-12 or abs(h[2, 2]) < 1e-12:
        raise NoHomography("the points lie on too few lines")
    return h / h[2, 2]


def _refined(h: np.ndarray, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
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
        else:
            damping *= 100
    return h


def _part_beneath(image: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """The part of the source that the destination reaches, as float32: a whole photo in float is too large for one crop."""
    height, width = image.shape[:2]
    left, top = (int(np.clip(v, 0, n - 1)) for v, n in zip(np.floor(corners.min(axis=0)) - 2, (width, height), strict=True))
    right, bottom = (int(np.clip(v, 1, n)) for v, n in zip(np.ceil(corners.max(axis=0)) + 3, (width, height), strict=True))
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    return np.ascontiguousarray(part, np.float32), (left, top)


def _shrunk(part: np.ndarray, part_from_rows: np.ndarray, width: int, rows: int, n_sub: int) -> np.ndarray:
    offset = 0.5 / n_sub - 0.5
    rows_from_samples = np.array([[1 / n_sub, 0, offset], [0, 1 / n_sub, offset], [0, 0, 1]])
    samples = cv2.warpPerspective(
        part,
        part_from_rows @ rows_from_samples,
        (width * n_sub, rows * n_sub),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return samples.reshape(rows, n_sub, width, n_sub, -1).mean(axis=(1, 3), dtype=np.float64)


def _cubic(part: np.ndarray, part_from_rows: np.ndarray, width: int, rows: int, n_sub: int) -> np.ndarray:
    # cv2's cubic has a = -0.75, which bends ramps, and 1/32 px steps
    y, x = np.mgrid[0:rows, 0:width].reshape(2, -1)
    points = apply_homography(part_from_rows, np.column_stack([x, y]))
    # beyond the edge every sample is the edge pixel; without the bound a far point would overflow the index
    points = np.clip(points, -3, np.array(part.shape[1::-1]) + 2)
    whole = np.floor(points).astype(np.int64)
    weights_x, weights_y = (_cubic_weights(points[:, axis] - whole[:, axis]) for axis in (0, 1))
    columns, lines = (np.clip(whole[:, axis, None] + np.arange(-1, 3), 0, part.shape[1 - axis] - 1) for axis in (0, 1))
    pixels = part.reshape(*part.shape[:2], -1)
    total = np.zeros((len(points), pixels.shape[2]))
    for j in range(4):
        for i in range(4):
            total += (weights_y[j] * weights_x[i])[:, None] * pixels[lines[:, j], columns[:, i]]
    return total


def _cubic_weights(t: np.ndarray) -> tuple[np.ndarray, ...]:
    return (t * (-0.5 + t * (1 - 0.5 * t)), 1 + t * t * (-2.5 + 1.5 * t), t * (0.5 + t * (2 - 1.5 * t)), t * t * (-0.5 + 0.5 * t))
