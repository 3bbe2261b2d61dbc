"""What every data set offers, and what they share: names of items, a seeded draw, rejected files with their reason."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.core.file_names import is_device
from pipeline.core.seeds import generator_for
from pipeline.images import LoadedImage

_LONGEST_ID = 80


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file, folder or row that is not used, and why."""

    path: str
    reason: str


class Dataset(Protocol):
    """Images with true labels, in a fixed order. Labels are indices of the model's classes, whose names are `class_names`."""

    name: str
    class_names: tuple[str, ...]
    rejected: list[Rejected]

    def __len__(self) -> int: ...

    def label(self, i: int) -> int:
        """Returns the true class of image `i`, an index into `class_names`."""

    def item_id(self, i: int) -> str:
        """Returns a name of image `i` that is unique in the data set, stable, and safe as a file name."""

    def image(self, i: int) -> LoadedImage:
        """Returns image `i`, read anew each time.

        Raises:
            BadInput: the file is damaged.
        """


class Listed:
    """A data set whose items stand in a list: where each comes from, its class, its id."""

    _items: list[tuple[Any, int, str]]

    def __len__(self) -> int:
        return len(self._items)

    def label(self, i: int) -> int:
        return self._items[i][1]

    def item_id(self, i: int) -> str:
        return self._items[i][2]


def drawn(n_items: int, n_wanted: int, seed: int) -> list[int]:
    """Returns the indices that are used, in order: all (`n_wanted` 0 or too many), or a draw that the seed alone decides."""
    if n_wanted == 0 or n_wanted >= n_items:
        return list(range(n_items))
    return sorted(int(i) for i in generator_for(seed, "dataset").choice(n_items, n_wanted, replace=False))


def first_images(dataset: Dataset, prepare: Callable[[np.ndarray], np.ndarray], n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images that can be read, as a model sees them, uint8 (N, H, W, 3), and their labels, int64 (N,)."""
    images: list[np.ndarray] = []
    labels: list[int] = []
    for place in range(len(dataset)):
        if len(images) == n_images:
            break
        try:
            images.append(prepare(dataset.image(place).pixels))
        except BadInput:
            continue
        labels.append(dataset.label(place))
    if not images:
        raise BadInput(f"{dataset.name}: no image can be read.")
    return np.stack(images), np.array(labels, np.int64)


def item_ids(relative_paths: Sequence[str]) -> list[str]:
    """Returns a file-name-safe id for each path: "dog/0001.png" becomes "dog-0001".

    Ids that would be equal, also on a file system that ignores case, get a short hash of their path; so do names that are too
    long, lose all their letters, or are those of devices on Windows.
    """
    plain = [_safe_name(path) for path in relative_paths]
    n_same = Counter(name.casefold() for name in plain)
    return [
        name if n_same[name.casefold()] == 1 and 0 < len(name) <= _LONGEST_ID and not is_device(name) else _hashed(name, path)
        for name, path in zip(plain, relative_paths, strict=True)
    ]


def _safe_name(path: str) -> str:
    stem = path.rsplit(".", 1)[0] if "." in path.rsplit("/", 1)[-1][1:] else path
    ascii_stem = unicodedata.normalize("NFKD", stem.replace("/", "-")).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_stem).strip("._-")


def _hashed(name: str, path: str) -> str:
    name = name.replace(".", "_") if is_device(name) else name
    return f"{name[: _LONGEST_ID - 13] or 'image'}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
