"""What a classifier looks at: maps of the places that speak for a class, made without leaving a trace on the model."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.core.errors import WrongUse
from pipeline.images import to_model
from pipeline.models.classifier import BATCH_SIZE, Classifier
from pipeline.models.layers import as_map, noise_pictures
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
        WrongUse: a layer is named that it does not have or that cannot be asked, nothing remains, or the patch does not fit the
            image.
    """
    patch_px, stride_px = default_sizes(*classifier.input_size, settings.patch_px, settings.stride_px)
    methods, layer = settings.methods, ""
    notes: tuple[str, ...] = ()
    if GRADCAM in methods:
        layer = _checked(classifier, settings.layer) if settings.layer else _default_layer(classifier)
        if not layer:
            why = "shows no layers" if not classifier.layer_names() else "ends in no map of a convolution, so name a layer"
            methods = tuple(method for method in methods if method != GRADCAM)
            if not methods:
                raise WrongUse(f"Grad-CAM: {classifier.name} {why}.", _hint(classifier))
            notes = (f"Grad-CAM is left out: {classifier.name} {why}. {_hint(classifier)}",)
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


def _default_layer(classifier: Classifier) -> str:
    """Returns the last map of a convolution, where it cannot be asked one that can, "" without any."""
    layer = classifier.last_map_layer()
    try:
        return layer and _checked(classifier, layer)
    except WrongUse:
        return _best_layer(classifier)


def _checked(classifier: Classifier, layer: str) -> str:
    """Returns the layer.

    Raises:
        WrongUse: it cannot be asked, and which can.
    """
    pictures = noise_pictures(GRADCAM_BATCH, classifier.input_size).to(classifier.device)
    labels = torch.arange(GRADCAM_BATCH) % 2
    try:
        found = classifier.layer_response(pictures, labels, layer)
        is_answer = bool(_as_map(found.gradients, classifier.input_size, layer).any())
    except WrongUse as error:
        raise WrongUse(error.message, error.hint or _hint(classifier)) from error
    if not is_answer and layer not in classifier.map_layers():
        what = f'Layer "{layer}" cannot be asked: the scores have no gradient at any place of its map'
        raise WrongUse(f"{what} (of a transformer only the class token reaches them from there).", _hint(classifier))
    return layer


def _hint(classifier: Classifier) -> str:
    best = _best_layer(classifier) if classifier.layer_names() else ""
    return (
        f'One that can be asked: explain.layer = "{best}".' if best else 'Occlusion needs none: explain.methods = ["occlusion"].'
    )


def _best_layer(classifier: Classifier) -> str:
    """Returns the last layer that can be asked, with as many channels as most that have a map of that size; "" without any."""
    found = classifier.map_layers()
    if not found:
        return ""
    size = list(found.values())[-1][1:]
    channels = Counter(shape[0] for shape in found.values() if shape[1:] == size).most_common(1)[0][0]
    return next(name for name in reversed(found) if found[name] == (channels, *size))


# The clean image, the adversarial one and the photograph, with one copy: a pair takes one pass.
GRADCAM_BATCH = 4


def gradcam_maps(classifier: Classifier, x: Tensor, labels: Tensor, layer: str) -> Tensor:
    """Returns ReLU(sum over k of a_k A^k), a_k the mean of d logit / d A^k over the map, enlarged to the image's size.

    A layer of tokens is read as a map (`as_map`). The map is enlarged with bilinear weights between the centres of its cells, and
    its values keep their unit, logits per cell: float32 (N, H, W), not negative, on the CPU. Batches have one fixed size, filled
    up with copies.

    Args:
        x: float32 (N, 3, H, W) in [0, 1]. labels: int64 (N,), the class explained of each.

    Raises:
        WrongUse: the classifier shows no such layer, or the layer has no map.
    """
    size = (x.shape[2], x.shape[3])
    maps = []
    for start in range(0, len(x), GRADCAM_BATCH):
        places = torch.arange(start, start + GRADCAM_BATCH).clamp(max=len(x) - 1)
        found = classifier.layer_response(x[places], labels[places], layer)
        activations, gradients = (_as_map(values, size, layer) for values in (found.activations, found.gradients))
        small = (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1, keepdim=True).relu()
        maps.append(functional.interpolate(small, size, mode="bilinear", align_corners=False)[:, 0].float().cpu())
    return torch.cat(maps)[: len(x)]


def _as_map(values: Tensor, size: tuple[int, int], layer: str) -> Tensor:
    """Returns (N, C, h, w) of a layer's output."""
    found = as_map(values, size)
    if found is None:
        shape = " x ".join(map(str, values.shape[1:]))
        raise WrongUse(f'Layer "{layer}" gives {shape} for one image; Grad-CAM needs a map of it, or tokens.')
    return found


