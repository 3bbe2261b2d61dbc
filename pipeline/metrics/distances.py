"""Distances between two saved 8-bit images, in 8-bit units."""

import numpy as np


def linf_8bit(first: np.ndarray, second: np.ndarray) -> int:
    """Returns the largest absolute difference of two uint8 arrays of one shape."""
    return int(np.abs(_difference(first, second)).max(initial=0))


def l2_8bit(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the Euclidean norm of the difference of two uint8 arrays of one shape."""
    return float(np.sqrt(np.square(_difference(first, second), dtype=np.int64).sum()))


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if first.shape != second.shape or first.dtype != np.uint8 or second.dtype != np.uint8:
        raise ValueError(
            f"expected two uint8 arrays of one shape, got {first.dtype} {first.shape} and {second.dtype} {second.shape}"
        )
    return first.astype(np.int32) - second.astype(np.int32)
