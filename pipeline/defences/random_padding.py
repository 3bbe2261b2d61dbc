"""The defence that draws: each picture made smaller at random and put at a random place."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from pipeline.defences.defended import Defended, draws_of


class RandomPadding(Defended):
    """Random resizing and zero padding (Xie et al. 2018), within the network's own input size.

    The share of the side, from `least_rate` to 1, and the place are drawn evenly from the seed and the picture's own 8-bit
    pixels: the same picture always has the same draw, whatever is asked with it. An attack that knows the defence does not know
    this draw; it follows the mean logits over `n_expected` others (EOT: Athalye et al. 2018), exact through each.
    """

    defence = "random-padding"

    def shown(self, pixels: Tensor) -> Tensor:
        return self._drawn(pixels, "defence")

    def for_attacks(self) -> Callable[[Tensor], Tensor]:
        ask, n_expected = self._inner.for_attacks(), self._options.n_expected

        def mean_logits(x: Tensor) -> Tensor:
            logits = [ask(self._drawn(x * 255, f"attack {draw}") / 255) for draw in range(n_expected)]
            return torch.stack(logits).mean(dim=0)

        return mean_logits

    def _drawn(self, pixels: Tensor, purpose: str) -> Tensor:
        draws = draws_of(pixels, self._options.seed, f"{self.defence} {purpose}")
        return torch.cat([self._put(one, draw) for one, draw in zip(pixels.split(1), draws, strict=True)])

    def _put(self, pixels: Tensor, draw: np.random.Generator) -> Tensor:
        height, width = pixels.shape[2:]
        share = draw.uniform(self._options.least_rate, 1)
        smaller = interpolate(pixels, (round(share * height), round(share * width)), mode="bilinear", align_corners=False)
        free = height - smaller.shape[2], width - smaller.shape[3]
        top, left = (int(draw.integers(0, room + 1)) for room in free)
        return pad(smaller, (left, free[1] - left, top, free[0] - top))
