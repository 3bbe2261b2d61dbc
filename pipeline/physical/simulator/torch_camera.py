"""The phone on tensors: the colours between the sensor's photosites, and the finished picture."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx
from torch.nn.functional import conv2d, pad

from pipeline.images.colour import write_srgb
from pipeline.physical.simulator.camera import ACROSS, BESIDE_GREEN, GREEN_AT_OTHERS, camera_matrix
from pipeline.physical.simulator.profile import Profile
from pipeline.physical.simulator.stencils import filtered

# (N, K) down and across
Kernels = tuple[Tensor, Tensor]
# what `camera.exposed` keeps of darkness below black, and of light
DARKEST, BRIGHTEST = -2048 / (65535 - 2048), 1.0
_END = 1e-6
# numbers that many steps are taken with while they lie in a processor's cache
_CACHED = 1 << 15
# OpenCV's YCrCb: differences to red and blue in 8 bits, and back
_YCC_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (0.713 * (1 - 0.299), -0.713 * 0.587, -0.713 * 0.114),
    (-0.564 * 0.299, -0.564 * 0.587, 0.564 * (1 - 0.114)),
)
_RGB_FROM_YCC = ((1.0, 1.403, 0.0), (1.0, -0.714, -0.344), (1.0, 0.0, 1.773))


def demosaiced(planes: Tensor) -> Tensor:
    """Returns colours (N, 3, 2 H, 2 W) of the four planes (N, 4, H, W) of `MOSAIC`, as `camera.demosaiced` interpolates them.

    On planes of half the size, the 5 x 5 filters are 3 x 3 filters from four channels to twelve.
    """
    colours: Callable[[Tensor], Tensor] = _Demosaiced.apply
    return colours(pad(planes, (1, 1, 1, 1), mode="replicate"))


def developed(light: Tensor, profile: Profile, chroma: Kernels | None, soft: Kernels | None, rounded: bool) -> Tensor:
    """Returns the finished photo (N, 3, H, W), 0 .. 255, of linear light, step by step as `camera.developed`.

    Args:
        chroma, soft: the Gaussians that smooth colour differences, and that brightness is sharpened against;
            None where the profile has none.
    """
    matrix = camera_matrix(profile)
    light = cut(light, DARKEST, BRIGHTEST)
    if not np.array_equal(matrix, np.eye(3)):
        light = mixed(light, tuple(map(tuple, matrix.tolist())))
    photo = _toned(light, profile.tone_contrast_rate, rounded)
    if chroma is None and soft is None:
        return photo
    luma, differences = torch.split(mixed(photo, _YCC_FROM_RGB), [1, 2], dim=1)
    if chroma is not None:
        differences = filtered(differences, chroma)
    if soft is not None:
        smooth = filtered(luma, soft)
        detail = _cored(luma - smooth, profile.luma_denoise_8bit)
        luma = eight_bit(torch.add(smooth, detail, alpha=1 + profile.sharpen_rate), rounded)
    return eight_bit(coloured(luma, differences, _RGB_FROM_YCC), rounded)


def eight_bit(values: Tensor, rounded: bool = True) -> Tensor:
    """Returns values cut to 0 .. 255 and rounded to whole numbers; the gradient goes straight through the rounding."""
    found: Tensor = _Cut.apply(values, 0, 255, rounded)
    return found


def cut(values: Tensor, low: float, high: float) -> Tensor:
    """Returns values cut to low .. high."""
    found: Tensor = _Cut.apply(values, low, high, False)
    return found


def mixed(images: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Returns the channels of images (N, C, H, W) mixed by a matrix (C', C)."""
    n, _, height, width = images.shape
    weights = torch.tensor(matrix, dtype=images.dtype, device=images.device)
    return torch.matmul(weights, images.reshape(n, -1, height * width)).view(n, -1, height, width)


