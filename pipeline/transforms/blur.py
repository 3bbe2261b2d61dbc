"""Gaussian blur."""

from math import ceil
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipeline.transforms.straight_through import eight_bit

if TYPE_CHECKING:
    from torch import Tensor


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


def blur_on_tensors(images: "Tensor", values: list[float], seeds: list[int]) -> "Tensor":
    """Returns `blur` of images (N, 3, H, W) of 0 .. 255, image i with sigma i, with gradients."""
    import torch

    down, across = (
        torch.from_numpy(np.stack([_matrix(n, value) for value in values])).to(images.device, images.dtype)[:, None]
        for n in images.shape[2:]
    )
    return eight_bit(down @ images @ across.transpose(2, 3))


def _matrix(n: int, sigma: float) -> np.ndarray:
    """The blur of n pixels in a row as a matrix (n, n), its mirrored border folded in."""
    if sigma == 0:
        return np.eye(n)
    reach = ceil(4 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    place = np.arange(n)[:, None] + np.arange(-reach, reach + 1)
    period = max(2 * (n - 1), 1)
    mirrored = np.abs((place + n - 1) % period - (n - 1)) if n > 1 else np.zeros_like(place)
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.arange(n)[:, None], mirrored), weights / weights.sum())
    return matrix
