"""Auto-PGD (Croce and Hein 2020a, Sec. 3 and 4): projected gradient descent that sets its own step, on two losses."""

from abc import abstractmethod
from collections.abc import Iterator
from math import ceil

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.attacks.frame import BallAttack
from pipeline.attacks.options import AutoStepOptions, LogitsRatioOptions
from pipeline.attacks.problem import Objective, Problem, each, margin
from pipeline.core.seeds import generator_for
from pipeline.images import pixels_sha256
from pipeline.models.scores import can_win

# Alg. 1: the share of a step that is not momentum; the share of steps that have to rise for the step's length to stay.
_ALPHA, _RHO = 0.75, 0.75
# Lengths of the periods between looks at the step, as shares of all steps: the first, how much each is shorter, the shortest.
_FIRST_PERIOD, _SHORTER, _SHORTEST_PERIOD = 0.22, 0.03, 0.06
_TINY = 1e-12


class AutoProjectedGradient(BallAttack):
    """Steps along the gradient's sign with momentum; a step's length, first 2 epsilon, is halved where it no longer gains.

    The network is asked about the rounded image, so that every iterate is what would be saved; its gradient is passed on as if
    it had not been rounded. What is saved is the iterate with the highest loss among those that fool, if any does.
    """

    def within(self, problem: Problem, epsilon: int) -> Tensor:
        """Returns whole-numbered images in the ball: of all runs the one that fools by most; what fools makes no further run."""
        best = problem.clean.clone()
        value, is_open = best.new_full((len(best),), -torch.inf), torch.ones(len(best), dtype=torch.bool, device=best.device)
        for run, aims in self._runs(problem):
            active = (is_open & (aims >= 0) if aims is not None else is_open).nonzero()[:, 0]
            if not len(active):
                continue
            some = problem.of(active)
            objective = self.objective(some.labels, some.aims if aims is None else aims[active])
            climb = _Climb(some, epsilon, objective, self._start(some, epsilon, run), self._options)
            climb.run()
            better = climb.saved_margin > value[active]
            best[active] = torch.where(each(better), climb.saved, best[active])
            value[active] = torch.where(better, climb.saved_margin, value[active])
            is_open[active] &= ~climb.fools
        return best

    @abstractmethod
    def objective(self, labels: Tensor, aims: Tensor | None) -> Objective:
        """Returns the loss that is to grow: away from the labels, or toward the aims."""

    def _runs(self, problem: Problem) -> Iterator[tuple[int, Tensor | None]]:
        """Yields the runs: their numbers, and the class (n,) that each leads to if that is not the problem's own, -1 for none."""
        yield from ((run, None) for run in range(self._options.n_restarts))

    def _start(self, problem: Problem, epsilon: int, run: int) -> Tensor:
        """Returns uniform places in the ball, by each image's own draw."""
        shape, (lower, upper) = tuple(problem.clean.shape[1:]), problem.ball(epsilon)
        keys = [pixels_sha256(image) for image in problem.images]
        draws = [generator_for(self._options.seed, f"{self.name}-{run}-{epsilon}", key) for key in keys]
        noise = np.stack([draw.uniform(-epsilon, epsilon, shape) for draw in draws])
        return torch.clamp(problem.clean + torch.from_numpy(noise).to(problem.clean), lower, upper)


class AutoPGDCrossEntropy(AutoProjectedGradient):
    """Auto-PGD on the cross-entropy."""

    name = "apgd-ce"
    options_kind = AutoStepOptions

    def objective(self, labels: Tensor, aims: Tensor | None) -> Objective:
        if aims is None:
            return lambda logits, index: cross_entropy(logits, labels[index], reduction="none")
        return lambda logits, index: -cross_entropy(logits, aims[index], reduction="none")


class AutoPGDLogitsRatio(AutoProjectedGradient):
    """Auto-PGD on the difference of logits ratio: a margin over what the likeliest logits lie apart (Eq. 6 and 7).

    With `n_targets` (APGD-T) the likeliest wrong classes of the clean image are led to one after another, until any class but the
    true one wins.
    """

    name = "apgd-dlr"
    options_kind = LogitsRatioOptions

    def objective(self, labels: Tensor, aims: Tensor | None) -> Objective:
        return logits_ratio(labels, aims)

    def _runs(self, problem: Problem) -> Iterator[tuple[int, Tensor | None]]:
        n_targets = self._options.n_targets
        if not n_targets or problem.aims is not None:
            yield from super()._runs(problem)
            return
        classes = likeliest_wrong(problem, n_targets)
        for place in range(classes.shape[1]):
            for run in range(self._options.n_restarts):
                yield place * self._options.n_restarts + run, classes[:, place]


def likeliest_wrong(problem: Problem, n: int) -> Tensor:
    """Returns the n likeliest wrong classes of the clean images, likeliest first, int64 (n_images, at most n), -1 if masked."""
    logits = problem.network.logits(problem.clean, problem.rows)
    is_open = can_win(logits).scatter(1, problem.labels[:, None], False)
    best = torch.where(is_open, logits, -torch.inf).topk(min(n, logits.shape[1] - 1), dim=1)
    return torch.where(best.values > -torch.inf, best.indices, -1)


