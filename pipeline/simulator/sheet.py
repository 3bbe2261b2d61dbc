"""Where a point of the paper lies in the photo: a sheet bent like a cylinder, a pinhole, and a lens that bends straight lines."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.geometry import apply_homography, chebyshev_nodes, interpolation
from pipeline.page_map import PageMap
from pipeline.simulator.profile import Profile, Shot
from pipeline.simulator.scene import Pose

_TILE_PX = 256
_N_NODES = 7
_REACH = 1.6
_NEWTON_STEPS = 12


@dataclass(frozen=True, eq=False)
class Sheet:
    """One sheet in front of one camera; maps between page mm, photo px and the plane of the table."""

    pose: Pose
    size: tuple[int, int]
    width_mm: float
    height_mm: float
    lens_k1: float
    axis: np.ndarray
    along: np.ndarray
    across: np.ndarray
    height: np.ndarray

    def photo_from_page(self, page_mm: np.ndarray) -> np.ndarray:
        """Returns the photo px (N, 2) of page points (N, 2)."""
        centred = np.asarray(page_mm, np.float64) - np.array([self.width_mm, self.height_mm]) / 2
        normal = np.array([-self.axis[1], self.axis[0]])
        # paper bends but does not stretch: its length across the bend is arc length
        place = np.interp(centred @ self.axis, self.along, self.across)
        lift = np.interp(place, self.across, self.height)
        flat = place[:, None] * self.axis + (centred @ normal)[:, None] * normal
        in_space = np.column_stack([flat, -lift]) @ self.pose.turn.T + self.pose.position
        seen = in_space @ self.pose.camera.T
        return self._bent(seen[:, :2] / seen[:, 2:])

    def table_from_photo(self, photo_px: np.ndarray) -> np.ndarray:
        """Returns the points of the table's plane, in mm of a flat page lying on it, that photo points show."""
        return apply_homography(np.linalg.inv(self.pose.photo_from_page), self._straightened(photo_px))

    def page_from_photo(self, photo_px: np.ndarray) -> np.ndarray:
        """Returns the page points (N, 2) mm that photo points (N, 2) show, by Newton's method."""
        page, step = self.table_from_photo(photo_px), 0.01
        for _ in range(_NEWTON_STEPS):
            sides = [
                (self.photo_from_page(page + shift) - self.photo_from_page(page - shift)) / (2 * step)
                for shift in ([step, 0], [0, step])
            ]
            move = np.linalg.solve(np.stack(sides, axis=2), (photo_px - self.photo_from_page(page))[..., None])[..., 0]
            page = page + np.clip(move, -20, 20)
            if np.abs(move).max(initial=0) < 1e-7:
                break
        return page

    @property
    def page_map(self) -> PageMap:
        """The truth of this photo."""
        return PageMap.fitted(self.photo_from_page, self.width_mm, self.height_mm)

    def outline(self, n_per_side: int = 60) -> np.ndarray:
        """Returns the paper's edge in the photo, (4 n, 2) px, clockwise from its top left corner."""
        t = np.linspace(0, 1, n_per_side, endpoint=False)
        sides = [(t, 0 * t), (0 * t + 1, t), (1 - t, 0 * t + 1), (0 * t, 1 - t)]
        page = np.concatenate([np.column_stack([x * self.width_mm, y * self.height_mm]) for x, y in sides])
        return self.photo_from_page(page)

    def _bent(self, photo_px: np.ndarray) -> np.ndarray:
        """Brown's first radial term; the radius is 1 in the frame's corners."""
        centre, unit = self._optics()
        from_centre = (photo_px - centre) / unit
        return centre + unit * from_centre * (1 + self.lens_k1 * (from_centre**2).sum(axis=1, keepdims=True))

    def _straightened(self, photo_px: np.ndarray) -> np.ndarray:
        centre, unit = self._optics()
        seen = (np.asarray(photo_px, np.float64) - centre) / unit
        straight = seen
        for _ in range(20):
            straight = seen / (1 + self.lens_k1 * (straight**2).sum(axis=1, keepdims=True))
        return centre + unit * straight

    def _optics(self) -> tuple[np.ndarray, float]:
        size = np.array(self.size, np.float64)
        return (size - 1) / 2, float(np.hypot(*size)) / 2


