"""Distances between two saved 8-bit images, in 8-bit units, and their structural similarity."""

import numpy as np

_WINDOW_PX = 11


def linf_8bit(first: np.ndarray, second: np.ndarray) -> int:
    """Returns the largest absolute difference of two uint8 arrays of one shape."""
    return int(np.abs(_difference(first, second)).max(initial=0))


def l2_8bit(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the Euclidean norm of the difference of two uint8 arrays of one shape."""
    return float(np.sqrt(np.square(_difference(first, second), dtype=np.int64).sum()))


def n_changed_pixels(first: np.ndarray, second: np.ndarray) -> int:
    """Returns in how many pixels two uint8 (H, W, 3) images differ, in any channel (the L0 distance of Carlini and Wagner)."""
    return int(np.any(_difference(first, second) != 0, axis=2).sum())


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the structural similarity of two uint8 (H, W, 3) images, 1 where they are equal (Wang et al. 2004).

    Gaussian window of sigma 1.5 px as in the paper, mean over the channels. Images of fewer than 11 px a side, which the window
    does not fit into, are mirrored at their edges.
    """
    from skimage.metrics import structural_similarity

    _difference(first, second)
    if min(first.shape[:2]) < _WINDOW_PX:
        around = ((_WINDOW_PX // 2,) * 2, (_WINDOW_PX // 2,) * 2, (0, 0))
        first, second = (np.pad(image, around, mode="symmetric") for image in (first, second))
    as_in_paper = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(first, second, channel_axis=2, data_range=255, **as_in_paper))


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if first.shape != second.shape or first.dtype != np.uint8 or second.dtype != np.uint8:
        raise ValueError(
            f"expected two uint8 arrays of one shape, got {first.dtype} {first.shape} and {second.dtype} {second.shape}"
        )
    return first.astype(np.int32) - second.astype(np.int32)
