"""The adversarial patch (Brown et al. 2017): one printable picture that leads every image it lies in to one class.

It is trained once, on images of its own, and then pasted into each image at that image's own place: an image's result depends on
its pixels, on the patch and on nothing else.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.attacks.attack import NO_EPSILON, Differentiable
from pipeline.attacks.frame import FramedAttack
from pipeline.attacks.network import Network, clean_pixels, saved_images
from pipeline.attacks.options import RANDOM, PatchOptions
from pipeline.attacks.patch_picture import Placement, draw_placement, non_printability, pasted, printable_colours, total_variation
from pipeline.attacks.problem import Found, Problem
from pipeline.core.errors import WrongUse
from pipeline.core.seeds import generator_for, seed_for
from pipeline.images import pixels_sha256, resize_shorter_and_crop
from pipeline.physical.simulator import load_profile, profile_content
from pipeline.store import content_hash

# places in each pixel that are averaged: fewer in training, where thousands of images are made
_FINENESS, _FINENESS_IN_TRAINING = 4, 2
_LEAST_SIDE_PX = 8
_FIRST_DECAY, _SECOND_DECAY, _TINY = 0.9, 0.999, 1e-8


class AdversarialPatch(FramedAttack):
    """Adam on E[-log Pr(target | A(p, x, l, t))] over images x, places l and turns and scales t, plus what printing asks for."""

    name = "patch"
    options_kind = PatchOptions
    accepts_targets = False

    def __init__(self, options: PatchOptions | None = None) -> None:
        super().__init__(options)
        self._profile = load_profile(self._options.profile)
        self._scale, self._trained_scale = (
            (float(low), float(high)) for low, high in (self._options.scale_rate, self._options.trained_scale_rate)
        )
        self._training: np.ndarray | None = None
        self._learnt: tuple[np.ndarray, int] | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on besides image and network: also the images that it was trained on."""
        is_used = self._options.over == "camera" or self._options.printable_weight > 0
        trained_on = "" if self._training is None else content_hash([pixels_sha256(image) for image in self._training])
        told = {"profile": profile_content(self._profile) if is_used else "", "images": trained_on}
        return super().identity | told | {"scale_rate": self._scale, "trained_scale_rate": self._trained_scale}

    @property
    def training_images(self) -> tuple[str, int]:
        """The folder that training images come from, "" for the experiment's own data set, and how many are wanted."""
        return self._options.images, self._options.n_images

    def prepare(self, images: np.ndarray) -> None:
        """Takes the images to train on, uint8 (n, H, W, 3) at the model's input size; without, it trains on built-in signs."""
        self._training, self._learnt = images, None

    def learn(self, classifier: Differentiable, image_px: tuple[int, int]) -> tuple[np.ndarray, int]:
        """Returns the trained patch, uint8 (P, P, 3), and the class that it leads to."""
        if self._training is None:
            self._training = _built_in_images(self._options.n_images, image_px)
        if self._training.shape[1:3] != tuple(image_px):
            raise ValueError(f"expected images of {self._training.shape[1:3]} px, as the patch was trained on, got {image_px}")
        network = Network(classifier, 1)
        images = clean_pixels(self._training, classifier.device)
        n_classes = network.logits(images[:1]).shape[1]
        if self._options.target == RANDOM:
            target = int(generator_for(self._options.seed, "patch-target").integers(n_classes))
        else:
            target = int(self._options.target)
        if target >= n_classes:
            raise WrongUse(f"target = {target}: the network has the classes 0 to {n_classes - 1}.")
        return _Training(self._options, self._trained_scale, self._profile, network, images, target).patch(
            self._side_px(image_px)
        ), target

    def use(self, patch: np.ndarray, target: int) -> None:
        """Takes a patch that was trained before, as `learn` returned it."""
        self._learnt = patch, target

    def picture(self, side_px: int) -> np.ndarray:
        """Returns the learnt patch on white paper, uint8 (side_px, side_px, 3): as it is pasted, but larger."""
        paper = torch.full((1, 3, side_px, side_px), 255.0)
        middle = (side_px - 1) / 2
        whole = Placement(middle, middle, side_px, 0.0)
        canvas = clean_pixels(self._picture_learnt()[None], torch.device("cpu"))[0]
        return saved_images(pasted(paper, canvas, [whole], self._options.shape, _FINENESS_IN_TRAINING).round().clamp_(0, 255))[0]

    def choose(self, problem: Problem) -> Tensor:
        """Returns the class that the patch leads to; one that was not trained yet is trained now."""
        if self._learnt is None:
            self._learnt = self.learn(problem.classifier, problem.images.shape[1:3])
        return torch.full_like(problem.labels, self._learnt[1])

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        """Returns the images with the patch in them; they cost no pass, training is not theirs."""
        canvas, found = clean_pixels(self._picture_learnt()[None], problem.clean.device)[0], []
        for place, image in enumerate(problem.images):  # one by one: thousands of places in each would not fit in memory for all
            rng = generator_for(self._options.seed, "patch", pixels_sha256(image))
            placement = draw_placement(self._options, (image.shape[0], image.shape[1]), self._scale, rng)
            one = pasted(problem.clean[place : place + 1], canvas, [placement], self._options.shape, _FINENESS)
            found.append(one.round().clamp_(0, 255))
        return {NO_EPSILON: Found(torch.cat(found), problem.network)}

    def _picture_learnt(self) -> np.ndarray:
        if self._learnt is None:
            raise ValueError("expected a patch that was learnt: call learn and use first")
        return self._learnt[0]

    def _side_px(self, image_px: tuple[int, int]) -> int:
        """A patch pixel is never smaller than an image pixel's share of it at the largest scale."""
        return max(_LEAST_SIDE_PX, math.ceil(min(image_px) * max(self._scale[1], self._trained_scale[1])))


