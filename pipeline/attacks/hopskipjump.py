"""HopSkipJump (Chen, Jordan, Wainwright 2020, Alg. 2): along the boundary by labels alone."""

from math import sqrt
from typing import Any

import torch
from torch import Tensor

from pipeline.attacks.frame import MinimumNormAttack
from pipeline.attacks.lattice import Settled, settle_outward
from pipeline.attacks.options import LabelOnlyOptions
from pipeline.attacks.problem import Problem
from pipeline.core.seeds import seed_for
from pipeline.images import pixels_sha256

# Random images that are tried for a start that fools.
_N_STARTS = 100
# The first look around an image goes so far, of the range of pixels.
_FIRST_REACH = 0.1 * 255
# Every later one, of the distance to the clean image.
_REACH = 0.01
# Photographs of one image asked about at once.
_AT_ONCE = 64
_N_HALVINGS = 25


class HopSkipJump(MinimumNormAttack):
    """Estimates the boundary's direction from which random steps around it fool, steps along it, and goes back to the boundary.

    Of what the network answers only the best class counts, and whether it is surely the best. Images are walked one by one, each
    with draws of its own. The last image is rounded, and pushed outward from the clean one until its rounded self fools.
    """

    name = "hopskipjump"
    options_kind = LabelOnlyOptions
    accepts_targets = False

    def __init__(self, options: Any = None) -> None:
        self._options, self.targeted = options or LabelOnlyOptions(), False

    def choose(self, problem: Problem) -> None:
        return None

    def smallest(self, problem: Problem) -> Settled:
        """Returns what to save, and what rounding did to it."""
        walked = []
        for place, image in enumerate(problem.images):
            one = problem.of(torch.tensor([place], device=problem.clean.device))
            walked.append(_Walk(one, self._options, seed_for(self._options.seed, self.name, pixels_sha256(image))).end())
        return Settled(torch.cat([pixels for pixels, _ in walked]), tuple(word for _, word in walked))


class _Walk:
    """The walk of one image, (1, 3, H, W) in 0 to 255."""

    def __init__(self, problem: Problem, options: LabelOnlyOptions, seed: int) -> None:
        self._problem, self._options, self._clean = problem, options, problem.clean
        self._draws = torch.Generator().manual_seed(seed)
        self._n_asked, self._is_linf = 0, options.norm == "linf"
        n_values = self._clean.numel()
        # How near to the boundary a search ends, as a share of the way. In the paper's Sec. 4 one looks as far as an nth
        # of the distance for n values: of 112 px images that is lost in float32. The ratio of the two is the paper's.
        self._theta = _REACH / (n_values if self._is_linf else sqrt(n_values))

    def end(self) -> tuple[Tensor, str]:
        """Returns the whole-numbered image to save and a key of ROUNDING."""
        if self._fools(self._clean)[0]:
            return self._clean, "kept"
        start = self._start()
        if start is None:
            return self._clean, "not-found"
        here = self._to_boundary(start)
        for step in range(1, self._options.n_steps + 1):
            if self._n_asked >= self._options.n_queries:
                break
            here = self._stepped(here, step)
        return settle_outward(self._clean, here, lambda pixels: bool(self._fools(pixels)[0]))

    def _start(self) -> Tensor | None:
        for _ in range(_N_STARTS):
            noise = 255 * torch.rand(self._clean.shape, generator=self._draws).to(self._clean)
            if self._fools(noise)[0]:
                return noise
        return None

    def _stepped(self, here: Tensor, step: int) -> Tensor:
        """Returns the next image at the boundary: Alg. 2, lines 5 to 10."""
        distance = self._distance(here)
        reach = _FIRST_REACH if step == 1 else _REACH * distance
        n_wanted = min(int(self._options.n_first * sqrt(step)), max(self._options.n_queries - self._n_asked, 1))
        direction = self._direction(here, reach, n_wanted)
        length = distance / sqrt(step)
        for _ in range(_N_HALVINGS):
            ahead = (here + length * direction).clamp_(0, 255)
            if self._fools(ahead)[0]:
                return min(here, self._to_boundary(ahead), key=self._distance)
            length /= 2
        return here

    def _direction(self, here: Tensor, reach: float, n: int) -> Tensor:
        """Returns the estimate of where fooling lies (Eq. 14 to 16), of length one, or as signs for L-infinity."""
        of_fooling, of_all, n_fooling = torch.zeros_like(here), torch.zeros_like(here), 0
        for start in range(0, n, _AT_ONCE):
            shape = (min(_AT_ONCE, n - start), *here.shape[1:])
            if self._is_linf:
                steps = torch.rand(shape, generator=self._draws).mul_(2).sub_(1)
            else:
                steps = torch.randn(shape, generator=self._draws)
            steps = steps.to(here)
            steps /= steps.flatten(1).norm(dim=1)[:, None, None, None]
            tried = (here + reach * steps).clamp_(0, 255)
            steps, fools = (tried - here) / reach, self._fools(tried)
            of_fooling += steps[fools].sum(dim=0)
            of_all += steps.sum(dim=0)
            n_fooling += int(fools.sum())
        mean = 2 * n_fooling / n - 1
        estimate = of_all * mean if abs(mean) == 1 else 2 * of_fooling - of_all - mean * of_all
        return estimate.sign() if self._is_linf else estimate / estimate.norm().clamp(min=1e-30)

    def _to_boundary(self, fooling: Tensor) -> Tensor:
        """Returns the nearest image toward the clean one that still fools: a straight way, or a ball that shrinks (Alg. 1)."""
        low, high = 0.0, self._distance(fooling) if self._is_linf else 1.0
        nearest, enough = fooling, self._theta * high
        while high - low > enough:
            middle = (low + high) / 2
            if middle in (low, high):
                break
            tried = self._toward(fooling, middle)
            if self._fools(tried)[0]:
                high, nearest = middle, tried
            else:
                low = middle
        return nearest

    def _toward(self, fooling: Tensor, share: float) -> Tensor:
        change = fooling - self._clean
        return self._clean + (change.clamp(-share, share) if self._is_linf else change * share)

    def _distance(self, pixels: Tensor) -> float:
        change = pixels - self._clean
        return float(change.abs().max() if self._is_linf else change.norm())

    def _fools(self, pixels: Tensor) -> Tensor:
        """Returns which of some pictures (n, 3, H, W) of the image surely fool."""
        self._n_asked += len(pixels)
        value, unsure = self._problem.margins(pixels, torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device))
        return value > unsure
