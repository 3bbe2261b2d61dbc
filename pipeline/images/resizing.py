"""A picture of any size at a network's input size, to the bit as the network's own preprocessing frames it."""

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images.encoding import check_pixels

MAX_RESIZED_PIXELS = 100_000_000
INTERPOLATIONS = {kind.name.lower(): kind for kind in Image.Resampling}


def resize_shorter_and_crop(
    pixels: np.ndarray, resize_px: int, crop: tuple[int, int], interpolation: str = "bilinear"
) -> np.ndarray:
    """Returns uint8 (H, W, 3) pixels resized until the shorter side is `resize_px`, then the central `crop` (height, width).

    The same bits as torchvision's evaluation preset, Resize + CenterCrop on a Pillow image: the longer side is truncated to a
    whole number, Pillow's filter widens with the reduction (antialiased), the crop's corner is rounded half to even, and a crop
    larger than the image is filled up with black.

    Args:
        interpolation: "bilinear", "bicubic", "nearest" or another filter of Pillow's.

    Raises:
        BadInput: so elongated a picture that the resized one would not fit in memory.
    """
    check_pixels(pixels)
    if resize_px < 1:
        raise ValueError(f"expected a positive size, got resize_px={resize_px}")
    height, width = pixels.shape[:2]
    long_px = int(resize_px * max(height, width) / min(height, width))
    size = (long_px, resize_px) if width <= height else (resize_px, long_px)
    return resize_and_crop(pixels, size, crop, interpolation)


def resize_to_box_and_crop(
    pixels: np.ndarray,
    box_px: tuple[int, int],
    crop: tuple[int, int],
    interpolation: str = "bilinear",
    inside: bool = False,
    fill: tuple[int, ...] = (0, 0, 0),
) -> np.ndarray:
    """Returns uint8 (H, W, 3) pixels scaled until they cover a box (height, width), or lie inside it, then the central crop.

    The same bits as timm's ResizeKeepRatio and CenterCropOrPad: both sides are rounded half to even. `fill` is the colour of what
    a crop shows beyond the image. Raises BadInput as `resize_shorter_and_crop` does.
    """
    ratios = [side / wanted for side, wanted in zip(pixels.shape[:2], box_px)]
    ratio = max(ratios) if inside else min(ratios)
    height, width = (round(side / ratio) for side in pixels.shape[:2])
    return resize_and_crop(pixels, (height, width), crop, interpolation, fill)


def resize_and_crop(
    pixels: np.ndarray,
    size: tuple[int, int],
    crop: tuple[int, int],
    interpolation: str = "bilinear",
    fill: tuple[int, ...] = (0, 0, 0),
) -> np.ndarray:
    """Returns uint8 (H, W, 3) pixels resized to exactly `size`, then the central `crop`, both (height, width)."""
    check_pixels(pixels)
    if min(*size, *crop) < 1:
        raise ValueError(f"expected positive sizes, got size={size}, crop={crop}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"expected one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    height, width = pixels.shape[:2]
    if size[0] * size[1] > MAX_RESIZED_PIXELS:
        what = f"The picture is too elongated ({width} x {height} pixels) to be resized to {min(size)} on its shorter side."
        raise BadInput(what)
    if size != (height, width):
        resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(size[::-1], INTERPOLATIONS[interpolation])
        pixels = np.asarray(resized)
    return _centre_crop(pixels, crop, fill)


def _centre_crop(pixels: np.ndarray, crop: tuple[int, int], fill: tuple[int, ...]) -> np.ndarray:
    height, width = pixels.shape[:2]
    missing = [max(crop[0] - height, 0), max(crop[1] - width, 0)]
    if any(missing):
        padded = np.empty((height + missing[0], width + missing[1], 3), np.uint8)
        padded[:] = fill
        top, left = (m // 2 for m in missing)
        padded[top : top + height, left : left + width] = pixels
        pixels, (height, width) = padded, padded.shape[:2]
    top, left = round((height - crop[0]) / 2), round((width - crop[1]) / 2)
    return np.ascontiguousarray(pixels[top : top + crop[0], left : left + crop[1]])
