"""What an attack is up against: images, where they are to be led, and the network's answers about them."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.attacks.attack import Differentiable
from pipeline.attacks.network import Network, Objective, Pass, clean_pixels, margin


@dataclass(frozen=True)
class Found:
    """What a search ends with: whole-numbered images (n, 3, H, W) in 0 to 255, and the network that counted its passes.

    `rounding` is as in `Perturbed`.
    """

    pixels: Tensor
    network: Network
    rounding: tuple[str, ...] = ()


class Problem:
    """Images, where they are to be led, and the network's answers about them.

    Attributes:
        classifier, network: the network under test, as it is and as attacks see it.
        images, clean: the clean images, uint8 (n, H, W, 3), and the same as float32 (n, 3, H, W) whole numbers in 0 to 255.
        labels, aims: int64 (n,); aims is None for an untargeted attack.
        rows: int64 (n,), which of the call's images these are.
        first_slope: the slope at the clean images, where choosing the aims gave it.
    """

    def __init__(
        self, classifier: Differentiable, images: np.ndarray, labels: np.ndarray, targets: np.ndarray | None = None
    ) -> None:
        device = classifier.device
        self.classifier, self.network, self.images = classifier, Network(classifier, len(images)), images
        self.clean, self.labels = clean_pixels(images, device), torch.as_tensor(labels, dtype=torch.int64, device=device)
        self.aims = None if targets is None else torch.as_tensor(targets, dtype=torch.int64, device=device)
        self.rows = torch.arange(len(images), device=device)
        self.first_slope: Tensor | None = None

    def __len__(self) -> int:
        return len(self.clean)

    def fork(self) -> "Problem":
        """Returns the same problem with a count of its own that goes on from this one's."""
        other = copy.copy(self)
        other.network = self.network.fork()
        return other

    def of(self, places: Tensor) -> "Problem":
        """Returns the problem of some of the images; their passes are counted in this one's network."""
        other = copy.copy(self)
        other.images, other.rows = self.images[places.cpu().numpy()], self.rows[places]
        other.clean, other.labels = self.clean[places], self.labels[places]
        other.aims = None if self.aims is None else self.aims[places]
        return other

    def ball(self, epsilon_8bit: int) -> tuple[Tensor, Tensor]:
        """Returns the lowest and the highest image whose pixels are within epsilon of the clean ones, and in 0 to 255."""
        return (self.clean - epsilon_8bit).clamp_(min=0), (self.clean + epsilon_8bit).clamp_(max=255)

    @property
    def goal(self) -> Objective:
        """The margin by which an image fools; see `network.margin`."""
        return margin(self.labels, self.aims)

    def loss(self, logits: Tensor, places: Tensor) -> Tensor:
        """Returns what is to grow, (m,): the cross-entropy of the true class, or that of the target with its sign turned."""
        if self.aims is None:
            return cross_entropy(logits, self.labels[places], reduction="none")
        return -cross_entropy(logits, self.aims[places], reduction="none")

    def slope(self, pixels: Tensor) -> Tensor:
        """Returns the gradient (n, 3, H, W) of the loss that is to grow, per 8-bit level."""
        return self.gradient(pixels, self.loss)[1]

    def gradient(self, pixels: Tensor, objective: Objective, places: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns the logits (m, n_classes) and the gradient (m, 3, H, W) of an objective of each image, per 8-bit level.

        Args:
            pixels: float32 (m, 3, H, W) in 0 to 255, of the images at these places (m,), all of them without.
            objective: of logits and of places.
        """
        if places is None:
            return self.network.gradient(pixels, objective, self.rows)
        return self.network.gradient(pixels, lambda scores, index: objective(scores, places[index]), self.rows[places])

    def passes(self, pixels: Tensor, places: Tensor) -> Iterator[tuple[Pass, Tensor]]:
        """Yields a forward pass for each batch of these images, and which they are."""
        for one in self.network.passes(pixels, self.rows[places]):
            yield one, places[one.places]

    def look(self, pixels: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns -f6 (m,) before its cut, its gradient (m, 3, H, W) by pixels on [0, 1], and the largest logit (m,)."""
        logits, gradient = self.gradient(pixels, self.goal, places)
        return self.goal(logits, places), gradient.mul_(255), logits.abs().amax(dim=1)

    def margins(self, pixels: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Returns -f6 (m,) before its cut and the largest logit (m,), for one forward pass."""
        logits = self.network.logits(pixels, self.rows[places])
        return self.goal(logits, places), logits.abs().amax(dim=1)


def each(values: Tensor) -> Tensor:
    """Returns one value for each image, (n,), in the shape that multiplies images."""
    return values[:, None, None, None]


def sums(values: Tensor) -> Tensor:
    """Returns the sum over each image, (n,). One image is summed as one of two: alone it would be in another order."""
    flat = values.flatten(1)
    return flat.expand(2, -1).contiguous().sum(dim=1)[:1] if len(flat) == 1 else flat.sum(dim=1)
