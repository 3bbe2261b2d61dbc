"""Attacks that follow the sign of the loss gradient in whole grey levels (Kurakin, Goodfellow, Bengio 2016, Sec. 2).

Every iterate is an integer image inside the epsilon ball and inside [0, 255], so the saved 8-bit file is the result itself.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.attacks.attack import Differentiable, Perturbed
from pipeline.attacks.configured import Configured
from pipeline.attacks.network import Network, Objective, clean_pixels, saved_images
from pipeline.attacks.options import FastOptions, IterativeOptions, MomentumOptions
from pipeline.attacks.targets import LEAST_LIKELY, chosen_targets


def iterations(epsilon_8bit: int) -> int:
    """Returns the paper's number of steps of one grey level, min(epsilon + 4, 1.25 epsilon), rounded up."""
    return ceil(min(epsilon_8bit + 4, 1.25 * epsilon_8bit))


class FastGradientSign(Configured):
    """X + epsilon sign(grad J(X, y_true)), cut to [0, 255] (the paper's *fast*, Sec. 2.1): one pass serves every epsilon.

    With a target: X - epsilon sign(grad J(X, y_target)); "least-likely" is Kurakin et al. 2017's one-step l.l. class.
    """

    name = "fgsm"
    options_kind = FastOptions

    def perturb(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        epsilons_8bit: Sequence[int],
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon; see `Attack.perturb`."""
        aimed = _Aim(classifier, images, labels, self._options.target, self._options.seed, targets)
        direction = aimed.direction(aimed.clean)
        return {
            epsilon: aimed.result(torch.add(aimed.clean, direction, alpha=epsilon).clamp_(0, 255), n_steps=1)
            for epsilon in epsilons_8bit
        }


class BasicIterative(Configured):
    """Steps of one grey level up the loss of the true label, each cut to the ball (the paper's *basic iterative*, Sec. 2.2).

    After k steps of one grey level no pixel has moved by more than k, so up to step epsilon the ball cuts nothing and every
    larger epsilon takes the same path; only the last few steps of each are its own.
    """

    name = "bim"
    options_kind = IterativeOptions

    def perturb(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        epsilons_8bit: Sequence[int],
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon; see `Attack.perturb`."""
        aimed = _Aim(classifier, images, labels, self._options.target, self._options.seed, targets)
        shared, n_shared, results = aimed.clean.clone(), 0, {}
        for epsilon in sorted(set(epsilons_8bit)):
            n_steps = self._options.n_steps or iterations(epsilon)
            while n_shared < min(epsilon, n_steps):
                shared.add_(aimed.direction(shared)).clamp_(0, 255)
                n_shared += 1
            own, lower, upper = shared.clone(), (aimed.clean - epsilon).clamp_(min=0), (aimed.clean + epsilon).clamp_(max=255)
            for _ in range(n_steps - n_shared):
                torch.clamp(own.add_(aimed.direction(own)), lower, upper, out=own)
            results[epsilon] = aimed.result(own, n_steps)
        return results


class LeastLikelyClass(BasicIterative):
    """Steps of one grey level down the loss of the clean image's least likely class (the paper's *l.l. class*, Sec. 2.3)."""

    name = "illc"

    def __init__(self) -> None:
        super().__init__(IterativeOptions(target=LEAST_LIKELY))


class MomentumIterative(Configured):
    """Steps of epsilon / n along the sign of the accumulated gradient (MI-FGSM; Dong et al. 2018, Alg. 1).

    g <- decay g + grad J / |grad J|_1, on gradients and not on their signs. Steps may be parts of a level: the last iterate is
    rounded, which keeps it in the ball since the ball's bounds are whole numbers. The first pass serves every epsilon.
    """

    name = "mi-fgsm"
    options_kind = MomentumOptions

    def perturb(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        epsilons_8bit: Sequence[int],
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon; see `Attack.perturb`."""
        aimed = _Aim(classifier, images, labels, self._options.target, self._options.seed, targets)
        n_steps, first = self._options.n_steps, _of_length_one(aimed.gradient(aimed.clean))
        results = {}
        for epsilon in epsilons_8bit:
            lower, upper = (aimed.clean - epsilon).clamp_(min=0), (aimed.clean + epsilon).clamp_(max=255)
            current, momentum = aimed.clean.clone(), first.clone()
            for step in range(n_steps):
                if step:
                    momentum.mul_(self._options.decay).add_(_of_length_one(aimed.gradient(current)))
                torch.clamp(current.add_(momentum.sign(), alpha=epsilon / n_steps), lower, upper, out=current)
            results[epsilon] = aimed.result(current.round_(), n_steps)
        return results


class _Aim:
    """A batch with the direction in which it is to move: up the loss of the true labels, or down that of the targets.

    The least likely class is read off the first forward pass; other targets that need the network's answer cost one pass.
    """

    def __init__(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        target: str,
        seed: int,
        targets: np.ndarray | None,
    ) -> None:
        self.clean = clean_pixels(images, classifier.device)
        self._network = Network(classifier, len(images))
        self._is_away = target == "" and targets is None
        self._least_likely_is_open = target == LEAST_LIKELY and targets is None
        self._aims = torch.as_tensor(labels if targets is None else targets, device=classifier.device).clone()
        if not self._is_away and not self._least_likely_is_open and targets is None:
            self._aims = chosen_targets(target, self._network, self.clean, images, labels, seed)
        self._n_choosing = int(self._network.n_forward[0])

    def gradient(self, pixels: Tensor) -> Tensor:
        """Returns the gradient of what is to grow."""
        found = self._network.gradient(pixels, self._objective())[1]
        self._least_likely_is_open = False
        return found

    def direction(self, pixels: Tensor) -> Tensor:
        """Returns the sign of the gradient of what is to grow."""
        return self.gradient(pixels).sign_()

    def result(self, pixels: Tensor, n_steps: int) -> Perturbed:
        n = len(pixels)
        targets = None if self._is_away else self._aims.cpu().numpy()
        return Perturbed(saved_images(pixels), targets, np.full(n, n_steps + self._n_choosing), np.full(n, n_steps))

    def _objective(self) -> Objective:
        def value(logits: Tensor, index: Tensor) -> Tensor:
            if self._least_likely_is_open:
                self._aims[index] = logits.detach().argmin(dim=1)
            loss = cross_entropy(logits, self._aims[index], reduction="none")
            return loss if self._is_away else -loss

        return value


def _of_length_one(gradient: Tensor) -> Tensor:
    return gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_(min=1e-30)
