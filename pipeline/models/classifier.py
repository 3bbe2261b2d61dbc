"""What every classifier under test offers: its own preprocessing, logits for attacks, and reproducible probabilities."""

import hashlib
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.images import to_model
from pipeline.models.class_names import class_names_for
from pipeline.models.layers import LayerResponse
from pipeline.models.preprocessing import Preprocessing
from pipeline.records import Filter
from pipeline.settings import ModelSettings

BATCH_SIZE = 32
# The class that stands for no answer.
REFUSED_NAME = "(refused)"


class Classifier(ABC):
    """A frozen classifier in evaluation mode.

    Attributes:
        name: as in the experiment file.
        preprocessing: how a picture becomes its input; `input_size` is (height, width) in pixels.
        class_names: one for each class, in the order of the logits; ImageNet names may list synonyms, separated by ", ".
        wordnet_ids: one for each class, or () where unknown.
        differentiable: whether `logits` can be followed back to the pixels, as gradient attacks need.
        fingerprint: SHA-256 of name, preprocessing and weights, the same on every device and in every folder.
        refuses: whether its last class, REFUSED_NAME, says that it gives no answer; what attacks follow lacks that class.
        sources: files of the user's that it turned out to be made from when it was loaded, such as modules that it imports.
    """

    name: str
    preprocessing: Preprocessing
    n_classes: int
    class_names: tuple[str, ...]
    wordnet_ids: tuple[str, ...]
    differentiable: bool
    fingerprint: str
    device: torch.device
    refuses = False

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files beside those that the settings name on which the answers depend: a user's own modules, external weights."""
        return ()

    @property
    def n_ranked(self) -> int:
        """How many classes its answers put in order: all, or 1 where it gives a label and no scores."""
        return self.n_classes

    @property
    def takes_luma(self) -> bool:
        """Whether the network takes one channel, luma, as those of MNIST do."""
        return self.preprocessing.n_channels == 1

    @property
    def n_passes(self) -> int:
        """How many passes of the network an answer of `for_attacks` costs, and a gradient of it: several behind some defences."""
        return 1

    @property
    def input_size(self) -> tuple[int, int]:
        return self.preprocessing.input_size

    @abstractmethod
    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Returns float32 (N, n_classes) logits of float32 (N, 3, H, W) in [0, 1]; normalises inside, lets gradients flow.

        Raises:
            WrongUse: `x` asks for a gradient and the model has none (`differentiable` is False).
        """

    def for_attacks(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Returns what gives the logits, or nearly those, faster than `logits` does where there is a faster way."""
        return self.logits

    def layer_names(self) -> tuple[str, ...]:
        """Returns the names of the layers that `layer_response` can look at, () where the inside is not shown."""
        return ()

    def first_filters(self) -> tuple[Filter, ...]:
        """Returns the weights of the first layer where they make pictures, () where they do not or the inside is not shown."""
        return ()

    def last_map_layer(self) -> str:
        """Returns the layer whose map is explained unless another is named, "" where there is none: see `layers.py`."""
        return ""

    def map_layers(self) -> dict[str, tuple[int, ...]]:
        """Returns the layers at which Grad-CAM can be asked, with (channels, height, width): see `layers.py`."""
        return {}

    def layer_response(self, x: torch.Tensor, labels: torch.Tensor, layer: str) -> LayerResponse:
        """Returns a layer's output for float32 (N, 3, H, W) images, and the gradient there of the logits of int64 (N,) labels.

        Raises:
            WrongUse: the inside is not shown, there is no such layer, or it gives no gradient.
        """
        raise WrongUse(f"{self.name} shows no layers, which Grad-CAM needs.", 'Use explain.methods = ["occlusion"].')

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """Returns uint8 (H, W, 3) pixels of any size as the image at the model's input size that is attacked and printed."""
        return self.preprocessing.framed(pixels)

    def predict(self, images: np.ndarray, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """Returns float32 (N, n_classes) probabilities (softmax in float32) of uint8 (N, H, W, 3) images at the input size.

        Every batch holds exactly `batch_size` images, the last one filled up with copies: convolution kernels are chosen by
        shape, so an image gets the same bits whichever images it comes with. Another `batch_size` may change the last bits.

        Raises:
            BadInput: the network answers with numbers that are not finite.
        """
        self._check_images(images)
        if batch_size < 1:
            raise ValueError(f"expected batch_size >= 1, got {batch_size}")
        n_images = len(images)
        probabilities = np.empty((n_images, self.n_classes), np.float32)
        for start in range(0, n_images, batch_size):
            batch = images[start : start + batch_size]
            with torch.no_grad():
                logits = self.logits(to_model(filled_up(batch, batch_size), self.device))[: len(batch)].float()
                probabilities[start : start + batch_size] = torch.softmax(logits, dim=1).cpu().numpy()
        self._check_finite(probabilities)
        return probabilities

    def _name_classes(
        self, settings: ModelSettings, own_names: tuple[str, ...] = (), own_wordnet_ids: tuple[str, ...] = ()
    ) -> None:
        if settings.n_classes and settings.n_classes != self.n_classes:
            raise BadInput(f"{self.name} has {self.n_classes} classes, model.n_classes says {settings.n_classes}.")
        self.class_names, self.wordnet_ids = class_names_for(settings.classes, self.n_classes, own_names, own_wordnet_ids)

    def _check_finite(self, probabilities: np.ndarray) -> None:
        n_broken = int((~np.isfinite(probabilities).all(axis=1)).sum())
        if n_broken:
            where = "" if n_broken == len(probabilities) else f" for {n_broken} of {len(probabilities)} images"
            what = f"{self.name} answers with numbers that are not finite{where}."
            raise BadInput(what, "Check its weights and its preprocessing.")

    def _check_images(self, images: np.ndarray) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*self.input_size, 3):
            wanted = "uint8 (N, {}, {}, 3)".format(*self.input_size)
            raise ValueError(f"expected {wanted}, got {images.dtype} {images.shape}")

    def _check_input(self, x: torch.Tensor) -> None:
        if x.dtype != torch.float32 or x.ndim != 4 or tuple(x.shape[1:]) != (3, *self.input_size):
            wanted = "float32 (N, 3, {}, {})".format(*self.input_size)
            raise ValueError(f"expected {wanted}, got {x.dtype} {tuple(x.shape)}")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Lets what draws inside from torch's, NumPy's and Python's own generators draw from a seed, and leaves them as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def filled_up(batch: np.ndarray, size: int) -> np.ndarray:
    """Returns a batch with copies of its last row up to a size."""
    return np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)]) if len(batch) < size else batch


