"""Deletion and insertion (Petsiuk et al. 2018): how a class's probability moves as pixels go in the order of a map."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.models.explaining import fill_pictures, scored
from pipeline.transforms.filters import blurred

N_STEPS = 8
# The standard deviation of the blur, as a share of the longer side.
_BLUR = 1 / 20
# Places a side of a random map: as many as Grad-CAM has at 224 px.
_CELLS = 7


def order_of(maps: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Returns the pixels from the most to the least important, int64 (N, H W), equal ones in a random order.

    Args:
        maps: float (N, H, W), larger where more important.
    """
    flat = maps.reshape(len(maps), -1)
    places = np.stack([np.lexsort((rng.random(len(row)), -row)) for row in flat])
    return torch.from_numpy(places)


def replaced(
    ask: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, order: Tensor, labels: Tensor, n_steps: int = N_STEPS
) -> np.ndarray:
    """Returns the class's probability as pixels go from `start` to `end`, float32 (N, n_steps + 1), an equal share in each step.

    Deletion starts with the picture, insertion ends with it.

    Args:
        ask: gives the logits of images. start, end: float32 (N, 3, H, W) in [0, 1].
        order: of `order_of`. labels: int64 (N,).
    """
    n, n_pixels = order.shape
    ranks = torch.empty_like(order).scatter_(1, order, torch.arange(n_pixels).expand_as(order)).view(n, 1, *start.shape[2:])
    pictures = (
        torch.where(rank < round(n_pixels * step / n_steps), other, image)
        for image, other, rank in zip(start, end, ranks, strict=True)
        for step in range(n_steps + 1)
    )
    shares = torch.cat(list(scored(ask, pictures)))[: n * (n_steps + 1)].softmax(1).view(n, n_steps + 1, -1)
    found: np.ndarray = shares.gather(2, labels[:, None, None].expand(-1, n_steps + 1, 1))[..., 0].numpy()
    return found


def area(curves: np.ndarray) -> np.ndarray:
    """Returns the area under each curve over the share of pixels, (N,) of (N, n_steps + 1), by trapezia."""
    areas: np.ndarray = (curves[:, 1:] + curves[:, :-1]).mean(axis=1) / 2
    return areas


def baseline(x: Tensor, kind: str) -> Tensor:
    """Returns what is put in the place of pixels, float32 (N, 3, H, W): "blur" of the picture, or a kind of `fill_pictures`."""
    if kind != "blur":
        return fill_pictures(x, kind)
    return blurred(x, [_BLUR * max(x.shape[2:])] * len(x))


def centre_first(size: tuple[int, int]) -> np.ndarray:
    """Returns a map (H, W) that falls from the middle to the corners."""
    rows, columns = (np.linspace(-1, 1, side) for side in size)
    found: np.ndarray = -np.hypot(rows[:, None], columns[None])
    return found


def random_maps(n: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Returns maps (n, H, W) of as coarse a grain as Grad-CAM's, which know nothing of the picture."""
    cells = torch.from_numpy(rng.random((n, 1, _CELLS, _CELLS)))
    found: np.ndarray = interpolate(cells, size, mode="bilinear", align_corners=False)[:, 0].numpy()
    return found
