"""Draws a picture as a photo sees it along a smooth map, tile by tile and without aliasing."""

import cv2
import numpy as np

from pipeline.physical.geometry import chebyshev_nodes, interpolation

_TILE_PX = 256
_N_NODES = 7
_FURTHEST_PX = 30000
# a pixel of the lens's blur hides what little still aliases below 1.2 picture pixels per photo pixel
_WIDEST_SPAN = 1.2
_UNBEND = np.array([1.32349, -2.49399, 7.30938, -10.03746], np.float32)


class Tiles:
    """The tiles of a photo that are to be drawn.

    `nodes` (N, 2) px are all points of the photo at which a map must be known exactly: 7 x 7 Chebyshev points a tile.
    """

    def __init__(self, size: tuple[int, int], wanted: np.ndarray):
        """Args: `size` (W, H) px of the photo; `wanted` bool (H, W): only tiles with some of it are drawn."""
        self.size = size
        width, height = size
        rows, columns = -(-height // _TILE_PX), -(-width // _TILE_PX)
        padded = np.zeros((rows * _TILE_PX, columns * _TILE_PX), bool)
        padded[:height, :width] = wanted
        self.corners = np.argwhere(padded.reshape(rows, _TILE_PX, columns, _TILE_PX).any(axis=(1, 3))) * _TILE_PX
        offset = (chebyshev_nodes(_N_NODES) + 1) / 2 * _TILE_PX - 0.5
        grid = np.stack(np.meshgrid(offset, offset), axis=-1)
        self.nodes = (self.corners[:, None, None, ::-1] + grid).reshape(-1, 2)

    def spans(self, places: np.ndarray, within: tuple[float, float]) -> np.ndarray:
        """Returns, (tiles,), how much of a picture's length one photo pixel spans at most where it shows the picture.

        Args: `places` (N, 2) of the nodes in the picture; `within` (W, H) of it. A tile that only its corner reaches has 0.
        """
        grid = places.reshape(-1, _N_NODES, _N_NODES, 2)
        step = np.diff((chebyshev_nodes(_N_NODES) + 1) / 2 * _TILE_PX)
        by_x = np.diff(grid, axis=2)[:, :-1] / step[None, None, :, None]
        by_y = np.diff(grid, axis=1)[:, :, :-1] / step[None, :, None, None]
        span = np.linalg.svd(np.stack([by_x, by_y], axis=-1), compute_uv=False)[..., 0]
        middles = (grid[:, 1:, 1:] + grid[:, :-1, :-1]) / 2
        shown = ((middles > 0) & (middles < np.array(within))).all(axis=-1)
        return np.asarray(np.where(shown, span, 0).max(axis=(1, 2), initial=0))

    def drawn(self, picture: np.ndarray, places: np.ndarray, interpolation_flag: int, border: int) -> np.ndarray:
        """Returns the picture as the photo sees it, (H, W, C); tiles that are not wanted stay 0.

        Where a photo pixel spans more than 1.2 pixels of the picture, these are averaged over as much first.

        Args: `places` (N, 2) px of the nodes in the picture.
        """
        width, height = self.size
        out = np.zeros((height, width, *picture.shape[2:]), picture.dtype)
        levels = np.maximum(1, np.ceil(2 * self.spans(places, picture.shape[1::-1]) / _WIDEST_SPAN - 1e-6) / 2)
        inside = interpolation(_N_NODES, (2 * np.arange(_TILE_PX) + 1) / _TILE_PX - 1).astype(np.float32)
        places = places.reshape(-1, _N_NODES, _N_NODES, 2)
        for level in np.unique(levels):
            coarse = _averaged(picture, level)
            scale = np.array(coarse.shape[1::-1]) / picture.shape[1::-1]
            for tile in np.flatnonzero(levels == level):
                top, left = self.corners[tile]
                n_rows, n_columns = min(_TILE_PX, height - top), min(_TILE_PX, width - left)
                place = np.clip((places[tile] + 0.5) * scale - 0.5, -_FURTHEST_PX, _FURTHEST_PX)
                x, y = (_between(inside, place[..., axis], interpolation_flag)[:n_rows, :n_columns] for axis in (0, 1))
                out[top : top + n_rows, left : left + n_columns] = cv2.remap(coarse, x, y, interpolation_flag, borderMode=border)
        return out


def shrink_for(spans: np.ndarray) -> int:
    """Returns how many pixels of a picture, a side, can be averaged for tiles of these spans without loss to the sharpest."""
    shown = spans[spans > 0]
    return max(1, int(np.ceil(shown.min() / _WIDEST_SPAN - 1e-6))) if len(shown) else 1


def _between(inside: np.ndarray, at_nodes: np.ndarray, interpolation_flag: int) -> np.ndarray:
    """Returns one coordinate at every pixel of a tile, float32, from its values at the nodes."""
    # told from the tile's own corner, single precision is good to 1e-4 px
    origin = np.floor(at_nodes[0, 0])
    at_pixels: np.ndarray = inside @ (at_nodes - origin).astype(np.float32) @ inside.T
    if interpolation_flag == cv2.INTER_CUBIC:
        _unbend(at_pixels)
    at_pixels += np.float32(origin)
    return at_pixels


def _unbend(places_px: np.ndarray) -> None:
    """Moves places to where cv2's cubic must be asked so that it answers for the places given.

    Its a is -0.75 (Keys 1981), for which a ramp from -0.5 to 0.5 between two pixels becomes u^3 + 0.75 u: an edge would move by
    up to 0.05 px. The inverse is sinh(asinh(4 y) / 3), here as an odd polynomial good to 5e-4 px.
    """
    middle = np.floor(places_px)
    middle += np.float32(0.5)
    places_px -= middle
    square = places_px * places_px
    bent = square * _UNBEND[3]
    for factor in _UNBEND[2:0:-1]:
        bent += factor
        bent *= square
    bent += _UNBEND[0]
    places_px *= bent
    places_px += middle


def _averaged(picture: np.ndarray, level: float) -> np.ndarray:
    if level == 1:
        return picture
    height, width = picture.shape[:2]
    size = (int(np.ceil(width / level)), int(np.ceil(height / level)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
