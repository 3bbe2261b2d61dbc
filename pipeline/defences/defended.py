"""A classifier behind a defence: what every defence shares."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pipeline.attacks.problem import saved_images
from pipeline.core.seeds import generator_for
from pipeline.images import pixels_sha256
from pipeline.models.classifier import Classifier, argument_bytes, fingerprint_of
from pipeline.models.layers import LayerResponse
from pipeline.records import Filter
from pipeline.specs.defences import DEFENCES


class Defended(Classifier):
    """A classifier that is shown each picture through a defence; a subclass has a name and says what is shown.

    Its logits lead back to the undefended pixels, so that an attack on it is one that knows it. Where the defence has no
    derivative worth following, `shown` goes backward by another (BPDA: Athalye, Carlini and Wagner 2018).
    """

    defence: str

    def __init__(self, classifier: Classifier, options: Any) -> None:
        self._inner, self._options = classifier, options
        self.name = f"{classifier.name} behind {self.defence}"
        self.preprocessing, self.device = classifier.preprocessing, classifier.device
        self.n_classes, self.differentiable = classifier.n_classes, classifier.differentiable
        self.class_names, self.wordnet_ids = classifier.class_names, classifier.wordnet_ids
        parts = [("behind it", classifier.fingerprint.encode()), ("options", argument_bytes(asdict(options)))]
        self.fingerprint = fingerprint_of(self.defence, self.preprocessing, parts)

    @abstractmethod
    def shown(self, pixels: Tensor) -> Tensor:
        """Returns what the network is shown of pixels, both float32 (N, 3, H, W) in 0 to 255; each image by itself alone."""

    def logits(self, x: Tensor) -> Tensor:
        self._check_input(x)
        return self._inner.logits(self.shown(x * 255) / 255)

    def for_attacks(self) -> Callable[[Tensor], Tensor]:
        ask = self._inner.for_attacks()
        return lambda x: ask(self.shown(x * 255) / 255)

    @property
    def sources(self) -> tuple[Path, ...]:
        return self._inner.sources

    @property
    def n_ranked(self) -> int:
        return self._inner.n_ranked

    @property
    def n_passes(self) -> int:
        spec = DEFENCES.get(self.defence)
        return self._inner.n_passes * (spec.n_passes(self._options)[1] if spec else 1)

    def layer_names(self) -> tuple[str, ...]:
        return self._inner.layer_names()

    def first_filters(self) -> tuple[Filter, ...]:
        return self._inner.first_filters()

    def last_map_layer(self) -> str:
        return self._inner.last_map_layer()

    def map_layers(self) -> dict[str, tuple[int, ...]]:
        return self._inner.map_layers()

    def layer_response(self, x: Tensor, labels: Tensor, layer: str) -> LayerResponse:
        return self._inner.layer_response(self.shown(x * 255) / 255, labels, layer)


def straight_through(pixels: Tensor, seen: Tensor) -> Tensor:
    """Returns `seen`, to the bit, with the gradient 1 to `pixels`: backward the defence is not there (BPDA's identity)."""
    return seen.detach() + (pixels - pixels.detach())


def draws_of(pixels: Tensor, seed: int, purpose: str) -> list[np.random.Generator]:
    """Returns a generator for each image of pixels (N, 3, H, W) in 0 to 255, which its own 8-bit pixels and the seed decide."""
    images = saved_images(pixels.detach().round().clamp(0, 255))
    return [generator_for(seed, purpose, pixels_sha256(image)) for image in images]
