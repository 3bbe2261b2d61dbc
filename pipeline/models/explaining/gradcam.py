"""Grad-CAM: where in a layer's map the evidence for a class lies (Selvaraju et al. 2017, Eq. 1 and 2)."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.core.errors import WrongUse
from pipeline.models.classifier import Classifier

# The clean image, the adversarial one and the photograph, with one copy: a pair takes one pass.
BATCH_SIZE = 4


def gradcam_maps(classifier: Classifier, x: Tensor, labels: Tensor, layer: str) -> Tensor:
    """Returns ReLU(sum over k of a_k A^k), a_k the mean of d logit / d A^k over the map, enlarged to the image's size.

    A layer of tokens (N, L, C) is read as a square map of its last tokens, as transformers have the class token first. The map is
    enlarged with bilinear weights between the centres of its cells, and its values keep their unit, logits per cell. Batches have
    one fixed size, filled up with copies.

    Args:
        x: float32 (N, 3, H, W) in [0, 1]. labels: int64 (N,), the class explained of each.
        layer: one of `classifier.layer_names()`.

    Returns:
        float32 (N, H, W), not negative, on the CPU.

    Raises:
        WrongUse: the classifier shows no such layer, or the layer has no map.
    """
    size = (x.shape[2], x.shape[3])
    maps = []
    for start in range(0, len(x), BATCH_SIZE):
        places = torch.arange(start, start + BATCH_SIZE).clamp(max=len(x) - 1)
        found = classifier.layer_response(x[places], labels[places], layer)
        activations, gradients = (_as_map(values, size, layer) for values in (found.activations, found.gradients))
        small = (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1, keepdim=True).relu()
        maps.append(functional.interpolate(small, size, mode="bilinear", align_corners=False)[:, 0].float().cpu())
    return torch.cat(maps)[: len(x)]


def _as_map(values: Tensor, size: tuple[int, int], layer: str) -> Tensor:
    """Returns (N, C, h, w) of a layer's output."""
    if values.ndim == 3 and size[0] == size[1] and values.shape[1] > 3:
        side = math.isqrt(values.shape[1])
        return values[:, -side * side :].transpose(1, 2).reshape(*values.shape[::2], side, side)
    is_map = values.ndim == 4 and abs(values.shape[2] * size[1] / size[0] - values.shape[3]) <= 1
    if not is_map or values.shape[2] * values.shape[3] < 2:
        shape = " x ".join(map(str, values.shape[1:]))
        what = f'Layer "{layer}" gives {shape} for one image; Grad-CAM needs (channels, height, width).'
        raise WrongUse(what, "Name an earlier layer.")
    return values