class _Training:
    """One training, from its seed alone."""

    def __init__(
        self, options: PatchOptions, scale: tuple[float, float], profile: Any, network: Network, images: Tensor, target: int
    ) -> None:
        self._options, self._scale, self._network, self._images, self._target = options, scale, network, images, target
        self._channel = None
        if options.over == "camera":
            from pipeline.physical.simulator.channel import Channel

            self._channel = Channel(profile, (images.shape[2], images.shape[3]), image_mm=options.image_mm)
        self._colours = torch.from_numpy(printable_colours(profile)).to(images.device)

    def patch(self, side_px: int) -> np.ndarray:
        """Returns the patch after the last step, rounded, uint8 (P, P, 3)."""
        settings, device = self._options, self._images.device
        rng = generator_for(settings.seed, "patch-training")
        noise = torch.Generator(device).manual_seed(seed_for(settings.seed, "patch-training"))
        start = rng.uniform(102, 153, (3, side_px, side_px)).astype(np.float32)
        patch, covered = torch.from_numpy(start).to(device), covered_by(settings.shape, side_px).to(device)
        mean, square = torch.zeros_like(patch), torch.zeros_like(patch)
        for step in range(settings.n_steps):
            gradient = self._gradient(patch, covered, rng, noise)
            mean.lerp_(gradient, 1 - _FIRST_DECAY)
            square.lerp_(gradient.square(), 1 - _SECOND_DECAY)
            rate = 255 * settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.n_steps))
            unbiased = mean / (1 - _FIRST_DECAY ** (step + 1))
            scale = (square / (1 - _SECOND_DECAY ** (step + 1))).sqrt_().add_(_TINY)
            patch.addcdiv_(unbiased, scale, value=-rate).clamp_(0, 255)
        return saved_images(torch.where(covered, patch.round(), 255.0)[None])[0]

    def _gradient(self, patch: Tensor, covered: Tensor, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        settings, image_px = self._options, (self._images.shape[2], self._images.shape[3])
        n = settings.n_samples
        chosen = torch.from_numpy(rng.integers(len(self._images), size=n)).to(patch.device)
        placements = [draw_placement(settings, image_px, self._scale, rng) for _ in range(n)]
        with torch.enable_grad():
            canvas = patch.detach().requires_grad_()
            seen = pasted(self._images[chosen], canvas, placements, settings.shape, _FINENESS_IN_TRAINING)
            if self._channel is not None:
                seen = 255 * self._channel(seen / 255, self._channel.draw(n, rng), noise)
            _, gradient = self._network.gradient(seen.detach(), self._loss, torch.zeros_like(chosen))
            cost = (seen * (gradient / n)).sum()  # its gradient is the network's, followed back to the patch
            if settings.variation_weight > 0:
                cost = cost + settings.variation_weight * total_variation(canvas, covered)
            if settings.printable_weight > 0:
                cost = cost + settings.printable_weight * non_printability(canvas, self._colours, covered)
            return torch.autograd.grad(cost, canvas)[0]

    def _loss(self, logits: Tensor, index: Tensor) -> Tensor:
        goal = torch.full((len(logits),), self._target, dtype=torch.int64, device=logits.device)
        return cross_entropy(logits, goal, reduction="none")


def covered_by(shape: str, side_px: int) -> Tensor:
    """Returns where a patch of P pixels has ink, bool (P, P): the whole square, or what the inscribed circle touches."""
    if shape == "square":
        return torch.ones(side_px, side_px, dtype=torch.bool)
    # the nearest point of a pixel to the middle, so that no pixel that is read at the edge is left untrained
    reach = ((torch.arange(side_px) + 0.5 - side_px / 2).abs() - 1.0).clamp(min=0)
    return reach.square()[:, None] + reach.square()[None, :] <= (side_px / 2) ** 2


def _built_in_images(n: int, image_px: tuple[int, int]) -> np.ndarray:
    from pipeline.signs.dataset import SignsDataset

    signs = SignsDataset(n, split="train")
    return np.stack([resize_shorter_and_crop(signs.image(i), max(image_px), image_px) for i in range(n)])
