"""What the three attacks of Carlini and Wagner (2017) share: the variable w of x = (tanh w + 1) / 2, Adam on it, the objective f6."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.attack import NO_EPSILON, Differentiable, Perturbed
from pipeline.attacks.lattice import Settled
from pipeline.attacks.network import Network, clean_pixels, margin, saved_images
from pipeline.attacks.targets import check_target, chosen_targets

# A pixel of 0 or 255 would have an infinite w that no step moves, so w starts as if all pixels were this far inside (the paper's
# "1/2 + eps"); what it is too far off is taken back when the result is rounded.
_INSIDE_8BIT = 0.5
_DECAY_OF_MEAN, _DECAY_OF_SQUARES, _TINY = 0.9, 0.999, 1e-8


class CarliniAttack:
    """The frame of all three: who is led where, what is counted, what is saved."""

    name: str
    accepts_targets = True

    def __init__(self, options: Any) -> None:
        self._options = options
        check_target(options.target, self.name)
        self.targeted = options.target != ""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on besides image, label and network."""
        return asdict(self._options)

    def perturb(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        epsilons_8bit: Sequence[int] = (NO_EPSILON,),
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images under NO_EPSILON; see `Attack.perturb`."""
        clean, network = clean_pixels(images, classifier.device), Network(classifier, len(images))
        if targets is None:
            aims = chosen_targets(self._options.target, network, clean, images, labels, self._options.seed)
        else:
            aims = torch.as_tensor(targets, dtype=torch.int64, device=classifier.device)
        truth = torch.as_tensor(labels, dtype=torch.int64, device=classifier.device)
        settled = self.search(Problem(network, clean, truth, aims), images)
        chosen = None if aims is None else aims.cpu().numpy()
        saved = saved_images(settled.pixels)
        return {NO_EPSILON: Perturbed(saved, chosen, network.n_forward, network.n_backward, settled.rounding)}

    def search(self, problem: "Problem", images: np.ndarray) -> Settled:
        """Returns what to save of a batch; `images` are the clean ones as uint8 (n, H, W, 3)."""
        raise NotImplementedError


class Problem:
    """Images, where they are to be led, and the network's answers about them.

    Attributes:
        clean: float32 (n, 3, H, W), whole numbers in 0 to 255.
        labels, aims: int64 (n,); aims is None for an untargeted attack.
    """

    def __init__(self, network: Network, clean: Tensor, labels: Tensor, aims: Tensor | None) -> None:
        self.network, self.clean, self.labels, self.aims = network, clean, labels, aims
        self._goal = margin(labels, aims)

    def __len__(self) -> int:
        return len(self.clean)

    def look(self, pixels: Tensor, places: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Returns -f6 (m,) before its cut, its gradient (m, 3, H, W) by pixels on [0, 1], and the largest logit (m,).

        Args:
            pixels: float32 (m, 3, H, W) in 0 to 255.
            places, rows: which of the images these are, on the device and on the host.
        """
        logits, gradient = self.network.gradient(pixels, lambda scores, index: self._goal(scores, places[index]), rows)
        return self._goal(logits, places), gradient.mul_(255), logits.abs().amax(dim=1)

    def margins(self, pixels: Tensor, places: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Returns -f6 (m,) before its cut and the largest logit (m,), for one forward pass."""
        logits = self.network.logits(pixels, rows)
        return self._goal(logits, places), logits.abs().amax(dim=1)


class Variables:
    """The variables w of some images with Adam's moments (Kingma and Ba 2015, Alg. 1), each image with its own count of steps."""

    def __init__(self, pixels: Tensor) -> None:
        self._w = _variable(pixels)
        self._mean, self._squares = torch.zeros_like(self._w), torch.zeros_like(self._w)
        self._n_steps = self._w.new_zeros(len(pixels))
        self._tanh = self._w

    def pixels(self) -> Tensor:
        """Returns float32 (n, 3, H, W) in 0 to 255."""
        self._tanh = torch.tanh(self._w)
        return (self._tanh + 1).mul_(127.5)

    def step(self, gradient: Tensor, rate: Tensor | float) -> None:
        """Moves w against a gradient by pixels on [0, 1], taken where `pixels` was last asked; overwrites the gradient."""
        by_w = gradient.mul_(self._tanh.square_().neg_().add_(1).mul_(0.5))
        self._n_steps += 1
        self._mean.lerp_(by_w, 1 - _DECAY_OF_MEAN)
        self._squares.mul_(_DECAY_OF_SQUARES).addcmul_(by_w, by_w, value=1 - _DECAY_OF_SQUARES)
        width = (self._squares / each(1 - _DECAY_OF_SQUARES**self._n_steps)).sqrt_().add_(_TINY)
        length = rate / (1 - _DECAY_OF_MEAN**self._n_steps)
        self._w.sub_(width.reciprocal_().mul_(self._mean).mul_(each(length)))

    def keep(self, places: Tensor) -> None:
        """Lets all other images leave."""
        self._w, self._mean, self._squares = self._w[places], self._mean[places], self._squares[places]
        self._n_steps = self._n_steps[places]

    def restart(self, where: Tensor, pixels: Tensor, resets_moments: bool = True) -> None:
        """Puts the images where bool (n,) says so at these pixels (n, 3, H, W)."""
        is_here = each(where)
        self._w = torch.where(is_here, _variable(pixels), self._w)
        if resets_moments:
            self._mean.masked_fill_(is_here, 0)
            self._squares.masked_fill_(is_here, 0)
            self._n_steps.masked_fill_(where, 0)


def each(values: Tensor) -> Tensor:
    """Returns one value for each image, (n,), in the shape that multiplies images."""
    return values[:, None, None, None]


def sums(values: Tensor) -> Tensor:
    """Returns the sum over each image, (n,). A single image is summed as one of two: alone it would be summed in another order."""
    flat = values.flatten(1)
    return flat.expand(2, -1).contiguous().sum(dim=1)[:1] if len(flat) == 1 else flat.sum(dim=1)


def _variable(pixels: Tensor) -> Tensor:
    return torch.atanh(pixels.clamp(_INSIDE_8BIT, 255 - _INSIDE_8BIT) / 127.5 - 1)
