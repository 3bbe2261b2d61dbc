"""The adversarial patch (Brown et al. 2017): one printable picture that leads every image it lies in to one class.

It is trained once, on images of its own, and then pasted into each image at that image's own place: an image's result depends on
its pixels, on the patch and on nothing else.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, cross_entropy, grid_sample

from pipeline.attacks.attack import NO_EPSILON, Differentiable, Learnt
from pipeline.attacks.frame import FramedAttack
from pipeline.attacks.options import RANDOM, PatchOptions
from pipeline.attacks.problem import Found, Network, Problem, clean_pixels, saved_images
from pipeline.core.errors import WrongUse
from pipeline.core.seeds import generator_for, seed_for
from pipeline.images import pixels_sha256, resize_shorter_and_crop
from pipeline.images.colour import srgb_from_linear
from pipeline.models.scores import can_win
from pipeline.physical.simulator import load_profile, profile_content
from pipeline.physical.simulator.driver import driven
from pipeline.physical.simulator.printer import gamut, grown, print_table
from pipeline.physical.simulator.profile import Profile
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
    keeps_grey = False

    def __init__(self, options: PatchOptions | None = None) -> None:
        super().__init__(options)
        self._profile = load_profile(self._options.profile)
        self._scale, self._trained_scale = (
            (float(low), float(high)) for low, high in (self._options.scale_rate, self._options.trained_scale_rate)
        )
        self._training: np.ndarray | None = None
        self._learnt: Learnt | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on besides image and network: also the images that it was trained on."""
        is_used = self._options.over == "camera" or self._options.printable_weight > 0
        trained_on = "" if self._training is None else content_hash([pixels_sha256(image) for image in self._training])
        told = {"profile": profile_content(self._profile) if is_used else "", "images": trained_on}
        return super().identity | told | {"scale_rate": self._scale, "trained_scale_rate": self._trained_scale}

    @property
    def training_images(self) -> tuple[str, int]:
        return self._options.images, self._options.n_images

    def prepare(self, images: np.ndarray) -> None:
        """Takes the images to train on, uint8 (n, H, W, 3) at the model's input size; without, it trains on built-in signs."""
        self._training, self._learnt = images, None

    def learn(self, classifier: Differentiable, image_px: tuple[int, int]) -> Learnt:
        """Returns the trained patch."""
        if self._training is None:
            self._training = _built_in_images(self._options.n_images, image_px)
        if self._training.shape[1:3] != tuple(image_px):
            raise ValueError(f"expected images of {self._training.shape[1:3]} px, as the patch was trained on, got {image_px}")
        network = Network(classifier, self._options.n_samples)
        images = clean_pixels(self._training, classifier.device)
        first = torch.zeros(1, dtype=torch.int64, device=network.device)
        logits, target = network.logits(images[:1], first), self._options.target
        n_classes = logits.shape[1]
        if target == RANDOM:
            target = generator_for(self._options.seed, "patch-target").choice(can_win(logits)[0].nonzero()[:, 0].tolist())
        target = int(target)
        if target >= n_classes:
            raise WrongUse(f"target = {target}: the network has the classes 0 to {n_classes - 1}.")
        # a patch pixel is never smaller than an image pixel's share of it at the largest scale
        side_px = max(_LEAST_SIDE_PX, math.ceil(min(image_px) * max(self._scale[1], self._trained_scale[1])))
        training = _Training(self._options, self._trained_scale, self._profile, network, images, target)
        picture = training.patch(side_px)
        return Learnt(picture, target, self._options.n_steps * self._options.n_samples, training.n_blind)

    def use(self, learnt: Learnt) -> None:
        self._learnt = learnt

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
        return torch.full_like(problem.labels, self._learnt.target)

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        """Returns the images with the patch in them; they cost no pass of their own, and what training met is told of each."""
        canvas, found = clean_pixels(self._picture_learnt()[None], problem.clean.device)[0], []
        for place, image in enumerate(problem.images):  # one by one: thousands of places in each would not fit in memory for all
            rng = generator_for(self._options.seed, "patch", pixels_sha256(image))
            placement = draw_placement(self._options, (image.shape[0], image.shape[1]), self._scale, rng)
            one = pasted(problem.clean[place : place + 1], canvas, [placement], self._options.shape, _FINENESS)
            found.append(one.round().clamp_(0, 255))
        is_blind = self._learnt is not None and self._learnt.n_blind > 0
        problem.network.note_blind(problem.rows, torch.full_like(problem.rows, is_blind))
        return {NO_EPSILON: Found(torch.cat(found), problem.network)}

    def _picture_learnt(self) -> np.ndarray:
        if self._learnt is None:
            raise ValueError("expected a patch that was learnt: call learn and use first")
        return self._learnt.picture


class _Training:
    """One training, from its seed alone."""

    def __init__(
        self, options: PatchOptions, scale: tuple[float, float], profile: Any, network: Network, images: Tensor, target: int
    ) -> None:
        self._options, self._scale, self._network, self._images, self._target = options, scale, network, images, target
        self._channel, self.n_blind = None, 0
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
            asked = self._network.fork()
            _, gradient = asked.gradient(seen.detach(), self._loss, torch.arange(n, device=patch.device))
            self.n_blind += sum(asked.is_blind())
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


# places that are tried for a patch that must not cover the middle of the image
_N_TRIED = 64


