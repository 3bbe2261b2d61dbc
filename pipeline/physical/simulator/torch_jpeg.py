"""JPEG 4:2:0 on tensors as libjpeg encodes and decodes it, with gradients that go straight through its rounding."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.physical.simulator.photo import quantisation
from pipeline.physical.simulator.stencils import doubled, halved
from pipeline.physical.simulator.torch_camera import coloured, eight_bit, mixed, with_slope

_BLOCK = 8
# JFIF 1.02: Y, Cb and Cr of red, green and blue, and back
_YCC_FROM_RGB = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
_RGB_FROM_YCC = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


def jpeg(photos: Tensor, qualities: list[int], rounded: bool = True) -> Tensor:
    """Returns photos (N, 3, H, W) of 0 .. 255, H and W multiples of 16, as their JPEG files would be decoded.

    Colour differences are averaged over 2 x 2 pixels and, decoded, interpolated linearly between these ("fancy upsampling").
    The coefficients' rounding has the gradient 1, so that, the cosine transform being orthonormal, a gradient meets only the
    loss of colour resolution. Not `rounded`, that is all that is done.
    """
    luma, chroma = torch.split(mixed(photos, _YCC_FROM_RGB), [1, 2], dim=1)
    if rounded:
        luma = _coded(luma, [quantisation(quality)[0] for quality in qualities])
        chroma = halved(with_slope(chroma, chroma.detach().round(), None))
        chroma = _coded(chroma, [quantisation(quality)[1] for quality in qualities])
    else:
        chroma = halved(chroma)
    return eight_bit(coloured(luma, doubled(chroma), _RGB_FROM_YCC), rounded)


def _coded(planes: Tensor, tables: list[list[int]]) -> Tensor:
    """8 x 8 blocks with their cosine coefficients rounded to multiples of each table's steps; the gradient is left as it is."""
    n, channels, height, width = planes.shape
    steps = torch.tensor(tables, dtype=planes.dtype, device=planes.device)
    basis = _basis(planes.device, planes.dtype)
    # libjpeg rounds means of four up in every second column only
    bias = torch.tensor([0.5] if channels == 1 else [0.25, 0.5], dtype=planes.dtype, device=planes.device)
    whole = (planes.detach() + bias.repeat(width // len(bias))).floor_()
    blocks = whole.view(n, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).permute(0, 1, 2, 4, 3, 5)
    blocks = blocks.reshape(n, -1, _BLOCK**2)
    # the steps are part of the matrices: coefficient / step, and back
    level = 128 if channels == 1 else 0
    blocks -= level
    coefficients = torch.bmm(blocks, (basis / steps[:, :, None]).transpose(1, 2)).round_()
    blocks = torch.bmm(coefficients, basis * steps[:, :, None]).add_(level).round_()
    blocks = blocks.view(n, channels, height // _BLOCK, width // _BLOCK, _BLOCK, _BLOCK).permute(0, 1, 2, 4, 3, 5)
    return with_slope(planes, blocks.reshape(n, channels, height, width), None)


@lru_cache(maxsize=8)
def _basis(device: torch.device, dtype: torch.dtype) -> Tensor:
    """The orthonormal two-dimensional cosine transform, (64, 64): a coefficient a row."""
    k = torch.arange(_BLOCK, dtype=torch.float64)
    rows = torch.cos(math.pi * k[:, None] * (2 * k + 1) / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    rows[0] /= math.sqrt(2)
    return torch.kron(rows, rows).to(device, dtype)
