"""From 8-bit RGB images to the tensors that networks take."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def to_model(images: np.ndarray, device: "str | torch.device" = "cpu") -> "torch.Tensor":
    """Returns uint8 (N, H, W, 3) images as a contiguous float32 (N, 3, H, W) tensor in [0, 1]."""
    import torch

    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"expected uint8 (N, H, W, 3), got {images.dtype} {images.shape}")
    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return planes.to(device=device, dtype=torch.float32) / 255.0
