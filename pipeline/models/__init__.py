"""The classifiers under test: one function loads any of them by name."""

import difflib
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import WrongUse

if TYPE_CHECKING:
    from pipeline.models.classifier import Classifier, ModelSettings

_LOADERS = {
    "builtin": (
        "torch_models",
        "load_builtin",
        "builtin:signs",
        "small network for the built-in traffic signs; weights in the package",
    ),
    "torchvision": ("zoo", "load_torchvision", "torchvision:NAME", "any torchvision classifier, e.g. torchvision:resnet50"),
    "timm": ("zoo", "load_timm", "timm:NAME", "any timm classifier, e.g. timm:convnext_tiny (extra: timm)"),
    "python": (
        "python_model",
        "load_python",
        "python:MODULE:FACTORY",
        "your own network: a module or a .py file, and a function in it",
    ),
    "onnx": ("onnx_model", "load_onnx", "onnx:FILE", "an ONNX file; predictions only (extra: onnx)"),
}


def load_classifier(settings: "ModelSettings", device: str = "cpu") -> "Classifier":
    """Returns the classifier that the settings name, frozen, in evaluation mode, on the device.

    Raises:
        WrongUse: an unknown scheme, name or device, or settings that contradict each other.
        BadInput: a weights, class or model file that cannot be used.
        Unavailable: a package, a download or a device that this machine lacks.
    """
    scheme, colon, rest = settings.name.partition(":")
    if scheme not in _LOADERS or not colon or not rest:
        raise _unknown(settings.name)
    module, function, _, _ = _LOADERS[scheme]
    load: Callable[[str, ModelSettings, str], Classifier] = getattr(import_module(f"pipeline.models.{module}"), function)
    return load(rest, settings, device)


def available_models() -> list[tuple[str, str]]:
    """Returns (name pattern, description) of every kind of model."""
    return [(pattern, description) for _, _, pattern, description in _LOADERS.values()]


def __getattr__(name: str) -> Any:
    if name == "signs_net":  # for users' own modules, which build upon the built-in network
        return import_module("pipeline.signs.network")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _unknown(name: str) -> WrongUse:
    scheme, colon, _ = name.partition(":")
    near = difflib.get_close_matches(scheme, _LOADERS, n=1, cutoff=0.5)
    if near and (colon or near[0] == scheme):
        return WrongUse(f"There is no model {name!r}.", f"Did you mean {_LOADERS[near[0]][2]}?")
    hint = f"Did you mean torchvision:{name}?" if name and not colon else "Use one of these."
    return WrongUse(f"There is no model {name!r}.", f"{hint} Models: {', '.join(pattern for pattern, _ in available_models())}.")
