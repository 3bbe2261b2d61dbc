"""Occlusion maps: how much a class's score falls when a patch of the image is covered (Zeiler and Fergus 2014, section 4.2)."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import WrongUse

PATCH_VALUES = ("mean", "random", "grey", "black")
# Images get the same bits in batches of this size whatever their neighbours are; larger ones are no faster on two cores.
BATCH_SIZE = 16
# A patch of a seventh of the side, moved by half of that: 13 x 13 patches, whatever the input's size.
_PATCHES_PER_SIDE = 7


def occlusion_maps(
    logits: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor, fills: Tensor, patch_px: int, stride_px: int
) -> Tensor:
    """Returns each pixel's mean fall of the logit over the patches that covered it, float32 (N, H, W) on the CPU.

    A positive value speaks for the class: without it the logit is lower. Patches start every `stride_px` from the top left until
    all is covered; what sticks out on the right and below is cut off. Batches have one fixed size, filled up with copies.

    Args:
        logits: float32 (M, 3, H, W) in [0, 1] to (M, n_classes).
        x: float32 (N, 3, H, W). labels: int64 (N,), the class explained of each.
        fills: float32 (N, 3, H, W), what a covered pixel becomes: see `fill_pictures`.
        patch_px, stride_px: 1 <= stride_px <= patch_px <= min(H, W).
    """
    height, width = x.shape[2:]
    if not 1 <= stride_px <= patch_px <= min(height, width):
        raise ValueError(f"expected 1 <= stride_px <= patch_px <= {min(height, width)}, got {stride_px} and {patch_px}")
    patches = [
        (slice(top, top + patch_px), slice(left, left + patch_px))
        for top in _starts(height, patch_px, stride_px)
        for left in _starts(width, patch_px, stride_px)
    ]
    n_pictures = 1 + len(patches)
    pictures = (_covered(image, fill, place) for image, fill in zip(x, fills, strict=True) for place in (None, *patches))
    found = torch.cat(list(scored(logits, pictures)))[: len(x) * n_pictures].reshape(len(x), n_pictures, -1)
    scores = found.gather(2, labels[:, None, None].expand(-1, n_pictures, 1)).squeeze(2).double()
    maps = torch.zeros((len(x), height, width), dtype=torch.float64)
    counts = torch.zeros((height, width), dtype=torch.float64)
    for number, (rows, columns) in enumerate(patches, start=1):
        counts[rows, columns] += 1
        maps[:, rows, columns] += (scores[:, 0] - scores[:, number])[:, None, None]
    return (maps / counts).float()


def default_sizes(height: int, width: int, patch_px: int, stride_px: int) -> tuple[int, int]:
    """Returns the patch's side and its step in pixels, chosen by the image where they are 0.

    Raises:
        WrongUse: the patch is larger than the image, or steps over pixels.
    """
    side = min(height, width)
    patch = patch_px or max(round(side / _PATCHES_PER_SIDE), 1)
    stride = stride_px or max(patch // 2, 1)
    if patch > side:
        raise WrongUse(f"explain.patch_px = {patch} is larger than the image of {width} x {height} pixels.")
    if stride > patch:
        raise WrongUse(f"explain.stride_px = {stride} steps over pixels: the patch has {patch}.", "Set it to that or less.")
    return patch, stride


def fill_pictures(x: Tensor, value: str, generators: Iterable[np.random.Generator] = ()) -> Tensor:
    """Returns what a covered pixel of each image becomes, float32 (N, 3, H, W) in [0, 1].

    "mean" is the image's own mean of each channel, "random" uniform noise of 8 bits, "grey" 0.5 and "black" 0.

    Args:
        generators: one an image, for "random"; images to be compared are given generators of the same state.
    """
    if value == "mean":
        return x.mean(dim=(2, 3), keepdim=True).expand_as(x)
    if value == "random":
        noise = [generator.integers(0, 256, tuple(x.shape[1:])).astype(np.float32) / 255 for generator in generators]
        return torch.from_numpy(np.stack(noise)).to(x.device)
    return torch.full_like(x, {"grey": 0.5, "black": 0.0}[value])


def _starts(length: int, patch: int, stride: int) -> range:
    return range(0, length - patch + stride, stride)


def _covered(image: Tensor, fill: Tensor, place: tuple[slice, slice] | None) -> Tensor:
    if place is None:
        return image
    covered = image.clone()
    covered[(slice(None), *place)] = fill[(slice(None), *place)]
    return covered


def scored(logits: Callable[[Tensor], Tensor], pictures: Iterable[Tensor], batch_size: int = BATCH_SIZE) -> Iterator[Tensor]:
    """Yields the logits, on the CPU, batch by batch; the last batch is filled up with copies."""
    pictures = iter(pictures)
    while batch := list(islice(pictures, batch_size)):
        batch += batch[-1:] * (batch_size - len(batch))
        with torch.no_grad():
            yield logits(torch.stack(batch)).float().cpu()