def sheet_of(shot: Shot, profile: Profile, pose: Pose, size: tuple[int, int], width_mm: float, height_mm: float) -> Sheet:
    """Returns the sheet that a shot drew: it bulges or lifts by `curl_mm` across an axis of random direction."""
    angle = np.radians(shot.curl_direction_deg)
    axis = np.array([np.cos(angle), np.sin(angle)])
    half = (abs(axis[0]) * width_mm + abs(axis[1]) * height_mm) / 2
    t = np.linspace(-_REACH, _REACH, 8001)
    shape = (1 - t**2) * (1 + shot.curl_skew * t) if shot.curl_lift < 0.5 else t**2 * (1 + shot.curl_skew * t)
    on_page = shape[np.abs(t) <= 1]
    height = shot.curl_mm * (shape - on_page.min()) / (on_page.max() - on_page.min())
    across = half * t
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(across), np.diff(height)))])
    along = length - np.interp(0, across, length)
    return Sheet(pose, size, width_mm, height_mm, shot.lens_k1, axis, along, across, height)


def drawn_through(
    source: np.ndarray,
    source_from_photo: Callable[[np.ndarray], np.ndarray],
    size: tuple[int, int],
    interpolation_flag: int,
    border: int,
    part: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the source as the photo shows it, (H, W, C), tile by tile with the map exact at 7 x 7 Chebyshev points of each.

    Args: `part` bool (rows, columns) of the tiles to draw, all without it; the rest stays 0.
    """
    width, height = size
    nodes = chebyshev_nodes(_N_NODES)
    inside = interpolation(_N_NODES, (2 * np.arange(_TILE_PX) + 1) / _TILE_PX - 1)
    out = np.zeros((height, width, *source.shape[2:]), source.dtype)
    rows, columns = tiles(size)
    chosen = [(r, c) for r in range(rows) for c in range(columns) if part is None or part[r, c]]
    if not chosen:
        return out
    offset = (nodes + 1) / 2 * _TILE_PX - 0.5
    x = np.array([c * _TILE_PX for _, c in chosen])[:, None, None] + offset[None, None, :] + 0 * offset[None, :, None]
    y = np.array([r * _TILE_PX for r, _ in chosen])[:, None, None] + offset[None, :, None] + 0 * offset[None, None, :]
    places = source_from_photo(np.column_stack([x.ravel(), y.ravel()])).reshape(len(chosen), _N_NODES, _N_NODES, 2)
    for (row, column), place in zip(chosen, places, strict=True):
        top, left = row * _TILE_PX, column * _TILE_PX
        n_rows, n_columns = min(_TILE_PX, height - top), min(_TILE_PX, width - left)
        maps = [(inside[:n_rows] @ place[..., axis] @ inside[:n_columns].T).astype(np.float32) for axis in (0, 1)]
        out[top : top + n_rows, left : left + n_columns] = cv2.remap(source, *maps, interpolation_flag, borderMode=border)
    return out


def tiles(size: tuple[int, int]) -> tuple[int, int]:
    """Returns how many rows and columns of tiles a photo has."""
    return -(-size[1] // _TILE_PX), -(-size[0] // _TILE_PX)


def tiles_beneath(mask: np.ndarray) -> np.ndarray:
    """Returns which tiles hold any of a mask, bool (rows, columns)."""
    rows, columns = tiles(mask.shape[::-1])
    padded = np.zeros((rows * _TILE_PX, columns * _TILE_PX), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask > 0
    return padded.reshape(rows, _TILE_PX, columns, _TILE_PX).any(axis=(1, 3))
