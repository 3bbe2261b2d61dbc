"""From the real-numbered result of a minimum-norm attack to the 8-bit image that is saved, which has to fool the network itself.

Rounding alone often undoes such an attack: its result lies just behind the decision boundary, and where most pixels change by
less than half a level rounding leaves the clean image. The boundary is taken as a plane at the current image; then the whole
numbers that get behind it at the least cost are known in closed form, and a few rounds of this end on an image that fools.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.problem import Problem, each

_N_REPAIR, _N_REFINE = 24, 10
# A gradient's weight in the mean falls to this part with each further one.
_MEMORY = 0.7
# An image is finished after so many steps that fooled and did not take its squared distance below this part of the best before.
_PROGRESS, _N_IN_VAIN = 0.998, 3
_N_BISECTIONS, _N_ROUGH_BISECTIONS = 30, 16
# How much farther out an image may go where there is no gradient to follow: doubled from the first until it fools.
_FIRST_OUTWARD, _N_OUTWARD, _N_INWARD = 1e-3, 14, 6


@dataclass(frozen=True)
class Settled:
    """Whole-numbered images (n, 3, H, W) in 0 to 255, and what rounding did to each: a key of `attack.ROUNDING`."""

    pixels: Tensor
    rounding: tuple[str, ...]

    def where(self, stays: Tensor, other: "Settled") -> "Settled":
        """Returns these images where bool (n,) says so, and those of the other elsewhere."""
        words = zip(stays.tolist(), self.rounding, other.rounding, strict=True)
        return Settled(torch.where(each(stays), self.pixels, other.pixels), tuple(a if own else b for own, a, b in words))


def settle(
    problem: Problem,
    found: Tensor,
    is_found: Tensor,
    norm: str = "l2",
    moves_closer: bool = True,
    confidence: float = 0.0,
    n_refinements: int = _N_REFINE,
) -> Settled:
    """Returns the images to save: rounded, mended where rounding undid the attack, and moved closer where that can be had.

    Args:
        found: float32 (n, 3, H, W) in 0 to 255, the attack's results.
        is_found: bool (n,), where there is a result at all; elsewhere the clean image is saved.
        norm: what is kept small: "l2" the squared distance; "linf" the largest change first; "l0" no pixel is changed that
            `found` does not change.
        moves_closer: False leaves an image that fools where it is: what another library found is not improved on.
        confidence: the margin in logits by which an image has to fool.
        n_refinements: passes, at most, in which an image is moved closer.
    """
    if norm not in ("l2", "linf", "l0"):
        raise ValueError(f'expected norm "l2", "linf" or "l0", got {norm!r}')
    state = _State(problem, found, norm, confidence)
    state.look(is_found.nonzero()[:, 0])
    first = state.fools.clone()
    glides = norm == "l2" and moves_closer
    for _ in range(n_refinements if glides else 0):
        active = (is_found & ~state.is_finished).nonzero()[:, 0]
        if not len(active):
            break
        state.glide(active)
    for _ in range(_N_REPAIR):
        active = (is_found & ~state.fools).nonzero()[:, 0]
        if not len(active):
            break
        state.push(active)
        state.look(active)
    for _ in range(n_refinements if moves_closer and not glides else 0):
        active = (is_found & state.fools & ~state.is_finished).nonzero()[:, 0]
        if not len(active):
            break
        state.project(active)
    verdicts = np.where(first.cpu(), "kept", np.where(state.fools.cpu(), "repaired", "lost"))
    rounding = tuple(str(word) if seen else "not-found" for word, seen in zip(verdicts, is_found.tolist(), strict=True))
    return Settled(torch.where(each(is_found & state.fools), state.best, problem.clean), rounding)


def settle_outward(clean: Tensor, found: Tensor, fools: Callable[[Tensor], bool]) -> tuple[Tensor, str]:
    """Returns one image (1, 3, H, W) to save and a key of ROUNDING, asking only whether an image surely fools.

    Where rounding undid the attack, it is the nearest one farther out on the line from the clean image that fools as whole
    numbers.
    """

    def outward(times: float) -> Tensor:
        return (clean + times * (found - clean)).clamp_(0, 255).round_()

    best, word = outward(1.0), "kept"
    if fools(best):
        return best, word
    low = high = 1.0
    for power in range(_N_OUTWARD):
        low, high = high, 1 + _FIRST_OUTWARD * 2**power
        best = outward(high)
        if fools(best):
            break
    else:
        return clean, "lost"
    for _ in range(_N_INWARD):
        middle = (low + high) / 2
        nearer = outward(middle)
        if fools(nearer):
            high, best = middle, nearer
        else:
            low = middle
    return best, "repaired"


class _State:
    """The images in work: where each stands, the margin and its gradient there, and the best that fools so far."""

    def __init__(self, problem: Problem, found: Tensor, norm: str, confidence: float) -> None:
        self._problem, self._clean, self._norm, self._confidence = problem, problem.clean, norm, confidence
        clean, n = problem.clean, len(problem)
        self._now = found.clamp(0, 255).round_()
        self._here = _Plane.empty(clean)
        self.best, self._behind_best = self._now.clone(), _Plane.empty(clean)
        self._best_cost = clean.new_full((n,), torch.inf)
        self._aim = clean.new_zeros(n)  # margin that a projection asks of the plane
        self._missing, self._boost = clean.new_full((n,), torch.inf), clean.new_ones(n)
        self.fools, self.is_finished = (torch.zeros(n, dtype=torch.bool, device=clean.device) for _ in range(2))
        reach = (self._now - clean).abs().amax(dim=(1, 2, 3)).clamp_(min=1)
        self._radius = reach if norm == "linf" else torch.full_like(reach, 255)
        self._mean, self._n_in_vain = torch.zeros_like(clean), clean.new_zeros(n)
        self._may_change = (found != clean).any(dim=1, keepdim=True) if norm == "l0" else None

    def look(self, active: Tensor) -> tuple[Tensor, Tensor]:
        """Asks the network about where these images stand; returns which of them fool, and which are also the best so far."""
        if not len(active):
            return active.bool(), active.bool()
        logits, gradient = self._problem.gradient(self._now[active], self._problem.goal, active)
        value = self._problem.goal(logits, active)
        sure = self._confidence + self._problem.doubt(active)
        self._here.put(active, value, sure, gradient)
        length = gradient.square().sum(dim=(1, 2, 3)).sqrt_().clamp_(min=1e-30)
        self._mean[active] = _MEMORY * self._mean[active] + gradient / each(length)
        cost = self._cost(self._now[active] - self._clean[active])
        fools = value > sure
        better = fools & (cost < self._best_cost[active])
        chosen = active[better]
        self.best[chosen], self._best_cost[chosen] = self._now[chosen], cost[better]
        self._behind_best.put(chosen, value[better], sure[better], gradient[better])
        self.fools[chosen] = True
        return fools, better

    def glide(self, active: Tensor) -> None:
        """Goes to the least change along the mean of the gradients so far that lies behind the plane here: so along the boundary.

        What the boundary's bend takes of the margin is asked for beside it the next time, and half of that where an image fools.
        """
        plane, change = self._here.of(active), self._now[active] - self._clean[active]
        missing = self._wanted(plane) - plane.margin
        aim = torch.where(missing > 0, self._aim[active] + missing.clamp(min=0), self._aim[active] / 2)
        needed = (plane.gradient * change).sum(dim=(1, 2, 3)) + missing + aim
        toward = self._mean[active]
        self._aim[active] = aim
        self._now[active] = self._clean[active] + _least_change(
            plane.gradient, self._clean[active], needed, self._radius[active], False, toward
        )
        before = self._best_cost[active]
        fools, _ = self.look(active)
        gains = self._best_cost[active] < _PROGRESS * before
        self._n_in_vain[active] = torch.where(gains, 0, self._n_in_vain[active] + fools.float())
        self.is_finished[active] = self._n_in_vain[active] >= _N_IN_VAIN

    def push(self, active: Tensor) -> None:
        """Moves values by one level each, those first that bring most margin for their cost, until the plane says enough.

        Where a push did not halve what is missing, the boundary is bent and the next one asks twice as much of the plane.
        """
        plane, now, clean = self._here.of(active), self._now[active], self._clean[active]
        step = plane.gradient.sign()
        moved = now + step
        allowed = (moved >= 0) & (moved <= 255) & ((moved - clean).abs() <= each(self._radius[active]))
        if self._may_change is not None:
            allowed &= self._may_change[active]
        cost = (2 * step * (now - clean) + 1).clamp_(min=0.1)  # of the squared distance; a step back to the clean image is free
        gain = torch.where(allowed, plane.gradient.abs(), 0.0)
        missing = self._wanted(plane) - plane.margin
        self._boost[active] *= torch.where(missing > self._missing[active] / 2, 2.0, 1.0)
        self._missing[active] = missing
        needed = missing * self._boost[active]
        self._now[active] = torch.where(_most_worth(gain, cost, needed), moved, now)
        if self._norm == "linf":  # where the ball is too small for it, it grows by one level
            self._radius[active] += (gain.sum(dim=(1, 2, 3)) < needed).float()

    def project(self, active: Tensor) -> None:
        """Goes from each best image to the least change that lies behind the plane there, and keeps it where it is better."""
        plane, clean = self._behind_best.of(active), self._clean[active]
        gradient = plane.gradient if self._may_change is None else plane.gradient * self._may_change[active]
        aim = torch.maximum(self._aim[active], self._wanted(plane))
        needed = aim - plane.margin + (gradient * (self.best[active] - clean)).sum(dim=(1, 2, 3))
        self._now[active] = clean + _least_change(gradient, clean, needed, self._radius[active], self._norm == "linf")
        fools, better = self.look(active)
        missed = (aim - self._here.of(active).margin).clamp(min=0)
        self._aim[active] = torch.where(better, aim / 2, aim + missed)
        self.is_finished[active] = fools & ~better

    def _wanted(self, plane: "_Plane") -> Tensor:
        return 2 * plane.sure - self._confidence

    def _cost(self, change: Tensor) -> Tensor:
        squares = change.square().sum(dim=(1, 2, 3))
        if self._norm == "l2":
            return squares
        minor = squares / (255.0**2 * change[0].numel())
        if self._norm == "linf":
            return change.abs().amax(dim=(1, 2, 3)) + minor
        return change.ne(0).any(dim=1).sum(dim=(1, 2)) + minor


@dataclass(frozen=True)
class _Plane:
    """The decision boundary as each image sees it: its margin, how much of it is sure, and the gradient of it per level."""

    margin: Tensor
    sure: Tensor
    gradient: Tensor

    @classmethod
    def empty(cls, like: Tensor) -> "_Plane":
        return cls(like.new_zeros(len(like)), like.new_zeros(len(like)), torch.zeros_like(like))

    def of(self, rows: Tensor) -> "_Plane":
        return _Plane(self.margin[rows], self.sure[rows], self.gradient[rows])

    def put(self, rows: Tensor, margins: Tensor, sure: Tensor, gradient: Tensor) -> None:
        self.margin[rows], self.sure[rows], self.gradient[rows] = margins, sure, gradient


def _most_worth(gain: Tensor, cost: Tensor, needed: Tensor) -> Tensor:
    """Returns the moves with most gain for their cost, as few as bring the gain that is needed, or all that bring any."""
    worth = gain / cost
    most = worth.amax(dim=(1, 2, 3)).clamp_(min=1e-30)

    def taken(exponent: Tensor) -> Tensor:
        return (worth >= (most * torch.exp(-exponent))[:, None, None, None]) & (gain > 0)

    low, high = torch.zeros_like(needed), torch.full_like(needed, 30.0)
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2
        is_enough = (gain * taken(middle)).sum(dim=(1, 2, 3)) >= needed
        low, high = torch.where(is_enough, low, middle), torch.where(is_enough, middle, high)
    return taken(high)


def _least_change(
    gradient: Tensor, clean: Tensor, needed: Tensor, radius: Tensor, shrinks: bool, toward: Tensor | None = None
) -> Tensor:
    """Returns the whole-numbered change with the least squares that brings the margin needed on a plane with this gradient.

    For one multiplier it is the rounded multiple of the gradient, cut to the box: the Lagrangian falls apart into values.

    Args:
        toward: the change is a multiple of this instead.
        radius: (n,) largest change allowed; `shrinks` takes the smallest whole one that is enough instead.
    """
    if shrinks:
        room = torch.where(gradient > 0, 255 - clean, clean)
        low, high = torch.zeros_like(radius), radius
        for _ in range(8):
            middle = torch.floor((low + high) / 2)
            is_enough = (gradient.abs() * room.minimum(each(middle))).sum(dim=(1, 2, 3)) >= needed
            low, high = torch.where(is_enough, low, middle), torch.where(is_enough, middle, high)
        radius = high
    limit = each(radius)
    lowest, highest = torch.maximum(-clean, -limit), torch.minimum(255 - clean, limit)
    toward = gradient if toward is None else toward
    steepest = toward.abs().amax(dim=(1, 2, 3)).clamp_(min=1e-30)

    def change(exponent: Tensor) -> Tensor:
        multiple = 0.5 * torch.exp(exponent) / steepest
        return (toward * each(multiple)).round().clamp(lowest, highest)

    low, high = torch.full_like(needed, -0.01), torch.full_like(needed, 20.0)
    for _ in range(_N_BISECTIONS if toward is gradient else _N_ROUGH_BISECTIONS):
        middle = (low + high) / 2
        is_enough = (gradient * change(middle)).sum(dim=(1, 2, 3)) >= needed
        low, high = torch.where(is_enough, low, middle), torch.where(is_enough, middle, high)
    return change(high)
