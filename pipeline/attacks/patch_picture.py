"""A patch in images, differentiable and exact outside it, and how well it can be printed."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from pipeline.attacks.options import PatchOptions
from pipeline.images.colour import srgb_from_linear
from pipeline.physical.simulator.printer import gamut, icc_proof, print_table
from pipeline.physical.simulator.profile import Profile

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


_STEPS, _GREYS = (0, 128, 255), (48, 96, 192)


def printable_colours(profile: Profile) -> np.ndarray:
    """Returns thirty colours as a profile's printer prints them, float32 (30, 3), sRGB of 0 .. 255 relative to its paper.

    27 of a lattice of asked-for colours and three greys, spread over the gamut, as Sharif et al. (2016) spread theirs.
    """
    asked = np.array([*itertools.product(_STEPS, repeat=3), *((grey,) * 3 for grey in _GREYS)], np.uint8)
    if profile.icc_profile:
        return icc_proof(asked[None], profile.icc_profile)[0].astype(np.float32)
    reflectance = np.take_along_axis(print_table(profile), asked.astype(np.int64), axis=0) @ gamut(profile).T
    return (255 * srgb_from_linear(reflectance / profile.paper_reflectance)).astype(np.float32)


def non_printability(patch: Tensor, colours: Tensor, covered: Tensor) -> Tensor:
    """Returns the mean distance of a patch's pixels to the nearest printable colour, on [0, 1].

    Sharif et al. (2016, Eq. 4) multiply the distances to all colours; of thirty numbers below 1 that is nothing but the nearest
    one's zero, with a gradient that vanishes everywhere else. The nearest alone is what Thys et al. (2019) take.

    Args:
        patch: (3, P, P) of 0 .. 255.
        colours: (K, 3), 0 .. 255.
        covered: bool (P, P), where the patch's shape is.
    """
    pixels = patch.permute(1, 2, 0)[covered] / 255
    nearest = torch.cdist(pixels.detach(), colours / 255).argmin(dim=1)
    square = (pixels - colours[nearest] / 255).square().sum(dim=1)
    return (square + 1e-8).sqrt().mean()


def total_variation(patch: Tensor, covered: Tensor) -> Tensor:
    """Returns the mean change from a patch's pixel to the next, right and below, on [0, 1]; only within its shape."""
    along = (patch[:, :, 1:] - patch[:, :, :-1])[:, covered[:, 1:] & covered[:, :-1]]
    down = (patch[:, 1:] - patch[:, :-1])[:, covered[1:] & covered[:-1]]
    return (along.abs().mean() + down.abs().mean()) / 255
