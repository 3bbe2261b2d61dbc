"""What the three attacks of Carlini and Wagner (2017) share: x = (tanh w + 1) / 2, Adam on w, and goals that shrink."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from pipeline.attacks.frame import MinimumNormAttack
from pipeline.attacks.lattice import SURE, Settled
from pipeline.attacks.problem import Problem, each

# Images that are done leave at every so many steps: looking more often would make a GPU wait.
_STEPS_BETWEEN_LOOKS = 5
# A pixel of 0 or 255 would have an infinite w that no step moves, so w starts as if all pixels were this far inside (the paper's
# "1/2 + eps"); what it is too far off is taken back when the result is rounded.
_INSIDE_8BIT = 0.5
_DECAY_OF_MEAN, _DECAY_OF_SQUARES, _TINY = 0.9, 0.999, 1e-8


class Variables:
    """The variables w of some images with Adam's moments (Kingma and Ba 2015, Alg. 1), each image with its own count of steps."""

    def __init__(self, pixels: Tensor) -> None:
        self._w = _variable(pixels)
        self._mean, self._squares = torch.zeros_like(self._w), torch.zeros_like(self._w)
        self._n_steps = self._w.new_zeros(len(pixels))
        self._tanh = self._w

    def pixels(self) -> Tensor:
        """Returns float32 (n, 3, H, W) in 0 to 255."""
        self._tanh = torch.tanh(self._w)
        return (self._tanh + 1).mul_(127.5)

    def step(self, gradient: Tensor, rate: Tensor | float) -> None:
        """Moves w against a gradient by pixels on [0, 1], taken where `pixels` was last asked; overwrites the gradient."""
        by_w = gradient.mul_(self._tanh.square_().neg_().add_(1).mul_(0.5))
        self._n_steps += 1
        self._mean.lerp_(by_w, 1 - _DECAY_OF_MEAN)
        self._squares.mul_(_DECAY_OF_SQUARES).addcmul_(by_w, by_w, value=1 - _DECAY_OF_SQUARES)
        width = (self._squares / each(1 - _DECAY_OF_SQUARES**self._n_steps)).sqrt_().add_(_TINY)
        length = rate / (1 - _DECAY_OF_MEAN**self._n_steps)
        self._w.sub_(width.reciprocal_().mul_(self._mean).mul_(each(length)))

    def keep(self, places: Tensor) -> None:
        """Lets all other images leave."""
        self._w, self._mean, self._squares = self._w[places], self._mean[places], self._squares[places]
        self._n_steps = self._n_steps[places]

    def restart(self, where: Tensor, pixels: Tensor) -> None:
        """Puts the images where bool (n,) says so at these pixels (n, 3, H, W)."""
        is_here = each(where)
        self._w = torch.where(is_here, _variable(pixels), self._w)
        self._mean.masked_fill_(is_here, 0)
        self._squares.masked_fill_(is_here, 0)
        self._n_steps.masked_fill_(where, 0)


def _variable(pixels: Tensor) -> Tensor:
    """Returns arctanh(2 x - 1) = log(x / (1 - x)) / 2; torch.atanh gives a value other bits at another place in a batch."""
    inside = pixels.clamp(_INSIDE_8BIT, 255 - _INSIDE_8BIT)
    return torch.log(inside / (255 - inside)).div_(2)


class ShrinkingAttack(MinimumNormAttack):
    """Descends toward a goal that is made harder after each success; a subclass says how, with its `Descents`."""

    norm: str

    @abstractmethod
    def begin(self, problem: Problem) -> "Descents":
        """Returns where the images stand before the first step."""

    def smallest(self, problem: Problem) -> Settled:
        """Returns what to save: of each image the smallest change that fools."""
        state = self.begin(problem)
        while len(active := (~state.is_done).nonzero()[:, 0]):
            state.leave(active)
            for _ in range(_STEPS_BETWEEN_LOOKS):
                state.step()
        return problem.settle(state.best, state.size.isfinite(), self.norm, confidence=self._options.kappa)


class Descents(ABC):
    """Where each image stands: the best one so far, and the variables, c and counts of its present descent.

    The first index of all that is private counts the images still in work; `OWN` names what a subclass adds of that kind. After
    a success the goal shrinks; after the last step of a descent c is doubled, and after the last c the goal is given up.

    Attributes:
        best, size, is_done: of every image the smallest change that fools, how large it is, and whether nothing is left to try.
    """

    OWN: tuple[str, ...] = ()

    def __init__(self, problem: Problem, options: Any) -> None:
        self._problem, self._options, clean = problem, options, problem.clean
        self._here = torch.arange(len(problem), device=clean.device)
        self._rows = problem.rows
        value, gradient, largest = problem.look(clean, self._here, self._rows)
        self.is_done = value > options.kappa + SURE * largest
        self.best, self.size = clean.clone(), torch.where(self.is_done, 0.0, torch.inf)
        own_c = self.begin(value, gradient)
        self._c = torch.full_like(value, options.initial_c) if options.initial_c else own_c
        self._n_steps, self._n_doublings = torch.zeros_like(value), torch.zeros_like(value)
        self._variables = Variables(clean)

    @abstractmethod
    def begin(self, value: Tensor, gradient: Tensor) -> Tensor:
        """Sets what is the subclass's own; returns each image's first c, from the margin and its gradient at the clean image."""

    @abstractmethod
    def look(self, clean: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | float]:
        """Passes the images on through the network; returns what it saw, what succeeded, and the pull and rate of Adam's step."""

    @abstractmethod
    def shrink(self, succeeded: Tensor, failed: Tensor, clean: Tensor, seen: Tensor) -> Tensor:
        """Sets the next goal where one was reached or given up; returns where those images start toward it."""

    def most_doublings(self) -> Tensor | float:
        """How often c is doubled before a goal is given up."""
        return self._options.n_doublings

    def leave(self, active: Tensor) -> None:
        """Lets the images go that are done; `active` are the others."""
        if len(active) == len(self._here):
            return
        places = (~self.is_done[self._here]).nonzero()[:, 0]
        self._here, self._rows = active, self._problem.rows[active.cpu().numpy()]
        self._variables.keep(places)
        for name in ("_c", "_n_steps", "_n_doublings", *self.OWN):
            setattr(self, name, getattr(self, name)[places])

    def step(self) -> None:
        """One pass, then one step of Adam, and the next goal where this one is done with."""
        clean = self._problem.clean[self._here]
        seen, succeeded, pull, rate = self.look(clean)
        self._variables.step(pull, rate)
        self._n_steps += 1
        over = ~succeeded & (self._n_steps >= self._options.n_steps)
        failed = over & (self._n_doublings >= self.most_doublings())
        start = self.shrink(succeeded, failed, clean, seen)
        moves = succeeded | failed
        self._c = torch.where(over & ~failed, self._c * 2, self._c)
        self._n_doublings = torch.where(moves, 0.0, self._n_doublings + over)
        self._n_steps = torch.where(moves | over, 0.0, self._n_steps)
        self._variables.restart(moves, start)

    def asked(self, seen: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns which images fool, which of them are the smallest so far and are kept, and the margin's gradient."""
        here = self._here
        value, gradient, largest = self._problem.look(seen, here, self._rows)
        fools = value > self._options.kappa + SURE * largest
        better = fools & (size < self.size[here])
        self.best[here] = torch.where(each(better), seen, self.best[here])
        self.size[here] = torch.where(better, size, self.size[here])
        return fools, better, gradient
