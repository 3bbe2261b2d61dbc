"""Gaussian blur."""

from math import ceil

import cv2
import numpy as np


def blur(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns a Gaussian blur with sigma `value` in px.

    The kernel reaches ceil(4 sigma) px, the border is mirrored without repeating its last pixel, and the sum is taken in
    float32 and rounded once.
    """
    if value == 0:
        return pixels.copy()
    size = 2 * ceil(4 * value) + 1
    blurred = cv2.GaussianBlur(pixels.astype(np.float32), (size, size), value, borderType=cv2.BORDER_REFLECT_101)
    return np.rint(blurred).clip(0, 255).astype(np.uint8)
