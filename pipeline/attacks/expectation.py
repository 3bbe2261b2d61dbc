"""The attack that expects to be printed and photographed: expectation over transformation (Athalye et al. 2018).

Every iterate is an integer image inside the epsilon ball and inside [0, 255], so the saved 8-bit file is the result itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.attacks.attack import Differentiable, Perturbed
from pipeline.attacks.options import ExpectationOptions
from pipeline.images import pixels_sha256, to_model
from pipeline.seeds import seed_for
from pipeline.simulator import load_profile, profile_content

# Simulated photographs that are followed at once: 4 of 299 x 299 pixels, which keeps channel and network below 1.5 GB.
_PIXELS_AT_ONCE = 4 * 299 * 299


class ExpectationOverTransformation:
    """Sign steps up the mean loss of the true label over fresh draws of print, light, pose and camera (EOT, Eq. 1 and 2).

    Images are walked one by one, each with the draws of its own pixels' seed: nothing depends on order or neighbours.
    """

    name = "eot"
    batch_size = 1

    def __init__(self, options: ExpectationOptions, channel: Callable[..., Any] | None = None) -> None:
        self._options, self._make_channel = options, channel or _print_and_photograph
        self._profile = load_profile(options.profile)
        self.targeted = options.target != ""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on besides image, label, epsilon and network."""
        return asdict(self._options) | {"profile": profile_content(self._profile)}

    def perturb(
        self, classifier: Differentiable, images: np.ndarray, labels: np.ndarray, epsilons_8bit: Sequence[int]
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon, each walked on its own; see `Attack.perturb`."""
        channel = self._make_channel(self._profile, images.shape[1:3], image_mm=self._options.image_mm)
        walked: dict[tuple[str, int], tuple[dict[int, np.ndarray], int]] = {}
        keys = [(pixels_sha256(pixels), int(label)) for pixels, label in zip(images, labels, strict=True)]
        for key, pixels in zip(keys, images, strict=True):
            if key not in walked:  # a batch may be filled up with copies
                walked[key] = self._walk_all(classifier, channel, pixels, key, epsilons_8bit)
        targets = np.array([walked[key][1] for key in keys]) if self.targeted else None
        n_passes = self._options.n_steps * self._options.n_samples
        return {
            epsilon: Perturbed(np.stack([walked[key][0][epsilon] for key in keys]), targets, n_passes + self.targeted, n_passes)
            for epsilon in epsilons_8bit
        }

    def _walk_all(
        self, classifier: Differentiable, channel: Any, pixels: np.ndarray, key: tuple[str, int], epsilons_8bit: Sequence[int]
    ) -> tuple[dict[int, np.ndarray], int]:
        clean = to_model(pixels[None], classifier.device).mul_(255).round_()
        label, sign = key[1], 1
        if self.targeted:
            with torch.no_grad():
                label, sign = int(classifier.logits(clean / 255).argmin()), -1
        seed = seed_for(self._options.seed, "eot", key[0])
        found = {epsilon: self._walk(classifier, channel, clean, label, sign, epsilon, seed) for epsilon in epsilons_8bit}
        return found, label

    def _walk(
        self, classifier: Differentiable, channel: Any, clean: Tensor, label: int, sign: int, epsilon: int, seed: int
    ) -> np.ndarray:
        rng, noise = np.random.default_rng(seed), torch.Generator(classifier.device).manual_seed(seed)
        lower, upper = (clean - epsilon).clamp_(min=0), (clean + epsilon).clamp_(max=255)
        current = clean.clone()
        for _ in range(self._options.n_steps):
            gradient = self._expected_gradient(classifier, channel, current, label, rng, noise)
            current = torch.clamp(current.add_(gradient.sign_(), alpha=sign * self._options.step_8bit), lower, upper)
        return current[0].to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()

    def _expected_gradient(
        self,
        classifier: Differentiable,
        channel: Any,
        pixels: Tensor,
        label: int,
        rng: np.random.Generator,
        noise: torch.Generator,
    ) -> Tensor:
        """The gradient of the loss, summed over fresh draws that are followed a few at a time."""
        total = torch.zeros_like(pixels)
        most = max(1, _PIXELS_AT_ONCE // pixels[0, 0].numel())
        for start in range(0, self._options.n_samples, most):
            n = min(most, self._options.n_samples - start)
            inputs = (pixels / 255).requires_grad_()
            photos = channel(inputs.expand(n, -1, -1, -1), channel.draw(n, rng), noise)
            logits = classifier.logits(photos)
            loss = cross_entropy(logits, torch.full((n,), label, device=logits.device), reduction="sum")
            total += torch.autograd.grad(loss, inputs)[0]
        return total


def _print_and_photograph(profile: Any, image_px: tuple[int, int], image_mm: float) -> Any:
    from pipeline.simulator.channel import Channel

    return Channel(profile, image_px, image_mm=image_mm)
