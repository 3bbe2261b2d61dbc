"""Data sets with classes of their own: the built-in signs, and those of torchvision that already lie on the disk."""

import inspect
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.core.errors import BadInput, Unavailable, WrongUse, nearest
from pipeline.core.torchvision_import import import_torchvision
from pipeline.datasets.dataset import Listed, Rejected, drawn
from pipeline.datasets.labels import Labels, model_classes
from pipeline.images import LoadedImage, from_pillow, shown
from pipeline.images.formats import reason
from pipeline.settings import DatasetSettings

_N_IMAGES = 500
_SPLITS = ("train", "validation", "test")


class BuiltinDataset(Listed):
    """Rendered traffic signs; see `Dataset`."""

    def __init__(self, settings: DatasetSettings, labels: Labels, seed: int) -> None:
        split = settings.split or "test"
        if split not in _SPLITS:
            raise WrongUse(f"builtin:signs has no split {split!r}.", f"Use one of {', '.join(_SPLITS)}.")
        signs = import_module("pipeline.signs.dataset")
        self.name = settings.name
        self._source = signs.SignsDataset(n_images=settings.n_images or _N_IMAGES, split=split, seed=seed)
        self.class_names = labels.class_names
        class_of, reasons = model_classes(dict(enumerate(self._source.class_names)), labels, self.name)
        places = range(len(self._source))
        classes = [class_of.get(self._source.label(i)) for i in places]
        self._items = [(i, own, self._source.item_id(i)) for i, own in zip(places, classes) if own is not None]
        self.rejected = [Rejected(self._source.class_names[c], reason) for c, reason in sorted(reasons.items())]
        if not self._items:
            hint = "Use it with the model builtin:signs, or set model.classes."
            raise BadInput("The model knows no class of builtin:signs.", hint)

    def image(self, i: int) -> LoadedImage:
        return LoadedImage(self._source.image(self._items[i][0]))


def open_builtin(name: str, settings: DatasetSettings, labels: Labels, seed: int) -> BuiltinDataset:
    """Returns the built-in traffic signs: `n_images` (500 by default) of `split`, rendered from the seed."""
    if name != "signs":
        raise WrongUse(f"There is no data set builtin:{name}.", "Did you mean builtin:signs?")
    return BuiltinDataset(settings, labels, seed)


_TRAIN_SPLITS = ("train", "training")


class TorchvisionDataset(Listed):
    """A torchvision data set of (image, class) pairs; see `Dataset`."""

    def __init__(self, name: str, source: Any, split: str, labels: Labels, n_images: int, seed: int) -> None:
        """Reads the labels, not the images, where the data set keeps them apart."""
        self.name = name
        self.class_names = labels.class_names
        self._source = source
        kind = type(source).__name__.lower()
        own_labels = _own_labels(source, name)
        model_index, reasons = model_classes(_own_names(source, own_labels), labels, name)
        known = [i for i, own in enumerate(own_labels) if model_index.get(own) is not None]
        self.rejected = [
            Rejected(f"{kind} class {own}", f"{reasons[own]} ({own_labels.count(own)} images)")
            for own in sorted(set(own_labels))
            if own in reasons
        ]
        if not known:
            raise BadInput(f"The model knows no class of {name}.", "Set model.classes to the model's own list of names.")
        chosen = [known[i] for i in drawn(len(known), n_images, seed)]
        self._items = [(i, int(model_index[own_labels[i]] or 0), f"{kind}-{split}-{i:05d}") for i in chosen]

    def image(self, i: int) -> LoadedImage:
        index, _, item_id = self._items[i]
        try:
            picture = self._source[index][0]
        except Exception as error:  # the file may be gone or damaged, and each data set reads in its own way
            raise BadInput(f"{item_id} cannot be read: {reason(error)}.") from error
        return from_pillow(picture)


def open_torchvision(name: str, settings: DatasetSettings, labels: Labels, seed: int) -> TorchvisionDataset:
    """Returns `torchvision.datasets.<name>` from `settings.root`; `split` "train", "test" or a name that it knows."""
    source, split = _torchvision_source(name, settings)
    return TorchvisionDataset(settings.name, source, split, labels, settings.n_images, seed)


def torchvision_classes(name: str, settings: DatasetSettings) -> tuple[str, ...]:
    """Returns the names of the data set's own classes, numbers where it has none."""
    source, _ = _torchvision_source(name, settings)
    labels = _own_labels(source, name)
    named = _own_names(source, [*range(max(labels) + 1)])
    return tuple(named[i] or str(i) for i in sorted(named))


def builtin_classes(name: str, settings: DatasetSettings) -> tuple[str, ...]:
    """Returns the names of the traffic signs."""
    return tuple(import_module("pipeline.signs.dataset").CLASS_NAMES)


