"""The built-in data set under the model's classes."""

from importlib import import_module

from pipeline.core.errors import BadInput, WrongUse
from pipeline.datasets.dataset import Listed, Rejected
from pipeline.datasets.labels import Labels, model_classes
from pipeline.images import LoadedImage
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
