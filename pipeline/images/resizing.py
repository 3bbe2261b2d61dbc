"""A picture of any size at a network's input size, to the bit as the network's own preprocessing frames it."""

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images.encoding import check_pixels

MAX_RESIZED_PIXELS = 100_000_000
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}


def resize_shorter_and_crop(
    pixels: np.ndarray, resize_px: int, crop: tuple[int, int], interpolation: str = "bilinear"
) -> np.ndarray:
    """Returns uint8 (H, W, 3) pixels resized until the shorter side is `resize_px`, then the central `crop` (height, width).

    The same bits as torchvision's evaluation preset, Resize + CenterCrop on a Pillow image: the longer side is truncated to a
    whole number, Pillow's filter widens with the reduction (antialiased), the crop's corner is rounded half to even, and a crop
    larger than the image is filled up with black.

    Args:
        interpolation: "bilinear", "bicubic" or "nearest".

    Raises:
        BadInput: so elongated a picture that the resized one would not fit in memory.
    """
    check_pixels(pixels)
    if resize_px < 1 or min(crop) < 1:
        raise ValueError(f"expected positive sizes, got resize_px={resize_px}, crop={crop}")
    if interpolation not in _FILTERS:
        raise ValueError(f"expected one of {', '.join(_FILTERS)}, got {interpolation!r}")
    height, width = pixels.shape[:2]
    long_px = int(resize_px * max(height, width) / min(height, width))
    if long_px * resize_px > MAX_RESIZED_PIXELS:
        shape = f"{width} x {height} pixels"
        raise BadInput(f"The picture is too elongated ({shape}) to be resized to {resize_px} on its shorter side.")
    size = (resize_px, long_px) if width <= height else (long_px, resize_px)
    if size != (width, height):
        pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, _FILTERS[interpolation]))
    return _centre_crop(pixels, crop)


def _centre_crop(pixels: np.ndarray, crop: tuple[int, int]) -> np.ndarray:
    height, width = pixels.shape[:2]
    missing = [max(crop[0] - height, 0), max(crop[1] - width, 0)]
    if any(missing):
        pixels = np.pad(pixels, [(m // 2, (m + 1) // 2) for m in missing] + [(0, 0)])
        height, width = pixels.shape[:2]
    top, left = round((height - crop[0]) / 2), round((width - crop[1]) / 2)
    return np.ascontiguousarray(pixels[top : top + crop[0], left : left + crop[1]])
