"""Steps of the simulator that work pixel by pixel, on tensors, each in one pass forward and one back."""

import torch
from torch import Tensor


def eight_bit(values: Tensor, rounded: bool = True) -> Tensor:
    """Returns values cut to 0 .. 255 and rounded to whole numbers; the gradient goes straight through the rounding."""
    return _EightBit.apply(values, rounded)


def clipped(values: Tensor, low: float, high: float) -> Tensor:
    """Returns values cut to a range; only a mask is kept for the gradient."""
    return _Clipped.apply(values, low, high)


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


class _EightBit(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, rounded: bool) -> Tensor:
        out = values.clamp(0, 255)
        ctx.save_for_backward(out == values)
        return out.round_() if rounded else out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.saved_tensors[0], None


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, low: float, high: float) -> Tensor:
        out = values.clamp(low, high)
        ctx.save_for_backward(out == values)
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.saved_tensors[0], None, None


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
        cut = light.clamp(0, 1)
        inside = cut == light
        root = cut.pow(1 / 2.4)
        straight = cut <= 0.0031308
        value = torch.where(straight, 12.92 * cut, 1.055 * root - 0.055)
        if ctx.needs_input_grad[0]:
            slope = torch.where(straight, 12.92, (1.055 / 2.4) * root / cut.clamp(min=1e-3)).mul_(inside)
            if contrast_rate:
                slope *= (1 - contrast_rate) + 6 * contrast_rate * value * (1 - value)
            ctx.save_for_backward(slope.mul_(255))
        if contrast_rate:
            value = value * ((1 - contrast_rate) + contrast_rate * value * (3 - 2 * value))
        value *= 255
        return value.round_() if rounded else value

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.saved_tensors[0], None, None


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
