"""Matrices that resample one axis of an image, zero but for a band about the diagonal, and their products with images."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

# rows of a product that are worked out together: few multiplications with zeros, and still few calls
_TILE = 24
_REACH_SIGMAS = 4.5
_LEAST_SIGMA_PX = 1e-3
_N_BLUR_NODES = 5

# the first and the last row, the first and the last column
Tiles = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Band:
    """Matrices (N, G, R, C) for N images of G channels, or of any number where G is 1.

    `tiles` hold all that is not zero.
    """

    matrix: Tensor
    tiles: Tiles


def resampled(down: Band, images: Tensor, across: Band) -> Tensor:
    """Returns down @ image @ across^T for every channel (N, C, H, W), differentiable with respect to the images."""
    product: Callable[[Tensor, Tensor, Tiles, int], Tensor] = _Product.apply
    return product(product(images, down.matrix, down.tiles, 0), across.matrix, across.tiles, 1)


def band_of(weights: Tensor, first: Tensor, n_columns: int, like: Tensor, repeats_edge: bool = False) -> Band:
    """Returns the matrices whose row r holds `weights` (N, G, R, K) from column `first` (N, G, R) on, on the device of `like`.

    What falls beyond the columns is dropped, or given to the edge's column where that is to be repeated.
    """
    n_weights, weights = weights.shape[-1], weights.to(like.dtype)
    columns = first[..., None] + torch.arange(n_weights)
    if repeats_edge:
        matrix = weights.new_zeros(*first.shape, n_columns)
        matrix.scatter_add_(3, columns.clamp(0, n_columns - 1), weights)
    else:
        padded = weights.new_zeros(*first.shape, n_columns + 2)
        matrix = padded.scatter_add_(3, columns.clamp(-1, n_columns) + 1, weights)[..., 1:-1]
    n_rows = first.shape[2]
    step = _TILE if like.device.type == "cpu" else n_rows
    tiles = []
    for top in range(0, n_rows, step):
        rows = first[:, :, top : top + step]
        # a row that lies wholly beyond the edge still has the edge's column
        low, high = int(rows.min()), int(rows.max()) + n_weights
        tiles.append((top, min(top + step, n_rows), min(max(low, 0), n_columns - 1), max(min(high, n_columns), 1)))
    if like.device.type != "cpu":
        tiles = [(0, n_rows, 0, n_columns)]
    return Band(matrix.to(like.device, like.dtype).contiguous(), tuple(tiles))


def print_band(places: Tensor, edge: Tensor, pitch: Tensor, n_columns: int, sigma: Tensor, like: Tensor) -> Band:
    """Returns what each photo pixel sees of each printed square: the integral of the Gaussian point spread over it.

    Args:
        places: (N, G, R) photo px; edge, pitch and sigma: (N, G), in photo px, where the first square begins, the squares' side
            and the Gaussian's standard deviation.
    """
    edge, pitch, sigma = edge[..., None, None], pitch[..., None, None], sigma.clamp(min=_LEAST_SIGMA_PX)[..., None, None]
    reach = _REACH_SIGMAS * sigma
    first = torch.floor((places[..., None] - reach - edge) / pitch)
    n_edges = int(torch.ceil(2 * reach / pitch).max()) + 3
    away = edge + pitch * (first + torch.arange(n_edges)) - places[..., None]
    return band_of(torch.special.ndtr(away / sigma).diff(dim=-1), first[..., 0].long(), n_columns, like)


def crop_band(start: Tensor, pitch: Tensor, n_sub: Tensor, n_rows: int, n_columns: int, like: Tensor) -> Band:
    """Returns what each crop pixel takes of the photo, as `geometry.resample` does on one axis: the mean of `n_sub` linear
    interpolations spread evenly over it, or Keys' cubic convolution (a = -0.5) where `n_sub` is 1.

    Args:
        start, pitch, n_sub: (N,): the photo pixel of the first crop pixel's middle, photo pixels per crop pixel, and samples.
    """
    most = int(n_sub.max())
    sample = torch.arange(most)
    inside = (sample < n_sub[:, None])[:, None, None, :, None]
    shift = ((sample + 0.5) / n_sub[:, None] - 0.5) * pitch[:, None]
    places = (start[:, None] + pitch[:, None] * torch.arange(n_rows))[:, None, :, None] + shift[:, None, None, :]
    places = torch.where(inside[..., 0], places, places[..., :1])
    first = torch.floor(places[..., 0]).long() - 1
    n_weights = int((torch.floor(places).amax(dim=-1) - first).max()) + 3
    apart = (first[..., None, None] + torch.arange(n_weights) - places[..., None]).abs()
    linear = (1 - apart).clamp(min=0)
    cubic = torch.where(apart <= 1, 1 + apart * apart * (-2.5 + 1.5 * apart), 2 + apart * (-4 + apart * (2.5 - 0.5 * apart)))
    cubic = torch.where(apart < 2, cubic, 0.0)
    weights = torch.where((n_sub > 1)[:, None, None, None, None], linear, cubic) * inside
    return band_of(weights.sum(dim=3) / n_sub[:, None, None, None], first, n_columns, like, repeats_edge=True)


def linear_band(places: Tensor, n_columns: int, like: Tensor) -> Band:
    """Returns linear interpolation between the columns at `places` (N, G, R); beyond them the edge's value is repeated."""
    places = places.clamp(0, n_columns - 1)
    first = torch.floor(places)
    return band_of(torch.stack([first + 1 - places, places - first], -1), first.long(), n_columns, like, repeats_edge=True)


