"""The same network, faster: a copy for attacks with its batch norms folded away and its images in channels-last order."""

import copy

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

# Largest difference of a logit relative to the largest one, and of a gradient in the Euclidean norm relative to its own. A unit
# that stands at its kink may fall to the other side for the last bit, which moves a gradient by more than rounding would.
TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-2


def faster_copy(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """Returns a copy that gives the same logits and input gradients within the two tolerances, or the module itself.

    Folding is left out where the network cannot be traced; the module itself is returned where it has hooks, is training, has
    no convolution, or where a copy answers otherwise. The module is left as it was.

    Args:
        module: a frozen network of float32 (N, 3, H, W) images.
        example: images to compare the two on.
    """
    if _is_watched(module) or not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return module
    has_norms = any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    for make in (fuse, copy.deepcopy) if has_norms else (copy.deepcopy,):
        try:
            found: nn.Module = make(module).eval().requires_grad_(False)
            found = found.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stubs leave it out
            if _agree(module, found, example):
                return found
        except Exception:  # a user's network may raise anything when it is traced, copied or run
            continue
    return module


def _is_watched(module: nn.Module) -> bool:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(part.training or any(getattr(part, name, None) for name in hooks) for part in module.modules())


def _agree(module: nn.Module, copied: nn.Module, example: torch.Tensor) -> bool:
    logits, gradient = _answer(module, example)
    again, _ = _answer(module, example)
    other, other_gradient = _answer(copied, example.contiguous(memory_format=torch.channels_last))
    if not torch.equal(logits, again):  # a random network cannot be compared
        return False
    return bool(
        (logits - other).abs().max() <= TOLERANCE * logits.abs().max()
        and (gradient - other_gradient).norm() <= GRADIENT_TOLERANCE * gradient.norm()
    )


def _answer(module: nn.Module, example: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        inputs = example.clone().requires_grad_()
        logits = module(inputs)
        (gradient,) = torch.autograd.grad((logits * logits.detach()).sum(), inputs)
    return logits.detach(), gradient
