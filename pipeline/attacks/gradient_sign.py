"""Attacks that follow the sign of the loss gradient in whole grey levels (Kurakin, Goodfellow, Bengio 2016, Sec. 2).

Every iterate is an integer image inside the epsilon ball and inside [0, 255], so the saved 8-bit file is the result itself.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.attacks.frame import FramedAttack
from pipeline.attacks.options import LEAST_LIKELY, FastOptions, IterativeOptions, MomentumOptions
from pipeline.attacks.problem import Found, Problem
from pipeline.models.scores import least_likely


def iterations(epsilon_8bit: int) -> int:
    """Returns the paper's number of steps of one grey level, min(epsilon + 4, 1.25 epsilon), rounded up."""
    return ceil(min(epsilon_8bit + 4, 1.25 * epsilon_8bit))


class _SignAttack(FramedAttack):
    """An attack whose first pass is at the clean image: the least likely class is read off that pass, and costs no other."""

    def choose(self, problem: Problem) -> Tensor | None:
        if self._options.target != LEAST_LIKELY:
            return super().choose(problem)
        aims = torch.zeros_like(problem.labels)

        def loss(logits: Tensor, index: Tensor) -> Tensor:
            aims[index] = least_likely(logits.detach())
            return -cross_entropy(logits, aims[index], reduction="none")

        problem.first_slope = problem.gradient(problem.clean, loss)[1]
        return aims

    @staticmethod
    def first_slope(problem: Problem) -> Tensor:
        return problem.slope(problem.clean) if problem.first_slope is None else problem.first_slope


class FastGradientSign(_SignAttack):
    """X + epsilon sign(grad J(X, y_true)), cut to [0, 255] (the paper's *fast*, Sec. 2.1): one pass serves every epsilon.

    With a target: X - epsilon sign(grad J(X, y_target)); "least-likely" is Kurakin et al. 2017's one-step l.l. class.
    """

    name = "fgsm"
    options_kind = FastOptions

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        direction, clean = self.first_slope(problem).sign(), problem.clean
        return {
            epsilon: Found(torch.add(clean, direction, alpha=epsilon).clamp_(0, 255), problem.network)
            for epsilon in epsilons_8bit
        }


class BasicIterative(_SignAttack):
    """Steps of one grey level up the loss of the true label, each cut to the ball (the paper's *basic iterative*, Sec. 2.2).

    After k steps of one grey level no pixel has moved by more than k, so up to step epsilon the ball cuts nothing and every
    larger epsilon takes the same path; only the last few steps of each are its own.
    """

    name = "bim"
    options_kind = IterativeOptions

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        direction, shared, n_shared, found = self.first_slope(problem).sign(), problem.clean.clone(), 0, {}
        for epsilon in sorted(set(epsilons_8bit)):
            n_steps = self._options.n_steps or iterations(epsilon)
            while n_shared < min(epsilon, n_steps):
                shared.add_(problem.slope(shared).sign_() if n_shared else direction).clamp_(0, 255)
                n_shared += 1
            alone, own, (lower, upper) = problem.fork(), shared.clone(), problem.ball(epsilon)
            for _ in range(n_steps - n_shared):
                torch.clamp(own.add_(alone.slope(own).sign_()), lower, upper, out=own)
            found[epsilon] = Found(own, alone.network)
        return found


class LeastLikelyClass(BasicIterative):
    """Steps of one grey level down the loss of the clean image's least likely class (the paper's *l.l. class*, Sec. 2.3)."""

    name = "illc"

    def __init__(self, options: Any = None) -> None:
        super().__init__(IterativeOptions(target=LEAST_LIKELY))


class MomentumIterative(_SignAttack):
    """Steps of epsilon / n along the sign of the accumulated gradient (MI-FGSM; Dong et al. 2018, Alg. 1).

    g <- decay g + grad J / |grad J|_1, on gradients and not on their signs. Steps may be parts of a level: the last iterate is
    rounded, which keeps it in the ball since the ball's bounds are whole numbers. The first pass serves every epsilon.
    """

    name = "mi-fgsm"
    options_kind = MomentumOptions

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        n_steps, first, found = self._options.n_steps, _of_length_one(self.first_slope(problem)), {}
        for epsilon in epsilons_8bit:
            alone, (lower, upper) = problem.fork(), problem.ball(epsilon)
            current, momentum = problem.clean.clone(), first.clone()
            for step in range(n_steps):
                if step:
                    momentum.mul_(self._options.decay).add_(_of_length_one(alone.slope(current)))
                torch.clamp(current.add_(momentum.sign(), alpha=epsilon / n_steps), lower, upper, out=current)
            found[epsilon] = Found(current.round_(), alone.network)
        return found


def _of_length_one(gradient: Tensor) -> Tensor:
    return gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_(min=1e-30)
