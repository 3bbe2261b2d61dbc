"""What an attack is: a method that turns a batch of 8-bit images into 8-bit images, one batch for each epsilon."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from pipeline.records import ROUNDING as ROUNDING
from pipeline.settings import NO_EPSILON as NO_EPSILON


class Differentiable(Protocol):
    """What an attack needs of the network under test."""

    device: torch.device

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Returns (N, n_classes) scores of float32 (N, 3, H, W) images in [0, 1]."""


@dataclass(frozen=True)
class Perturbed:
    """The result for one epsilon.

    Attributes:
        images: uint8 (N, H, W, 3), what is saved.
        targets: int64 (N,) labels aimed at, None for an untargeted attack.
        n_forward: int64 (N,) forward passes that each image costs when its epsilon is asked for alone.
        n_backward: int64 (N,) backward passes, likewise.
        rounding: for a minimum-norm attack one key of ROUNDING for each image, else ().
    """

    images: np.ndarray
    targets: np.ndarray | None
    n_forward: np.ndarray
    n_backward: np.ndarray
    rounding: tuple[str, ...] = ()


class Attack(Protocol):
    """An attack with its parameters; it keeps no state between calls.

    One with options also has `identity`: a plain value with everything that its result depends on besides image, label,
    epsilon and network. One that gains nothing from many images at once has `batch_size`, so that each is kept when it is made.
    """

    name: str
    targeted: bool
    accepts_targets: bool

    def perturb(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        epsilons_8bit: Sequence[int],
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon.

        Args:
            classifier: the network under test.
            images: uint8 (N, H, W, 3), clean images at the model's input size.
            labels: int64 (N,), true labels.
            epsilons_8bit: largest absolute change of a pixel, each 1 to 255; (NO_EPSILON,) for an attack that has none.
            targets: int64 (N,), classes to lead to instead of the attack's own choice.

        Raises:
            ValueError: targets are given to an attack that does not accept them.
        """