def cubic_band(places: Tensor, sigma: Tensor, n_columns: int, like: Tensor) -> Band:
    """Returns OpenCV's cubic interpolation (a = -0.75) between the columns at `places` (N, G, R), blurred by a Gaussian.

    Args: sigma: (N,), in columns.
    """
    at, shares = np.polynomial.hermite_e.hermegauss(_N_BLUR_NODES)
    reach = 2 + math.ceil(3 * float(sigma.max()))
    first = torch.floor(places).long() - reach + 1
    apart = first[..., None] + torch.arange(2 * reach) - places[..., None]
    weights = torch.zeros_like(apart)
    for place, share in zip(at, shares / shares.sum(), strict=True):
        d = (apart + place * sigma[:, None, None, None]).abs()
        near = 1 + d * d * (-2.25 + 1.25 * d)
        far = -0.75 * (-4 + d * (8 + d * (-5 + d)))
        weights += share * torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))
    return band_of(weights / weights.sum(dim=-1, keepdim=True), first, n_columns, like, repeats_edge=True)


def filter_band(kernels: Tensor, n: int, like: Tensor) -> Band:
    """Returns the correlation of n pixels with `kernels` (N, K), K odd, the edge repeated."""
    n_images, n_weights = kernels.shape
    first = (torch.arange(n) - n_weights // 2).expand(n_images, 1, n)
    return band_of(kernels[:, None, None].expand(-1, 1, n, -1), first, n, like, repeats_edge=True)


class _Product(torch.autograd.Function):
    """matrix @ image for axis 0, image @ matrix^T for axis 1, tile by tile."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, matrix: Tensor, tiles: Tiles, axis: int) -> Tensor:
        ctx.save_for_backward(matrix)
        ctx.tiles, ctx.axis, ctx.shape = tiles, axis, images.shape
        n, channels, height, width = images.shape
        matrix = matrix.expand(n, channels, -1, -1).reshape(n * channels, *matrix.shape[-2:])
        flat = images.reshape(n * channels, height, width)
        n_rows = matrix.shape[1]
        out = images.new_empty(n, channels, *((n_rows, width) if axis == 0 else (height, n_rows)))
        product = out.view(n * channels, *out.shape[2:])
        for top, bottom, left, right in tiles:
            part = matrix[:, top:bottom, left:right]
            if axis == 0:
                torch.bmm(part, flat[:, left:right], out=product[:, top:bottom])
            else:
                torch.bmm(flat[:, :, left:right], part.transpose(1, 2), out=product[:, :, top:bottom])
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (matrix,) = ctx.saved_tensors
        n, channels, height, width = ctx.shape
        matrix = matrix.expand(n, channels, -1, -1).reshape(n * channels, *matrix.shape[-2:])
        gradient = gradient.reshape(n * channels, *gradient.shape[2:])
        out = gradient.new_zeros(n * channels, height, width)
        for top, bottom, left, right in ctx.tiles:
            part = matrix[:, top:bottom, left:right]
            if ctx.axis == 0:
                out[:, left:right].baddbmm_(part.transpose(1, 2), gradient[:, top:bottom])
            else:
                out[:, :, left:right].baddbmm_(gradient[:, :, top:bottom], part)
        return out.view(ctx.shape), None, None, None
