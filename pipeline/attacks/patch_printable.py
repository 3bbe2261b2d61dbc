"""How well a patch can be printed: its total variation, and how far its colours are from those that a printer has."""

import itertools

import numpy as np
import torch
from torch import Tensor

from pipeline.images.colour import srgb_from_linear
from pipeline.physical.simulator.printer import gamut, icc_proof, print_table
from pipeline.physical.simulator.profile import Profile

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