def coloured(luma: Tensor, differences: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Returns colours (N, 3, H, W) of brightness (N, 1, H, W) and two differences by a matrix (3, 3) whose first column is 1."""
    n, _, height, width = luma.shape
    weights = torch.tensor(matrix, dtype=luma.dtype, device=luma.device)[:, 1:].expand(n, -1, -1)
    return torch.baddbmm(luma.reshape(n, 1, -1), weights, differences.reshape(n, 2, -1)).view(n, 3, height, width)


def looked_up(values: Tensor, tables: Tensor) -> Tensor:
    """Returns what tables (C, 256), one a channel, say of values (N, C, H, W) in 0 .. 255, linear between their entries."""
    n_channels, n_entries = tables.shape
    entry = values.detach().floor().clamp_(0, n_entries - 2)
    index = entry.to(torch.int64)
    index += n_entries * torch.arange(n_channels, device=values.device)[:, None, None]
    steps = torch.cat([tables.diff(dim=1), tables.new_zeros(n_channels, 1)], dim=1)
    return torch.addcmul(torch.take(tables, index), torch.take(steps, index), values - entry)


def _toned(light: Tensor, contrast_rate: float, rounded: bool = True) -> Tensor:
    """Returns 0 .. 255 of linear light: cut to [0, 1], sRGB curve (IEC 61966-2-1), S-curve v + c (3 v^2 - 2 v^3 - v)."""
    given = light.detach().contiguous()
    value, slope = torch.empty_like(given), torch.empty_like(given)
    size = _CACHED if light.device.type == "cpu" else given.numel()
    for x, v, s in zip(*(planes.view(-1).split(size) for planes in (given, value, slope)), strict=True):
        write_srgb(x.clamp(0, 1), v, s)
        if contrast_rate:
            # v + c v (1 - v) (2 v - 1) has the slope 1 - c + 6 c v (1 - v)
            bend = torch.addcmul(v, v, v, value=-1)
            s *= (bend * (6 * contrast_rate)).add_(1 - contrast_rate)
            v.sub_(torch.addcmul(bend, bend, v, value=-2), alpha=contrast_rate)
        v *= 255
        if rounded:
            v.round_()
        s.copy_(_within(s, x, 0, 1))
    return with_slope(light, value, slope)


def _cored(detail: Tensor, threshold: float) -> Tensor:
    """Returns d^3 / (d^2 + t^2): detail of the size of the threshold is halved, smaller detail vanishes."""
    if threshold <= 0:
        return detail
    given = detail.detach()
    square = given * given
    kept = square / (square + threshold**2)
    # the derivative of d k, with k = d^2 / (d^2 + t^2), is k (3 - 2 k)
    return with_slope(detail, given * kept, kept * (3 - 2 * kept))


class _Cut(torch.autograd.Function):
    """Values cut to a range, and rounded where they are to be."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float, rounded: bool) -> Tensor:
        ctx.save_for_backward(values)
        ctx.ends = low, high
        found = values.clamp(low, high)
        return found.round_() if rounded else found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _within(gradient, ctx.saved_tensors[0], *ctx.ends), None, None, None


def _within(gradient: Tensor, values: Tensor, low: float, high: float) -> Tensor:
    """Returns a gradient with 0 where values lie outside; in one pass, which costs a tenth of comparing and choosing."""
    # the ends themselves are inside
    ends = low - _END * max(1, abs(low)), high + _END * max(1, abs(high))
    found: Tensor = torch.ops.aten.hardtanh_backward(gradient, values, *ends)
    return found


class _Sloped(torch.autograd.Function):
    """Values that were worked out without a graph; the gradient is multiplied by their slope, or left as it is for None."""

    @staticmethod
    def forward(ctx: FunctionCtx, source: Tensor, value: Tensor, slope: Tensor | None) -> Tensor:
        if slope is not None:
            ctx.save_for_backward(slope)
        return value

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.saved_tensors[0] if ctx.saved_tensors else gradient, None, None


# (source, value, slope): the value, whose gradient goes to the source times the slope; straight through where that is None
with_slope: Callable[[Tensor, Tensor, Tensor | None], Tensor] = _Sloped.apply


class _Demosaiced(torch.autograd.Function):
    """The filters of `demosaiced`; their transposed convolution is several times faster written as a convolution.

    Both are faster by three with a pixel's channels side by side, and the pixels of a tile are laid out from there.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, planes: Tensor) -> Tensor:
        tiles = _convolved(planes, _demosaic_filters(planes.device, planes.dtype), 0)
        n, _, height, width = tiles.shape
        return tiles.view(n, 3, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3).reshape(n, 3, 2 * height, 2 * width)

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> Tensor:
        n, _, height, width = gradient.shape
        tiles = gradient.reshape(n, 3, height // 2, 2, width // 2, 2).permute(0, 1, 3, 5, 2, 4)
        side_by_side = tiles.permute(0, 4, 5, 1, 2, 3).reshape(n, height // 2, width // 2, 12).permute(0, 3, 1, 2)
        filters = _demosaic_filters(gradient.device, gradient.dtype)
        return _convolved(side_by_side, filters.flip(2, 3).transpose(0, 1), 2).contiguous()


def _convolved(planes: Tensor, filters: Tensor, padding: int) -> Tensor:
    planes, filters = (x.contiguous(memory_format=torch.channels_last) for x in (planes, filters))
    return conv2d(planes, filters, padding=padding)


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
