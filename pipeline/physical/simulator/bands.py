"""Matrices that resample one axis of an image, zero but for a band about the diagonal, and their products with images."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

# rows of a product that are worked out together: few multiplications with zeros, and still few calls
_TILE = 24
# columns that are too few to leave any out
_NARROW = 32
_REACH_SIGMAS = 4.5
_LEAST_SIGMA_PX = 1e-3
_N_BLUR_NODES = 5

# the first and the last row, the first and the last column
Tiles = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Band:
    """Matrices (N, G, R, C) for N images, or for any number where N is 1, of G channels, or of any number where G is 1.

    `tiles`, for each of the matrices, hold all that is not zero; None off the processor, where one product takes whole matrices.
    """

    matrix: Tensor
    tiles: tuple[Tiles, ...] | None

    def of(self, part: slice) -> "Band":
        """Returns the matrices of some of the images."""
        return Band(self.matrix[part], self.tiles and self.tiles[part])


def resampled(down: Band, images: Tensor, across: Band) -> Tensor:
    """Returns down @ image @ across^T for every channel (N, C, H, W), differentiable with respect to the images."""
    product: Callable[[Tensor, Band, int], Tensor] = _Product.apply
    return product(product(images, down, 0), across, 1)


def band_of(weights: Tensor, first: Tensor, n_columns: int, like: Tensor, repeats_edge: bool = False) -> Band:
    """Returns the matrices whose row r holds `weights` (N, G, R, K) from column `first` (N, G, R) on, on the device of `like`.

    What falls beyond the columns is dropped, or given to the edge's column where that is to be repeated.
    """
    n_weights, weights = weights.shape[-1], weights.to(like.dtype)
    columns = first[..., None] + torch.arange(n_weights)
    if repeats_edge:
        matrix = weights.new_zeros(*first.shape, n_columns)
        matrix.scatter_add_(3, columns.clamp_(0, n_columns - 1), weights)
    else:
        padded = weights.new_zeros(*first.shape, n_columns + 2)
        matrix = padded.scatter_add_(3, columns.clamp_(-1, n_columns).add_(1), weights)[..., 1:-1]
    if like.device.type != "cpu":
        return Band(matrix.to(like.device).contiguous(), None)
    matrix = matrix.contiguous()
    return Band(matrix, tuple(map(_tiles_of, matrix.numpy())))


def _tiles_of(matrix: np.ndarray) -> Tiles:
    """By what is in the matrix (G, R, C), so that they do not depend on the matrices that were made with it."""
    _, n_rows, n_columns = matrix.shape
    if n_columns <= _NARROW:
        return ((0, n_rows, 0, n_columns),)
    tops = np.arange(0, n_rows, _TILE)
    is_used = np.logical_or.reduceat((matrix != 0).any(axis=0), tops)
    lefts, rights = is_used.argmax(axis=1), n_columns - is_used[:, ::-1].argmax(axis=1)
    rights = np.where(is_used.any(axis=1), rights, 1)
    bottoms = np.minimum(tops + _TILE, n_rows)
    return tuple(zip(tops.tolist(), bottoms.tolist(), lefts.tolist(), rights.tolist(), strict=True))


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
    # nothing comes from beyond the reach, however far the others of the images reach
    away = away / sigma
    away = torch.where(away.abs() < _REACH_SIGMAS, away, away.sign() * math.inf)
    return band_of(torch.special.ndtr(away).diff(dim=-1), first[..., 0].long(), n_columns, like)


def crop_band(start: Tensor, pitch: Tensor, n_sub: Tensor, n_rows: int, n_columns: int, like: Tensor) -> Band:
    """Returns what each crop pixel takes of the photo, as `geometry.resample` does on one axis: the mean of `n_sub` linear
    interpolations spread evenly over it, or Keys' cubic convolution (a = -0.5) where `n_sub` is 1.

    Args:
        start, pitch, n_sub: (N,): the photo pixel of the first crop pixel's middle, photo pixels per crop pixel, and samples.
    """
    most, pitch = int(n_sub.max()), pitch[:, None, None]
    middles = start[:, None, None] + pitch * torch.arange(n_rows)
    shifts = [((sample + 0.5) / n_sub - 0.5)[:, None, None] * pitch for sample in range(most)]
    first = torch.floor(middles + shifts[0]).long() - 1
    n_weights = int((torch.floor(middles + ((n_sub - 1 + 0.5) / n_sub - 0.5)[:, None, None] * pitch) - first).max()) + 3
    weights = torch.zeros(*first.shape, n_weights, dtype=middles.dtype)
    is_single = (n_sub == 1)[:, None, None, None]
    # one sample after the other, so that an image's sum is the same beside one that has more of them
    for sample, shift in enumerate(shifts):
        apart = (first[..., None] + torch.arange(n_weights) - (middles + shift)[..., None]).abs()
        linear = (1 - apart).clamp(min=0)
        if bool(is_single.any()):
            cubic = torch.where(apart <= 1, 1 + apart**2 * (-2.5 + 1.5 * apart), 2 + apart * (-4 + apart * (2.5 - 0.5 * apart)))
            linear = torch.where(is_single, torch.where(apart < 2, cubic, 0.0), linear)
        weights += linear * (sample < n_sub)[:, None, None, None]
    return band_of(weights / n_sub[:, None, None, None], first, n_columns, like, repeats_edge=True)


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
    return band_of(weights, first, n_columns, like, repeats_edge=True)


class _Product(torch.autograd.Function):
    """matrix @ image for axis 0, image @ matrix^T for axis 1, tile by tile."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, band: Band, axis: int) -> Tensor:
        ctx.band, ctx.axis, ctx.shape = band, axis, images.shape
        matrix, (n, channels, height, width) = band.matrix, images.shape
        if band.tiles is None:
            return torch.matmul(matrix, images) if axis == 0 else torch.matmul(images, matrix.transpose(2, 3))
        n_rows = matrix.shape[2]
        out = images.new_empty(n, channels, *((n_rows, width) if axis == 0 else (height, n_rows)))
        for image, made, (top, bottom, left, right), part in _in_tiles(images, out, band, axis):
            if axis == 0:
                torch.bmm(part, image[:, left:right], out=made[:, top:bottom])
            elif len(part) == 1:
                torch.mm(image[0, :, left:right], part[0].t(), out=made[0, :, top:bottom])
            else:
                torch.bmm(image[:, :, left:right], part.transpose(1, 2), out=made[:, :, top:bottom])
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        band, axis = ctx.band, ctx.axis
        if band.tiles is None:
            transposed = band.matrix.transpose(2, 3)
            out = torch.matmul(transposed, gradient) if axis == 0 else torch.matmul(gradient, band.matrix)
            return out, None, None
        out = gradient.new_zeros(ctx.shape)
        for image, made, (top, bottom, left, right), part in _in_tiles(gradient, out, band, axis):
            if axis == 0:
                made[:, left:right].baddbmm_(part.transpose(1, 2), image[:, top:bottom])
            else:
                made[:, :, left:right].baddbmm_(image[:, :, top:bottom], part)
        return out, None, None


def _in_tiles(
    images: Tensor, out: Tensor, band: Band, axis: int
) -> Iterator[tuple[Tensor, Tensor, tuple[int, int, int, int], Tensor]]:
    """Yields for each tile its image (C, H, W), what is made of that, where the tile lies, and its part of the matrix.

    One matrix for all channels goes across them in one product, their rows in one plane.
    """
    for i, (image, made) in enumerate(zip(images, out, strict=True)):
        place = min(i, len(band.matrix) - 1)
        matrix, n_channels = band.matrix[place], len(image)
        if axis == 1 and len(matrix) == 1:
            image, made = image.reshape(1, -1, image.shape[2]), made.view(1, -1, made.shape[2])
        else:
            matrix = matrix.expand(n_channels, -1, -1)
        for tile in band.tiles[place] if band.tiles else ():
            top, bottom, left, right = tile
            yield image, made, tile, matrix[:, top:bottom, left:right]
