"""Brightness and contrast: computed in floating point, rounded half to even, cut to [0, 255]."""

from typing import TYPE_CHECKING

import numpy as np

from pipeline.transforms.straight_through import column, eight_bit

if TYPE_CHECKING:
    from torch import Tensor

PIVOT = 127.5


def add_brightness(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns X + value, `value` in 8-bit units."""
    return _saved(pixels.astype(np.float32) + np.float32(value))


def scale_contrast(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns PIVOT + value (X - PIVOT). The paper does not state its pivot; mid-grey keeps the mean of a balanced image."""
    return _saved((pixels.astype(np.float32) - PIVOT) * np.float32(value) + PIVOT)


def brightness_on_tensors(images: "Tensor", values: list[float], seeds: list[int]) -> "Tensor":
    """Returns `add_brightness` of images (N, 3, H, W) of 0 .. 255, image i by value i, with gradients."""
    return eight_bit(images + column(values, images))


def contrast_on_tensors(images: "Tensor", values: list[float], seeds: list[int]) -> "Tensor":
    """Returns `scale_contrast` of images (N, 3, H, W) of 0 .. 255, image i by value i, with gradients."""
    return eight_bit((images - PIVOT) * column(values, images) + PIVOT)


def _saved(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)
