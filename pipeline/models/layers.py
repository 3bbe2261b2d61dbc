"""The inside of a torch network: its layers by name, the one whose map stands for it, and a score's gradient at a layer."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, prod
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from pipeline.core.errors import WrongUse
from pipeline.records import Filter

_N_NEAR = 3
# Weights of which a picture is made.
_MOST_FILTERS, _SMALLEST_PX, _LARGEST_PX = 100, 3, 64
# A class token, a token to distil with, and registers.
_MOST_SPARE_TOKENS = 8


@dataclass(frozen=True, slots=True)
class LayerResponse:
    """What one layer says of N images, and how a score depends on it.

    Attributes:
        activations: float32 (N, ...), the layer's output.
        gradients: float32, of the same shape: of each image's logit of its label with respect to that output.
        logits: float32 (N, n_classes).
    """

    activations: Tensor
    gradients: Tensor
    logits: Tensor


def layer_response(module: nn.Module, logits: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor, layer: str) -> LayerResponse:
    """Returns a layer's output and the gradient of each image's logit of its label there; the network is left as it was.

    The graph begins at the layer's output, so that neither pixels nor weights need a gradient, and what follows gets a copy, so
    that a function that works in place does not overwrite what is returned.

    Args:
        logits: calls the network on x, float32 (N, 3, H, W), whatever is done to the pixels before. labels: int64 (N,).

    Raises:
        WrongUse: there is no such layer, it does not run exactly once, gives no tensor, or the scores do not depend on it.
    """
    found = dict(module.named_modules(remove_duplicate=False)).get(layer) if layer else None
    if found is None:
        names = layer_names(module)
        near = difflib.get_close_matches(layer, names, n=_N_NEAR, cutoff=0.3)
        quoted = ", ".join(f'"{name}"' for name in near or [name for name in names if "." not in name])
        raise WrongUse(f'The network has no layer "{layer}".', f"{'Near' if near else 'Known'}: {quoted}.")
    outputs: list[object] = []

    def begin_here(_: nn.Module, __: object, output: object) -> object:
        kept = output.detach().clone().requires_grad_() if _is_float(output) else output
        outputs.append(kept)
        return kept.clone() if _is_float(kept) else kept

    handle = found.register_forward_hook(begin_here)
    try:
        with torch.enable_grad():
            scores = logits(x.detach())
            if len(outputs) != 1:
                raise WrongUse(f'Layer "{layer}" runs {len(outputs)} times for one image; Grad-CAM needs one that runs once.')
            output = outputs[0]
            if not _is_float(output):
                raise WrongUse(f'Layer "{layer}" gives {type(output).__name__}; Grad-CAM needs a tensor.')
            chosen = scores.gather(1, labels[:, None].to(scores.device)).sum()
            gradient = None
            if chosen.requires_grad:
                (gradient,) = torch.autograd.grad(chosen, output, allow_unused=True)
    finally:
        handle.remove()
    if gradient is None:
        raise WrongUse(f'The scores do not depend on layer "{layer}" in a way that can be differentiated.')
    return LayerResponse(output.detach(), gradient, scores.detach())


def layer_names(module: nn.Module) -> tuple[str, ...]:
    """Returns the names of all layers, in the order in which the network holds them."""
    return tuple(name for name, _ in module.named_modules() if name)


def first_filters(module: nn.Module, shape: tuple[int, int, int], class_names: Sequence[str]) -> tuple[Filter, ...]:
    """Returns the weights of the first layer, 100 units at most, where they can be seen as pictures; else ().

    They can where that layer is a convolution of the input of 3 px or more, or fully connected to an input of 64 px or less.

    Args:
        shape: (channels, height, width) of the network's input.
    """
    weighted = [part for part in module.modules() if isinstance(part, nn.Linear | _ConvNd)]
    first = weighted[0] if weighted else None
    if isinstance(first, nn.Linear) and first.in_features == prod(shape) and max(shape[1:]) <= _LARGEST_PX:
        weights = first.weight.unflatten(1, shape)
    elif isinstance(first, nn.Conv2d) and first.weight.shape[1] == shape[0] and min(first.kernel_size) >= _SMALLEST_PX:
        weights = first.weight
    else:
        return ()
    weights = weights.detach().float().cpu()
    names: Sequence[str] = [""] * len(weights)
    if isinstance(first, nn.Linear) and len(weighted) == 1:
        names = class_names if len(weights) > 1 else [" against ".join(reversed(class_names))]
    return tuple(
        Filter(number, len(weights), names[number], tuple(unit.shape), tuple(unit.flatten().tolist()))
        for number, unit in enumerate(weights[:_MOST_FILTERS])
    )


def last_map_layer(module: nn.Module, forward: Callable[[], object]) -> str:
    """Returns the last layer that runs once and has the map of the last convolution, "" where none has or where tokens follow.

    It is `layer4` of a ResNet, `features` of a MobileNet or DenseNet, the ReLU before the last pooling of a VGG. In a
    transformer the convolution only cuts the patches, and what follows has no map of (height, width). `forward` runs it once.
    """
    seen: list[tuple[str, bool, tuple[int, ...]]] = []

    def note(name: str, part: nn.Module, output: object) -> None:
        seen.append((name, isinstance(part, _ConvNd), tuple(getattr(output, "shape", ()))))

    with _watched(module, note), torch.no_grad():
        forward()
    maps = {index: shape[2:] for index, (_, _, shape) in enumerate(seen) if len(shape) == 4}
    convolutions = [index for index, (height, width) in maps.items() if seen[index][1] and height * width > 1]
    if not convolutions:
        return ""
    size = maps[convolutions[-1]]
    n_runs = Counter(name for name, _, _ in seen)  # one activation may serve the whole network
    last = max((index for index, shape in maps.items() if shape == size and n_runs[seen[index][0]] == 1), default=None)
    if last is None:
        return ""
    for index, (_, _, shape) in enumerate(seen[last + 1 :], start=last + 1):
        if len(shape) > 2 and (index not in maps or maps[index][0] > size[0] or maps[index][1] > size[1]):
            return ""  # neither a vector nor a map that is no larger
    return seen[last][0]


def map_layers(module: nn.Module, logits: Callable[[Tensor], Tensor], x: Tensor) -> dict[str, tuple[int, ...]]:
    """Returns the layers at which Grad-CAM can be asked, in the order in which they end, with (channels, height, width).

    They run once, give a map of the image (`as_map`), and the largest logit has a gradient there: behind the last attention of a
    transformer only the class token has one, behind the last pooling nothing is a map.

    Args:
        logits: calls the network on x, float32 (N, 3, H, W), whatever is done to the pixels before.
    """
    seen: list[tuple[str, object]] = []
    with _watched(module, lambda name, _, output: seen.append((name, output))), torch.enable_grad():
        scores = logits(x.detach().clone().requires_grad_()).amax(dim=1).sum()
    n_runs, size = Counter(name for name, _ in seen), (x.shape[2], x.shape[3])
    once = [(name, output) for name, output in seen if n_runs[name] == 1 and _is_float(output) and output.requires_grad]
    kept = [(name, output) for name, output in once if as_map(output, size) is not None]
    if not kept or not scores.requires_grad:
        return {}
    gradients = torch.autograd.grad(scores, [output for _, output in kept], allow_unused=True)
    maps = [(name, gradient) for (name, _), gradient in zip(kept, gradients, strict=True) if gradient is not None]
    shaped = [(name, as_map(gradient, size)) for name, gradient in maps]
    return {name: tuple(found.shape[1:]) for name, found in shaped if found is not None and found.any()}


def noise_pictures(n: int, size: tuple[int, int]) -> Tensor:
    """Returns float32 (n, 3, H, W) of noise in [0, 1], the same each time: pictures that a network answers with some gradient."""
    return torch.rand((n, 3, *size), generator=torch.Generator().manual_seed(0))


def as_map(values: Tensor, size: tuple[int, int]) -> Tensor | None:
    """Returns a layer's output for images of (height, width) as a map (N, C, h, w) of their shape, None where it is none.

    Channels may come last, and the last h x w of a row of tokens (N, L, C) are one: class tokens and registers stand before them.
    """
    if values.ndim == 4:
        found = min((values, values.permute(0, 3, 1, 2)), key=lambda one: _off(one, size))
        return found if found.shape[2] * found.shape[3] > 1 and _off(found, size) <= 1 else None
    if values.ndim == 3:
        shape = Fraction(*size)
        scale = isqrt(values.shape[1] // (shape.numerator * shape.denominator))
        height, width = scale * shape.numerator, scale * shape.denominator
        if height * width > 1 and values.shape[1] - height * width <= _MOST_SPARE_TOKENS:
            return values[:, -height * width :].transpose(1, 2).reshape(*values.shape[::2], height, width)
    return None


def _off(values: Tensor, size: tuple[int, int]) -> float:
    """By how many cells the width of a map is off from what its height lets expect."""
    return abs(values.shape[2] * size[1] / size[0] - values.shape[3])


@contextmanager
def _watched(module: nn.Module, note: Callable[[str, nn.Module, Any], None]) -> Iterator[None]:
    """Tells `note` of every layer as it ends: its name, itself and its output."""

    def told(name: str, part: nn.Module) -> Callable[..., None]:
        return lambda _, __, output: note(name, part, output)

    handles = [part.register_forward_hook(told(name, part)) for name, part in module.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_float(output: object) -> TypeGuard[Tensor]:
    return isinstance(output, Tensor) and output.is_floating_point()
