"""Carlini and Wagner's L0 attack (2017, Sec. V-A): as few changed pixels as still lead the network astray."""

import torch
from torch import Tensor

from pipeline.attacks.cw import Descents, ShrinkingAttack
from pipeline.attacks.options import FewestPixelsOptions
from pipeline.attacks.problem import Problem, each, sums

# An image that no c has fooled yet, all pixels being allowed, gets this many doublings more.
_N_FIRST_DOUBLINGS = 15
# The first c is this much above the one that leads a linear network to its boundary: few pixels have to do what all could.
_C_AHEAD = 16


class FewestPixels(ShrinkingAttack):
    """Runs the L2 attack on a set of allowed pixels that shrinks for as long as it still fools; a pixel is all its channels.

    After a success those pixels are taken from the set that are unchanged or whose part in it, gradient times change, is least:
    a share of the set. Where the rest no longer fools, with c doubled as often as allowed, the set before is restored and a
    quarter of the share is taken, until not even one pixel can go. Each descent goes on from the last result. Every image has
    its own set, share, c and count of steps. The network sees rounded pixels.
    """

    name = "cw-l0"
    options_kind = FewestPixelsOptions
    norm = "l0"

    def begin(self, problem: Problem) -> Descents:
        return _PixelDescents(problem, self._options)


class _PixelDescents(Descents):
    """A goal is a set of pixels that may be changed."""

    OWN = ("_share", "_is_allowed", "_part")

    def begin(self, value: Tensor, gradient: Tensor) -> Tensor:
        clean = self._problem.clean
        self._share = torch.full_like(value, self._options.share)
        self._is_allowed = torch.ones_like(clean[:, :1], dtype=torch.bool)
        self._part = torch.zeros_like(clean[:, 0])  # of each pixel in the margin of the best image, -inf where unchanged
        missing = (self._options.kappa - value).clamp_(min=1e-3)
        return _C_AHEAD * 2 * missing / sums(gradient.square_()).clamp_(min=1e-12)

    def look(self, clean: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | float]:
        pixels = torch.where(self._is_allowed, self._variables.pixels(), clean)
        seen = pixels.round()
        change = seen - clean
        _, better, gradient = self.asked(seen, change.ne(0).any(dim=1).sum(dim=(1, 2)).float())
        part = (gradient * change).sum(dim=1).masked_fill_(change.eq(0).all(dim=1), -torch.inf)
        self._part = torch.where(better[:, None, None], part, self._part)
        pull = (pixels - clean).mul_(2 / 255).sub_(gradient.mul_(each(self._c))).mul_(self._is_allowed)
        return seen, better, pull, torch.full_like(self._c, self._options.learning_rate)

    def most_doublings(self) -> Tensor | float:
        n_best = self.size[self._here]
        return torch.where(n_best.isfinite(), float(self._options.n_doublings), float(_N_FIRST_DOUBLINGS))

    def shrink(self, succeeded: Tensor, failed: Tensor, clean: Tensor, seen: Tensor) -> Tensor:
        n_best = self.size[self._here]
        n_taken = (self._share * n_best).floor().clamp(min=1)
        self.is_done[self._here] |= (failed & (~n_best.isfinite() | (n_taken <= 1))) | (succeeded & (n_best <= 1))
        self._share = torch.where(failed, self._share / 4, self._share)
        self._is_allowed = torch.where(each(succeeded | failed), self._without_least(n_best), self._is_allowed)
        return self.best[self._here]

    def _without_least(self, n_best: Tensor) -> Tensor:
        """Returns the changed pixels of the best images, bool (m, 1, H, W), less the share with the least part."""
        n_taken = (self._share * n_best).floor().clamp(min=1)
        n_kept = torch.where(n_best.isfinite(), n_best - n_taken, 0.0).long()
        order = self._part.flatten(1).argsort(dim=1, descending=True, stable=True)
        ranks = torch.arange(order.shape[1], device=order.device).expand_as(order)
        kept = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order, ranks < n_kept[:, None])
        return kept.view(-1, 1, *self._part.shape[1:])
