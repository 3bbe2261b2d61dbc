"""The project's digital transforms as one differentiable chain, with the parameter of each drawn anew from a range."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from pipeline.core.errors import WrongUse, near_match
from pipeline.physical.simulator.torch_jpeg import jpeg
from pipeline.transforms import TRANSFORMS, transform_named
from pipeline.transforms.blur import blur_on_tensors
from pipeline.transforms.noise import noise_on_tensors
from pipeline.transforms.photometric import brightness_on_tensors, contrast_on_tensors

OnTensors = Callable[[Tensor, list[float], list[int]], Tensor]
Ranges = dict[str, tuple[float, float]]

# JPEG works on blocks of 8 x 8 pixels of colour differences halved in size
_BLOCK_PX = 16


def checked_ranges(ranges: Mapping[str, object], name: str = "transforms") -> Ranges:
    """Returns lowest and highest value of each transform, in the order in which they are applied.

    Raises:
        WrongUse: an unknown transform, or what is no range within its limits.
    """
    found: Ranges = {}
    for word, value in ranges.items():
        if word not in TRANSFORMS:
            raise WrongUse(f'{name}: unknown transform "{word}".', near_match(word, TRANSFORMS))
        transform = TRANSFORMS[word]
        is_pair = isinstance(value, (list, tuple)) and len(value) == 2
        if not is_pair or not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in value):
            hint = f"For example: {word} = [{transform.grid[0]:g}, {transform.grid[-1]:g}]"
            raise WrongUse(f"{name}.{word} = {value!r}: expected the lowest and the highest value.", hint)
        low, high = value
        if not transform.minimum <= low <= high <= transform.maximum:
            limits = f"{transform.minimum:g} to {transform.maximum:g}"
            raise WrongUse(f"{name}.{word} = {value!r}: expected two values, the lower one first, from {limits}.")
        if transform.whole and (low != int(low) or high != int(high)):
            raise WrongUse(f"{name}.{word} = {value!r}: expected whole numbers.")
        found[word] = (float(low), float(high))
    return {word: found[word] for word in TRANSFORMS if word in found}


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
            is_whole = TRANSFORMS[name].whole
            values[:, place] = rng.integers(int(low), int(high) + 1, n) if is_whole else rng.uniform(low, high, n)
        return ChainDraws(values, rng.integers(2**62, size=values.shape))

    def __call__(self, images: Tensor, draws: ChainDraws, generator: torch.Generator | None = None) -> Tensor:
        """Returns images (N, 3, H, W) in [0, 1], 8-bit values / 255, after all transforms; image i meets draw i."""
        if len(images) != len(draws):
            raise ValueError(f"expected an image for each of {len(draws)} draws, got {len(images)}")
        pixels = images * 255
        for place, name in enumerate(self.ranges):
            pixels = ON_TENSORS[name](pixels, draws.values[:, place].tolist(), draws.seeds[:, place].tolist())
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


def _jpeg_on_tensors(images: Tensor, values: list[float], seeds: list[int]) -> Tensor:
    """What the JPEG files of images (N, 3, H, W) of 0 .. 255 hold, to the bit, with the gradient of a JPEG that rounds nothing.

    The simulator's own coder meets the same file in the mean, but a coefficient that it rounds the other way is a whole step of
    the table: up to a fifth of the numbers of a hard image are then more than a level off. So the file itself is written here.
    """
    height, width = images.shape[2:]
    with torch.no_grad():
        pixels = images.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        files = [transform_named("jpeg").apply(one, value, _NO_DRAWS) for one, value in zip(pixels, values, strict=True)]
        exact = torch.from_numpy(np.stack(files)).to(images.device, images.dtype).permute(0, 3, 1, 2)
    whole_blocks = pad(images, (0, -width % _BLOCK_PX, 0, -height % _BLOCK_PX), mode="replicate")
    smooth = jpeg(whole_blocks, [round(value) for value in values], rounded=False)[:, :, :height, :width]
    return exact + (smooth - smooth.detach())


_NO_DRAWS = np.random.default_rng(0)
ON_TENSORS: dict[str, OnTensors] = {
    "brightness": brightness_on_tensors,
    "contrast": contrast_on_tensors,
    "blur": blur_on_tensors,
    "noise": noise_on_tensors,
    "jpeg": _jpeg_on_tensors,
}
