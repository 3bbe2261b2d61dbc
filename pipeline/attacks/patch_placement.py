"""Where a patch lies in each image, and the images with the patch in them: differentiable, and exact outside it."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from pipeline.attacks.options import PatchOptions

# places that are tried for a patch that must not cover the middle of the image
_N_TRIED = 64


@dataclass(frozen=True)
class Placement:
    """A patch's middle in pixels (pixel centres are whole numbers), its side or diameter in pixels, and its turn, clockwise."""

    x_px: float
    y_px: float
    side_px: float
    turn_deg: float


def draw_placement(
    options: PatchOptions, image_px: tuple[int, int], scale_rate: tuple[float, float], rng: np.random.Generator
) -> Placement:
    """Returns a draw of scale, turn and place, evenly in their ranges; the whole patch lies in the image where it fits.

    Args:
        image_px: (H, W).
        scale_rate: range of the patch's side or diameter, as a share of the image's shorter side.
    """
    height, width = image_px
    side = min(image_px) * rng.uniform(*scale_rate)
    turn = rng.uniform(-options.rotation_deg, options.rotation_deg) if options.rotation_deg else 0.0
    radians = math.radians(turn)
    reach = side / 2 * (abs(math.cos(radians)) + abs(math.sin(radians)) if options.shape == "square" else 1)
    room = np.array([max(width / 2 - reach, 0), max(height / 2 - reach, 0)])
    places = rng.uniform(-1, 1, (_N_TRIED, 2)) * room
    if options.location == "off-centre":
        distance = np.abs(places).max(axis=1)
        is_off = distance > reach + 1
        place = places[is_off.argmax() if is_off.any() else distance.argmax()]
    else:
        place = places[0]
    return Placement(float(place[0] + (width - 1) / 2), float(place[1] + (height - 1) / 2), side, turn)


def pasted(images: Tensor, patch: Tensor, placements: list[Placement], shape: str, fineness: int) -> Tensor:
    """Returns images (N, 3, H, W) of 0 .. 255 with the patch in each at its own place; gradients lead to the patch.

    Each pixel is the mean over `fineness` x `fineness` places in it, of which the patch covers some: its edge is soft. Where it
    covers none, the image is left as it is, to the bit.

    Args:
        patch: (3, P, P) of 0 .. 255, read between its pixels by bilinear interpolation.
        shape: "circle" or "square".
    """
    n = len(images)
    places = _places(images, placements, fineness)
    is_inside = places.square().sum(dim=3) <= 1 if shape == "circle" else places.abs().amax(dim=3) <= 1
    covered = is_inside.to(images.dtype)[:, None]
    colours = grid_sample(patch.expand(n, -1, -1, -1), places, padding_mode="border", align_corners=False)
    share, ink = avg_pool2d(covered, fineness), avg_pool2d(colours * covered, fineness)
    return images * (1 - share) + ink


def _places(images: Tensor, placements: list[Placement], fineness: int) -> Tensor:
    """Each sub-pixel's place on the patch, (N, fineness H, fineness W, 2), -1 to 1 from edge to edge."""
    height, width = images.shape[2:]
    across, down = (
        (torch.arange(size * fineness, dtype=images.dtype, device=images.device) + 0.5) / fineness - 0.5
        for size in (width, height)
    )

    def column(values: list[float]) -> Tensor:
        return images.new_tensor(values)[:, None, None]

    x = across[None, None, :] - column([one.x_px for one in placements])
    y = down[None, :, None] - column([one.y_px for one in placements])
    turn = [math.radians(one.turn_deg) for one in placements]
    cos, sin, half = (
        column([math.cos(t) for t in turn]),
        column([math.sin(t) for t in turn]),
        [one.side_px / 2 for one in placements],
    )
    return torch.stack([(cos * x + sin * y) / column(half), (cos * y - sin * x) / column(half)], dim=3)
