"""Szegedy et al.'s attack (2013, Sec. 4.1): box-constrained L-BFGS on distance and loss, with a line search over their weight."""

import torch
from torch import Tensor

from pipeline.attacks.frame import MinimumNormAttack
from pipeline.attacks.lattice import Settled, settle
from pipeline.attacks.options import LBFGSOptions
from pipeline.attacks.problem import Closest, Problem, each, sums

_N_PAIRS = 6  # steps whose curvature is remembered
_ENOUGH_FALL = 1e-4  # Armijo's: the share of the fall that the slope foretells
_SHORTEST = 1e-3  # share of a step after which an image's search of a minimum is over
_FIRST_STEP = 0.5  # length of the first step, Euclidean on [0, 1]
_STILL = 1e-5  # a minimum is reached where the objective falls by less than this part of itself
_STEPS_BETWEEN_LOOKS = 5
_C_GROWTH = 10.0
_CLOSE_BOUNDS = 1.1  # of c; within them the distance changes by less than a few per cent


class BoxConstrainedLBFGS(MinimumNormAttack):
    """Minimises |x' - x|^2 + c J(x', target) in the box, and looks for the smallest c whose minimum fools.

    Distances are on [0, 1] and squared, as in the public implementations. The paper writes c |r| + J, with c on the other term:
    its largest c that still fools is the smallest here. Without a target J is that of all wrong classes together,
    -log(1 - p of the true class): it has a slope where the network is sure, and an end where it is fooled.
    Every image has its own c, curvature and step; one pass through the network serves all that are still at work.
    """

    name = "lbfgs"
    options_kind = LBFGSOptions

    def smallest(self, problem: Problem) -> Settled:
        """Returns what to save: the closest image that any of the minimisations came across, on the lattice."""
        best = Closest(problem.clean)
        every = torch.arange(len(problem), device=problem.clean.device)
        c = torch.full((len(problem),), self._options.initial_c, device=problem.clean.device)
        low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
        for _ in range(self._options.n_searches):
            active = every[(high > low * _CLOSE_BOUNDS) & (best.distance > 0)]
            if not len(active):
                break
            fooled = self._minimise(problem, best, active, c[active])
            high[active] = torch.where(fooled, c[active].minimum(high[active]), high[active])
            low[active] = torch.where(fooled, low[active], c[active].maximum(low[active]))
            is_bracketed = high.isfinite() & (low > 0)
            c = torch.where(is_bracketed, (low * high).sqrt(), torch.where(high.isfinite(), high / _C_GROWTH, low * _C_GROWTH))
        return settle(problem, best.pixels, best.is_found, "l2")

    def _minimise(self, problem: Problem, best: Closest, active: Tensor, c: Tensor) -> Tensor:
        """Returns which of the active images (m,) fooled on the way to the minimum for their c."""
        start = torch.where(each(best.is_found[active]), best.pixels[active], problem.clean[active]) / 255
        descent = _Descent(problem, best, active, c, start)
        for step in range(self._options.n_steps):
            if step % _STEPS_BETWEEN_LOOKS == 0 and not descent.goes_on():
                break
            descent.step()
        return descent.fooled


