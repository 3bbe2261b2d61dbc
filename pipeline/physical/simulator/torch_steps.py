"""Steps of the simulator that work pixel by pixel, on tensors, each in one pass forward and one back."""

import math

import torch
from torch import Tensor

from pipeline.images.colour import STRAIGHT_LIGHT, write_srgb

# numbers that stay in a processor's cache while several steps are done with them
_CACHED = 1 << 16


def eight_bit(values: Tensor, rounded: bool = True) -> Tensor:
    """Returns values cut to 0 .. 255 and rounded to whole numbers; the gradient goes straight through the rounding.

    They are rounded where they lie: give it what no other step needs, and what no gradient is worked out from.
    """
    values = clipped(values, 0, 255)
    if rounded:
        values.detach().round_()
    return values


def clipped(values: Tensor, low: float, high: float) -> Tensor:
    """Returns values cut to a range; only a mask is kept for the gradient, and the same tensor returned where nothing is cut."""
    kept = _kept(values, low, high)
    return values if kept is None else _Clipped.apply(values, kept, low, high)


def mixed(images: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Returns the channels of images (N, C, H, W) mixed by a matrix (C', C)."""
    n, _, height, width = images.shape
    weights = torch.tensor(matrix, dtype=images.dtype, device=images.device)
    return torch.matmul(weights, images.reshape(n, -1, height * width)).view(n, -1, height, width)


def looked_up(values: Tensor, tables: Tensor) -> Tensor:
    """Returns what tables (C, 256), one a channel, say of values (N, C, H, W) in 0 .. 255, linear between their entries."""
    return _LookedUp.apply(values, tables)


def toned(light: Tensor, contrast_rate: float, rounded: bool = True) -> Tensor:
    """Returns 0 .. 255 of linear light: cut to [0, 1], sRGB curve (IEC 61966-2-1), S-curve v + c (3 v^2 - 2 v^3 - v)."""
    return _Toned.apply(light, contrast_rate, rounded)


def cored(detail: Tensor, threshold: float) -> Tensor:
    """Returns d^3 / (d^2 + t^2): detail of the size of the threshold is halved, smaller detail vanishes."""
    return _Cored.apply(detail, threshold) if threshold > 0 else detail


def interleaved(planes: Tensor) -> Tensor:
    """Returns images (N, C, 2 H, 2 W) of planes (N, 4 C, H, W): of each 2 x 2 pixels the upper left, upper right, and so on."""
    return _Interleaved.apply(planes)


def halved(images: Tensor) -> Tensor:
    """Returns the means of 2 x 2 pixels."""
    return _Halved.apply(images)


def _kept(values: Tensor, low: float, high: float) -> Tensor | None:
    """Where values are within a range, or None where that is everywhere; a GPU is not asked, since it would have to wait."""
    if values.device.type == "cpu":
        least, most = torch.aminmax(values.detach())
        if least >= low and most <= high:
            return None
    return (values >= low) & (values <= high)


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, kept: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(kept)
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return gradient * ctx.saved_tensors[0], None, None, None


class _LookedUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, tables: Tensor) -> Tensor:
        n_channels, n_entries = tables.shape
        entry = values.detach().floor().clamp_(0, n_entries - 2)
        rest = values - entry
        index = entry.to(torch.int64)
        index += n_entries * torch.arange(n_channels, device=values.device)[:, None, None]
        flat = tables.reshape(-1)
        steps = torch.cat([tables.diff(dim=1), tables.new_zeros(n_channels, 1)], dim=1).reshape(-1)
        slope = torch.take(steps, index)
        ctx.save_for_backward(slope)
        return torch.addcmul(torch.take(flat, index), slope, rest)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.saved_tensors[0], None


class _Toned(torch.autograd.Function):
    @staticmethod
    def forward(ctx, light: Tensor, contrast_rate: float, rounded: bool) -> Tensor:
        value, slope = torch.empty_like(light), torch.empty_like(light)
        n_at_once = _CACHED if light.device.type == "cpu" else light.numel()
        for part in zip(*(tensor.view(-1).split(n_at_once) for tensor in (light.contiguous(), value, slope)), strict=True):
            _tone(*part, contrast_rate, rounded)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(slope)
        return value

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.saved_tensors[0], None, None


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


class _Cored(torch.autograd.Function):
    @staticmethod
    def forward(ctx, detail: Tensor, threshold: float) -> Tensor:
        square = detail * detail
        kept = square / (square + threshold**2)
        if ctx.needs_input_grad[0]:
            # the derivative of d k, with k = d^2 / (d^2 + t^2), is k (3 - 2 k)
            ctx.save_for_backward(kept * (3 - 2 * kept))
        return detail * kept

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.saved_tensors[0], None


class _Interleaved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, planes: Tensor) -> Tensor:
        n, channels, height, width = planes.shape
        out = planes.new_empty(n, channels // 4, 2 * height, 2 * width)
        for place in range(4):
            out[:, :, place // 2 :: 2, place % 2 :: 2].copy_(planes[:, place::4])
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return apart(gradient)


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images: Tensor) -> Tensor:
        rows = images[..., 0::2, :] + images[..., 1::2, :]
        return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        wide = (gradient * 0.25).repeat_interleave(2, dim=-1)
        return wide.repeat_interleave(2, dim=-2)


def apart(images: Tensor) -> Tensor:
    """Returns the planes (N, 4 C, H, W) that `interleaved` makes images (N, C, 2 H, 2 W) of."""
    n, channels, height, width = images.shape
    planes = images.new_empty(n, 4 * channels, height // 2, width // 2)
    for place in range(4):
        planes[:, place::4].copy_(images[:, :, place // 2 :: 2, place % 2 :: 2])
    return planes
