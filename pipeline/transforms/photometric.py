"""Brightness and contrast: computed in floating point, rounded half to even, cut to [0, 255]."""

import numpy as np

PIVOT = 127.5


def add_brightness(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns X + value, `value` in 8-bit units."""
    return _saved(pixels.astype(np.float32) + np.float32(value))


def scale_contrast(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns PIVOT + value (X - PIVOT). The paper does not state its pivot; mid-grey keeps the mean of a balanced image."""
    return _saved((pixels.astype(np.float32) - PIVOT) * np.float32(value) + PIVOT)


def _saved(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)
