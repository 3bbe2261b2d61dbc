"""The images of a data set as a network is trained on them: all in memory, at its input size, with labels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import BadInput
from pipeline.core.seeds import generator_for
from pipeline.datasets import open_dataset
from pipeline.datasets.dataset import Dataset
from pipeline.engine import Context, Shared, map as engine_map
from pipeline.models.preprocessing import Preprocessing
from pipeline.settings import DatasetSettings

_AT_ONCE = 500


@dataclass(frozen=True)
class Images:
    """Pixels, uint8 (N, 3, H, W), with labels, int64 (N,), on one device, and how many were left out as they cannot be used."""

    pixels: Tensor
    labels: Tensor
    n_rejected: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Returns images float32 (n, 3, H, W) in [0, 1] and their labels."""
        places = places.to(self.labels.device)
        return self.pixels[places].float() / 255, self.labels[places]

    def only(self, places: Tensor) -> "Images":
        """Returns the images at these places."""
        places = places.to(self.labels.device)
        return Images(self.pixels[places], self.labels[places], self.n_rejected)


def read_images(
    settings: DatasetSettings, class_names: tuple[str, ...], steps: Preprocessing, seed: int, context: Context, label: str
) -> Images:
    """Returns every image of a data set that can be read, in its order, whichever process of this machine reads it.

    Raises:
        BadInput: there is none. WrongUse, Unavailable: as `open_dataset`.
    """
    dataset = open_dataset(settings, class_names, (), seed)
    parts = [(start, min(start + _AT_ONCE, len(dataset))) for start in range(0, len(dataset), _AT_ONCE)]
    shared = Shared(_opened, (settings, class_names, steps, seed), (dataset, steps))
    found = dict(engine_map(_read, parts, context.nearby(), label, shared))
    pixels = np.concatenate([found[part][0] for part in parts])
    labels = np.concatenate([found[part][1] for part in parts])
    if not len(labels):
        raise BadInput(f"{settings.name}: no image can be read.")
    n_rejected = len(dataset.rejected) + len(dataset) - len(labels)
    return Images(torch.from_numpy(pixels).to(context.device), torch.from_numpy(labels).to(context.device), n_rejected)


def split(images: Images, n_held_back: int, seed: int) -> tuple[Images, Images]:
    """Returns the images to train on, and as many to validate on, drawn by the seed.

    Raises:
        BadInput: there are not more images than are held back.
    """
    if n_held_back >= len(images):
        what = f"There are {len(images)} training images, and training.n_validation = {n_held_back} are to be held back."
        raise BadInput(what, "Set it to a smaller number, or 0.")
    order = torch.from_numpy(generator_for(seed, "train", "validation").permutation(len(images)))
    kept, held_back = order[n_held_back:].sort().values, order[:n_held_back].sort().values
    return images.only(kept), images.only(held_back)


def halved(images: Images, half: str, seed: int) -> Images:
    """Returns the "first" or the "second" half of images that the seed puts in an order, all of them for ""."""
    if not half:
        return images
    order, middle = torch.from_numpy(generator_for(seed, "train", "halves").permutation(len(images))), len(images) // 2
    return images.only((order[:middle] if half == "first" else order[middle:]).sort().values)


def _opened(
    settings: DatasetSettings, class_names: tuple[str, ...], steps: Preprocessing, seed: int
) -> tuple[Dataset, Preprocessing]:
    return open_dataset(settings, class_names, (), seed), steps


def _read(part: tuple[int, int], shared: tuple[Dataset, Preprocessing]) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 (n, 3, H, W) pixels and int64 (n,) labels of a part of a data set; files that cannot be read are left out."""
    dataset, steps = shared
    pixels, labels = [], []
    for place in range(*part):
        try:
            pixels.append(steps.framed(dataset.image(place).pixels).transpose(2, 0, 1))
        except BadInput:
            continue
        labels.append(dataset.label(place))
    empty = np.empty((0, 3, *steps.input_size), np.uint8)
    return np.ascontiguousarray(np.stack(pixels)) if pixels else empty, np.array(labels, np.int64)
