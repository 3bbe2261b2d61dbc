"""What attacks do around their search: they take targets or choose them, count passes, and give back what is saved."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.attack import NO_EPSILON, Differentiable, Perturbed
from pipeline.attacks.lattice import Settled
from pipeline.attacks.options import AWAY, LEAST_LIKELY, NEXT, RANDOM, SECOND
from pipeline.attacks.problem import Found, Problem, saved_images
from pipeline.core.errors import WrongUse
from pipeline.core.seeds import generator_for
from pipeline.images import pixels_sha256
from pipeline.models.scores import can_win, least_likely


class FramedAttack(ABC):
    """An attack that says how it searches, and leaves the rest to this frame; a subclass has a name and a kind of options."""

    name: str
    options_kind: type
    accepts_targets = True
    # Whether grey pictures stay grey for a network that takes luma; not where the attack follows what colours become.
    keeps_grey = True

    def __init__(self, options: Any = None) -> None:
        self._options = options or self.options_kind()
        self.targeted = self._options.target != AWAY

    @property
    def identity(self) -> dict[str, Any]:
        return asdict(self._options)

    def perturb(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        epsilons_8bit: Sequence[int] = (NO_EPSILON,),
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon; see `Attack.perturb`."""
        if targets is not None and not self.accepts_targets:
            raise ValueError(f"expected no targets: {self.name} accepts none")
        is_grey = (images == images[..., :1]).all(axis=(1, 2, 3)) & (classifier.takes_luma and self.keeps_grey)
        parts = [np.flatnonzero(is_grey == value) for value in (True, False)]
        found = []
        for part in (part for part in parts if len(part)):
            led_to = None if targets is None else targets[part]
            problem = Problem(classifier, images[part], labels[part], led_to, bool(is_grey[part[0]]))
            found.append(self._perturbed(problem, epsilons_8bit))
        if len(found) == 1:
            return found[0]
        return {epsilon: joined(parts, [one[epsilon] for one in found]) for epsilon in epsilons_8bit}

    def _perturbed(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Perturbed]:
        if problem.aims is None:
            problem.aims = self.choose(problem)
        aims = None if problem.aims is None else problem.aims.cpu().numpy()
        made = {}
        for epsilon, found in self.search(problem, epsilons_8bit).items():
            passes, is_blind = found.network.counts(), found.network.is_blind()
            made[epsilon] = Perturbed(saved_images(found.pixels), aims, *passes, found.rounding, is_blind, found.by)
        return made

    def choose(self, problem: Problem) -> Tensor | None:
        """Returns the class that each image is led to, int64 (n,), None for "away": what the option `target` says."""
        return chosen_targets(self._options.target, problem, self._options.seed)

    @abstractmethod
    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        """Returns what is to be saved for each epsilon, each with a network that counted the passes it would cost alone."""


def joined(parts: Sequence[np.ndarray], found: Sequence[Perturbed]) -> Perturbed:
    """Returns what was found of parts of some images, the places of each given, as of all in their order."""
    order = np.argsort(np.concatenate(parts))

    def each(name: str) -> Any:
        values = [getattr(one, name) for one in found]
        if all(value is None for value in values):
            return None
        if isinstance(values[0], np.ndarray):
            return np.concatenate(values)[order]
        if not any(values):
            return ()
        filled = [value or (False,) * len(part) for value, part in zip(values, parts, strict=True)]
        return tuple([item for value in filled for item in value][place] for place in order)

    return Perturbed(**{field.name: each(field.name) for field in fields(Perturbed)})


class BallAttack(FramedAttack):
    """An attack that searches inside the ball of one epsilon after the other."""

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        found = {}
        for epsilon in epsilons_8bit:
            alone = problem.fork()
            found[epsilon] = Found(self.within(alone, epsilon), alone.network)
        return found

    @abstractmethod
    def within(self, problem: Problem, epsilon: int) -> Tensor:
        """Returns whole-numbered images (n, 3, H, W) inside the ball."""


class MinimumNormAttack(FramedAttack):
    """The frame of an attack without epsilon."""

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        settled = self.smallest(problem)
        return {NO_EPSILON: Found(settled.pixels, problem.network, settled.rounding)}

    @abstractmethod
    def smallest(self, problem: Problem) -> Settled:
        """Returns the smallest change that fools, as it is to be saved."""


def chosen_targets(target: str, problem: Problem, seed: int) -> Tensor | None:
    """Returns the class that each image is led to, int64 (n,), None for "away"; a random one depends on seed and image alone.

    Classes that the network masks are passed over, as if they were not there.

    Raises:
        WrongUse: the network, which is asked once but for "away", has no such class.
    """
    if target == AWAY:
        return None
    logits, truth = problem.network.logits(problem.clean), problem.labels
    n_classes = logits.shape[1]
    if target == LEAST_LIKELY:
        return least_likely(logits)
    if target == SECOND:
        return logits.scatter(1, truth[:, None], -torch.inf).argmax(dim=1)
    if target in (NEXT, RANDOM):
        after = (truth[:, None] + torch.arange(1, n_classes, device=truth.device)) % n_classes
        is_open = can_win(logits).gather(1, after)
        is_open |= ~is_open.any(dim=1, keepdim=True)
        nth = torch.ones_like(truth)
        if target == RANDOM:
            draws = [generator_for(seed, "target", pixels_sha256(image)) for image in problem.images]
            n_open = is_open.sum(dim=1).tolist()
            nth = truth.new_tensor([int(draw.integers(1, n + 1)) for draw, n in zip(draws, n_open, strict=True)])
        is_chosen = is_open & (is_open.cumsum(dim=1) == nth[:, None])
        return after.gather(1, is_chosen.int().argmax(dim=1, keepdim=True))[:, 0]
    if int(target) >= n_classes:
        raise WrongUse(f"target = {target}: the network has the classes 0 to {n_classes - 1}.")
    return torch.full_like(truth, int(target))
