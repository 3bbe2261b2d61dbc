"""What the three attacks of Carlini and Wagner (2017) share: the variable w of x = (tanh w + 1) / 2, and Adam on it."""

import torch
from torch import Tensor

from pipeline.attacks.minimum_norm import MinimumNormAttack as CarliniAttack, Problem, each, sums

__all__ = ["CarliniAttack", "Problem", "Variables", "each", "sums"]

# A pixel of 0 or 255 would have an infinite w that no step moves, so w starts as if all pixels were this far inside (the paper's
# "1/2 + eps"); what it is too far off is taken back when the result is rounded.
_INSIDE_8BIT = 0.5
_DECAY_OF_MEAN, _DECAY_OF_SQUARES, _TINY = 0.9, 0.999, 1e-8


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


def _variable(pixels: Tensor) -> Tensor:
    """Returns arctanh(2 x - 1) = log(x / (1 - x)) / 2; torch.atanh gives a value other bits at another place in a batch."""
    inside = pixels.clamp(_INSIDE_8BIT, 255 - _INSIDE_8BIT)
    return torch.log(inside / (255 - inside)).div_(2)
