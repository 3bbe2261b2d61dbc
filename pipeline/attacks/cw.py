"""Carlini and Wagner's L0 and L-infinity attacks (2017, Sec. V-A and C), and what they share with the L2 attack: w and Adam."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from pipeline.attacks.frame import MinimumNormAttack
from pipeline.attacks.lattice import Settled, settle
from pipeline.attacks.options import FewestPixelsOptions, SmallestLargestChangeOptions
from pipeline.attacks.problem import Closest, Problem, each, sums

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
    descents: type["Descents"]

    def smallest(self, problem: Problem) -> Settled:
        """Returns what to save: of each image the smallest change that fools."""
        state = self.descents(problem, self._options)
        while len(active := (~state.is_done).nonzero()[:, 0]):
            state.leave(active)
            for _ in range(_STEPS_BETWEEN_LOOKS):
                state.step()
        return settle(problem, state.best.pixels, state.best.is_found, self.norm, confidence=self._options.kappa)


class Descents(ABC):
    """Where each image stands: the best one so far, and the variables, c and counts of its present descent.

    The first index of all that is private counts the images still in work; `OWN` names what a subclass adds of that kind. After
    a success the goal shrinks; after the last step of a descent c is doubled, and after the last c the goal is given up.

    Attributes:
        best, is_done: of every image the smallest change that fools, and whether nothing is left to try.
    """

    OWN: tuple[str, ...] = ()

    def __init__(self, problem: Problem, options: Any) -> None:
        self._problem, self._options, clean = problem, options, problem.clean
        self._here = torch.arange(len(problem), device=clean.device)
        value, gradient, unsure = problem.look(clean, self._here)
        self.is_done = value > options.kappa + unsure
        self.best = Closest(clean)
        self.best.put(self._here, clean, torch.zeros_like(value), self.is_done)
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
        self._here = active
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
        value, gradient, unsure = self._problem.look(seen, here)
        fools = value > self._options.kappa + unsure
        return fools, self.best.put(here, seen, size, fools), gradient


# An image that no c has fooled yet, all pixels being allowed, gets this many doublings more.
_N_FIRST_DOUBLINGS = 15
# The first c is this much above the one that leads a linear network to its boundary: few pixels have to do what all could.
_C_AHEAD = 16


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
        n_best = self.best.distance[self._here]
        return torch.where(n_best.isfinite(), float(self._options.n_doublings), float(_N_FIRST_DOUBLINGS))

    def shrink(self, succeeded: Tensor, failed: Tensor, clean: Tensor, seen: Tensor) -> Tensor:
        n_best = self.best.distance[self._here]
        n_taken = (self._share * n_best).floor().clamp(min=1)
        self.is_done[self._here] |= (failed & (~n_best.isfinite() | (n_taken <= 1))) | (succeeded & (n_best <= 1))
        self._share = torch.where(failed, self._share / 4, self._share)
        self._is_allowed = torch.where(each(succeeded | failed), self._without_least(n_best), self._is_allowed)
        return self.best.pixels[self._here]

    def _without_least(self, n_best: Tensor) -> Tensor:
        """Returns the changed pixels of the best images, bool (m, 1, H, W), less the share with the least part."""
        n_taken = (self._share * n_best).floor().clamp(min=1)
        n_kept = torch.where(n_best.isfinite(), n_best - n_taken, 0.0).long()
        order = self._part.flatten(1).argsort(dim=1, descending=True, stable=True)
        ranks = torch.arange(order.shape[1], device=order.device).expand_as(order)
        kept = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order, ranks < n_kept[:, None])
        return kept.view(-1, 1, *self._part.shape[1:])


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
    descents = _PixelDescents


_TAU_FACTOR = 0.9
# The rate is the option's as far as this tau, in levels, and grows with it from there: black and white pixels have farther to go
# in w than grey ones, and from 0 to 80 levels it is 2.7.
_NEAR_TAU = 4


class _LevelDescents(Descents):
    """A goal is tau, a largest change; where one is given up before any image fooled, the next tau is twice as large."""

    OWN = ("_tau", "_failed")

    def begin(self, value: Tensor, gradient: Tensor) -> Tensor:
        options, size = self._options, gradient.abs_()
        plane = (options.kappa - value).clamp_(min=0) / sums(size).clamp_(min=1e-12) * 255
        first_tau = torch.full_like(value, options.initial_tau_8bit) if options.initial_tau_8bit else (2 * plane).ceil()
        self._tau, self._failed = first_tau.clamp(1, 255), torch.zeros_like(value)
        # A pixel stays within tau where c times its gradient is less than 1: this is the largest c with which all of them do.
        return size.amax(dim=(1, 2, 3)).clamp_(min=1e-12).reciprocal_()

    def look(self, clean: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | float]:
        pixels = self._variables.pixels()
        seen = pixels.round()
        reach = (seen - clean).abs().amax(dim=(1, 2, 3))
        fools, _, gradient = self.asked(seen, reach)
        change = pixels - clean
        over = torch.where(change.abs() > each(self._tau), change.sign(), 0.0)
        rate = self._options.learning_rate * (self._tau / _NEAR_TAU).clamp(min=1) * (1 - self._n_steps / self._options.n_steps)
        return seen, fools & (reach <= self._tau), over.sub_(gradient.mul_(each(torch.where(fools, 0.0, self._c)))), rate

    def shrink(self, succeeded: Tensor, failed: Tensor, clean: Tensor, seen: Tensor) -> Tensor:
        """Lowers tau after a success; ends after a failure, or raises tau where nothing has fooled yet."""
        here, reach, moves = self._here, self.best.distance[self._here], succeeded | failed
        self._failed = torch.where(failed, self._tau, self._failed)
        lower = torch.minimum((reach * _TAU_FACTOR).floor(), reach - 1).maximum(self._failed + 1)
        tau = torch.where(reach.isfinite(), lower, (self._tau * 2).clamp(max=255))
        self.is_done[here] |= moves & torch.where(reach.isfinite(), lower >= reach, self._tau >= 255)
        self._tau = torch.where(moves, tau, self._tau)
        start, limit = torch.where(each(reach.isfinite()), self.best.pixels[here], seen), each(self._tau)
        return torch.clamp(start - clean, -limit, limit) + clean


class SmallestLargestChange(ShrinkingAttack):
    """Minimises c f6(x) + sum_i (|x - x0|_i - tau)+ over w by Adam, with tau falling, and c doubled where it does not fool.

    The network sees rounded pixels, so tau is a whole number of levels: after a success it falls to 0.9 tau or below the largest
    change that there is, at least by one level; the next descent goes on from there. Every image has its own tau, c and count
    of steps and goes on to its next tau at once, whatever the others do.
    """

    name = "cw-linf"
    options_kind = SmallestLargestChangeOptions
    norm = "linf"
    descents = _LevelDescents
