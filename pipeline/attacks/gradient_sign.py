"""Attacks that follow the sign of the loss gradient in whole grey levels (Kurakin, Goodfellow, Bengio 2016, Sec. 2).

Every iterate is an integer image inside the epsilon ball and inside [0, 255], so the saved 8-bit file is the result itself.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from pipeline.attacks.attack import Differentiable, Perturbed
from pipeline.images import to_model


def iterations(epsilon_8bit: int) -> int:
    """Returns the paper's number of steps of one grey level, min(epsilon + 4, 1.25 epsilon), rounded up."""
    return ceil(min(epsilon_8bit + 4, 1.25 * epsilon_8bit))


class FastGradientSign:
    """X + epsilon sign(grad J(X, y_true)), cut to [0, 255] (the paper's *fast*, Sec. 2.1): one pass serves every epsilon."""

    name = "fgsm"
    targeted = False

    def perturb(
        self, classifier: Differentiable, images: np.ndarray, labels: np.ndarray, epsilons_8bit: Sequence[int]
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon; see `Attack.perturb`."""
        clean = _pixels(images, classifier)
        direction, _ = _gradient_sign(classifier, clean, torch.as_tensor(labels, device=classifier.device))
        results = {}
        for epsilon in epsilons_8bit:
            moved = torch.add(clean, direction, alpha=epsilon).clamp_(0, 255)
            results[epsilon] = Perturbed(_saved(moved), None, n_forward=1, n_backward=1)
        return results


class BasicIterative:
    """Steps of one grey level up the loss of the true label, each cut to the ball (the paper's *basic iterative*, Sec. 2.2)."""

    name = "bim"
    targeted = False

    def perturb(
        self, classifier: Differentiable, images: np.ndarray, labels: np.ndarray, epsilons_8bit: Sequence[int]
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon; see `Attack.perturb`."""
        results, _ = _walk(classifier, images, torch.as_tensor(labels, device=classifier.device), +1, epsilons_8bit)
        return results


class LeastLikelyClass:
    """Steps of one grey level down the loss of the clean image's least likely class (the paper's *l.l. class*, Sec. 2.3)."""

    name = "illc"
    targeted = True

    def perturb(
        self, classifier: Differentiable, images: np.ndarray, labels: np.ndarray, epsilons_8bit: Sequence[int]
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon; see `Attack.perturb`."""
        results, targets = _walk(classifier, images, None, -1, epsilons_8bit)
        aimed = targets.cpu().numpy()
        return {epsilon: Perturbed(found.images, aimed, found.n_forward, found.n_backward) for epsilon, found in results.items()}


def _walk(
    classifier: Differentiable, images: np.ndarray, labels: torch.Tensor | None, sign: int, epsilons_8bit: Sequence[int]
) -> tuple[dict[int, Perturbed], torch.Tensor]:
    """Walks all epsilons on one path as far as they agree.

    After k steps of one grey level no pixel has moved by more than k, so up to step epsilon the ball cuts nothing and every
    larger epsilon takes the same path; only the last few steps of each are its own.
    """
    clean = _pixels(images, classifier)
    shared, n_shared, results = clean.clone(), 0, {}
    for epsilon in sorted(set(epsilons_8bit)):
        while n_shared < epsilon:
            direction, labels = _gradient_sign(classifier, shared, labels)
            shared.add_(direction, alpha=sign).clamp_(0, 255)
            n_shared += 1
        own, lower, upper = shared.clone(), (clean - epsilon).clamp_(min=0), (clean + epsilon).clamp_(max=255)
        for _ in range(iterations(epsilon) - epsilon):
            direction, labels = _gradient_sign(classifier, own, labels)
            torch.clamp(own.add_(direction, alpha=sign), lower, upper, out=own)
        results[epsilon] = Perturbed(_saved(own), None, iterations(epsilon), iterations(epsilon))
    return results, labels


def _gradient_sign(
    classifier: Differentiable, pixels: torch.Tensor, labels: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the sign of the loss gradient and the labels of the loss: the least likely ones where none are given."""
    inputs = (pixels / 255).requires_grad_()
    logits = classifier.logits(inputs)
    if labels is None:
        labels = logits.detach().argmin(dim=1)
    (gradient,) = torch.autograd.grad(cross_entropy(logits, labels, reduction="sum"), inputs)
    return gradient.sign_(), labels


def _pixels(images: np.ndarray, classifier: Differentiable) -> torch.Tensor:
    return to_model(images, classifier.device).mul_(255).round_()


def _saved(pixels: torch.Tensor) -> np.ndarray:
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
