"""AutoAttack (Croce and Hein 2020a): Auto-PGD on two losses, FAB and Square, each on what those before it did not fool."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pipeline.attacks.apgd import AutoPGDCrossEntropy, AutoPGDLogitsRatio
from pipeline.attacks.fab import FastAdaptiveBoundary
from pipeline.attacks.frame import FramedAttack
from pipeline.attacks.options import (
    AutoAttackOptions,
    AutoStepOptions,
    BoundaryOptions,
    LogitsRatioOptions,
    SquareOptions,
)
from pipeline.attacks.problem import Found, Problem, each
from pipeline.attacks.square import Square


class AutoAttack(FramedAttack):
    """The union of its parts in the order of the paper: an image leaves with the first part that fools it.

    Where none does, the part's image with the largest margin is saved.
    """

    name = "autoattack"
    options_kind = AutoAttackOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        told = self._options
        shared = {"target": told.target, "seed": told.seed}
        self._parts: dict[str, AutoPGDCrossEntropy | AutoPGDLogitsRatio | FastAdaptiveBoundary | Square] = {
            "apgd-ce": AutoPGDCrossEntropy(AutoStepOptions(n_steps=told.n_steps, stop_early=True, **shared)),
            "apgd-dlr": AutoPGDLogitsRatio(
                LogitsRatioOptions(n_steps=told.n_steps, n_targets=told.n_targets, stop_early=True, **shared)
            ),
            "fab": FastAdaptiveBoundary(BoundaryOptions(norm="linf", n_steps=told.n_steps, n_targets=told.n_targets, **shared)),
            "square": Square(SquareOptions(n_queries=told.n_queries, **shared)),
        }

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        found = {}
        for epsilon in epsilons_8bit:
            alone = problem.fork()
            pixels, by = self._union(alone, epsilon)
            found[epsilon] = Found(pixels, alone.network, by=by)
        return found

    def _union(self, problem: Problem, epsilon: int) -> tuple[Tensor, tuple[str, ...]]:
        """Returns the images, and the part that fooled each, "" where none did."""
        best, by = problem.clean.clone(), [""] * len(problem)
        value = best.new_full((len(best),), -torch.inf)
        active = torch.arange(len(best), device=best.device)
        for name, part in self._parts.items():
            made = part.within(problem.of(active), epsilon)
            ahead, unsure = problem.margins(made, active)
            better = ahead > value[active]
            best[active] = torch.where(each(better), made, best[active])
            value[active] = torch.where(better, ahead, value[active])
            fools = ahead > unsure
            for place in active[fools].tolist():
                by[place] = name
            active = active[~fools]
            if not len(active):
                break
        return best, tuple(by)
