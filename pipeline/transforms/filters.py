"""The digital transforms: of uint8 (H, W, 3) pixels, and their twins on tensors, with gradients, for attacks that expect them."""

import io
from math import ceil
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

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


def add_noise(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns pixels with independent normal noise of standard deviation `value` (8-bit units), rounded and cut to [0, 255]."""
    noise = generator.standard_normal(pixels.shape, dtype=np.float32)
    return _saved(pixels + np.float32(value) * noise)


def noise_on_tensors(images: "Tensor", values: list[float], seeds: list[int]) -> "Tensor":
    """Returns `add_noise` of images (N, 3, H, W) of 0 .. 255, image i by value i and seed i, with gradients."""
    import torch

    height, width = images.shape[2:]
    drawn = [np.random.default_rng(seed).standard_normal((height, width, 3), dtype=np.float32) for seed in seeds]
    noise = torch.from_numpy(np.stack(drawn)).to(images.device, images.dtype).permute(0, 3, 1, 2)
    return eight_bit(images + column(values, images) * noise)


def blur(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns a Gaussian blur with sigma `value` in px.

    The kernel reaches ceil(4 sigma) px, the border is mirrored without repeating its last pixel, and the sum is taken in
    float32 and rounded once.
    """
    if value == 0:
        return pixels.copy()
    size = 2 * ceil(4 * value) + 1
    blurred = cv2.GaussianBlur(pixels.astype(np.float32), (size, size), value, borderType=cv2.BORDER_REFLECT_101)
    return _saved(blurred)


def blur_on_tensors(images: "Tensor", values: list[float], seeds: list[int]) -> "Tensor":
    """Returns `blur` of images (N, 3, H, W) of 0 .. 255, image i with sigma i, with gradients."""
    return eight_bit(blurred(images, values))


def blurred(images: "Tensor", values: list[float]) -> "Tensor":
    """Returns images (N, 3, H, W) after a Gaussian blur, image i with sigma i px, not rounded, with gradients."""
    import torch

    down, across = (
        torch.from_numpy(np.stack([_matrix(n, value) for value in values])).to(images.device, images.dtype)[:, None]
        for n in images.shape[2:]
    )
    return down @ images @ across.transpose(2, 3)


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


def compress_jpeg(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns pixels after one JPEG round trip: libjpeg-turbo through Pillow, quality `value`, chroma 4:2:0."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=round(value), subsampling="4:2:0")
    buffer.seek(0)
    return np.asarray(Image.open(buffer).convert("RGB"))


def eight_bit(values: "Tensor") -> "Tensor":
    """Returns values rounded half to even and cut to 0 .. 255; rounding has the gradient 1, what is cut the gradient 0."""
    cut = values.clamp(0, 255)
    return cut + (cut.detach().round() - cut.detach())


def column(values: list[float], like: "Tensor") -> "Tensor":
    """Returns one number for each image, (N, 1, 1, 1)."""
    return like.new_tensor(values)[:, None, None, None]
