"""Robust networks of RobustBench (Croce et al. 2021) by name, with weights from a local file or folder."""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.core.errors import BadInput, Unavailable, WrongUse, near_match
from pipeline.core.torchvision_import import import_torchvision
from pipeline.images import shown
from pipeline.images.formats import reason
from pipeline.models.class_names import IMAGENET, read_class_list
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import Preprocessing, preprocessing_for, whole_picture
from pipeline.models.torch_models import TorchClassifier
from pipeline.settings import ModelSettings

_CIFAR_PX, _IMAGENET_PX = 32, 224
_CIFAR_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_INSTALL = "Install it: pip install 'inkproof[robustbench]'"


def load_robustbench(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns a network of RobustBench; it normalises by itself.

    `name` is that of its leaderboard, or DATASET/THREAT/NAME where several leaderboards have it. `weights` is its file (.pt), or
    RobustBench's folder of models, in which it is DATASET/THREAT/NAME.pt; nothing is downloaded.

    Raises:
        WrongUse: no such name, or no weights given. BadInput: the file cannot be used. Unavailable: the package is missing.
    """
    load_model, get_preprocessing, model_dicts = _imported()
    dataset, threat, short = _found(name, model_dicts)
    if settings.weights in ("", "DEFAULT", "none"):
        hint = f'Download {short}.pt as RobustBench says and set model.weights = "{short}.pt".'
        raise WrongUse(f"{settings.name} needs its weights as a local file.", hint)
    weights = Path(settings.weights)
    with _folder_of_models(weights, Path(dataset.value) / threat.value / f"{short}.pt") as models:
        try:
            module = load_model(short, str(models), dataset, threat, custom_checkpoint=str(weights) if weights.is_file() else "")
            preset = get_preprocessing(dataset, threat, short, None)
        except Exception as error:  # whatever the reading of the file and the building of the network raise
            raise BadInput(f"{shown(weights)} does not fit {settings.name}: {reason(error)}") from error
    own = of_transforms(preset.transforms, _CIFAR_PX if "cifar" in dataset.value else _IMAGENET_PX)
    names = {"cifar10": (_CIFAR_10, ()), "imagenet": read_class_list(IMAGENET)}.get(dataset.value, ((), ()))
    return TorchClassifier(module, settings, preprocessing_for(settings, own), device, *names)


def _imported() -> tuple[Any, Any, Any]:
    import_torchvision()
    with warnings.catch_warnings(), _without_attacks():  # it imports older places of timm's modules
        warnings.simplefilter("ignore")
        try:
            from robustbench.data import get_preprocessing
            from robustbench.model_zoo.models import model_dicts
            from robustbench.utils import load_model
        except ImportError as error:
            raise Unavailable(f"RobustBench cannot be imported: {reason(error)}.", _INSTALL) from error
    return load_model, get_preprocessing, model_dicts


@contextmanager
def _without_attacks() -> Iterator[None]:
    """Lets RobustBench be imported where AutoAttack is not installed, which no package index has under its name."""
    names = () if find_spec("autoattack") else ("autoattack", "autoattack.state")
    for name in names:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(AutoAttack=None, EvaluationState=None)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def of_transforms(steps: list[Any], side: int) -> Preprocessing:
    """Returns the preprocessing of a list of torchvision's Resize and CenterCrop; without a Resize the picture fills the crop."""
    resize = next((step for step in steps if type(step).__name__ == "Resize"), None)
    crop = next((step for step in steps if type(step).__name__ == "CenterCrop"), None)
    size = (crop.size[0], crop.size[1]) if crop else None
    if resize is None:
        return whole_picture(size or (side, side))
    box = resize.size if isinstance(resize.size, int) else tuple(resize.size)
    box = box[0] if isinstance(box, tuple) and len(box) == 1 else box
    framing = "center" if isinstance(box, int) else "squash"
    return Preprocessing(
        size or (box if isinstance(box, tuple) else (box, box)), box, (), (), resize.interpolation.value, framing
    )


def _found(name: str, models: Any) -> tuple[Any, Any, str]:
    *where, short = name.split("/")
    known = [(dataset, threat) for dataset, threats in models.items() for threat, zoo in threats.items() if short in zoo]
    fitting = [place for place in known if where == [part.value for part in place]] if where else known
    if len(fitting) == 1:
        return *fitting[0], short
    if known:
        places = ", ".join(f"robustbench:{dataset.value}/{threat.value}/{short}" for dataset, threat in known)
        raise WrongUse(f"robustbench:{name} is not one model.", f"There {'are' if known[1:] else 'is'} {places}.")
    names = {entry for threats in models.values() for zoo in threats.values() for entry in zoo}
    raise WrongUse(f"There is no model robustbench:{name}.", near_match(short, sorted(names)))


@contextmanager
def _folder_of_models(weights: Path, place: Path) -> Iterator[Path]:
    """Yields a folder as RobustBench keeps its models, so that it finds the file and downloads nothing."""
    if weights.is_dir():
        if not (weights / place).is_file():
            raise BadInput(f"There is no file {shown(weights / place)}.", "Check model.weights.")
        yield weights
        return
    if not weights.is_file():
        raise BadInput(f"There is no weights file {shown(weights)}.", "Check model.weights.")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / place).parent.mkdir(parents=True)
        (Path(folder) / place).symlink_to(weights.absolute())
        yield Path(folder)
