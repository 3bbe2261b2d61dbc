"""Filters of a few weights on tensors, as sums of moved images: cheaper than matrices where a kernel is short."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx
from torch.nn.functional import interpolate


def filtered(images: Tensor, kernels: tuple[Tensor, Tensor]) -> Tensor:
    """Returns images (N, C, H, W) correlated with kernels (N, K), K odd, one down and one across; the edge is repeated."""
    along: Callable[[Tensor, Tensor, int], Tensor] = _Correlated.apply
    down, across = kernels
    return along(along(images, down, 2), across, 3)


class _Correlated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, kernels: Tensor, axis: int) -> Tensor:
        ctx.kernels, ctx.axis = kernels, axis
        reach, n = kernels.shape[1] // 2, images.shape[axis]
        weights = kernels[:, :, None, None, None].unbind(1)
        out = images * weights[reach]
        for step in range(1, min(reach, n - 1) + 1):
            _add(out.narrow(axis, step, n - step), images.narrow(axis, 0, n - step), weights[reach - step])
            _add(out.narrow(axis, 0, n - step), images.narrow(axis, step, n - step), weights[reach + step])
        for step in range(1, reach + 1):
            beyond = min(step, n)
            _add(out.narrow(axis, 0, beyond), images.narrow(axis, 0, 1), weights[reach - step])
            _add(out.narrow(axis, n - beyond, beyond), images.narrow(axis, n - 1, 1), weights[reach + step])
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        kernels, axis = ctx.kernels, ctx.axis
        reach, n = kernels.shape[1] // 2, gradient.shape[axis]
        weights = kernels[:, :, None, None, None].unbind(1)
        out = gradient * weights[reach]
        for step in range(1, min(reach, n - 1) + 1):
            _add(out.narrow(axis, 0, n - step), gradient.narrow(axis, step, n - step), weights[reach - step])
            _add(out.narrow(axis, step, n - step), gradient.narrow(axis, 0, n - step), weights[reach + step])
        for step in range(1, reach + 1):
            beyond = min(step, n)
            first, last = gradient.narrow(axis, 0, beyond), gradient.narrow(axis, n - beyond, beyond)
            _add(out.narrow(axis, 0, 1), first.sum(dim=axis, keepdim=True), weights[reach - step])
            _add(out.narrow(axis, n - 1, 1), last.sum(dim=axis, keepdim=True), weights[reach + step])
        return out, None, None


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, planes: Tensor) -> Tensor:
        rows = planes[:, :, ::2] + planes[:, :, 1::2]
        return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> Tensor:
        return interpolate(gradient * 0.25, scale_factor=2)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, planes: Tensor) -> Tensor:
        return _doubled_along(_doubled_along(planes, 2), 3)

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> Tensor:
        return _gathered_along(_gathered_along(gradient, 3), 2)


# PyTorch's own pooling takes five times as long
halved: Callable[[Tensor], Tensor] = _Halved.apply
# libjpeg's triangle filter: 3/4 of the nearer and 1/4 of the further of two pixels, the edge repeated
doubled: Callable[[Tensor], Tensor] = _Doubled.apply


def _add(out: Tensor, images: Tensor, weight: Tensor) -> None:
    """A weight that is one number is met in half the time."""
    if weight.numel() == 1:
        out.add_(images, alpha=weight.item())
    else:
        out.addcmul_(images, weight)


def _doubled_along(planes: Tensor, axis: int) -> Tensor:
    n, size = planes.shape[axis], list(planes.shape)
    size[axis] *= 2
    out = planes.new_empty(size)
    before, after = out.unflatten(axis, (n, 2)).unbind(axis + 1)
    low, high = planes.narrow(axis, 0, n - 1), planes.narrow(axis, 1, n - 1)
    torch.lerp(high, low, 0.25, out=before.narrow(axis, 1, n - 1))
    torch.lerp(low, high, 0.25, out=after.narrow(axis, 0, n - 1))
    before.narrow(axis, 0, 1).copy_(planes.narrow(axis, 0, 1))
    after.narrow(axis, n - 1, 1).copy_(planes.narrow(axis, n - 1, 1))
    return out


def _gathered_along(gradient: Tensor, axis: int) -> Tensor:
    """The transpose of `_doubled_along`."""
    before, after = gradient.unflatten(axis, (-1, 2)).unbind(axis + 1)
    n = before.shape[axis]
    out = torch.add(before, after).mul_(0.75)
    out.narrow(axis, 0, n - 1).add_(before.narrow(axis, 1, n - 1), alpha=0.25)
    out.narrow(axis, 1, n - 1).add_(after.narrow(axis, 0, n - 1), alpha=0.25)
    out.narrow(axis, 0, 1).add_(before.narrow(axis, 0, 1), alpha=0.25)
    out.narrow(axis, n - 1, 1).add_(after.narrow(axis, n - 1, 1), alpha=0.25)
    return out