def fingerprint_of(name: str, steps: Preprocessing, parts: Iterable[tuple[str, bytes]]) -> str:
    """Returns the SHA-256, in hex, of a name without its folder, the preprocessing, and named parts (tensors, files) in order."""
    digest = hashlib.sha256(f"{name}\n{steps.key}\n".encode())
    for part, data in parts:
        digest.update(f"{part} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def argument_bytes(arguments: Mapping[str, Any]) -> bytes:
    """Returns a factory's arguments as bytes; a file counts by its content, so that its folder does not matter."""
    plain = {}
    for key, value in arguments.items():
        is_file = isinstance(value, str) and Path(value).is_file()
        plain[key] = hashlib.sha256(Path(value).read_bytes()).hexdigest() if is_file else value
    return json.dumps(plain, sort_keys=True, default=str).encode()


def device_for(device: str) -> torch.device:
    """Returns the torch device of that name; raises WrongUse for no such kind, Unavailable where this machine has none."""
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise WrongUse(f"There is no device {device!r}.", 'Use "cpu" or "cuda".') from error
    try:
        torch.zeros(1, device=chosen)
    except Exception as error:  # torch raises AssertionError, RuntimeError or NotImplementedError, by kind of device and build
        raise Unavailable(f"The device {device} cannot be used here.", "Use --device cpu.") from error
    return chosen
