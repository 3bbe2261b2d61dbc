"""Between 8-bit RGB images and the tensors that networks take."""

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


def to_pixels(tensor: "torch.Tensor") -> np.ndarray:
    """Returns a float (N, 3, H, W) tensor in [0, 1] as uint8 (N, H, W, 3): clipped, then rounded to the nearest."""
    import torch

    if tensor.ndim != 4 or tensor.shape[1] != 3 or not tensor.is_floating_point():
        raise ValueError(f"expected float (N, 3, H, W), got {tensor.dtype} {tuple(tensor.shape)}")
    if torch.isnan(tensor).any():
        raise ValueError("expected numbers in [0, 1], got NaN")
    rounded = (tensor.detach().float().clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.cpu().numpy().transpose(0, 2, 3, 1))
