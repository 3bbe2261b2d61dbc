"""A user's own network: `python:<module or file>:<factory>`, called with the experiment's arguments."""

import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import BadInput, InkproofError, WrongUse
from pipeline.images import shown
from pipeline.models.classifier import Classifier, ModelSettings, preprocessing_for
from pipeline.models.torch_models import TorchClassifier, built_from_seed
from pipeline.models.weights_file import load_into, read_state_dict


def load_python(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns the classifier that a factory builds: a torch Module, or any function from images to logits.

    `name` is MODULE:FACTORY; MODULE is dotted, or a path that ends in .py. The factory is called with `settings.arguments` as
    keyword arguments, under a fixed random seed, with `settings.python_path` first on the import path. What it returns takes
    float32 (N, 3, H, W), normalised by the settings' mean and std (none: plain [0, 1]). The text of the module is part of the
    fingerprint.

    Raises:
        WrongUse: not of that form, or no input size. BadInput: the module, the factory or the weights file fail; the reason is
            given.
    """
    module_name, _, factory_name = name.rpartition(":")
    if not module_name or not factory_name:
        raise WrongUse(
            f"python:{name} does not name a factory.", "Write python:MODULE:FACTORY, for example python:my_models:load."
        )
    steps = preprocessing_for(settings, None)
    with _first_on_path(settings.python_path):
        source = _imported(module_name, settings.python_path)
        factory = _factory(source, factory_name, settings.name)
        made = _called(factory, settings)
        network = made if isinstance(made, torch.nn.Module) else _FunctionModule(made, settings.name)
        if settings.weights not in ("", "DEFAULT", "none"):
            load_into(network, read_state_dict(settings.weights), settings.weights)
        stem = Path(module_name).stem if _is_path(module_name) else module_name
        return TorchClassifier(network, settings, steps, device, (), (), f"python:{stem}:{factory_name}", _code(source))


class _FunctionModule(torch.nn.Module):
    """A plain function, on tensors or NumPy arrays, in the clothes of a Module."""

    def __init__(self, function: Any, name: str) -> None:
        super().__init__()
        if not callable(function):
            raise BadInput(f"The factory of {name} returns {type(function).__name__}; a torch Module or a function is needed.")
        self._function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer = self._function(x)
        return torch.as_tensor(answer, device=x.device) if isinstance(answer, np.ndarray) else answer


@contextmanager
def _first_on_path(python_path: str) -> Iterator[None]:
    folders = [folder for folder in python_path.split(os.pathsep) if folder]
    for folder in folders:
        if not Path(folder).is_dir():
            raise BadInput(f"There is no folder {shown(folder)}.", "Check model.python_path.")
    before = list(sys.path)
    sys.path[:0] = folders
    try:
        yield
    finally:
        sys.path[:] = before


def _is_path(module_name: str) -> bool:
    return module_name.endswith(".py") or "/" in module_name or os.sep in module_name


def _imported(module_name: str, python_path: str) -> ModuleType:
    try:
        if _is_path(module_name):
            return _imported_file(Path(module_name))
        importlib.invalidate_caches()
        return importlib.import_module(module_name)
    except InkproofError:
        raise
    except ModuleNotFoundError as error:
        where = f" in {shown(python_path)} or among the installed packages" if python_path else ""
        raise BadInput(
            f"There is no Python module {error.name}{where}.", "Set model.python_path to the folder that holds it."
        ) from error
    except Exception as error:  # a user's module may raise anything
        raise BadInput(f"The Python module {shown(module_name)} cannot be imported: {_summary(error)}") from error


def _imported_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadInput(f"There is no Python file {shown(path)}.", "Check model.name.")
    name = f"inkproof_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{shown(path)} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it is being run
    spec.loader.exec_module(module)
    return module


def _factory(source: ModuleType, factory_name: str, name: str) -> Callable[..., Any]:
    factory = getattr(source, factory_name, None)
    if callable(factory):
        return factory
    known = [key for key, value in vars(source).items() if callable(value) and not key.startswith("_")]
    near = difflib.get_close_matches(factory_name, known, n=1, cutoff=0.5)
    raise BadInput(f"{name}: the module has no function {factory_name}.", f"Did you mean {near[0]}?" if near else "")


def _called(factory: Callable[..., Any], settings: ModelSettings) -> Any:
    try:
        return built_from_seed(lambda: factory(**settings.arguments))
    except InkproofError:
        raise
    except Exception as error:  # a user's factory may raise anything
        raise BadInput(f"The factory of {settings.name} failed: {_summary(error)}", "Check model.arguments.") from error


def _code(source: ModuleType) -> bytes:
    path = getattr(source, "__file__", None)
    return Path(path).read_bytes() if path and Path(path).is_file() else b""


def _summary(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shown(lines[0])}" if lines else type(error).__name__
