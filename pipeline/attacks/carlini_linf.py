"""Carlini and Wagner's L-infinity attack (2017, Sec. V-C): the smallest largest change that still leads the network astray."""

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.carlini import CarliniAttack, Problem, Variables, each, sums
from pipeline.attacks.lattice import SURE, Settled, settle
from pipeline.attacks.options import CarliniLinfOptions

_TAU_FACTOR = 0.9
# Images that are done leave at every so many steps: looking more often would make a GPU wait.
_STEPS_BETWEEN_LOOKS = 5


class CarliniLinf(CarliniAttack):
    """Minimises c f6(x) + sum_i (|x - x0|_i - tau)+ over w by Adam, with tau falling, and c doubled where it does not fool.

    The network sees rounded pixels, so tau is a whole number of levels: after a success it falls to 0.9 tau or below the largest
    change that there is, at least by one level; the next descent goes on from there. Every image has its own tau, c and count
    of steps and goes on to its next tau at once, whatever the others do.
    """

    name = "cw-linf"

    def __init__(self, options: CarliniLinfOptions | None = None) -> None:
        super().__init__(options or CarliniLinfOptions())

    def search(self, problem: Problem, images: np.ndarray) -> Settled:
        """Returns what to save: of each image the change with the smallest largest value."""
        state = _State(problem, self._options)
        while True:
            active = (~state.is_done).nonzero()[:, 0]
            if not len(active):
                break
            state.leave(active)
            for _ in range(_STEPS_BETWEEN_LOOKS):
                state.step()
        return settle(
            problem.network, problem.clean, state.best, state.is_found(), problem.labels, problem.aims, "linf",
            confidence=self._options.kappa,
        )  # fmt: skip


class _State:
    """Where each image stands; the first index of all that is private counts the images still in work."""

    def __init__(self, problem: Problem, options: CarliniLinfOptions) -> None:
        self._problem, self._options = problem, options
        n, clean = len(problem), problem.clean
        self._here = torch.arange(n, device=clean.device)
        self._rows = self._here.cpu().numpy()
        value, gradient, largest = problem.look(clean, self._here, self._rows)
        self.is_done = value > options.kappa + SURE * largest
        self.best, self._reach = clean.clone(), torch.where(self.is_done, 0.0, torch.inf)
        steepness = sums(gradient.abs_()).clamp_(min=1e-12)
        plane = (options.kappa - value).clamp_(min=0) / steepness * 255
        first_tau = torch.full_like(value, options.initial_tau_8bit) if options.initial_tau_8bit else (2 * plane).ceil()
        self._tau, self._failed = first_tau.clamp(1, 255), torch.zeros_like(value)
        # Where c times the gradient is less than 1 a pixel stays within tau: this c makes that an average pixel.
        own_c = clean[0].numel() / steepness
        self._c = torch.full_like(value, options.initial_c) if options.initial_c else own_c
        self._n_steps, self._n_doublings = torch.zeros_like(value), torch.zeros_like(value)
        self._variables = Variables(clean)

    def is_found(self) -> Tensor:
        return self._reach.isfinite()

    def leave(self, active: Tensor) -> None:
        """Lets the images go that are done; `active` are the others."""
        if len(active) == len(self._here):
            return
        places = (~self.is_done[self._here]).nonzero()[:, 0]
        self._here, self._rows = active, active.cpu().numpy()
        self._variables.keep(places)
        for name in ("_tau", "_failed", "_c", "_n_steps", "_n_doublings"):
            setattr(self, name, getattr(self, name)[places])

    def step(self) -> None:
        """One pass, then one step of Adam or the next tau."""
        options, here = self._options, self._here
        pixels = self._variables.pixels()
        clean, seen = self._problem.clean[here], pixels.round()
        value, gradient, largest = self._problem.look(seen, here, self._rows)
        fools = value > options.kappa + SURE * largest
        reach = (seen - clean).abs().amax(dim=(1, 2, 3))
        better = fools & (reach < self._reach[here])
        self.best[here] = torch.where(each(better), seen, self.best[here])
        self._reach[here] = torch.where(better, reach, self._reach[here])
        change = pixels - clean
        over = torch.where(change.abs() > each(self._tau), change.sign(), 0.0)
        rate = options.learning_rate * (1 - self._n_steps / options.n_steps)
        self._variables.step(over.sub_(gradient.mul_(each(torch.where(fools, 0.0, self._c)))), rate)
        self._n_steps += 1
        self._go_on(fools & (reach <= self._tau), clean, seen)

    def _go_on(self, succeeded: Tensor, clean: Tensor, seen: Tensor) -> None:
        """Lowers tau after a success; after the last step of a descent doubles c, and after the last c ends or raises tau."""
        options, here = self._options, self._here
        over = ~succeeded & (self._n_steps >= options.n_steps)
        failed = over & (self._n_doublings >= options.n_doublings)
        self._failed = torch.where(failed, self._tau, self._failed)
        reach = self._reach[here]
        lower = torch.minimum((reach * _TAU_FACTOR).floor(), reach - 1).maximum(self._failed + 1)
        higher = (self._tau * 2).clamp(max=255)
        tau = torch.where(reach.isfinite(), lower, higher)
        moves = succeeded | failed
        self.is_done[here] |= moves & torch.where(reach.isfinite(), lower >= reach, self._tau >= 255)
        self._c = torch.where(over & ~failed, self._c * 2, self._c)
        self._n_doublings = torch.where(moves, 0.0, self._n_doublings + over)
        self._n_steps = torch.where(moves | over, 0.0, self._n_steps)
        self._tau = torch.where(moves, tau, self._tau)
        start = torch.where(each(reach.isfinite()), self.best[here], seen)
        limit = each(self._tau)
        self._variables.restart(moves, torch.clamp(start - clean, -limit, limit) + clean)
