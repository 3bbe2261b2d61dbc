"""A user's own network: `python:<module or file>:<factory>`, called with the experiment's arguments."""

import difflib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import BadInput, InkproofError, WrongUse
from pipeline.images import shown
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier, Preprocessing, preprocessing_for
from pipeline.models.torch_models import TorchClassifier, built_from_seed
from pipeline.models.user_modules import UserModules, user_modules
from pipeline.models.weights_file import load_into, read_state_dict
from pipeline.settings import ModelSettings


def load_python(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns the classifier that a factory builds: a torch Module, or any function from images to logits.

    `name` is MODULE:FACTORY; MODULE is dotted, or a path that ends in .py. The factory is called with `settings.arguments` as
    keyword arguments, under a fixed random seed. Its modules find each other first, in `settings.python_path` and beside the
    file, whatever is called likewise elsewhere: see `user_modules.py`. What it returns takes float32 (N, 3, H, W), normalised by
    the settings' mean and std (none: plain [0, 1]). The text of the user's modules that were imported is part of the fingerprint.

    Raises:
        WrongUse: not of that form, or no input size. BadInput: the module, the factory or the weights file fail; the reason and
            the user's line are given.
    """
    module_name, _, factory_name = name.rpartition(":")
    if not module_name or not factory_name:
        hint = "Write python:MODULE:FACTORY, for example python:my_models:load."
        raise WrongUse(f"python:{name} does not name a factory.", hint)
    steps = preprocessing_for(settings, None)
    code = _UserCode.imported(module_name, settings)
    factory = _factory(code.module, factory_name, settings.name)
    made = code.called(factory, settings)
    network = made if isinstance(made, torch.nn.Module) else _FunctionModule(made, settings.name)
    if settings.weights not in ("", "DEFAULT", "none"):
        load_into(network, read_state_dict(settings.weights), settings.weights)
    return PythonClassifier(network, settings, steps, device, code, factory_name)


class _UserCode:
    """The module that holds a factory, among the user's other modules; `root` is its name there."""

    def __init__(self, module: ModuleType, modules: UserModules, root: str) -> None:
        self.module, self.modules, self.root = module, modules, root

    @classmethod
    def imported(cls, module_name: str, settings: ModelSettings) -> "_UserCode":
        folders = [folder for folder in settings.python_path.split(os.pathsep) if folder]
        for folder in folders:
            if not Path(folder).is_dir():
                raise BadInput(f"There is no folder {shown(folder)}.", "Check model.python_path.")
        path, root = None, module_name
        if module_name.endswith(".py") or "/" in module_name or os.sep in module_name:
            path = Path(module_name)
            if not path.is_file():
                raise BadInput(f"There is no Python file {shown(path)}.", "Check model.name.")
            folders, root = [str(path.parent), *folders], path.stem.replace(".", "_")
        modules = user_modules(folders)
        try:
            module = modules.imported(root) if path is None else modules.imported_file(path, root)
        except InkproofError:
            raise
        except ModuleNotFoundError as error:
            where = f" in {shown(settings.python_path)} or among the installed packages" if settings.python_path else ""
            missing = (error.name or "").removeprefix(f"{modules.name}.")
            what = f"There is no Python module {missing}{where}{_at(modules, error)}."
            raise BadInput(what, "Set model.python_path to the folder that holds it.") from error
        except Exception as error:  # a user's module may raise anything
            reason = _summary(modules, error)
            raise BadInput(f"The Python module {shown(module_name)} cannot be imported: {reason}") from error
        return cls(module, modules, root)

    def called(self, factory: Callable[..., Any], settings: ModelSettings) -> Any:
        try:
            with self.modules.shown(self.root):
                return built_from_seed(lambda: factory(**settings.arguments))
        except InkproofError:
            raise
        except Exception as error:  # a user's factory may raise anything
            reason = _summary(self.modules, error)
            raise BadInput(f"The factory of {settings.name} failed: {reason}", "Check model.arguments.") from error


class PythonClassifier(TorchClassifier):
    """A user's own network; see `Classifier`. A copy for another process is loaded there again."""

    def __init__(
        self,
        network: torch.nn.Module,
        settings: ModelSettings,
        steps: Preprocessing,
        device: str,
        code: _UserCode,
        factory_name: str,
    ) -> None:
        self._settings, self._code = settings, code
        super().__init__(network, settings, steps, device, fingerprint_name=f"python:{code.root}:{factory_name}")

    @property
    def sources(self) -> tuple[Path, ...]:
        return tuple(path for path, _ in self._code.modules.files(self._code.root).values())

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        with self._user_code_runs():
            return super().logits(x)

    def for_attacks(self) -> Callable[[torch.Tensor], torch.Tensor]:
        function = super().for_attacks()

        def called(x: torch.Tensor) -> torch.Tensor:
            with self._user_code_runs():
                return function(x)

        return called

    def __reduce__(self) -> tuple[Any, ...]:
        return load_classifier, (self._settings, str(self.device))

    def _tried_out(self) -> tuple[int, bool]:
        with self._code.modules.shown(self._code.root):
            return super()._tried_out()

    def _line_of(self, error: Exception) -> str:
        return _at(self._code.modules, error)

    def _code_parts(self) -> list[tuple[str, bytes]]:
        files = self._code.modules.files(self._code.root)
        path = self._code.module.__file__
        if not files and path and Path(path).is_file():
            return [("code", Path(path).read_bytes())]
        return [(f"code {name}", bytes.fromhex(sha256)) for name, (_, sha256) in files.items()]

    @contextmanager
    def _user_code_runs(self) -> Iterator[None]:
        modules = self._code.modules
        try:
            with modules.shown(self._code.root) if modules.are_asked_by_name else nullcontext():
                yield
        except InkproofError:
            raise
        except Exception as error:  # a user's network may raise anything
            if not modules.place_of(error):
                raise
            raise BadInput(f"{self.name} failed: {_summary(modules, error)}") from error


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


def _factory(source: ModuleType, factory_name: str, name: str) -> Callable[..., Any]:
    factory: Callable[..., Any] | None = getattr(source, factory_name, None)
    if callable(factory):
        return factory
    known = [key for key, value in vars(source).items() if callable(value) and not key.startswith("_")]
    near = difflib.get_close_matches(factory_name, known, n=1, cutoff=0.5)
    raise BadInput(f"{name}: the module has no function {factory_name}.", f"Did you mean {near[0]}?" if near else "")


def _summary(modules: UserModules, error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    lines = text.replace(f"{modules.name}.", "").strip().splitlines()
    return f"{type(error).__name__}{f': {shown(lines[0])}' if lines else ''}{_at(modules, error)}"


def _at(modules: UserModules, error: BaseException) -> str:
    place = modules.place_of(error)
    return f" ({shown(place)})" if place else ""
