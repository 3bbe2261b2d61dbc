"""The shapes that a point of light is spread into: Gaussians of any width and place, a disc out of focus, the path of a hand."""

import math

import numpy as np
from numpy.typing import NDArray

_FINE = 16
_MOTION_STEPS = 64
# below this the samples of a Gaussian have less variance than the Gaussian, so three weights with its moments take its place
_NARROW_PX = 0.7
_AIRY_SIGMA = 0.42
_GREEN_UM = 0.55


def gaussian_kernel(sigma_px: float, shift_px: float = 0.0) -> NDArray[np.float32]:
    """Returns the weights (2 r + 1,), float32 with sum 1, that blur by a Gaussian and move what they blur by `shift_px` upwards.

    They are meant for correlation, as OpenCV filters do: weight r + i is of the pixel i steps ahead.
    """
    kernel: NDArray[np.float64]
    if sigma_px < _NARROW_PX:
        whole = round(-shift_px)
        rest, variance = -shift_px - whole, sigma_px**2
        reach = abs(whole) + 1
        kernel = np.zeros(2 * reach + 1)
        middle = reach + whole
        square = variance + rest**2
        kernel[middle - 1 : middle + 2] = [(square - rest) / 2, 1 - square, (square + rest) / 2]
        return kernel.astype(np.float32)
    reach = math.ceil(4 * sigma_px + abs(shift_px))
    kernel = np.exp(-((np.arange(-reach, reach + 1) + shift_px) ** 2) / (2 * sigma_px**2))
    kernel /= kernel.sum()
    return kernel.astype(np.float32)


def airy_sigma_px(f_number: float, pixel_um: float) -> float:
    """Returns the standard deviation of the Gaussian nearest to the Airy pattern of green light, in sensor pixels.

    sigma = 0.42 lambda N (Zhang, Zerubia, Olivo-Marin 2007, *Gaussian approximations of fluorescence microscope point-spread
    function models*, paraxial 2-D wide field).
    """
    return _AIRY_SIGMA * _GREEN_UM * f_number / pixel_um


def disc_kernel(diameter_px: float) -> NDArray[np.float32]:
    """Returns an evenly lit disc, each pixel by the area that it covers, float32 (n, n), sum 1."""
    reach = max(0, math.ceil(diameter_px / 2 - 0.5))
    fine = (np.arange((2 * reach + 1) * _FINE) + 0.5) / _FINE - reach - 0.5
    lit = (fine[:, None] ** 2 + fine**2 <= max(diameter_px / 2, 1 / _FINE) ** 2).astype(np.float64)
    side = 2 * reach + 1
    kernel: NDArray[np.float64] = lit.reshape(side, _FINE, side, _FINE).sum(axis=(1, 3))
    kernel /= kernel.sum()
    return kernel.astype(np.float32)


def motion_kernel(length_px: float, direction_deg: float) -> NDArray[np.float32]:
    """Returns the path of the hand, an evenly weighted line about the middle, float32 (n, n), sum 1."""
    reach = math.ceil(length_px / 2)
    cells, angle = np.arange(-reach, reach + 1)[:, None], math.radians(direction_deg)
    path = ((np.arange(_MOTION_STEPS) + 0.5) / _MOTION_STEPS - 0.5) * length_px
    # each moment's light is shared among the four nearest pixels
    x, y = (np.maximum(0, 1 - np.abs(cells - path * side)) for side in (math.cos(angle), math.sin(angle)))
    line: NDArray[np.float64] = y @ x.T / _MOTION_STEPS
    return line.astype(np.float32)


def joined(one: NDArray[np.floating], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the kernel (n + m - 1, n + m - 1) that does what two square kernels do one after the other."""
    out = np.zeros((len(one) + len(other) - 1,) * 2, np.float64)
    for (row, column), weight in np.ndenumerate(one):
        out[row : row + len(other), column : column + len(other)] += weight * other
    return out.astype(np.float32)
