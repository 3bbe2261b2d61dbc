"""A grey photo and its halvings: small versions are searched first, and sampling never skips pixels."""

import cv2
import numpy as np


class Pyramid:
    """A grey photo, uint8 (H, W), and its halvings, each made when it is first asked for; `size` is its width and height, px."""

    def __init__(self, photo: np.ndarray) -> None:
        """Takes uint8 (H, W, 3) RGB or (H, W)."""
        if photo.dtype != np.uint8 or photo.ndim not in (2, 3):
            raise ValueError(f"photo: expected uint8 (H, W, 3) or (H, W), got {photo.dtype} {photo.shape}")
        self.grey = np.ascontiguousarray(photo) if photo.ndim == 2 else cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        self.size = self.grey.shape[1], self.grey.shape[0]
        self._levels = [self.grey]

    def level(self, k: int) -> np.ndarray:
        """Returns the photo shrunk 2^k times by averaging; a side below 2^k px stops the shrinking."""
        while len(self._levels) <= k:
            above = self._levels[-1]
            height, width = above.shape
            if min(height, width) < 2:
                return above
            even = above[: height // 2 * 2, : width // 2 * 2]
            self._levels.append(cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA))
        return self._levels[k]

    def level_of(self, long_side_px: int) -> int:
        """Returns the least k whose level has a long side of at most `long_side_px`."""
        k = 0
        while max(self.size) >> k > long_side_px:
            k += 1
        return k


def photo_from_level(points: np.ndarray, k: int) -> np.ndarray:
    """Returns points of a level in pixels of the photo itself, pixel centres being whole numbers in both."""
    return (np.asarray(points, np.float64) + 0.5) * 2**k - 0.5


def level_from_photo(k: int) -> np.ndarray:
    """Returns the 3x3 matrix that does the opposite of `photo_from_level`."""
    step = 2.0**k
    shift = (0.5 - step / 2) / step
    return np.array([[1 / step, 0, shift], [0, 1 / step, shift], [0, 0, 1]])
