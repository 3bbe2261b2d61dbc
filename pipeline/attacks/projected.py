"""Projected gradient descent (Madry et al. 2018, Sec. 2.1): the iterative attack from random starts, in a ball of either norm."""

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.frame import BallAttack
from pipeline.attacks.options import ProjectedOptions
from pipeline.attacks.problem import Problem, each
from pipeline.core.seeds import generator_for
from pipeline.images import pixels_sha256

# Images that fool leave the batch at every so many steps: looking more often would make a GPU wait.
_STEPS_BETWEEN_LOOKS = 5
_N_BISECTIONS = 30


class ProjectedGradient(BallAttack):
    """Steps along the gradient's sign (L-infinity) or along the gradient (L2), each put back into the ball, then rounded.

    In L2, epsilon is the root mean square change over all pixels and channels: a ball of radius epsilon times the square root of
    their number. The rounded image lies in the ball too.
    """

    name = "pgd"
    options_kind = ProjectedOptions

    def within(self, problem: Problem, epsilon: int) -> Tensor:
        return self._best_of_starts(problem, _Ball(problem.clean, epsilon, self._options.norm))

    def _best_of_starts(self, problem: Problem, ball: "_Ball") -> Tensor:
        """Returns the saved image of the start that fools by most; with one start there is nothing to compare."""
        best = self._walk(problem, ball, 0)
        if self._options.n_restarts == 1:
            return best
        every = torch.arange(len(best), device=best.device)
        value = problem.margins(best, every)[0]
        for start in range(1, self._options.n_restarts):
            active = (value <= 0).nonzero()[:, 0]
            if not len(active):
                break
            some = problem.of(active)
            again = self._walk(some, ball.of(active), start)
            reached = problem.margins(again, active)[0]
            better = reached > value[active]
            best[active] = torch.where(each(better), again, best[active])
            value[active] = torch.where(better, reached, value[active])
        return best

    def _walk(self, problem: Problem, ball: "_Ball", start: int) -> Tensor:
        """Returns whole-numbered images at the end of one walk from one start."""
        settings = self._options
        length = settings.step_8bit or 2.5 * ball.epsilon / settings.n_steps
        current = ball.clean.clone()
        if settings.random_start:
            keys = [pixels_sha256(image) for image in problem.images]
            current = ball.random_place([generator_for(settings.seed, f"pgd-{start}-{ball.epsilon}", key) for key in keys])
        found, active = ball.clean.clone(), torch.arange(len(current), device=current.device)
        is_out = torch.zeros(len(current), dtype=torch.bool, device=current.device)
        for step in range(settings.n_steps):
            here = ball.of(active).rounded(current) if settings.stop_early else current
            logits, gradient = problem.gradient(here, problem.loss, active)
            if settings.stop_early:
                fools = problem.goal(logits, active) > problem.doubt(active)
                found[active] = torch.where(each(fools & ~is_out[active]), here, found[active])
                is_out[active] |= fools
                if step % _STEPS_BETWEEN_LOOKS == 0:
                    stays = (~is_out[active]).nonzero()[:, 0]
                    active, current, gradient = active[stays], current[stays], gradient[stays]
                    if not len(active):
                        return found
            current = ball.of(active).stepped(current, gradient, length)
        last = ball.of(active).rounded(current)
        found[active] = torch.where(each(is_out[active]), found[active], last)
        return found


class _Ball:
    """All images within epsilon of the clean ones, in [0, 255]."""

    def __init__(self, clean: Tensor, epsilon: int, norm: str) -> None:
        self.clean, self.epsilon, self._norm = clean, epsilon, norm
        self._radius = epsilon * clean[0].numel() ** 0.5

    def of(self, rows: Tensor) -> "_Ball":
        return self if len(rows) == len(self.clean) else _Ball(self.clean[rows], self.epsilon, self._norm)

    def random_place(self, draws: list[np.random.Generator]) -> Tensor:
        """Returns uniform places in the L-infinity ball; in L2, a random direction with the radius of a uniform place."""
        shape = tuple(self.clean.shape[1:])
        if self._norm == "linf":
            noise = [draw.uniform(-self.epsilon, self.epsilon, shape) for draw in draws]
        else:
            noise = [draw.normal(size=shape) for draw in draws]
            size = self.clean[0].numel()
            noise = [
                v / np.linalg.norm(v) * self._radius * draw.uniform() ** (1 / size) for v, draw in zip(noise, draws, strict=True)
            ]
        moved = torch.from_numpy(np.stack(noise)).to(self.clean.device, torch.float32)
        return self._inside(self.clean + moved)

    def stepped(self, current: Tensor, gradient: Tensor, length: float) -> Tensor:
        """Returns where one step up the gradient leads; `length` is counted as epsilon is."""
        if self._norm == "linf":
            return self._inside(current.add(gradient.sign_(), alpha=length))
        norms = gradient.flatten(1).norm(dim=1).clamp_(min=1e-30)
        return self._inside(current + gradient * (length * self._radius / self.epsilon / norms)[:, None, None, None])

    def rounded(self, current: Tensor) -> Tensor:
        """Returns whole numbers inside the ball: the nearest ones, in L2 drawn in as far as rounding went over the edge."""
        if self._norm == "linf":
            return current.round()
        change = current - self.clean
        low, high = torch.zeros_like(change[:, 0, 0, 0]), torch.ones_like(change[:, 0, 0, 0])

        def at(share: Tensor) -> Tensor:
            return (self.clean + change * share[:, None, None, None]).round()

        is_whole = (at(high) - self.clean).square().sum(dim=(1, 2, 3)) <= self._radius**2
        for _ in range(_N_BISECTIONS):
            middle = (low + high) / 2
            fits = (at(middle) - self.clean).square().sum(dim=(1, 2, 3)) <= self._radius**2
            low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
        return at(torch.where(is_whole, 1.0, low))

    def _inside(self, places: Tensor) -> Tensor:
        if self._norm == "linf":
            return torch.clamp(places, (self.clean - self.epsilon).clamp_(min=0), (self.clean + self.epsilon).clamp_(max=255))
        change = places - self.clean
        norms = change.flatten(1).norm(dim=1).clamp_(min=1e-30)
        return (self.clean + change * (self._radius / norms).clamp_(max=1)[:, None, None, None]).clamp_(0, 255)