def _torchvision_source(name: str, settings: DatasetSettings) -> tuple[Any, str]:
    """Returns the data set as torchvision has it, and its part."""
    known = import_torchvision().datasets
    names = [n for n in known.__all__ if inspect.isclass(getattr(known, n))]
    if name not in names:
        by_lower = {n.lower(): n for n in reversed(names)}
        near = nearest(name.lower(), by_lower)
        hint = f"Did you mean torchvision:{by_lower[near]}?" if near else "Names are those of torchvision.datasets."
        raise WrongUse(f"There is no data set torchvision:{name}.", hint)
    kind = getattr(known, name)
    arguments, split = _arguments(kind, name, settings)
    try:
        source = kind(**arguments)
        n_items = len(source)
    except (RuntimeError, FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, RuntimeError) and "not found" not in str(error).lower() and "download" not in str(error).lower():
            raise BadInput(f"torchvision:{name} cannot be opened: {reason(error)}.") from error
        hint = f"Fetch them once with torchvision.datasets.{name}(root, download=True), or check dataset.root."
        raise BadInput(f"The files of torchvision:{name} are not in {shown(settings.root)}.", hint) from error
    except ImportError as error:
        raise Unavailable(f"torchvision:{name} needs a package that is not installed: {error}.", "Install it.") from error
    except (ValueError, TypeError) as error:
        raise WrongUse(f"torchvision:{name} cannot be opened: {reason(error)}.", "Check dataset.split.") from error
    except Exception as error:  # each data set parses its files in its own way
        raise BadInput(f"The files of torchvision:{name} in {shown(settings.root)} are damaged: {reason(error)}.") from error
    if n_items == 0:
        raise BadInput(f"torchvision:{name} in {shown(settings.root)} holds no images.")
    return source, split


def _arguments(kind: Any, name: str, settings: DatasetSettings) -> tuple[dict[str, Any], str]:
    parameters = inspect.signature(kind).parameters
    split = settings.split or "test"
    arguments: dict[str, Any] = {}
    if "root" in parameters:
        if not settings.root:
            raise WrongUse(f"torchvision:{name} needs the folder that holds its files.", "Set dataset.root.")
        if not Path(settings.root).is_dir():
            raise BadInput(f"There is no folder {shown(settings.root)}.", "Check dataset.root.")
        arguments["root"] = settings.root
    if "download" in parameters:
        arguments["download"] = False
    if "train" in parameters:
        if split not in (*_TRAIN_SPLITS, "test"):
            raise WrongUse(f"torchvision:{name} has no split {split!r}.", 'Use "train" or "test".')
        arguments["train"] = split in _TRAIN_SPLITS
    elif "split" in parameters:
        # ImageNet and a few others have no labelled test part; what EMNIST calls a split is a set of classes.
        arguments["split"] = "val" if split == "test" and name in ("ImageNet", "Imagenette", "Places365") else split
        if name == "EMNIST":
            arguments["split"] = parameters["split"].default
    return arguments, split


def _own_labels(source: Any, name: str) -> list[int]:
    for attribute in ("targets", "labels", "_labels", "samples", "_samples"):
        values = getattr(source, attribute, None)
        if values is not None and len(values) == len(source):
            if "samples" not in attribute:
                return _as_integers(values, name)
            if all(len(value) == 2 for value in values):
                return _as_integers((value[1] for value in values), name)
    picture, _ = _pair(source, 0, name)
    if not isinstance(picture, Image.Image):
        raise BadInput(f"{name} gives {type(picture).__name__}, no images.", "Use a data set of classified images.")
    return _as_integers((_pair(source, i, name)[1] for i in range(len(source))), name)


def _pair(source: Any, i: int, name: str) -> tuple[Any, Any]:
    try:
        item = source[i]
    except Exception as error:  # as in image()
        raise BadInput(f"Item {i} of {name} cannot be read: {reason(error)}.") from error
    if not isinstance(item, Sequence) or len(item) != 2:
        raise BadInput(f"{name} gives no (image, class) pairs.", "Use a data set of classified images.")
    return item[0], item[1]


def _as_integers(values: Iterable[Any], name: str) -> list[int]:
    try:
        return [int(value) for value in values]
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} gives no single class for each image.", "Use a data set of classified images.") from error


def _own_names(source: Any, own_labels: list[int]) -> dict[int, str]:
    classes = getattr(source, "classes", None)
    # ImageNet keeps a tuple of synonyms for each class.
    texts = [", ".join(c) if isinstance(c, tuple) else str(c) for c in classes] if isinstance(classes, Sequence) else []
    return {own: texts[own] if 0 <= own < len(texts) else "" for own in sorted(set(own_labels))}