def logits_ratio(labels: Tensor, aims: Tensor | None) -> Objective:
    """Returns the DLR loss: -(z_y - max z_i) / (z_1 - z_3), z_1 >= z_2 ...; with aims -(z_y - z_t) / (z_1 - (z_3 + z_4) / 2).

    Where fewer classes than that can win, the difference itself is taken: its ratio would be a constant.
    """

    def value(logits: Tensor, index: Tensor) -> Tensor:
        if aims is None:
            ahead = margin(labels)(logits, index)
        else:
            ahead = (logits.gather(1, aims[index][:, None]) - logits.gather(1, labels[index][:, None]))[:, 0]
        n_needed = 3 if aims is None else 4
        if logits.shape[1] < n_needed:
            return ahead
        order = logits.topk(n_needed, dim=1).values
        apart = order[:, 0] - order[:, 2:].mean(dim=1)
        is_enough = can_win(logits.detach()).sum(dim=1) >= n_needed
        return ahead / torch.where(is_enough, apart, 1.0).clamp_min(_TINY)

    return value


def checkpoints(n_steps: int) -> list[int]:
    """Returns the steps after which the step's length is looked at (Sec. 3.2): p_0 = 0, p_1 = 0.22, ... of all, rounded up."""
    places, before, now = [], 0.0, _FIRST_PERIOD
    while now <= 1:
        places.append(ceil(round(now * n_steps, 6)))
        before, now = now, now + max(now - before - _SHORTER, _SHORTEST_PERIOD)
    return places


class _Climb:
    """One run of Alg. 1 for some images, each with its own length of step.

    Attributes:
        saved, saved_margin, fools: of every image the rounded iterate to save, its margin, and whether it surely fools.
    """

    _OWN = ("_here", "_clean", "_now", "_before", "_slope", "_value", "_step", "_n_rises", "_is_halved")
    _BEST = ("_best", "_best_value", "_best_slope", "_value_at_look")

    def __init__(self, problem: Problem, epsilon: int, objective: Objective, start: Tensor, options: AutoStepOptions) -> None:
        self._problem, self._objective, self._options, n = problem, objective, options, len(start)
        self._epsilon, self._clean, self._here = epsilon, problem.clean, torch.arange(n, device=start.device)
        self.saved, self.saved_margin = problem.clean.clone(), start.new_full((n,), -torch.inf)
        self.fools = torch.zeros(n, dtype=torch.bool, device=start.device)
        self._saved_value = start.new_full((n,), -torch.inf)
        self._now, self._before = start, start
        self._value, self._slope = self._ask()
        self._best, self._best_value, self._best_slope = self._now.round(), self._value, self._slope
        self._value_at_look, self._step = self._value, torch.full_like(self._value, 2.0 * epsilon)
        self._n_rises, self._is_halved = torch.zeros_like(self._value), torch.zeros_like(self.fools)

    def run(self) -> None:
        looks, last = checkpoints(self._options.n_steps), 0
        for step in range(1, self._options.n_steps + 1):
            if self._options.stop_early:
                self._leave()
            if not len(self._here):
                return
            self._move(1.0 if step == 1 else _ALPHA)
            if step in looks:
                self._look(step - last)
                last = step

    def _move(self, share: float) -> None:
        lower, upper = (self._clean - self._epsilon).clamp_(min=0), (self._clean + self._epsilon).clamp_(max=255)
        ahead = torch.clamp(self._now + each(self._step) * self._slope.sign(), lower, upper)
        moved = self._now + share * (ahead - self._now) + (1 - share) * (self._now - self._before)
        self._before, self._now = self._now, torch.clamp(moved, lower, upper)
        value, self._slope = self._ask()
        self._n_rises += value > self._value
        self._value = value
        rises = value > self._best_value
        self._best = torch.where(each(rises), self._now.round(), self._best)
        self._best_slope = torch.where(each(rises), self._slope, self._best_slope)
        self._best_value = torch.where(rises, value, self._best_value)

    def _look(self, n_steps: int) -> None:
        """Halves the step where too few steps rose, or where it is the same as at the last look and the best has not changed."""
        is_stuck = ~self._is_halved & (self._best_value <= self._value_at_look)
        self._is_halved = (self._n_rises < _RHO * n_steps) | is_stuck
        back = each(self._is_halved)
        self._step = torch.where(self._is_halved, self._step / 2, self._step)
        self._now, self._before = torch.where(back, self._best, self._now), torch.where(back, self._best, self._before)
        self._slope = torch.where(back, self._best_slope, self._slope)
        self._value = torch.where(self._is_halved, self._best_value, self._value)
        self._value_at_look, self._n_rises = self._best_value, torch.zeros_like(self._n_rises)

    def _ask(self) -> tuple[Tensor, Tensor]:
        """Returns the loss (m,) and its slope at the rounded images, and saves those that are better than all before."""
        here, seen = self._here, self._now.round()
        logits, slope = self._problem.gradient(seen, lambda scores, places: self._objective(scores, places), here)
        value, ahead = self._objective(logits, here), self._problem.goal(logits, here)
        fools = ahead > self._problem.doubt(here)
        better = torch.where(fools == self.fools[here], value > self._saved_value[here], fools)
        self.saved[here] = torch.where(each(better), seen, self.saved[here])
        self._saved_value[here] = torch.where(better, value, self._saved_value[here])
        self.saved_margin[here] = torch.where(better, ahead, self.saved_margin[here])
        self.fools[here] |= fools
        return value, slope

    def _leave(self) -> None:
        """Lets images that fool leave."""
        stays = (~self.fools[self._here]).nonzero()[:, 0]
        if len(stays) < len(self._here):
            for name in (*self._OWN, *self._BEST):
                setattr(self, name, getattr(self, name)[stays])
