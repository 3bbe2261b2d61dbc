"""What the transforms on tensors share: rounding that lets gradients through, and one number for each image."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def eight_bit(values: "Tensor") -> "Tensor":
    """Returns values rounded half to even and cut to 0 .. 255; rounding has the gradient 1, what is cut the gradient 0."""
    cut = values.clamp(0, 255)
    return cut + (cut.detach().round() - cut.detach())


def column(values: list[float], like: "Tensor") -> "Tensor":
    """Returns one number for each image, (N, 1, 1, 1)."""
    return like.new_tensor(values)[:, None, None, None]
