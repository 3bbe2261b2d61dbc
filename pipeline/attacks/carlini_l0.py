"""Carlini and Wagner's L0 attack (2017, Sec. V-A): as few changed pixels as still lead the network astray."""

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.carlini import CarliniAttack, Problem, Variables, each, sums
from pipeline.attacks.lattice import SURE, Settled, settle
from pipeline.attacks.options import CarliniL0Options

# Images that are done leave at every so many steps: looking more often would make a GPU wait.
_STEPS_BETWEEN_LOOKS = 5
# An image that no c has fooled yet, all pixels being allowed, gets this many doublings more.
_N_FIRST_DOUBLINGS = 15
# The first c is this much above the one that leads a linear network to its boundary: few pixels have to do what all could.
_C_AHEAD = 16


class CarliniL0(CarliniAttack):
    """Runs the L2 attack on a set of allowed pixels that shrinks for as long as it still fools; a pixel is all its channels.

    After a success those pixels are taken from the set that are unchanged or whose part in it, gradient times change, is least:
    a share of the set. Where the rest no longer fools, with c doubled as often as allowed, the set before is restored and a
    quarter of the share is taken, until not even one pixel can go. Each descent goes on from the last result. Every image has
    its own set, share, c and count of steps. The network sees rounded pixels.
    """

    name = "cw-l0"

    def __init__(self, options: CarliniL0Options | None = None) -> None:
        super().__init__(options or CarliniL0Options())

    def search(self, problem: Problem, images: np.ndarray) -> Settled:
        """Returns what to save: of each image the change with the fewest pixels."""
        state = _State(problem, self._options)
        while True:
            active = (~state.is_done).nonzero()[:, 0]
            if not len(active):
                break
            state.leave(active)
            for _ in range(_STEPS_BETWEEN_LOOKS):
                state.step()
        return settle(
            problem.network, problem.clean, state.best, state.is_found(), problem.labels, problem.aims, "l0",
            confidence=self._options.kappa,
        )  # fmt: skip


class _State:
    """Where each image stands; the first index of all that is private counts the images still in work."""

    def __init__(self, problem: Problem, options: CarliniL0Options) -> None:
        self._problem, self._options = problem, options
        n, clean = len(problem), problem.clean
        self._here = torch.arange(n, device=clean.device)
        self._rows = self._here.cpu().numpy()
        value, gradient, largest = problem.look(clean, self._here, self._rows)
        self.is_done = value > options.kappa + SURE * largest
        self.best, self._n_changed = clean.clone(), torch.where(self.is_done, 0.0, torch.inf)
        missing = (options.kappa - value).clamp_(min=1e-3)
        own_c = _C_AHEAD * 2 * missing / sums(gradient.square_()).clamp_(min=1e-12)
        self._c = torch.full_like(value, options.initial_c) if options.initial_c else own_c
        self._share = torch.full_like(value, options.share)
        self._n_steps, self._n_doublings = torch.zeros_like(value), torch.zeros_like(value)
        self._is_allowed = torch.ones_like(clean[:, :1], dtype=torch.bool)
        self._part = torch.zeros_like(clean[:, 0])  # of each pixel in the margin of the best image, -inf where unchanged
        self._variables = Variables(clean)

    def is_found(self) -> Tensor:
        return self._n_changed.isfinite()

    def leave(self, active: Tensor) -> None:
        """Lets the images go that are done; `active` are the others."""
        if len(active) == len(self._here):
            return
        places = (~self.is_done[self._here]).nonzero()[:, 0]
        self._here, self._rows = active, active.cpu().numpy()
        self._variables.keep(places)
        for name in ("_c", "_share", "_n_steps", "_n_doublings", "_is_allowed", "_part"):
            setattr(self, name, getattr(self, name)[places])

    def step(self) -> None:
        """One pass, then one step of Adam or the next set of pixels."""
        options, here = self._options, self._here
        clean = self._problem.clean[here]
        pixels = torch.where(self._is_allowed, self._variables.pixels(), clean)
        seen = pixels.round()
        value, gradient, largest = self._problem.look(seen, here, self._rows)
        fools = value > options.kappa + SURE * largest
        change = seen - clean
        n_changed = change.ne(0).any(dim=1).sum(dim=(1, 2)).float()
        better = fools & (n_changed < self._n_changed[here])
        self.best[here] = torch.where(each(better), seen, self.best[here])
        self._n_changed[here] = torch.where(better, n_changed, self._n_changed[here])
        part = (gradient * change).sum(dim=1).masked_fill_(change.eq(0).all(dim=1), -torch.inf)
        self._part = torch.where(better[:, None, None], part, self._part)
        pull = (pixels - clean).mul_(2 / 255).sub_(gradient.mul_(each(self._c))).mul_(self._is_allowed)
        self._variables.step(pull, torch.full_like(value, options.learning_rate))
        self._n_steps += 1
        self._go_on(better)

    def _go_on(self, succeeded: Tensor) -> None:
        """After a success takes pixels away; after the last step of a descent doubles c, and after the last c takes fewer."""
        options, here = self._options, self._here
        n_best = self._n_changed[here]
        over = ~succeeded & (self._n_steps >= options.n_steps)
        most = torch.where(n_best.isfinite(), float(options.n_doublings), float(_N_FIRST_DOUBLINGS))
        failed = over & (self._n_doublings >= most)
        n_taken = (self._share * n_best).floor().clamp(min=1)
        self.is_done[here] |= (failed & (~n_best.isfinite() | (n_taken <= 1))) | (succeeded & (n_best <= 1))
        self._share = torch.where(failed, self._share / 4, self._share)
        self._c = torch.where(over & ~failed, self._c * 2, self._c)
        moves = succeeded | failed
        self._n_doublings = torch.where(moves, 0.0, self._n_doublings + over)
        self._n_steps = torch.where(moves | over, 0.0, self._n_steps)
        self._is_allowed = torch.where(each(moves), self._without_least(n_best), self._is_allowed)
        self._variables.restart(moves, self.best[here])

    def _without_least(self, n_best: Tensor) -> Tensor:
        """Returns the changed pixels of the best images, bool (m, 1, H, W), less the share with the least part."""
        n_taken = (self._share * n_best).floor().clamp(min=1)
        n_kept = torch.where(n_best.isfinite(), n_best - n_taken, 0.0).long()
        order = self._part.flatten(1).argsort(dim=1, descending=True, stable=True)
        ranks = torch.arange(order.shape[1], device=order.device).expand_as(order)
        kept = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order, ranks < n_kept[:, None])
        return kept.view(-1, 1, *self._part.shape[1:])
