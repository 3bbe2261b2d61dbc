"""Images with true labels: one function opens any data set by name, in the classes of the model under test."""

import difflib
from collections.abc import Callable, Sequence
from importlib import import_module

from pipeline.core.errors import WrongUse
from pipeline.datasets.dataset import Dataset, DatasetSettings, Rejected
from pipeline.datasets.labels import Labels

__all__ = ["Dataset", "DatasetSettings", "Rejected", "available_datasets", "open_dataset"]

_OPENERS = {
    "builtin": ("builtin", "open_builtin", "builtin:signs", "rendered traffic signs, as many as wanted"),
    "folder": ("files", "open_folder", "folder:DIR", "a sub-folder per class, named by class name, WordNet id or index"),
    "csv": ("files", "open_csv", "csv:FILE", "a table with an image path and a label in each row"),
    "torchvision": (
        "torchvision_sets",
        "open_torchvision",
        "torchvision:NAME",
        "a torchvision data set that lies in dataset.root",
    ),
}


def open_dataset(
    settings: DatasetSettings, class_names: Sequence[str], wordnet_ids: Sequence[str] = (), seed: int = 0
) -> Dataset:
    """Returns the images that the settings name, labelled with the model's classes; what cannot be used is in its `rejected`.

    Args:
        class_names: the model's, in the order of its logits.
        wordnet_ids: the model's, or () where unknown.
        seed: decides which images are drawn where `settings.n_images` asks for fewer than there are.

    Raises:
        WrongUse: an unknown kind, name, split or column.
        BadInput: files are missing, or nothing in them can be used.
        Unavailable: a package is missing.
    """
    scheme, colon, rest = settings.name.partition(":")
    if scheme not in _OPENERS or not colon or not rest:
        near = difflib.get_close_matches(scheme, _OPENERS, n=1, cutoff=0.5)
        patterns = ", ".join(pattern for pattern, _ in available_datasets())
        raise WrongUse(
            f"There is no data set {settings.name!r}.",
            f"Did you mean {_OPENERS[near[0]][2]}?" if near else f"Data sets: {patterns}.",
        )
    module, function, _, _ = _OPENERS[scheme]
    opener: Callable[[str, DatasetSettings, Labels, int], Dataset] = getattr(
        import_module(f"pipeline.datasets.{module}"), function
    )
    return opener(rest, settings, Labels(class_names, wordnet_ids), seed)


def available_datasets() -> list[tuple[str, str]]:
    """Returns (name pattern, description) of every kind of data set."""
    return [(pattern, description) for _, _, pattern, description in _OPENERS.values()]
