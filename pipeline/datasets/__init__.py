"""Images with true labels: one function opens any data set by name, in the classes of the model under test."""

from collections.abc import Callable, Sequence

from pipeline.core.registry import Registry, Scheme, load
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.labels import Labels
from pipeline.settings import DatasetSettings

# Each is opened by a function of what comes after the colon, the settings, the labels and the seed.
# fmt: off
DATASETS = Registry("data set", Scheme, {
    "builtin": Scheme("builtin:signs", "rendered traffic signs, as many as wanted", "pipeline.datasets.ready_sets:open_builtin"),
    "folder": Scheme("folder:DIR", "a sub-folder per class, named by class name, WordNet id or index",
                     "pipeline.datasets.files:open_folder"),
    "csv": Scheme("csv:FILE", "a table with an image path and a label in each row", "pipeline.datasets.files:open_csv"),
    "torchvision": Scheme("torchvision:NAME", "a torchvision data set that lies in dataset.root",
                          "pipeline.datasets.ready_sets:open_torchvision"),
}, "inkproof.datasets")
# fmt: on


# The names of a data set's own classes, by a function of what comes after the colon and the settings.
_CLASSES = {
    "builtin": "pipeline.datasets.ready_sets:builtin_classes",
    "folder": "pipeline.datasets.files:folder_classes",
    "csv": "pipeline.datasets.files:csv_classes",
    "torchvision": "pipeline.datasets.ready_sets:torchvision_classes",
}


def own_classes(settings: DatasetSettings) -> tuple[str, ...]:
    """Returns the names of the classes that a data set's images have, () where they cannot be told without a model.

    Raises:
        WrongUse, BadInput, Unavailable: as `open_dataset`.
    """
    scheme, name = DATASETS.find_scheme(settings.name)
    target = next((_CLASSES[key] for key, entry in DATASETS.own.items() if entry is scheme), "")
    return load(target)(name, settings) if target else ()


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
    scheme, name = DATASETS.find_scheme(settings.name)
    opener: Callable[[str, DatasetSettings, Labels, int], Dataset] = load(scheme.target)
    return opener(name, settings, Labels(class_names, wordnet_ids), seed)
