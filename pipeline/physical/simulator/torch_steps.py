"""Steps of the simulator that work pixel by pixel, on tensors, each in one pass forward and one back."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx

from pipeline.images.colour import STRAIGHT_LIGHT, write_srgb

# numbers that stay in a processor's cache while several steps are done with them
_CACHED = 1 << 16


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


class _Interleaved(torch.autograd.Function):
    """`torch.pixel_shuffle` by 2, three times as fast."""

    @staticmethod
    def forward(ctx: FunctionCtx, planes: Tensor) -> Tensor:
        n, channels, height, width = planes.shape
        out = planes.new_empty(n, channels // 4, 2 * height, 2 * width)
        for place in range(4):
            out[:, :, place // 2 :: 2, place % 2 :: 2].copy_(planes[:, place::4])
        return out

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> Tensor:
        n, channels, height, width = gradient.shape
        planes = gradient.new_empty(n, 4 * channels, height // 2, width // 2)
        for place in range(4):
            planes[:, place::4].copy_(gradient[:, :, place // 2 :: 2, place % 2 :: 2])
        return planes


# images (N, C, 2 H, 2 W) of planes (N, 4 C, H, W): of each 2 x 2 pixels the upper left, upper right, and so on
interleaved: Callable[[Tensor], Tensor] = _Interleaved.apply
# (source, value, slope): the value, whose gradient goes to the source times the slope; straight through where that is None
with_slope: Callable[[Tensor, Tensor, Tensor | None], Tensor] = _Sloped.apply


def eight_bit(values: Tensor, rounded: bool = True) -> Tensor:
    """Returns values cut to 0 .. 255 and rounded to whole numbers; the gradient goes straight through the rounding.

    They are rounded where they lie: give it what no other step needs, and what no gradient is worked out from.
    """
    kept = _kept(values, 0, 255)
    whole = values.detach() if kept is None else values.detach().clamp(0, 255)
    if rounded:
        whole.round_()
    return values if kept is None else with_slope(values, whole, kept)


def clipped(values: Tensor, low: float, high: float) -> Tensor:
    """Returns values cut to a range; only a mask is kept for the gradient, and the same tensor returned where nothing is cut."""
    kept = _kept(values, low, high)
    return values if kept is None else with_slope(values, values.detach().clamp(low, high), kept)


def mixed(images: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Returns the channels of images (N, C, H, W) mixed by a matrix (C', C)."""
    n, _, height, width = images.shape
    weights = torch.tensor(matrix, dtype=images.dtype, device=images.device)
    return torch.matmul(weights, images.reshape(n, -1, height * width)).view(n, -1, height, width)


def looked_up(values: Tensor, tables: Tensor) -> Tensor:
    """Returns what tables (C, 256), one a channel, say of values (N, C, H, W) in 0 .. 255, linear between their entries."""
    n_channels, n_entries = tables.shape
    entry = values.detach().floor().clamp_(0, n_entries - 2)
    rest = values.detach() - entry
    index = entry.to(torch.int64)
    index += n_entries * torch.arange(n_channels, device=values.device)[:, None, None]
    steps = torch.cat([tables.diff(dim=1), tables.new_zeros(n_channels, 1)], dim=1)
    slope = torch.take(steps, index)
    return with_slope(values, torch.addcmul(torch.take(tables, index), slope, rest), slope)


def toned(light: Tensor, contrast_rate: float, rounded: bool = True) -> Tensor:
    """Returns 0 .. 255 of linear light: cut to [0, 1], sRGB curve (IEC 61966-2-1), S-curve v + c (3 v^2 - 2 v^3 - v)."""
    given = light.detach().contiguous()
    value, slope = torch.empty_like(given), torch.empty_like(given)
    n_at_once = _CACHED if light.device.type == "cpu" else light.numel()
    parts = (torch.split(tensor.view(-1), n_at_once) for tensor in (given, value, slope))
    for some_light, some_value, some_slope in zip(*parts, strict=True):
        _tone(some_light, some_value, some_slope, contrast_rate, rounded)
    return with_slope(light, value, slope)


def cored(detail: Tensor, threshold: float) -> Tensor:
    """Returns d^3 / (d^2 + t^2): detail of the size of the threshold is halved, smaller detail vanishes."""
    if threshold <= 0:
        return detail
    given = detail.detach()
    square = given * given
    kept = square / (square + threshold**2)
    # the derivative of d k, with k = d^2 / (d^2 + t^2), is k (3 - 2 k)
    return with_slope(detail, given * kept, kept * (3 - 2 * kept) if detail.requires_grad else None)


def halved(images: Tensor) -> Tensor:
    """Returns the means of 2 x 2 pixels."""
    n, channels, height, width = images.shape
    upper, lower = images.reshape(n, channels, height // 2, 2, width).unbind(3)
    left, right = (upper + lower).view(n, channels, height // 2, width // 2, 2).unbind(4)
    return torch.mul(left + right, 0.25)


def _kept(values: Tensor, low: float, high: float) -> Tensor | None:
    """Where values are within a range, or None where that is everywhere; a GPU is not asked, since it would have to wait."""
    if values.device.type == "cpu":
        least, most = torch.aminmax(values.detach())
        if least >= low and most <= high:
            return None
    return (values >= low) & (values <= high)


def _tone(light: Tensor, value: Tensor, slope: Tensor, contrast_rate: float, rounded: bool) -> None:
    """Writes the tone curve's value and slope, 0 .. 255, for linear light."""
    kept, curved = _kept(light, 0, 1), _kept(light, STRAIGHT_LIGHT, math.inf)
    if kept is not None:
        light = light.clamp(0, 1)
    write_srgb(light, None if curved is None else (~curved).to(light.dtype), value, slope)
    if contrast_rate:
        # v + c v (1 - v) (2 v - 1) has the slope 1 - c + 6 c v (1 - v)
        bend = torch.addcmul(value, value, value, value=-1)
        slope *= torch.add(bend * (6 * contrast_rate), 1 - contrast_rate)
        value.sub_(bend.addcmul_(bend.clone(), value, value=-2), alpha=contrast_rate)
    if kept is not None:
        slope *= kept
    value *= 255
    if rounded:
        value.round_()
