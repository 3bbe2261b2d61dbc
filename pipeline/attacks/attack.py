"""What an attack is: a method that turns a batch of 8-bit images into 8-bit images, one batch for each epsilon."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from pipeline.records import ROUNDING as ROUNDING
from pipeline.settings import NO_EPSILON as NO_EPSILON


class Differentiable(Protocol):
    """What an attack needs of the network under test."""

    device: torch.device

    @property
    def takes_luma(self) -> bool:
        """Whether it looks at luma alone: attacks then change a grey picture in grey."""
        return False

    @property
    def n_passes(self) -> int:
        """How many passes of the network one answer of `for_attacks` costs, and a gradient of it."""
        return 1

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Returns (N, n_classes) scores of float32 (N, 3, H, W) images in [0, 1]."""

    def for_attacks(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Returns what gives the logits, or nearly those, faster where there is a faster way."""
        return self.logits


@dataclass(frozen=True)
class Perturbed:
    """The result for one epsilon.

    Attributes:
        images: uint8 (N, H, W, 3), what is saved.
        targets: int64 (N,) labels aimed at, None for an untargeted attack.
        n_forward: int64 (N,) forward passes that each image costs when its epsilon is asked for alone.
        n_backward: int64 (N,) backward passes, likewise.
        rounding: for a minimum-norm attack one key of ROUNDING for each image, else ().
        is_blind: whether the network ever answered about an image with logits or gradients that are not finite; those gave no
            direction. () where it never did.
        by: for a union of attacks the one that fooled with each image, "" where none did, else ().
    """

    images: np.ndarray
    targets: np.ndarray | None
    n_forward: np.ndarray
    n_backward: np.ndarray
    rounding: tuple[str, ...] = ()
    is_blind: tuple[bool, ...] = ()
    by: tuple[str, ...] = ()


class Attack(Protocol):
    """An attack with its parameters; it keeps no state between calls. What it is, its `AttackSpec` says.

    Attributes:
        targeted: whether it leads to a class of its own choice where it is given none.
    """

    targeted: bool

    @property
    def identity(self) -> dict[str, Any]:
        """Plain values: everything that its result depends on besides image, label, epsilon and network."""

    def perturb(
        self, classifier: Differentiable, images: np.ndarray, labels: np.ndarray, epsilons_8bit: Sequence[int],
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:  # fmt: skip
        """Returns the adversarial images for every epsilon.

        Args:
            images: uint8 (N, H, W, 3), clean images at the model's input size. labels: int64 (N,), true labels.
            epsilons_8bit: largest absolute change of a pixel, each 1 to 255; (NO_EPSILON,) for an attack that has none.
            targets: int64 (N,), classes to lead to instead of the attack's own choice.

        Raises:
            ValueError: targets are given to an attack that does not accept them.
        """


@dataclass(frozen=True)
class Learnt:
    """What an attack learnt: a picture, uint8 (P, P, 3), and the class that it leads to.

    Of `n_gradients` that it followed, `n_blind` were of answers with logits or gradients that are not finite.
    """

    picture: np.ndarray
    target: int
    n_gradients: int = 0
    n_blind: int = 0


@runtime_checkable
class Trainable(Protocol):
    """An attack that learns one picture from images of its own before it meets any other."""

    @property
    def training_images(self) -> tuple[str, int]:
        """The folder that they come from, "" for the experiment's own data set, and how many are wanted."""

    def prepare(self, images: np.ndarray) -> None:
        """Takes the images to learn from, uint8 (n, H, W, 3) at the model's input size; they become part of `identity`."""

    def learn(self, classifier: Differentiable, image_px: tuple[int, int]) -> Learnt:
        """Returns what is learnt for images of (H, W)."""

    def use(self, learnt: Learnt) -> None:
        """Takes what was learnt before, as `learn` returned it."""

    def picture(self, side_px: int) -> np.ndarray:
        """Returns what it learnt as a picture to print alone, uint8 (side_px, side_px, 3)."""
