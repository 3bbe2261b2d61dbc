"""The attack that expects what will happen to its image: expectation over transformation (Athalye et al. 2018).

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
from pipeline.attacks.network import Network, clean_pixels, saved_images
from pipeline.attacks.options import ExpectationOptions
from pipeline.attacks.targets import check_target, chosen_targets
from pipeline.attacks.transform_chain import InTurn, TransformChain, checked_ranges
from pipeline.core.errors import WrongUse
from pipeline.core.seeds import seed_for
from pipeline.images import pixels_sha256
from pipeline.physical.simulator import load_profile, profile_content

# Simulated photographs that are followed at once: 4 of 299 x 299 pixels, which keeps channel and network below 1.5 GB.
_PIXELS_AT_ONCE = 4 * 299 * 299


class ExpectationOverTransformation:
    """Sign steps up the mean loss of the true label over fresh draws of what will happen to the image (EOT, Eq. 1 and 2).

    That is print, light, pose and camera, or digital transforms with values drawn from ranges (all of them in each draw, as in
    the paper), or both: the file is transformed, then printed and photographed. Images are walked one by one, each with the draws
    of its own pixels' seed: nothing depends on order or neighbours. Several at once would gain nothing on a processor: a
    simulated photograph costs as much alone, and the draws of one image fill a batch of the network.
    """

    name = "eot"
    accepts_targets = True
    batch_size = 1

    def __init__(self, options: ExpectationOptions | None = None, channel: Callable[..., Any] | None = None) -> None:
        self._options = options or ExpectationOptions()
        self._make_channel = channel or _print_and_photograph
        check_target(self._options.target, self.name)
        self._ranges = checked_ranges(self._options.transforms)
        if self._goes_through_transforms != bool(self._ranges):
            hint = 'Add transforms, for example { blur = [0.4, 2] }, and over = "transforms" or "both".'
            raise WrongUse(f'attack "eot": over = "{self._options.over}" does not go with {len(self._ranges)} transforms.', hint)
        self._profile = load_profile(self._options.profile)
        self.targeted = self._options.target != ""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on besides image, label, epsilon and network."""
        told = asdict(self._options)
        if not self._goes_through_transforms:  # as it was before there was a choice
            return {key: value for key, value in told.items() if key not in ("over", "transforms")} | self._profile_told
        return told | {"transforms": self._ranges} | (self._profile_told if self._options.over == "both" else {"profile": ""})

    def perturb(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        epsilons_8bit: Sequence[int],
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon, each walked on its own; see `Attack.perturb`."""
        is_targeted = self.targeted or targets is not None
        channel = self._channel(images.shape[1:3])
        walked: dict[tuple, dict[int, Perturbed]] = {}
        aims = [None] * len(images) if targets is None else [int(target) for target in targets]
        keys = [(pixels_sha256(one), int(label), aim) for one, label, aim in zip(images, labels, aims, strict=True)]
        for place, key in enumerate(keys):
            if key not in walked:  # a batch may be filled up with copies
                walked[key] = self._walk_all(classifier, channel, images[place : place + 1], key, epsilons_8bit)
        found = {}
        for epsilon in epsilons_8bit:
            each = [walked[key][epsilon] for key in keys]
            found[epsilon] = Perturbed(
                np.concatenate([one.images for one in each]),
                np.concatenate([one.targets for one in each]) if is_targeted else None,
                np.concatenate([one.n_forward for one in each]),
                np.concatenate([one.n_backward for one in each]),
            )
        return found

    @property
    def _goes_through_transforms(self) -> bool:
        return self._options.over != "camera"

    @property
    def _profile_told(self) -> dict[str, Any]:
        return {"profile": profile_content(self._profile)}

    def _channel(self, image_px: tuple[int, int]) -> Any:
        chain = [TransformChain(self._ranges)] if self._goes_through_transforms else []
        if self._options.over != "transforms":
            chain.append(self._make_channel(self._profile, image_px, image_mm=self._options.image_mm))
        return chain[0] if len(chain) == 1 else InTurn(chain)

    def _walk_all(
        self, classifier: Differentiable, channel: Any, image: np.ndarray, key: tuple, epsilons_8bit: Sequence[int]
    ) -> dict[int, Perturbed]:
        sha256, label, aim = key
        clean, asked = clean_pixels(image, classifier.device), Network(classifier, 1)
        if aim is None:
            chosen = chosen_targets(self._options.target, asked, clean, image, [label], self._options.seed)
            aim = None if chosen is None else int(chosen[0])
        seed, found = seed_for(self._options.seed, "eot", sha256), {}
        goal, sign = (label, 1) if aim is None else (aim, -1)
        for epsilon in epsilons_8bit:
            network = Network(classifier, 1)
            walked = self._walk(network, channel, clean, goal, sign, epsilon, seed)
            n_forward = asked.n_forward + network.n_forward
            aims = None if aim is None else np.array([aim])
            found[epsilon] = Perturbed(saved_images(walked), aims, n_forward, network.n_backward)
        return found

    def _walk(self, network: Network, channel: Any, clean: Tensor, goal: int, sign: int, epsilon: int, seed: int) -> Tensor:
        rng, noise = np.random.default_rng(seed), torch.Generator(network.device).manual_seed(seed)
        lower, upper = (clean - epsilon).clamp_(min=0), (clean + epsilon).clamp_(max=255)
        current = clean.clone()
        for _ in range(self._options.n_steps):
            gradient = self._expected_gradient(network, channel, current, goal, rng, noise)
            current = torch.clamp(current.add_(gradient.sign_(), alpha=sign * self._options.step_8bit), lower, upper)
        return current

    def _expected_gradient(
        self, network: Network, channel: Any, pixels: Tensor, goal: int, rng: np.random.Generator, noise: torch.Generator
    ) -> Tensor:
        """The gradient of the loss, summed over fresh draws that are followed a few at a time."""
        total = torch.zeros_like(pixels)
        most = max(1, _PIXELS_AT_ONCE // pixels[0, 0].numel())
        for start in range(0, self._options.n_samples, most):
            n = min(most, self._options.n_samples - start)
            with torch.enable_grad():
                inputs = (pixels / 255).requires_grad_()
                seen = channel(inputs.expand(n, -1, -1, -1), channel.draw(n, rng), noise)
            _, gradient = network.gradient(seen.detach() * 255, lambda logits, index: losses(logits, goal), np.zeros(n, np.int64))
            total += torch.autograd.grad(seen, inputs, gradient)[0]
        return total


def losses(logits: Tensor, goal: int) -> Tensor:
    """Returns the cross-entropy of one class for each image, (n,)."""
    return cross_entropy(logits, logits.new_full((len(logits),), goal, dtype=torch.int64), reduction="none")


def _print_and_photograph(profile: Any, image_px: tuple[int, int], image_mm: float) -> Any:
    from pipeline.physical.simulator.channel import Channel

    return Channel(profile, image_px, image_mm=image_mm)
