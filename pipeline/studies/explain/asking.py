"""What the parts of the study ask: which pictures, which maps of them, and their curves along an order."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import BadInput
from pipeline.document.tables import Cell
from pipeline.images import to_model, to_pixels
from pipeline.models.classifier import Classifier
from pipeline.models.explaining import GRADCAM, OCCLUSION, fill_pictures, gradcam_maps, occlusion_maps
from pipeline.statistics.means import mean_interval
from pipeline.studies.claims import Check
from pipeline.studies.explain.curves import area, baseline, order_of, replaced
from pipeline.studies.lab.bench import Bench, logits

NETWORK = "mobilenet-v2"
METHODS = (OCCLUSION, GRADCAM)
PATCH_PX, STRIDE_PX, PATCH_VALUE = 32, 32, "mean"
REMOVED = "mean"
_SPARE = 8


def right_images(bench: Bench, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures of the pack that the network gets right, uint8 (n, H, W, 3), drawn by the seed, and their labels.

    Raises:
        BadInput: there are fewer than two.
    """
    x, labels = bench.batch(NETWORK)
    chosen = torch.from_numpy(bench.rng("images").permutation(len(x))[: 2 * n + _SPARE])
    is_right = logits(bench.network(NETWORK), x[chosen]).argmax(1) == labels[chosen]
    places = chosen[is_right][:n]
    if len(places) < 2:
        raise BadInput(f"{NETWORK} gets {len(places)} of {len(chosen)} pictures right.")
    return to_pixels(x[places]), labels[places].numpy()


def occluded(
    classifier: Classifier,
    pixels: np.ndarray,
    labels: np.ndarray,
    patch_px: int = PATCH_PX,
    stride_px: int = STRIDE_PX,
    value: str = PATCH_VALUE,
) -> np.ndarray:
    """Returns occlusion maps of these classes, float32 (N, H, W)."""
    x = to_model(pixels, classifier.device)
    ask, fills = classifier.for_attacks(), fill_pictures(x, value)
    found: np.ndarray = occlusion_maps(ask, x, torch.from_numpy(labels), fills, patch_px, stride_px).numpy()
    return found


def cams(classifier: Classifier, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns Grad-CAM maps at the last map of a convolution, float32 (N, H, W)."""
    x = to_model(pixels, classifier.device)
    found: np.ndarray = gradcam_maps(classifier, x, torch.from_numpy(labels), classifier.last_map_layer()).numpy()
    return found


def maps_of(classifier: Classifier, pixels: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the maps of both methods."""
    return {OCCLUSION: occluded(classifier, pixels, labels), GRADCAM: cams(classifier, pixels, labels)}


def deleted(
    classifier: Classifier,
    pixels: np.ndarray,
    labels: np.ndarray,
    maps: np.ndarray,
    rng: np.random.Generator,
    kind: str = REMOVED,
) -> np.ndarray:
    """Returns the deletion curves of pictures along maps, (N, steps + 1); removed pixels become their `baseline` of a kind."""
    return _curves(classifier, pixels, labels, maps, rng, lambda x: (x, baseline(x, kind)))


def inserted(
    classifier: Classifier, pixels: np.ndarray, labels: np.ndarray, maps: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Returns the insertion curves, which begin with the picture blurred."""
    return _curves(classifier, pixels, labels, maps, rng, lambda x: (baseline(x, "blur"), x))


def _curves(
    classifier: Classifier,
    pixels: np.ndarray,
    labels: np.ndarray,
    maps: np.ndarray,
    rng: np.random.Generator,
    ends: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> np.ndarray:
    start, end = ends(to_model(pixels))
    return replaced(classifier.for_attacks(), start, end, order_of(maps, rng), torch.from_numpy(labels))


def area_cell(curves: np.ndarray) -> Cell:
    """Returns the mean area under curves above its 95 % interval."""
    areas = area(curves)
    low, high = np.clip(mean_interval(areas), 0, 1)
    return Cell(f"{areas.mean():.3f}", f"{low:.3f}–{high:.3f}")


def compared(where: str, less: np.ndarray, more: np.ndarray) -> Check:
    """Returns the line "the first is below the second" of (N,) areas on the same pictures."""
    counts = f"{less.mean():.3f} against {more.mean():.3f}, on {int((less < more).sum())} of {len(less)} pictures"
    return Check(where, counts, int(less.mean() < more.mean()))