# Images get the same bits in batches of this size whatever their neighbours are; larger ones are no faster on two cores.
OCCLUSION_BATCH = 16
# A patch of a seventh of the side, moved by half of that: 13 x 13 patches, whatever the input's size.
_PATCHES_PER_SIDE = 7


def occlusion_maps(
    logits: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor, fills: Tensor, patch_px: int, stride_px: int
) -> Tensor:
    """Returns each pixel's mean fall of the logit over the patches that covered it, float32 (N, H, W) on the CPU.

    A positive value speaks for the class: without it the logit is lower. Patches start every `stride_px` from the top left until
    all is covered; what sticks out on the right and below is cut off. Batches have one fixed size, filled up with copies.

    Args:
        x: float32 (N, 3, H, W) in [0, 1]. labels: int64 (N,), the class explained of each.
        fills: float32 (N, 3, H, W), what a covered pixel becomes: see `fill_pictures`.
        patch_px, stride_px: 1 <= stride_px <= patch_px <= min(H, W).
    """
    height, width = x.shape[2:]
    if not 1 <= stride_px <= patch_px <= min(height, width):
        raise ValueError(f"expected 1 <= stride_px <= patch_px <= {min(height, width)}, got {stride_px} and {patch_px}")
    patches = [
        (slice(top, top + patch_px), slice(left, left + patch_px))
        for top in _starts(height, patch_px, stride_px)
        for left in _starts(width, patch_px, stride_px)
    ]
    n_pictures = 1 + len(patches)
    pictures = (_covered(image, fill, place) for image, fill in zip(x, fills, strict=True) for place in (None, *patches))
    found = torch.cat(list(scored(logits, pictures)))[: len(x) * n_pictures].reshape(len(x), n_pictures, -1)
    scores = found.gather(2, labels[:, None, None].expand(-1, n_pictures, 1)).squeeze(2).double()
    maps = torch.zeros((len(x), height, width), dtype=torch.float64)
    counts = torch.zeros((height, width), dtype=torch.float64)
    for number, (rows, columns) in enumerate(patches, start=1):
        counts[rows, columns] += 1
        maps[:, rows, columns] += (scores[:, 0] - scores[:, number])[:, None, None]
    return (maps / counts).float()


def default_sizes(height: int, width: int, patch_px: int, stride_px: int) -> tuple[int, int]:
    """Returns the patch's side and its step in pixels, chosen by the image where they are 0."""
    side = min(height, width)
    patch = patch_px or max(round(side / _PATCHES_PER_SIDE), 1)
    stride = stride_px or max(patch // 2, 1)
    if patch > side:
        raise WrongUse(f"explain.patch_px = {patch} is larger than the image of {width} x {height} pixels.")
    if stride > patch:
        raise WrongUse(f"explain.stride_px = {stride} steps over pixels: the patch has {patch}.", "Set it to that or less.")
    return patch, stride


def fill_pictures(x: Tensor, value: str, generators: Iterable[np.random.Generator] = ()) -> Tensor:
    """Returns what a covered pixel of each image becomes, float32 (N, 3, H, W) in [0, 1].

    "mean" is the image's own mean of each channel, "random" uniform noise of 8 bits, "grey" 0.5 and "black" 0.

    Args:
        generators: one an image, for "random"; images to be compared are given generators of the same state.
    """
    if value == "mean":
        return x.mean(dim=(2, 3), keepdim=True).expand_as(x)
    if value == "random":
        noise = [generator.integers(0, 256, tuple(x.shape[1:])).astype(np.float32) / 255 for generator in generators]
        return torch.from_numpy(np.stack(noise)).to(x.device)
    return torch.full_like(x, {"grey": 0.5, "black": 0.0}[value])


def _starts(length: int, patch: int, stride: int) -> range:
    return range(0, length - patch + stride, stride)


def _covered(image: Tensor, fill: Tensor, place: tuple[slice, slice] | None) -> Tensor:
    if place is None:
        return image
    covered = image.clone()
    covered[(slice(None), *place)] = fill[(slice(None), *place)]
    return covered


def scored(logits: Callable[[Tensor], Tensor], pictures: Iterable[Tensor], batch_size: int = OCCLUSION_BATCH) -> Iterator[Tensor]:
    """Yields the logits, on the CPU, batch by batch; the last batch is filled up with copies."""
    pictures = iter(pictures)
    while batch := list(islice(pictures, batch_size)):
        batch += batch[-1:] * (batch_size - len(batch))
        with torch.no_grad():
            yield logits(torch.stack(batch)).float().cpu()
