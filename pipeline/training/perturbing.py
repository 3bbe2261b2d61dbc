"""Images attacked while a network learns: one to several steps along its own gradient, as floating-point tensors.

The attacks of `pipeline.attacks` make files of a network that is done; these are as cheap as a step of training allows, and are
not rounded to whole levels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pipeline.core.errors import BadInput
from pipeline.settings.training import TrainingAttackSettings

# Of images (N, 3, H, W) in [0, 1] to a number that is to grow, a sum over images.
Objective = Callable[[Tensor], Tensor]
# Of the largest gradient, relative, by which that of a linear network may differ from place to place.
_SAME = 1e-3


@dataclass(frozen=True)
class Steps:
    """Gradient steps inside a ball of radius `epsilon`, of pixels in [0, 1].

    With `norm` "linf" a step is `size` times the gradient's sign; with "l2" it has the gradient's direction and the Euclidean
    length `size`, over all pixels of an image, and `epsilon` may be infinite.
    """

    epsilon: float
    size: float
    n: int
    from_random: bool
    clip: bool
    norm: str = "linf"

    def __call__(self, images: Tensor, objective: Objective, generator: torch.Generator) -> Tensor:
        """Returns the attacked images, without a gradient.

        Args:
            generator: of the random start, on the images' device.
        """
        found = images
        if self.from_random:
            found = self._inside(images + self._start(images, generator), images)
        for _ in range(self.n):
            with torch.enable_grad():
                inputs = found.detach().requires_grad_()
                (slope,) = torch.autograd.grad(objective(inputs), inputs)
            found = self._inside(found + self._step(slope), images)
        return found.detach()

    def _start(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Returns changes drawn evenly from the ball; in n dimensions the length of the Euclidean one goes as u^(1/n)."""
        if self.norm == "linf":
            shift = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
            return (2 * shift - 1) * self.epsilon
        way = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        drawn = torch.rand(len(images), generator=generator, device=images.device, dtype=images.dtype)
        length = drawn.pow(1 / max(1, images[:1].numel()))
        return self.epsilon * length.view(-1, 1, 1, 1) * unit(way)

    def _step(self, slope: Tensor) -> Tensor:
        return self.size * (slope.sign() if self.norm == "linf" else unit(slope))

    def _inside(self, found: Tensor, images: Tensor) -> Tensor:
        """Returns what is projected onto the ball; cutting to [0, 1] then brings no pixel further from the image's."""
        if self.norm == "linf":
            ball = torch.minimum(torch.maximum(found, images - self.epsilon), images + self.epsilon)
        else:
            ball = images + shortened(found - images, self.epsilon)
        return ball.clamp(0, 1) if self.clip else ball


def unit(vectors: Tensor) -> Tensor:
    """Returns each of (N, 3, H, W) at a Euclidean length of 1; zeros stay as they are."""
    return vectors / lengths(vectors).clamp(min=torch.finfo(vectors.dtype).tiny)


def shortened(vectors: Tensor, most: float) -> Tensor:
    """Returns each of (N, 3, H, W) at a Euclidean length of `most` where it is longer."""
    return vectors * (most / lengths(vectors).clamp(min=torch.finfo(vectors.dtype).tiny)).clamp(max=1)


def lengths(vectors: Tensor) -> Tensor:
    """Returns the Euclidean lengths of (N, 3, H, W), as (N, 1, 1, 1)."""
    return vectors.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def steps_for(kind: str, settings: TrainingAttackSettings) -> Steps:
    """Returns an attack by its name.

    "fgsm": x + ε sign(∇J), of Goodfellow et al. 2015. "fast": one step of 1.25 ε from a random start (Wong et al. 2020). "pgd":
    `n_steps` of 2.5 ε / n_steps from a random start (Madry et al. 2018). In the norm "l2" all go x + ε ∇J / ‖∇J‖₂.
    """
    epsilon, size, last = settings.epsilon_8bit / 255, settings.step_8bit / 255, (settings.clip, settings.norm)
    if kind == "fgsm":
        return Steps(epsilon, epsilon, 1, False, *last)
    if kind == "fast":
        return Steps(epsilon, size or 1.25 * epsilon, 1, True, *last)
    return Steps(epsilon, size or 2.5 * epsilon / settings.n_steps, settings.n_steps, True, *last)


def worst_linear_loss(
    ask: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, epsilon: float, norm: str = "linf"
) -> Tensor:
    """Returns the mean of ζ(ε‖w‖₁ − y(w·x + b)), the largest loss of a linear model of two classes in the whole ball.

    In the Euclidean ball ("l2") ‖w‖₂ stands for ‖w‖₁: the dual norm.

    ζ is log(1 + exp), y is −1 for label 0 and 1 for label 1, w·x + b the difference of the logits, of pixels in [0, 1] that are
    not cut to any range. Goodfellow et al. 2015, Sec. 5, print y ε‖w‖₁, which for y = −1 would make the loss smaller.

    Raises:
        BadInput: the network is not linear, or has not two classes.
    """
    with torch.enable_grad():
        inputs = images.detach().requires_grad_()
        logits = ask(inputs)
        if logits.shape[1] != 2:
            raise BadInput(f'recipe = "linear" is for two classes, and there are {logits.shape[1]}.', 'Use recipe = "fgsm".')
        margin = logits[:, 1] - logits[:, 0]
        (weights,) = torch.autograd.grad(margin.sum(), inputs, create_graph=True)
    spread = (weights.detach().amax(dim=0) - weights.detach().amin(dim=0)).amax()
    if spread > _SAME * weights.detach().abs().amax():
        raise BadInput(
            'recipe = "linear" needs a linear network.', 'Use network:logistic or network:softmax, or recipe = "fgsm".'
        )
    sides = labels.to(margin.dtype) * 2 - 1
    largest = weights.flatten(1).norm(p=1 if norm == "linf" else 2, dim=1)
    return softplus(epsilon * largest - sides * margin).mean()