class _Descent:
    """Projected L-BFGS of many images in step: each is somewhere on its own line, and asks the network about one point of it.

    Values at a bound that the slope would push out are left out of a direction (gradient projection; Bertsekas 1982).
    """

    def __init__(self, problem: Problem, best: Closest, active: Tensor, c: Tensor, start: Tensor) -> None:
        self._problem, self._best = problem, best
        self._places, self._c, n = active, c, len(active)
        self.fooled = torch.zeros(n, dtype=torch.bool, device=start.device)
        self._here = torch.arange(n, device=start.device)  # which of the active images are still at work
        self._clean = problem.clean[active] / 255
        self._at, self._share = start, torch.ones(n, device=start.device)
        self._value, self._slope = self._ask(start)
        self._is_over = torch.zeros(n, dtype=torch.bool, device=start.device)
        self._moves: list[Tensor] = []
        self._turns: list[Tensor] = []
        self._direction = _steepest(self._slope, start)

    def goes_on(self) -> bool:
        """Lets images that are at their minimum leave; returns whether any is left."""
        stays = (~self._is_over).nonzero()[:, 0]
        if len(stays) < len(self._here):
            for name in ("_here", "_places", "_c", "_clean", "_at", "_share", "_value", "_slope", "_is_over", "_direction"):
                setattr(self, name, getattr(self, name)[stays])
            self._moves, self._turns = [m[stays] for m in self._moves], [t[stays] for t in self._turns]
        return len(stays) > 0

    def step(self) -> None:
        """Tries one point on each image's line; where it is low enough, the image goes there and turns to a new line."""
        trial = (self._at + each(self._share) * self._direction).clamp_(0, 1)
        value, slope = self._ask(trial)
        foretold = sums(self._slope * (trial - self._at))
        accepts = value <= self._value + _ENOUGH_FALL * foretold.clamp(max=0)
        fall = self._value - value
        self._is_over |= accepts & (fall <= _STILL * self._value.abs())
        self._remember(torch.where(each(accepts), trial - self._at, 0.0), torch.where(each(accepts), slope - self._slope, 0.0))
        self._at, self._slope = torch.where(each(accepts), trial, self._at), torch.where(each(accepts), slope, self._slope)
        self._value = torch.where(accepts, value, self._value)
        self._direction = torch.where(each(accepts), self._quasi_newton(), self._direction)
        self._share = torch.where(accepts, 1.0, self._share * 0.5)
        self._is_over |= self._share < _SHORTEST

    def _ask(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the objective (m,) and its slope (m, 3, H, W), and notes what fools."""
        problem, places, pixels = self._problem, self._places, at * 255

        logits, slope = problem.gradient(pixels, self._loss, places)
        moved = at - self._clean
        distance = sums(moved.square())
        fools = problem.goal(logits, places) > problem.doubt(places)
        self._best.put(places, pixels, distance, fools)
        self.fooled[self._here] |= fools
        value = distance + self._c * self._loss(logits, places)
        return value, slope.mul_(255 * each(self._c)).add_(2 * moved)

    def _loss(self, logits: Tensor, places: Tensor) -> Tensor:
        """Returns what is to fall, (m,): -log of the target's probability, or of that of all classes but the true one."""
        if self._problem.aims is not None:
            return -self._problem.loss(logits, places)
        others = logits.scatter(1, self._problem.labels[places][:, None], -torch.inf)
        return logits.logsumexp(dim=1) - others.logsumexp(dim=1)

    def _remember(self, move: Tensor, turn: Tensor) -> None:
        """Keeps a step and the change of slope along it; nothing (zeros) where it did not go or did not bend upward."""
        bends = sums(move * turn) > 1e-10
        self._moves = [*self._moves, torch.where(each(bends), move, 0.0)][-_N_PAIRS:]
        self._turns = [*self._turns, torch.where(each(bends), turn, 0.0)][-_N_PAIRS:]

    def _quasi_newton(self) -> Tensor:
        """Returns the direction of L-BFGS (Nocedal and Wright, Alg. 7.4) among values that are free to move."""
        is_free = _is_free(self._slope, self._at)
        q, weights = torch.where(is_free, self._slope, 0.0), []
        scale = torch.zeros_like(self._value)
        for move, turn in zip(reversed(self._moves), reversed(self._turns), strict=True):
            bend = sums(move * turn)
            weight = torch.where(bend > 0, sums(move * q) / bend.clamp_(min=1e-20), 0.0)
            weights.append((weight, bend))
            q = q - each(weight) * turn
            newest = (scale == 0) & (bend > 0)
            scale = torch.where(newest, bend / sums(turn * turn).clamp_(min=1e-20), scale)
        r = q * each(torch.where(scale > 0, scale, 1.0))
        for (weight, bend), move, turn in zip(reversed(weights), self._moves, self._turns, strict=True):
            back = torch.where(bend > 0, sums(turn * r) / bend.clamp(min=1e-20), 0.0)
            r = r + each(weight - back) * move
        direction = torch.where(is_free, -r, 0.0)
        is_down = (sums(direction * self._slope) < 0) & (scale > 0)
        return torch.where(each(is_down), direction, _steepest(self._slope, self._at))


def _is_free(slope: Tensor, at: Tensor) -> Tensor:
    return ~(((at <= 0) & (slope > 0)) | ((at >= 1) & (slope < 0)))


def _steepest(slope: Tensor, at: Tensor) -> Tensor:
    down = torch.where(_is_free(slope, at), -slope, 0.0)
    return down * each(_FIRST_STEP / sums(down.square()).sqrt().clamp_(min=1e-20)).clamp(max=1e6)
