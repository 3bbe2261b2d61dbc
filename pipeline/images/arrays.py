"""Images as a person holds them in Python, one or many, arrays or tensors, as the batch of 8-bit pixels that is worked on."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pipeline.images.tensors import to_model, to_pixels

if TYPE_CHECKING:
    import torch

Images = TypeVar("Images", np.ndarray, "torch.Tensor")


def as_pixels(images: Images) -> tuple[np.ndarray, Callable[[Sequence[np.ndarray]], Images]]:
    """Returns uint8 (N, H, W, 3) pixels, and what turns as many results, uint8 (H, W, 3), into the kind that was given.

    Args:
        images: uint8 (H, W, 3) or (N, H, W, 3), or a floating-point torch tensor (N, 3, H, W) in [0, 1], which is rounded.

    Raises:
        ValueError: they are none of these.
    """
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[-1] != 3:
            raise ValueError(f"expected uint8 (H, W, 3) or (N, H, W, 3), got {images.dtype} {images.shape}")
        is_one = images.ndim == 3
        return images[None] if is_one else images, lambda found: found[0] if is_one else np.stack(found)
    check_tensor(images)
    return to_pixels(images), lambda found: to_model(np.stack(found), images.device).to(images.dtype)


def check_tensor(images: object) -> None:
    """Raises ValueError unless this is a floating-point torch tensor (N, 3, H, W) in [0, 1]."""
    import torch

    if not isinstance(images, torch.Tensor):
        raise ValueError(f"expected a NumPy array or a torch tensor, got {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"expected a float tensor (N, 3, H, W), got {images.dtype} {tuple(images.shape)}")
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError("expected numbers in [0, 1]")
