"""Fast adaptive boundary (Croce and Hein 2020b, Alg. 1): to the nearest boundary, drawn back to the clean image at each step."""

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.apgd import likeliest_wrong
from pipeline.attacks.frame import MinimumNormAttack
from pipeline.attacks.lattice import Settled, settle
from pipeline.attacks.options import BoundaryOptions
from pipeline.attacks.problem import Closest, Pass, Problem, each, sums
from pipeline.core.seeds import generator_for
from pipeline.images import pixels_sha256

# A step goes this many times as far as the plane; what the clean image's own way to the plane weighs at most; and how much of
# its change an image that fools keeps (Sec. 2.3 and 2.4; the authors' values).
_EXTRAPOLATION, _MOST_BIAS, _BACK = 1.05, 0.1, 0.9
_N_BISECTIONS = 20
_N_REFINEMENTS = 3


class FastAdaptiveBoundary(MinimumNormAttack):
    """From each image and from the clean one to the nearest class's plane, inside [0, 255]; a mean of the two is the next image.

    With `n_targets` (FAB-T) the planes are those between the true class and the likeliest wrong ones of the clean image, one
    after another, at one backward pass a step; otherwise all of `n_candidates` likeliest in each step. With a target the
    plane is that between the target and what the network answers. Restarts begin at random places around the image. What is
    found is settled on the lattice.
    """

    name = "fab"
    options_kind = BoundaryOptions

    def smallest(self, problem: Problem) -> Settled:
        """Returns what to save: the closest image on the way that fools, on the lattice."""
        options, best = self._options, Closest(problem.clean)
        every = torch.arange(len(problem), device=problem.clean.device)
        apart: tuple[Tensor | None, ...] = (None,)
        if problem.aims is None:
            classes = likeliest_wrong(problem, options.n_targets or max(options.n_candidates - 1, 1))
            apart = classes.split(1, dim=1) if options.n_targets else (classes,)
        for run in range(options.n_restarts):
            for some in apart:
                is_led = torch.ones_like(every).bool() if some is None else some[:, 0] >= 0
                active = every[is_led & (best.distance > 0)]
                if len(active):
                    start = self._start(problem, best, active, run)
                    self._walk(problem, best, active, None if some is None else some[active], start)
        return settle(problem, best.pixels, best.is_found, options.norm, n_refinements=_N_REFINEMENTS)

    def within(self, problem: Problem, epsilon: int) -> Tensor:
        """Returns what `smallest` does where that is inside the ball, and the clean image elsewhere."""
        found = self.smallest(problem).pixels
        is_inside = (found - problem.clean).abs().amax(dim=(1, 2, 3)) <= epsilon
        return torch.where(each(is_inside), found, problem.clean)

    def _start(self, problem: Problem, best: Closest, active: Tensor, run: int) -> Tensor:
        """Returns where the walks of the images (m,) begin: the clean image, in a later run a random place around it.

        That lies half as far as the closest image that fools, or as far as an image can differ where none was found.
        """
        clean = problem.clean[active]
        if run == 0:
            return clean.clone()
        norm, shape = self._options.norm, tuple(clean.shape[1:])
        keys = [pixels_sha256(problem.images[place]) for place in active.tolist()]
        draws = [generator_for(self._options.seed, f"fab-{run}", key) for key in keys]
        noise = [draw.uniform(-1, 1, shape) if norm == "linf" else draw.standard_normal(shape) for draw in draws]
        step = torch.from_numpy(np.stack(noise)).to(clean)
        farthest = _length(torch.maximum(clean, 255 - clean), norm)
        reach = torch.where(best.is_found, best.distance, 0.0)[active]
        reach = torch.where(reach > 0, reach, farthest) / 2
        return (clean + step * each(reach / _length(step, norm).clamp(min=1e-12))).clamp_(0, 255)

    def _walk(self, problem: Problem, best: Closest, active: Tensor, classes: Tensor | None, here: Tensor) -> None:
        """Goes `n_steps` steps with the images (m,) from `here`, toward the classes (m, k), -1 for none, or the problem's own."""
        norm, clean, n_steps = self._options.norm, problem.clean[active], self._options.n_steps
        for step in range(n_steps + 1):
            fools, need, gradient = torch.zeros_like(active).bool(), clean.new_zeros(len(active)), torch.zeros_like(clean)
            for one, places in problem.passes(here, active):
                rows = one.places
                fools[rows] = problem.goal(one.logits, places) > 0
                if step < n_steps:
                    need[rows], gradient[rows] = self._nearest(problem, one, places, None if classes is None else classes[rows])
            best.put(active, here, _length(here - clean, norm), fools)
            if step == n_steps:
                break
            drawn_back = clean + _BACK * (here - clean)
            is_led = gradient.flatten(1).ne(0).any(dim=1)
            own = projection(gradient, need, here, norm)
            from_clean = projection(gradient, need - sums(gradient * (clean - here)), clean, norm)
            far, near = _length(own, norm), _length(from_clean, norm)
            bias = each((far / (far + near).clamp_(min=1e-12)).clamp_(max=_MOST_BIAS))
            moved = (1 - bias) * (here + _EXTRAPOLATION * own) + bias * (clean + _EXTRAPOLATION * from_clean)
            moved = torch.where(each(is_led), moved.clamp_(0, 255), here)
            here = torch.where(each(fools), drawn_back, moved)

    def _nearest(self, problem: Problem, one: Pass, places: Tensor, classes: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns the margin (m,) that is missing to the nearest plane, negative beyond it, and its gradient (m, 3, H, W)."""
        logits, truth = one.logits, problem.labels[places][:, None]
        if classes is not None:
            winners, losers = classes, truth.expand_as(classes)
        else:
            winners = truth if problem.aims is None else problem.aims[places][:, None]
            losers = logits.scatter(1, winners, -torch.inf).argmax(dim=1, keepdim=True)
        need, gradient = logits.new_zeros(len(logits)), torch.zeros_like(problem.clean[places])
        nearest = logits.new_full((len(logits),), torch.inf)
        for k in range(winners.shape[1]):
            is_class = winners[:, k] >= 0
            winner = winners[:, k : k + 1].clamp(min=0)
            minus_one = torch.full_like(logits[:, :1], -1.0)
            weights = torch.zeros_like(logits).scatter(1, winner, 1.0).scatter_add(1, losers[:, k : k + 1], minus_one)
            slope = one.gradient(weights, is_class)
            missing = (logits.gather(1, losers[:, k : k + 1]) - logits.gather(1, winner))[:, 0]
            steepness = sums(slope.abs()) if self._options.norm == "linf" else sums(slope.square()).sqrt()
            distance = torch.where(is_class & (steepness > 0), missing.abs() / steepness, torch.inf)
            is_nearer = distance < nearest
            nearest, need = torch.where(is_nearer, distance, nearest), torch.where(is_nearer, missing, need)
            gradient = torch.where(each(is_nearer), slope, gradient)
        return need, gradient


def _length(change: Tensor, norm: str) -> Tensor:
    return change.abs().amax(dim=(1, 2, 3)) if norm == "linf" else sums(change.square()).sqrt()


def projection(gradient: Tensor, need: Tensor, pixels: Tensor, norm: str) -> Tensor:
    """Returns the smallest change (n, 3, H, W) that brings `need` (n,) of a margin with this gradient and stays in [0, 255].

    Where the box does not hold so much, it is the most that it holds. "linf": all values move alike, up to the box; "l2": by a
    multiple of the gradient, up to the box (Sec. 2.2). The multiplier is found by halving.
    """
    toward = gradient * each(need.sign())
    room = torch.where(toward > 0, 255 - pixels, pixels)
    if norm == "linf":
        low = need.abs() / sums(toward.abs()).clamp_(min=1e-30)
        high = torch.full_like(need, 255.0)
    else:
        low = need.abs() / sums(toward.square()).clamp_(min=1e-30)
        high = low * 2.0**_N_BISECTIONS

    def change(multiple: Tensor) -> Tensor:
        size = each(multiple).expand_as(room) if norm == "linf" else toward.abs() * each(multiple)
        return toward.sign() * torch.minimum(size, room)

    high = torch.where(sums(toward * change(low)) >= need.abs(), low, high)  # mostly the box is no bound
    for _ in range(_N_BISECTIONS):
        if not (low < high).any():
            break
        middle = (low + high) / 2 if norm == "linf" else (low * high).sqrt()
        is_enough = sums(toward * change(middle)) >= need.abs()
        low, high = torch.where(is_enough, low, middle), torch.where(is_enough, middle, high)
    return change(high)
