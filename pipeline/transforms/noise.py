"""Gaussian noise."""

import numpy as np


def add_noise(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns pixels with independent normal noise of standard deviation `value` (8-bit units), rounded and cut to [0, 255]."""
    noise = generator.standard_normal(pixels.shape, dtype=np.float32)
    return np.rint(pixels + np.float32(value) * noise).clip(0, 255).astype(np.uint8)
