"""What attacks that look for the smallest change share: who is led where, what the network answers, what is counted and saved."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.attack import NO_EPSILON, Differentiable, Perturbed
from pipeline.attacks.configured import Configured
from pipeline.attacks.lattice import Settled
from pipeline.attacks.network import Network, clean_pixels, margin, saved_images
from pipeline.attacks.targets import chosen_targets


class MinimumNormAttack(Configured):
    """The frame of an attack without epsilon; a subclass has a name and says how it searches."""

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
        goal: the margin by which an image fools; see `network.margin`.
    """

    def __init__(self, network: Network, clean: Tensor, labels: Tensor, aims: Tensor | None) -> None:
        self.network, self.clean, self.labels, self.aims = network, clean, labels, aims
        self.goal = margin(labels, aims)

    def __len__(self) -> int:
        return len(self.clean)

    def look(self, pixels: Tensor, places: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Returns -f6 (m,) before its cut, its gradient (m, 3, H, W) by pixels on [0, 1], and the largest logit (m,).

        Args:
            pixels: float32 (m, 3, H, W) in 0 to 255.
            places, rows: which of the images these are, on the device and on the host.
        """
        logits, gradient = self.network.gradient(pixels, lambda scores, index: self.goal(scores, places[index]), rows)
        return self.goal(logits, places), gradient.mul_(255), logits.abs().amax(dim=1)

    def margins(self, pixels: Tensor, places: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Returns -f6 (m,) before its cut and the largest logit (m,), for one forward pass."""
        logits = self.network.logits(pixels, rows)
        return self.goal(logits, places), logits.abs().amax(dim=1)


def each(values: Tensor) -> Tensor:
    """Returns one value for each image, (n,), in the shape that multiplies images."""
    return values[:, None, None, None]


def sums(values: Tensor) -> Tensor:
    """Returns the sum over each image, (n,). One image is summed as one of two: alone it would be in another order."""
    flat = values.flatten(1)
    return flat.expand(2, -1).contiguous().sum(dim=1)[:1] if len(flat) == 1 else flat.sum(dim=1)
