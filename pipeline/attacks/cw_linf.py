"""Carlini and Wagner's L-infinity attack (2017, Sec. V-C): the smallest largest change that still leads the network astray."""

import torch
from torch import Tensor

from pipeline.attacks.cw import Descents, ShrinkingAttack
from pipeline.attacks.options import SmallestLargestChangeOptions
from pipeline.attacks.problem import Problem, each, sums

_TAU_FACTOR = 0.9


class SmallestLargestChange(ShrinkingAttack):
    """Minimises c f6(x) + sum_i (|x - x0|_i - tau)+ over w by Adam, with tau falling, and c doubled where it does not fool.

    The network sees rounded pixels, so tau is a whole number of levels: after a success it falls to 0.9 tau or below the largest
    change that there is, at least by one level; the next descent goes on from there. Every image has its own tau, c and count
    of steps and goes on to its next tau at once, whatever the others do.
    """

    name = "cw-linf"
    options_kind = SmallestLargestChangeOptions
    norm = "linf"

    def begin(self, problem: Problem) -> Descents:
        return _LevelDescents(problem, self._options)


class _LevelDescents(Descents):
    """A goal is tau, a largest change; where one is given up before any image fooled, the next tau is twice as large."""

    OWN = ("_tau", "_failed")

    def begin(self, value: Tensor, gradient: Tensor) -> Tensor:
        options, steepness = self._options, sums(gradient.abs_()).clamp_(min=1e-12)
        plane = (options.kappa - value).clamp_(min=0) / steepness * 255
        first_tau = torch.full_like(value, options.initial_tau_8bit) if options.initial_tau_8bit else (2 * plane).ceil()
        self._tau, self._failed = first_tau.clamp(1, 255), torch.zeros_like(value)
        # Where c times the gradient is less than 1 a pixel stays within tau: this c makes that an average pixel.
        return self._problem.clean[0].numel() / steepness

    def look(self, clean: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | float]:
        pixels = self._variables.pixels()
        seen = pixels.round()
        reach = (seen - clean).abs().amax(dim=(1, 2, 3))
        fools, _, gradient = self.asked(seen, reach)
        change = pixels - clean
        over = torch.where(change.abs() > each(self._tau), change.sign(), 0.0)
        rate = self._options.learning_rate * (1 - self._n_steps / self._options.n_steps)
        return seen, fools & (reach <= self._tau), over.sub_(gradient.mul_(each(torch.where(fools, 0.0, self._c)))), rate

    def shrink(self, succeeded: Tensor, failed: Tensor, clean: Tensor, seen: Tensor) -> Tensor:
        """Lowers tau after a success; ends after a failure, or raises tau where nothing has fooled yet."""
        here, reach, moves = self._here, self.size[self._here], succeeded | failed
        self._failed = torch.where(failed, self._tau, self._failed)
        lower = torch.minimum((reach * _TAU_FACTOR).floor(), reach - 1).maximum(self._failed + 1)
        tau = torch.where(reach.isfinite(), lower, (self._tau * 2).clamp(max=255))
        self.is_done[here] |= moves & torch.where(reach.isfinite(), lower >= reach, self._tau >= 255)
        self._tau = torch.where(moves, tau, self._tau)
        start, limit = torch.where(each(reach.isfinite()), self.best[here], seen), each(self._tau)
        return torch.clamp(start - clean, -limit, limit) + clean
