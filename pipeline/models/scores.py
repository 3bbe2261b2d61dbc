"""What rows of logits say whatever constant is added to them, and whichever classes stand beside them that never win."""

import torch
from torch import Tensor

# A margin of this part of the spread of the likeliest classes is more than what kernels of another batch shape or a folded copy
# of the network change, so that the verdict on the saved file is the same.
SURE = 4e-4
# The spread of so many: those that an image has to do with. What stands behind them may be there or not.
_N_LIKELIEST = 5
# Large logits lie on a coarse grid: a difference of two and a half of its steps says nothing.
_STEPS_OF_GRID = 2.5 * torch.finfo(torch.float32).eps
# Classes are masked that lie this many times farther behind the others than these spread, and have no probability in float32.
_FAR_BEHIND, _IMPOSSIBLE = 10.0, 104.0


def can_win(logits: Tensor) -> Tensor:
    """Returns which classes an image can be led to, bool (n, n_classes): all but those masked with a large negative number.

    Masks are found by the gap that they leave below the classes that take part, at least two; -inf is always one.
    """
    order = logits.sort(dim=1, descending=True).values
    spread, gap = order[:, :1] - order[:, 1:-1], order[:, 1:-1] - order[:, 2:]
    is_break = gap > (_FAR_BEHIND * spread).clamp_(min=_IMPOSSIBLE)
    above = torch.where(is_break, order[:, 1:-1], -torch.inf)
    lowest = torch.cat([above, torch.full_like(order[:, :1], torch.finfo(order.dtype).min)], dim=1).amax(dim=1, keepdim=True)
    return logits >= lowest


def least_likely(logits: Tensor) -> Tensor:
    """Returns the least likely class of those that an image can be led to, int64 (n,)."""
    return torch.where(can_win(logits), logits, torch.inf).argmin(dim=1)


def doubt(logits: Tensor) -> Tensor:
    """Returns the margin (n,) that rounding may make or undo, by what the likeliest of logits (n, n_classes) lie apart."""
    return noise(logits.topk(min(_N_LIKELIEST, logits.shape[1]), dim=1).values, SURE)


def noise(logits: Tensor, share: float) -> Tensor:
    """Returns a share of how far the classes that can win lie apart, (n,); where logits are large, what their grid hides."""
    first, last = logits.amax(dim=1), torch.where(can_win(logits), logits, torch.inf).amin(dim=1)
    return torch.maximum(share * (first - last), _STEPS_OF_GRID * first.abs())


def relative(logits: Tensor) -> Tensor:
    """Returns logits (n, n_classes) below the best of their row, and 0 for classes that cannot win."""
    return torch.where(can_win(logits), logits - logits.amax(dim=1, keepdim=True), 0.0)
