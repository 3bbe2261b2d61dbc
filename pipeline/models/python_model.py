"""A user's own network: `python:<module or file>:<factory>`, called with the experiment's arguments."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from pipeline.core.errors import BadInput, InkproofError, WrongUse, nearest
from pipeline.images import shown
from pipeline.models import load_classifier
from pipeline.models.calls import Call, Function
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import Preprocessing, input_size_of, preprocessing_for
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
    """
    module_name, _, factory_name = name.rpartition(":")
    if name.endswith(".py") or not module_name or not factory_name:
        module_name, factory_name = name.strip(":"), ""
    _check_complete(module_name, factory_name, settings)
    steps = preprocessing_for(settings, None)
    modules, module = _imported(module_name, settings)
    factory = _factory(module, factory_name, settings.name)
    with _as_bad_input(modules, f"The factory of {settings.name} failed", "Check model.arguments."), modules.shown():
        made = built_from_seed(lambda: factory(**settings.arguments))
    network = _network(made, settings.name)
    if settings.weights not in ("", "DEFAULT", "none"):
        load_into(network, read_state_dict(settings.weights), settings.weights)
    return PythonClassifier(network, settings, steps, device, modules, module, factory_name)


def _check_complete(module_name: str, factory_name: str, settings: ModelSettings) -> None:
    """Names all that is missing at once, and what else a network of one's own often needs."""
    missing = [] if factory_name else [f"the function that builds it (python:MODULE:FACTORY, here python:{module_name}:FACTORY)"]
    missing += [] if input_size_of(settings) else ["the input size (model.input_px = 32, or [height, width])"]
    if not missing:
        return
    optional = {
        "model.mean and model.std, unless it normalises by itself": settings.mean or settings.std,
        "model.classes, to call its classes by name": settings.classes,
        "model.weights, if the function does not load them": settings.weights not in ("", "DEFAULT"),
    }
    unset = "; ".join(text for text, given in optional.items() if not given)
    hint = f"It may need too: {unset}. See docs/models.md." if unset else "See docs/models.md."
    raise WrongUse(f"{settings.name} says too little: {' and '.join(missing)} {'are' if missing[1:] else 'is'} missing.", hint)


def _imported(module_name: str, settings: ModelSettings) -> tuple[UserModules, ModuleType]:
    """Returns the user's modules and the one that holds the factory."""
    folders = [folder for folder in settings.python_path.split(os.pathsep) if folder]
    for folder in folders:
        if not Path(folder).is_dir():
            raise BadInput(f"There is no folder {shown(folder)}.", "Check model.python_path.")
    if module_name.endswith(".py") or "/" in module_name or os.sep in module_name:
        path = Path(module_name)
        if not path.is_file():
            raise BadInput(f"There is no Python file {shown(path)}.", "Check model.name.")
        modules = user_modules([str(path.parent), *folders], path.stem.replace(".", "_"), os.path.abspath(path))
    else:
        modules = user_modules(folders, module_name)
    with _as_bad_input(modules, f"The Python module {shown(module_name)} cannot be imported"):
        try:
            return modules, modules.imported()
        except ModuleNotFoundError as error:
            where = f" in {shown(settings.python_path)} or among the installed packages" if settings.python_path else ""
            what = f"There is no Python module {error.name}{where}{_at(modules, error)}."
            raise BadInput(what, "Set model.python_path to the folder that holds it.") from error


class PythonClassifier(TorchClassifier):
    """A user's own network; see `Classifier`. A copy for another process is loaded there again."""

    def __init__(
        self,
        network: torch.nn.Module,
        settings: ModelSettings,
        steps: Preprocessing,
        device: str,
        modules: UserModules,
        module: ModuleType,
        factory_name: str,
    ) -> None:
        self._settings, self._modules, self._code = settings, modules, module
        super().__init__(network, settings, steps, device, fingerprint_name=f"python:{modules.root}:{factory_name}")

    @property
    def sources(self) -> tuple[Path, ...]:
        return tuple(Path(path) for _, (path, _) in sorted(self._modules.files.items()))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        with self._user_code_runs():
            return super().logits(x)

    def for_attacks(self) -> Callable[[torch.Tensor], torch.Tensor]:
        with self._user_code_runs():
            function = super().for_attacks()

        def called(x: torch.Tensor) -> torch.Tensor:
            with self._user_code_runs():
                return function(x)

        return called

    def __reduce__(self) -> tuple[Any, ...]:
        return load_classifier, (self._settings, str(self.device))

    def _tried_out(self, output: str, n_known: int) -> Call:
        with self._modules.shown():
            return super()._tried_out(output, n_known)

    def _line_of(self, error: BaseException) -> str:
        return _at(self._modules, error)

    def _code_parts(self) -> list[tuple[str, bytes]]:
        files, path = sorted(self._modules.files.items()), self._code.__file__
        if not files and path and Path(path).is_file():
            return [("code", Path(path).read_bytes())]
        return [(f"code {name}", bytes.fromhex(sha256)) for name, (_, sha256) in files]

    @contextmanager
    def _user_code_runs(self) -> Iterator[None]:
        with _as_bad_input(self._modules, f"{self.name} failed", only_theirs=True), self._modules.shown():
            yield


def _network(made: Any, name: str) -> torch.nn.Module:
    if isinstance(made, torch.nn.Module):
        return made
    if isinstance(made, torch.export.ExportedProgram):
        return made.module()
    if not callable(made):
        raise BadInput(f"The factory of {name} returns {type(made).__name__}; a torch Module or a function is needed.")
    return Function(made)


def _factory(source: ModuleType, factory_name: str, name: str) -> Callable[..., Any]:
    factory: Callable[..., Any] | None = getattr(source, factory_name, None)
    if callable(factory):
        return factory
    known = [key for key, value in vars(source).items() if callable(value) and not key.startswith("_")]
    near = nearest(factory_name, known)
    raise BadInput(f"{name}: the module has no function {factory_name}.", f"Did you mean {near}?" if near else "")


@contextmanager
def _as_bad_input(modules: UserModules, what: str, hint: str = "", only_theirs: bool = False) -> Iterator[None]:
    """Makes one sentence, with the user's line, of whatever is raised; `only_theirs`: where it went through such a line."""
    try:
        yield
    except InkproofError:
        raise
    except (Exception, SystemExit) as error:  # a script that is no module may end the program
        if only_theirs and not modules.place_of(error):
            raise
        lines = (error.msg if isinstance(error, SyntaxError) else str(error)).strip().splitlines()
        said = f"{type(error).__name__}{f': {shown(lines[0])}' if lines else ''}"
        raise BadInput(f"{what}: {said}{_at(modules, error)}", hint) from error


def _at(modules: UserModules, error: BaseException) -> str:
    place = modules.place_of(error)
    return f" ({shown(place)})" if place else ""
