"""The project's digital transforms as one differentiable chain, with the parameter of each drawn anew from a range."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from pipeline.physical.simulator.torch_jpeg import jpeg
from pipeline.specs.transforms import TRANSFORMS
from pipeline.transforms.filters import compress_jpeg
from pipeline.transforms.ranges import checked_ranges

# JPEG works on blocks of 8 x 8 pixels of colour differences halved in size
_BLOCK_PX = 16


@dataclass(frozen=True)
class ChainDraws:
    """What N passes through the chain drew: a value of each transform, (N, n_transforms), and the seed of each one's noise."""

    values: np.ndarray
    seeds: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


class TransformChain:
    """All transforms of some ranges one after another, in the order of `inkproof list transforms`, each rounded to 8 bits.

    An image meets the values of `Transform.apply` one by one: the same numbers, and gradients that go straight through rounding.
    Brightness, contrast and noise agree to the bit, blur within a level in 1 of 30,000 numbers (the order of its sum).
    """

    def __init__(self, ranges: Mapping[str, object]) -> None:
        """Args:
        ranges: lowest and highest value by the transform's name, drawn from evenly; whole values where only those mean something.
        """
        self.ranges = checked_ranges(ranges)

    def draw(self, n: int, rng: np.random.Generator) -> ChainDraws:
        """Returns n draws of every transform's value."""
        values = np.empty((n, len(self.ranges)))
        for place, (name, (low, high)) in enumerate(self.ranges.items()):
            is_whole = TRANSFORMS.find(name).whole
            values[:, place] = rng.integers(int(low), int(high) + 1, n) if is_whole else rng.uniform(low, high, n)
        return ChainDraws(values, rng.integers(2**62, size=values.shape))

    def __call__(self, images: Tensor, draws: ChainDraws, generator: torch.Generator | None = None) -> Tensor:
        """Returns images (N, 3, H, W) in [0, 1], 8-bit values / 255, after all transforms; image i meets draw i."""
        if len(images) != len(draws):
            raise ValueError(f"expected an image for each of {len(draws)} draws, got {len(images)}")
        pixels = images * 255
        for place, name in enumerate(self.ranges):
            values, seeds = draws.values[:, place].tolist(), draws.seeds[:, place].tolist()
            pixels = TRANSFORMS.find(name).apply_on_tensors(pixels, values, seeds)
        return pixels / 255


class InTurn:
    """Several such maps one after another: digital transforms of the file first, then print and photograph."""

    def __init__(self, maps: Sequence) -> None:
        self._maps = tuple(maps)

    def draw(self, n: int, rng: np.random.Generator) -> tuple:
        return tuple(one.draw(n, rng) for one in self._maps)

    def __call__(self, images: Tensor, draws: tuple, generator: torch.Generator | None = None) -> Tensor:
        for one, drawn in zip(self._maps, draws, strict=True):
            images = one(images, drawn, generator)
        return images


def jpeg_on_tensors(images: Tensor, values: list[float], seeds: list[int]) -> Tensor:
    """What the JPEG files of images (N, 3, H, W) of 0 .. 255 hold, to the bit, with the gradient of a JPEG that rounds nothing.

    The simulator's own coder meets the same file in the mean, but a coefficient that it rounds the other way is a whole step of
    the table: up to a fifth of the numbers of a hard image are then more than a level off. So the file itself is written here.
    """
    height, width = images.shape[2:]
    with torch.no_grad():
        pixels = images.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        files = [compress_jpeg(one, value, _NO_DRAWS) for one, value in zip(pixels, values, strict=True)]
        exact = torch.from_numpy(np.stack(files)).to(images.device, images.dtype).permute(0, 3, 1, 2)
    whole_blocks = pad(images, (0, -width % _BLOCK_PX, 0, -height % _BLOCK_PX), mode="replicate")
    smooth = jpeg(whole_blocks, [round(value) for value in values], rounded=False)[:, :, :height, :width]
    return exact + (smooth - smooth.detach())


_NO_DRAWS = np.random.default_rng(0)