@dataclass(frozen=True)
class Placement:
    """A patch's middle in pixels (pixel centres are whole numbers), its side or diameter in pixels, and its turn, clockwise."""

    x_px: float
    y_px: float
    side_px: float
    turn_deg: float


def draw_placement(
    options: PatchOptions, image_px: tuple[int, int], scale_rate: tuple[float, float], rng: np.random.Generator
) -> Placement:
    """Returns a draw of scale, turn and place in (H, W), evenly in their ranges; the whole patch is inside where it fits."""
    height, width = image_px
    side = min(image_px) * rng.uniform(*scale_rate)
    turn = rng.uniform(-options.rotation_deg, options.rotation_deg) if options.rotation_deg else 0.0
    radians = math.radians(turn)
    reach = side / 2 * (abs(math.cos(radians)) + abs(math.sin(radians)) if options.shape == "square" else 1)
    room = np.array([max(width / 2 - reach, 0), max(height / 2 - reach, 0)])
    places = rng.uniform(-1, 1, (_N_TRIED, 2)) * room
    if options.location == "off-centre":
        distance = np.abs(places).max(axis=1)
        is_off = distance > reach + 1
        place = places[is_off.argmax() if is_off.any() else distance.argmax()]
    else:
        place = places[0]
    return Placement(float(place[0] + (width - 1) / 2), float(place[1] + (height - 1) / 2), side, turn)


def pasted(images: Tensor, patch: Tensor, placements: list[Placement], shape: str, fineness: int) -> Tensor:
    """Returns images (N, 3, H, W) of 0 .. 255 with the patch in each at its own place; gradients lead to the patch.

    Each pixel is the mean over `fineness` x `fineness` places in it, of which the patch covers some: its edge is soft. Where it
    covers none, the image is left as it is, to the bit.

    Args:
        patch: (3, P, P) of 0 .. 255, read between its pixels by bilinear interpolation.
        shape: "circle" or "square".
    """
    n = len(images)
    places = _places(images, placements, fineness)
    is_inside = places.square().sum(dim=3) <= 1 if shape == "circle" else places.abs().amax(dim=3) <= 1
    covered = is_inside.to(images.dtype)[:, None]
    colours = grid_sample(patch.expand(n, -1, -1, -1), places, padding_mode="border", align_corners=False)
    share, ink = avg_pool2d(covered, fineness), avg_pool2d(colours * covered, fineness)
    return images * (1 - share) + ink


def _places(images: Tensor, placements: list[Placement], fineness: int) -> Tensor:
    """Each sub-pixel's place on the patch, (N, fineness H, fineness W, 2), -1 to 1 from edge to edge."""
    height, width = images.shape[2:]
    across, down = (
        (torch.arange(size * fineness, dtype=images.dtype, device=images.device) + 0.5) / fineness - 0.5
        for size in (width, height)
    )

    def column(values: Iterable[float]) -> Tensor:
        return images.new_tensor(list(values))[:, None, None]

    x = across[None, None, :] - column(one.x_px for one in placements)
    y = down[None, :, None] - column(one.y_px for one in placements)
    turn = [math.radians(one.turn_deg) for one in placements]
    cos, sin, half = column(map(math.cos, turn)), column(map(math.sin, turn)), column(one.side_px / 2 for one in placements)
    return torch.stack([(cos * x + sin * y) / half, (cos * y - sin * x) / half], dim=3)


_STEPS, _GREYS = (0, 128, 255), (48, 96, 192)


def printable_colours(profile: Profile) -> np.ndarray:
    """Returns thirty colours as a profile's printer prints them, float32 (30, 3), sRGB of 0 .. 255 relative to its paper.

    27 of a lattice of asked-for colours and three greys, spread over the gamut, as Sharif et al. (2016) spread theirs.
    """
    asked = np.array([*itertools.product(_STEPS, repeat=3), *((grey,) * 3 for grey in _GREYS)], np.uint8)
    asked = driven(asked[None], profile)[0]
    reflectance = np.take_along_axis(print_table(profile), asked.astype(np.int64), axis=0)
    printed = grown(reflectance, profile, fmean(profile.dot_gain_rate)) @ gamut(profile).T
    return (255 * srgb_from_linear(printed / profile.paper_reflectance)).astype(np.float32)


def non_printability(patch: Tensor, colours: Tensor, covered: Tensor) -> Tensor:
    """Returns the mean distance on [0, 1] of the covered pixels of a patch (3, P, P) to the nearest of colours (K, 3), 0 .. 255.

    Sharif et al. (2016, Eq. 4) multiply the distances to all colours; of thirty numbers below 1 that is nothing but the nearest
    one's zero, with a gradient that vanishes everywhere else. The nearest alone is what Thys et al. (2019) take.
    """
    pixels = patch.permute(1, 2, 0)[covered] / 255
    nearest = torch.cdist(pixels.detach(), colours / 255).argmin(dim=1)
    square = (pixels - colours[nearest] / 255).square().sum(dim=1)
    return (square + 1e-8).sqrt().mean()


def total_variation(patch: Tensor, covered: Tensor) -> Tensor:
    """Returns the mean change from a patch's pixel to the next, right and below, on [0, 1]; only within its shape."""
    along = (patch[:, :, 1:] - patch[:, :, :-1])[:, covered[:, 1:] & covered[:, :-1]]
    down = (patch[:, 1:] - patch[:, :-1])[:, covered[1:] & covered[:-1]]
    return (along.abs().mean() + down.abs().mean()) / 255
