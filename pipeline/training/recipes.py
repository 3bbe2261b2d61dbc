"""The loss of a batch under each recipe: clean, attacked, photographed, noisy, or against the probabilities of a teacher."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.core.seeds import generator_for, seed_for
from pipeline.physical.simulator import load_profile
from pipeline.physical.simulator.channel import Channel
from pipeline.settings.training import Training
from pipeline.training.perturbing import steps_for, worst_linear_loss

View = Callable[[Tensor], Tensor]


class Loss:
    """J̃ = α J(x) + (1 − α) J(x'), x' attacked afresh at each step (Goodfellow et al. 2015, Sec. 6); `plain` is J(x).

    J is the cross entropy of softmax(logits / T). The attack asks the network as it predicts, without dropout, and follows what
    the simulated printer and camera do to the images of this very step, so that it is as strong as an attack on one photograph.

    Noise comes last and is not cut to a range: J(x + N(0, σ²)), as Cohen et al. 2019 train; an attack follows the noise of its
    own step (SmoothAdv of one draw, Salman et al. 2019).
    """

    def __init__(self, ask: View, network: nn.Module, training: Training, temperature: float, image_px: tuple[int, int]) -> None:
        """Args:
        ask: gives the logits of images (N, 3, H, W) in [0, 1], through `network` in the mode that it is in.
        temperature: T, 1 for none.
        """
        recipe, camera = training.training, training.camera
        self._ask, self._network, self._seed, self._temperature = ask, network, training.seed, temperature
        self._recipe, self._alpha, self._smoothing = recipe.recipe, recipe.alpha, recipe.label_smoothing
        self._l1, self._first = recipe.first_layer_l1, next(weight for weight in network.parameters() if weight.ndim > 1)
        self._rate, self._sigma = camera.rate, recipe.noise_8bit / 255
        self._attack = steps_for(recipe.recipe, training.attack)
        self._channel = Channel(load_profile(camera.profile), image_px, image_mm=camera.image_mm) if camera.rate else None

    def __call__(self, images: Tensor, target: Tensor, step: str) -> Tensor:
        """Returns the mean loss of images in [0, 1]; `target` is labels (N,) or probabilities (N, n_classes).

        Args:
            step: a name, from which with the seed everything random of this step is drawn.
        """
        view, share = self._view(images.shape, step), 1.0 if self._recipe == "plain" else self._alpha
        loss = torch.zeros((), device=images.device)
        if share < 1:
            loss = loss + (1 - share) * self._worst(images, target, view, step)
        if share > 0:
            loss = loss + share * self._cross_entropy(view(images), target)
        return loss + self._l1 * self._first.abs().sum() if self._l1 else loss

    def _worst(self, images: Tensor, target: Tensor, view: View, step: str) -> Tensor:
        if self._recipe == "linear":
            return worst_linear_loss(self._ask, images, target, self._attack.epsilon, self._attack.norm)
        generator = torch.Generator(images.device).manual_seed(seed_for(self._seed, "train attack", step))
        self._network.eval()
        attacked = self._attack(images, lambda x: self._cross_entropy(view(x), target), generator)
        self._network.train()
        return self._cross_entropy(view(attacked), target)

    def _cross_entropy(self, images: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(self._ask(images) / self._temperature, target, label_smoothing=self._smoothing)

    def _view(self, shape: torch.Size, step: str) -> View:
        """Returns how the network sees a batch in this step: printed and photographed in part, and under noise."""
        photographed = self._photographed(shape[0], step)
        if not self._sigma:
            return photographed
        draw = generator_for(self._seed, "train noise", step).standard_normal(shape, np.float32)
        noise = self._sigma * torch.from_numpy(draw)
        return lambda images: photographed(images) + noise.to(images)

    def _photographed(self, n: int, step: str) -> View:
        """Returns what prints and photographs the first part of a batch in this step, and leaves the rest as files."""
        channel, n_photographed = self._channel, round(self._rate * n)
        if channel is None or not n_photographed:
            return lambda images: images
        rng = generator_for(self._seed, "train camera", step)
        draws, noise = channel.draw(n_photographed, rng), int(rng.integers(2**62))

        def view(images: Tensor) -> Tensor:
            inside = images[:n_photographed].clamp(0, 1)
            files = inside + ((inside.detach() * 255).round() / 255 - inside.detach())
            seen = channel(files, draws, torch.Generator(images.device).manual_seed(noise))
            return torch.cat([seen, images[n_photographed:]])

        return view
