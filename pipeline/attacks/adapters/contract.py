"""What an adapter has to know of another attack library, and what it asks of it."""

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipeline.core.errors import InkproofError, Unavailable
from pipeline.core.torchvision_import import import_torchvision


@dataclass(frozen=True)
class Family:
    """What kind of attack one is.

    Attributes:
        norm: "linf", "l2", "l1" or "l0" that its budget is counted in or that it makes small; "" where it is none of these, as
            for blurring or turning an image: such a result is rounded and never moved.
        takes_epsilon: whether it has a budget; the others look for the smallest change.
        targets: NONE, OPTIONAL or ALWAYS: whether it leads to a class that one chooses, and whether it does nothing else.
    """

    norm: str
    takes_epsilon: bool
    targets: str


@dataclass(frozen=True)
class Task:
    """What a library is to attack.

    Attributes:
        module: the network: float32 (n, 3, H, W) in [0, 1] to (n, n_classes) logits; nothing in it can be trained or switched.
        images: float32 (n, 3, H, W) in [0, 1].
        labels: int64 (n,), true labels.
        targets: int64 (n,), None to lead away from the true class.
        radius: the budget in the attack's norm, of pixels in [0, 1]; None for an attack that has none.
    """

    module: nn.Module
    images: Tensor
    labels: Tensor
    targets: Tensor | None
    radius: float | None
    n_classes: int


class Library(Protocol):
    """One attack library; its attacks are its own classes, known by their names."""

    given: Mapping[str, str]

    def attacks(self) -> dict[str, type]:
        """Returns its attacks on images by name.

        Raises:
            Unavailable: it is not installed.
        """

    def family(self, kind: type, options: Mapping[str, Any]) -> Family:
        """Returns what kind of attack a class is with these options for its constructor, which raises where they are wrong."""

    def run(self, kind: type, options: Mapping[str, Any], task: Task) -> Tensor:
        """Returns what it makes of the images, like them; whatever it raises or returns is judged by the caller."""


def imported(module: str) -> ModuleType:
    """Returns a module of an optional package.

    Raises:
        Unavailable: it cannot be imported.
    """
    try:
        import_torchvision()
        return importlib.import_module(module)
    except InkproofError:
        raise
    except Exception as error:  # an old library beside new packages fails with anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        hint = f'Install it: pip install "inkproof[{module.partition(".")[0]}]"'
        raise Unavailable(f"{module} cannot be imported: {reason}.", hint) from error


def parameters_of(kind: type) -> dict[str, Any]:
    """Returns the parameters of a class's constructor with their defaults, `inspect.Parameter.empty` where there is none."""
    found = inspect.signature(kind).parameters
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: item.default for name, item in found.items() if item.kind in plain}


class Example(nn.Module):
    """A network that options are tried out on before any image is made: two classes of 3 x 8 x 8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(192, 2), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight
