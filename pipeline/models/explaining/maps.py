"""Explains one class on several versions of an image at once: its map by each method, and the raw scores."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.core.errors import WrongUse
from pipeline.images import to_model
from pipeline.models.classifier import BATCH_SIZE, Classifier
from pipeline.models.explaining.gradcam import gradcam_maps
from pipeline.models.explaining.occlusion import default_sizes, fill_pictures, occlusion_maps, scored
from pipeline.settings import ExplainSettings

OCCLUSION, GRADCAM = "occlusion", "gradcam"


@dataclass(frozen=True, slots=True)
class How:
    """The settings with every choice made: `layer` is "" where there is no Grad-CAM."""

    methods: tuple[str, ...]
    layer: str
    patch_px: int
    stride_px: int
    patch_value: str


@dataclass(frozen=True, slots=True)
class Explained:
    """`maps`: float32 (N, H, W) by method; `logits` and `probabilities`: float32 (N,) of the class that was explained."""

    maps: dict[str, np.ndarray]
    logits: np.ndarray
    probabilities: np.ndarray


def how_for(classifier: Classifier, settings: ExplainSettings) -> tuple[How, tuple[str, ...]]:
    """Returns how a classifier's images are explained, and notes on what of the settings it cannot do.

    Grad-CAM is left out with a note where the network has no map to take by default and no layer is named, as long as something
    remains.

    Raises:
        WrongUse: a layer is named that it does not have, nothing remains, or the patch does not fit the image.
    """
    patch_px, stride_px = default_sizes(*classifier.input_size, settings.patch_px, settings.stride_px)
    methods, layer = settings.methods, ""
    notes: tuple[str, ...] = ()
    if GRADCAM in methods:
        layer = settings.layer or classifier.last_map_layer()
        if not layer:
            why = "shows no layers" if not classifier.layer_names() else "ends in no map of a convolution, so name a layer"
            methods = tuple(method for method in methods if method != GRADCAM)
            if not methods:
                raise WrongUse(f"Grad-CAM: {classifier.name} {why}.", _hint(classifier))
            notes = (f"Grad-CAM is left out: {classifier.name} {why}. {_hint(classifier)}",)
        else:
            grey = torch.full((1, 3, *classifier.input_size), 0.5, device=classifier.device)
            gradcam_maps(classifier, grey, torch.zeros(1, dtype=torch.int64), layer)
    return How(methods, layer, patch_px, stride_px, settings.patch_value), notes


def explained(
    classifier: Classifier, pictures: np.ndarray, label: int, how: How, generator: Callable[[], np.random.Generator]
) -> Explained:
    """Returns the maps and scores of one class for versions of one image, all covered by the same patches of the same noise.

    The model is left as it was: its mode, its hooks, its gradients, and the random state of torch.

    Args:
        pictures: uint8 (N, H, W, 3) at the model's input size.
        label: the class to explain.
        generator: of the noise for `patch_value` "random"; called once for each version, with the same state.
    """
    x = to_model(pictures, classifier.device)
    labels = torch.full((len(x),), label, dtype=torch.int64)
    maps = {}
    for method in how.methods:
        if method == OCCLUSION:
            fills = fill_pictures(x, how.patch_value, [generator() for _ in x])
            found = occlusion_maps(classifier.for_attacks(), x, labels, fills, how.patch_px, how.stride_px)
        else:
            found = gradcam_maps(classifier, x, labels, how.layer)
        maps[method] = found.numpy()
    # the logits behind the recorded predictions, to the last bit: in batches of the same size
    logits = torch.cat(list(scored(classifier.logits, x, BATCH_SIZE)))[: len(x)]
    return Explained(maps, logits[:, label].numpy(), torch.softmax(logits, dim=1)[:, label].numpy())


def _hint(classifier: Classifier) -> str:
    if not classifier.layer_names():
        return 'Occlusion needs none: explain.methods = ["occlusion"].'
    return 'For transformers one before the last attention, such as explain.layer = "encoder.layers.encoder_layer_11.ln_1".'
