"""The phone on tensors: what the sensor makes of light, the colours between its photosites, and the finished picture."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx
from torch.nn.functional import conv2d, pad

from pipeline.physical.simulator.bands import Band, resampled
from pipeline.physical.simulator.camera import ACROSS, BESIDE_GREEN, GREEN_AT_OTHERS, camera_matrix
from pipeline.physical.simulator.profile import Profile
from pipeline.physical.simulator.torch_steps import clipped, cored, eight_bit, interleaved, mixed, toned

# what `camera.exposed` keeps of darkness below black, and of light
DARKEST, BRIGHTEST = -2048 / (65535 - 2048), 1.0
# OpenCV's YCrCb: differences to red and blue in 8 bits, and back
_YCC_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (0.713 * (1 - 0.299), -0.713 * 0.587, -0.713 * 0.114),
    (-0.564 * 0.299, -0.564 * 0.587, 0.564 * (1 - 0.114)),
)
_RGB_FROM_YCC = ((1.0, 1.403, 0.0), (1.0, -0.714, -0.344), (1.0, 0.0, 1.773))


def sensed(light: Tensor, noise: Tensor | None, shot_noise: Tensor, read_noise: Tensor, gains: Tensor) -> Tensor:
    """Returns light with the sensor's noise, cut where a photosite is full or the black level ends.

    The variance of a balanced value x is G (shot x + G read), as in `camera.exposed`; the noise's size has no gradient.

    Args:
        light: (N, C, H, W), 1 = what fills a photosite; noise: the same shape, standard normal, or None for none.
        shot_noise, read_noise: (N, 1, 1, 1); gains: (N, C, 1, 1).
    """
    if noise is not None:
        sd = light.detach().clamp(min=0).mul_(shot_noise * gains).add_(read_noise * gains * gains).sqrt_()
        light = light + sd.mul_(noise)
    return clipped(light, DARKEST, BRIGHTEST)


def demosaiced(planes: Tensor) -> Tensor:
    """Returns colours (N, 3, 2 H, 2 W) of the four planes (N, 4, H, W) of `MOSAIC`, as `camera.demosaiced` interpolates them.

    On planes of half the size, the 5 x 5 filters are 3 x 3 filters from four channels to twelve.
    """
    filtered: Callable[[Tensor], Tensor] = _Filtered.apply
    return interleaved(filtered(pad(planes, (1, 1, 1, 1), mode="replicate")))


def developed(
    light: Tensor, profile: Profile, chroma: tuple[Band, Band] | None, soft: tuple[Band, Band] | None, rounded: bool
) -> Tensor:
    """Returns the finished photo (N, 3, H, W), 0 .. 255, of linear light, step by step as `camera.developed`.

    Args:
        chroma, soft: the Gaussians down and across that smooth colour differences, and that brightness is sharpened against;
            None where the profile has none.
    """
    matrix = camera_matrix(profile)
    light = clipped(light, DARKEST, BRIGHTEST)
    if not np.array_equal(matrix, np.eye(3)):
        light = mixed(light, tuple(map(tuple, matrix.tolist())))
    photo = toned(light, profile.tone_contrast_rate, rounded)
    if chroma is None and soft is None:
        return photo
    luma, differences = torch.split(mixed(photo, _YCC_FROM_RGB), [1, 2], dim=1)
    if chroma is not None:
        differences = resampled(chroma[0], differences, chroma[1])
    if soft is not None:
        smooth = resampled(soft[0], luma, soft[1])
        detail = cored(luma - smooth, profile.luma_denoise_8bit)
        luma = eight_bit(torch.add(smooth, detail, alpha=1 + profile.sharpen_rate), rounded)
    return eight_bit(mixed(torch.cat([luma, differences], dim=1), _RGB_FROM_YCC), rounded)


class _Filtered(torch.autograd.Function):
    """The filters of `demosaiced`; their transposed convolution is several times faster written as a convolution."""

    @staticmethod
    def forward(ctx: FunctionCtx, planes: Tensor) -> Tensor:
        return conv2d(planes, _demosaic_filters(planes.device, planes.dtype))

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> Tensor:
        filters = _demosaic_filters(gradient.device, gradient.dtype)
        return conv2d(gradient, filters.flip(2, 3).transpose(0, 1).contiguous(), padding=2)


@lru_cache(maxsize=4)
def _demosaic_filters(device: torch.device, dtype: torch.dtype) -> Tensor:
    """(12, 4, 3, 3): colour and place in the tile, from the plane of each place."""
    below = BESIDE_GREEN.T
    # by colour, then by place: None where the photosite has that colour itself
    kernels = (
        (None, BESIDE_GREEN, below, ACROSS),
        (GREEN_AT_OTHERS, None, None, GREEN_AT_OTHERS),
        (ACROSS, below, BESIDE_GREEN, None),
    )
    filters = np.zeros((3, 4, 4, 3, 3))
    for colour, row in enumerate(kernels):
        for place, kernel in enumerate(row):
            top, left = divmod(place, 2)
            for (y, x), weight in np.ndenumerate(np.pad([[1.0]], 2) if kernel is None else kernel):
                (down, from_top), (right, from_left) = divmod(top + y - 2, 2), divmod(left + x - 2, 2)
                filters[colour, place, 2 * from_top + from_left, down + 1, right + 1] += weight
    return torch.tensor(filters.reshape(12, 4, 3, 3), dtype=dtype, device=device)
