"""Gaussian noise."""

from typing import TYPE_CHECKING

import numpy as np

from pipeline.transforms.straight_through import column, eight_bit

if TYPE_CHECKING:
    from torch import Tensor


def add_noise(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns pixels with independent normal noise of standard deviation `value` (8-bit units), rounded and cut to [0, 255]."""
    noise = generator.standard_normal(pixels.shape, dtype=np.float32)
    return np.rint(pixels + np.float32(value) * noise).clip(0, 255).astype(np.uint8)


def noise_on_tensors(images: "Tensor", values: list[float], seeds: list[int]) -> "Tensor":
    """Returns `add_noise` of images (N, 3, H, W) of 0 .. 255, image i by value i and seed i, with gradients."""
    import torch

    height, width = images.shape[2:]
    drawn = [np.random.default_rng(seed).standard_normal((height, width, 3), dtype=np.float32) for seed in seeds]
    noise = torch.from_numpy(np.stack(drawn)).to(images.device, images.dtype).permute(0, 3, 1, 2)
    return eight_bit(images + column(values, images) * noise)
