"""The attack that expects what will happen to its image: expectation over transformation (Athalye et al. 2018).

Every iterate is an integer image inside the epsilon ball and inside [0, 255], so the saved 8-bit file is the result itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from pipeline.attacks.frame import FramedAttack
from pipeline.attacks.options import ExpectationOptions
from pipeline.attacks.problem import Found, Problem
from pipeline.core.seeds import seed_for
from pipeline.images import pixels_sha256
from pipeline.physical.simulator import load_profile, profile_content
from pipeline.physical.simulator.torch_jpeg import jpeg
from pipeline.specs.transforms import TRANSFORMS, checked_ranges
from pipeline.transforms.filters import compress_jpeg

# JPEG works on blocks of 8 x 8 pixels of colour differences halved in size
_BLOCK_PX = 16
_NO_DRAWS = np.random.default_rng(0)


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
    Brightness, contrast and noise agree to the bit, blur within a level in 1 of 30,000 numbers (the order of its sum). Values are
    drawn evenly from their ranges; whole ones where only those mean something.
    """

    def __init__(self, ranges: Mapping[str, object]) -> None:
        self.ranges = checked_ranges(ranges)

    def draw(self, n: int, rng: np.random.Generator) -> ChainDraws:
        """Returns n draws of every transform's value."""
        values = np.empty((n, len(self.ranges)))
        for place, (name, (low, high)) in enumerate(self.ranges.items()):
            is_whole = TRANSFORMS.find(name).whole
            values[:, place] = rng.integers(int(low), int(high) + 1, n) if is_whole else rng.uniform(low, high, n)
        return ChainDraws(values, rng.integers(2**62, size=values.shape))

    def __call__(self, images: Tensor, draws: ChainDraws, generator: torch.Generator | None = None) -> Tensor:
        """Returns images (N, 3, H, W) in [0, 1], 8-bit values / 255, after all transforms; image i meets draw i, or one all."""
        if len(images) not in (1, len(draws)):
            raise ValueError(f"expected an image for each of {len(draws)} draws, or one for all, got {len(images)}")
        pixels = images.expand(len(draws), -1, -1, -1) * 255
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


# Simulated photographs that are followed at once: 4 of 299 x 299 pixels, which keeps channel and network below 1.5 GB.
_PIXELS_AT_ONCE = 4 * 299 * 299


class ExpectationOverTransformation(FramedAttack):
    """Sign steps up the mean loss of the true label over fresh draws of what will happen to the image (EOT, Eq. 1 and 2).

    That is print, light, pose and camera, or digital transforms with values drawn from ranges (all of them in each draw, as in
    the paper), or both: the file is transformed, then printed and photographed. Images are walked one by one, each with the draws
    of its own pixels' seed: nothing depends on order or neighbours. Several at once would gain nothing on a processor: a
    simulated photograph costs as much alone, and the draws of one image fill a batch of the network.
    """

    name = "eot"
    options_kind = ExpectationOptions
    keeps_grey = False

    def __init__(self, options: ExpectationOptions | None = None, channel: Callable[..., Any] | None = None) -> None:
        super().__init__(options)
        self._make_channel = channel or _print_and_photograph
        self._ranges = checked_ranges(self._options.transforms)
        self._profile = load_profile(self._options.profile)

    @property
    def identity(self) -> dict[str, Any]:
        profile = "" if self._options.over == "transforms" else profile_content(self._profile)
        return super().identity | {"transforms": self._ranges, "profile": profile}

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        """Walks each image on its own; a copy, which a batch may be filled up with, is not walked again."""
        channel = self._channel(problem.images.shape[1:3])
        shas, whom = [pixels_sha256(image) for image in problem.images], problem.labels if problem.aims is None else problem.aims
        keys = list(zip(shas, problem.labels.tolist(), whom.tolist(), strict=True))
        firsts = [keys.index(key) for key in keys]
        found = {}
        for epsilon in epsilons_8bit:
            alone = problem.fork()
            walked = {
                place: self._walk(alone.of(torch.tensor([place], device=problem.clean.device)), channel, epsilon, shas[place])
                for place in dict.fromkeys(firsts)
            }
            network = alone.network
            network.keep(firsts)
            found[epsilon] = Found(torch.cat([walked[place] for place in firsts]), network)
        return found

    def _channel(self, image_px: tuple[int, int]) -> Any:
        chain: list[Any] = [TransformChain(self._ranges)] if self._options.over != "camera" else []
        if self._options.over != "transforms":
            chain.append(self._make_channel(self._profile, image_px, image_mm=self._options.image_mm))
        return chain[0] if len(chain) == 1 else InTurn(chain)

    def _walk(self, problem: Problem, channel: Any, epsilon: int, sha256: str) -> Tensor:
        seed = seed_for(self._options.seed, "eot", sha256)
        rng, noise = np.random.default_rng(seed), torch.Generator(problem.network.device).manual_seed(seed)
        (lower, upper), current = problem.ball(epsilon), problem.clean.clone()
        for _ in range(self._options.n_steps):
            slope = self._expected_slope(problem, channel, current, rng, noise)
            current = torch.clamp(current.add_(slope.sign_(), alpha=self._options.step_8bit), lower, upper)
        return current

    def _expected_slope(
        self, problem: Problem, channel: Any, pixels: Tensor, rng: np.random.Generator, noise: torch.Generator
    ) -> Tensor:
        """The slope of the loss that is to grow, summed over fresh draws that are followed a few at a time."""
        total = torch.zeros_like(pixels)
        most = max(1, _PIXELS_AT_ONCE // pixels[0, 0].numel())
        for start in range(0, self._options.n_samples, most):
            n = min(most, self._options.n_samples - start)
            with torch.enable_grad():
                inputs = (pixels / 255).requires_grad_()
                seen = channel(inputs, channel.draw(n, rng), noise)
            places = torch.zeros(n, dtype=torch.int64, device=pixels.device)
            _, gradient = problem.gradient(seen.detach() * 255, problem.loss, places)
            total += torch.autograd.grad(seen, inputs, gradient)[0]
        return total


def _print_and_photograph(profile: Any, image_px: tuple[int, int], image_mm: float) -> Any:
    from pipeline.physical.simulator.channel import Channel

    return Channel(profile, image_px, image_mm=image_mm)
