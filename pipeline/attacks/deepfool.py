"""DeepFool (Moosavi-Dezfooli, Fawzi, Frossard 2016, Alg. 2): step by step to the nearest decision boundary, taken as a plane."""

import torch
from torch import Tensor

from pipeline.attacks.frame import MinimumNormAttack
from pipeline.attacks.lattice import Settled, settle
from pipeline.attacks.options import DeepFoolOptions
from pipeline.attacks.problem import Pass, Problem, each, sums

# A step goes this much farther than the plane: beside a boundary steps would else become nothing (1e-4 on [0, 1], as authors do).
_BEYOND_8BIT = 255e-4
# Whole-numbered steps along the boundary from there.
_N_REFINEMENTS = 8


class DeepFool(MinimumNormAttack):
    """Moves the image to the nearest of the planes z_k = z_true, again and again, until the network answers otherwise.

    The distance to plane k is |z_k - z_true| / |w_k|, with w_k the gradient of the difference: in the L2 norm or, for L-infinity
    distances, in the L1 norm. The network sees the sum of all steps times 1 + overshoot, as in the authors' code. With a target
    there is one plane, that between the target and what the network answers.

    One forward pass serves all classes. The nearest by logits are asked first, and a class is left out of a step where, to be
    nearest, its gradient had to be `prune` times longer than the longest seen in that image.
    """

    name = "deepfool"
    options_kind = DeepFoolOptions

    def smallest(self, problem: Problem) -> Settled:
        """Returns what to save: where the steps lead, on the lattice."""
        pixels, fools = walked(problem, self._options)
        return settle(problem, pixels, fools, self._options.norm, n_refinements=_N_REFINEMENTS)


def walked(problem: Problem, options: DeepFoolOptions) -> tuple[Tensor, Tensor]:
    """Returns where the steps lead, real-numbered images (n, 3, H, W), and which of them (n,) fool."""
    walk = _Walk(problem, options)
    for n_steps in range(options.n_steps + 1):
        active = (~walk.is_over).nonzero()[:, 0]
        if not len(active):
            break
        for one, places in problem.passes(walk.pixels[active], active):
            walk.look(one, places)
            if n_steps < options.n_steps:
                walk.move(one, places)
    return walk.pixels, walk.fools


class _Walk:
    """Where each image of the call stands."""

    def __init__(self, problem: Problem, options: DeepFoolOptions) -> None:
        self._problem, self._options, n = problem, options, len(problem)
        self.pixels, self._total = problem.clean.clone(), torch.zeros_like(problem.clean)
        self.fools, self.is_over = (torch.zeros(n, dtype=torch.bool, device=problem.clean.device) for _ in range(2))
        self._classes = problem.clean.new_empty((n, 0), dtype=torch.int64)  # likeliest wrong ones of the clean image
        self._lengths = problem.clean.new_empty((n, 0))  # of each class's gradient when it was last asked, 0 before
        self._longest = problem.clean.new_zeros(n)

    def look(self, one: Pass, places: Tensor) -> None:
        """Notes which of these images (m,) fool."""
        self.fools[places] = self.is_over[places] = self._problem.goal(one.logits, places) > 0

    def move(self, one: Pass, places: Tensor) -> None:
        """Moves those of these images (m,) that do not fool to the nearest plane; a backward pass costs a look at the host."""
        options, (winners, losers) = self._options, self._planes(one.logits, places)
        gaps = (one.logits.gather(1, losers) - one.logits.gather(1, winners)).clamp_(min=0)
        open_ = (~self.is_over[places])[:, None] & gaps.isfinite()  # a class at -inf is never reached
        distance, step = gaps.new_full((len(gaps),), torch.inf), torch.zeros_like(self.pixels[places])
        while True:
            lengths, longest = self._lengths[places], self._longest[places][:, None]
            if options.prune:
                open_ &= gaps <= options.prune * torch.where(longest > 0, longest * distance[:, None], torch.inf)
            asks = open_.any(dim=1)
            if not asks.any():
                break
            expected = gaps / torch.where(lengths > 0, lengths, longest.clamp(min=1e-30))
            chosen = torch.where(open_, expected, torch.inf).argmin(dim=1, keepdim=True)
            open_ = open_.scatter(1, chosen, False)
            minus_one = torch.full_like(one.logits[:, :1], -1.0)
            weights = torch.zeros_like(one.logits).scatter(1, winners.gather(1, chosen), 1.0)
            gradient = one.gradient(weights.scatter_add(1, losers.gather(1, chosen), minus_one), asks)
            length = sums(gradient.abs()) if options.norm == "linf" else sums(gradient.square()).sqrt_()
            self._lengths[places] = torch.where(asks[:, None], lengths.scatter(1, chosen, length[:, None]), lengths)
            self._longest[places] = torch.where(asks, longest[:, 0].maximum(length), longest[:, 0])
            reach = torch.where(length > 0, gaps.gather(1, chosen)[:, 0] / length, torch.inf)
            is_nearer = asks & (reach < distance)
            distance = torch.where(is_nearer, reach, distance)
            direction = gradient.sign() if options.norm == "linf" else gradient.div_(each(length.clamp(min=1e-30)))
            step = torch.where(each(is_nearer), direction, step)
        is_lost = ~distance.isfinite()  # fooled already, or without any gradient to follow
        self.is_over[places] |= is_lost
        self._total[places] += step.mul_(each(torch.where(is_lost, 0.0, distance + _BEYOND_8BIT)))
        moved = self._problem.clean[places] + (1 + options.overshoot) * self._total[places]
        self.pixels[places] = torch.where(each(is_lost), self.pixels[places], moved.clamp_(0, 255))

    def _planes(self, logits: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the classes (m, k) that are to win, and those (m, k) that they are to win against."""
        truth = self._problem.labels[places][:, None]
        if self._problem.aims is not None:
            aims = self._problem.aims[places][:, None]
            self._keep_classes(aims, places)
            return aims, logits.scatter(1, aims, -torch.inf).argmax(dim=1, keepdim=True)
        n_others = logits.shape[1] - 1
        n_others = min(self._options.n_candidates - 1, n_others) if self._options.n_candidates else n_others
        self._keep_classes(logits.scatter(1, truth, -torch.inf).topk(n_others, dim=1).indices, places)
        classes = self._classes[places]
        return classes, truth.expand_as(classes)

    def _keep_classes(self, classes: Tensor, places: Tensor) -> None:
        """Notes the candidates where there are none yet: at an image's first step."""
        if self._classes.shape[1] == 0:
            self._classes = classes.new_full((len(self.pixels), classes.shape[1]), -1)
            self._lengths = self._longest.new_zeros(self._classes.shape)
        first = self._classes[places, :1] < 0
        self._classes[places] = torch.where(first, classes, self._classes[places])
