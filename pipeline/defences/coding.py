"""Defences that code a picture more coarsely: fewer bits, JPEG, and the dots of a printer."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.defences.defended import Defended, straight_through
from pipeline.specs.transforms import TRANSFORMS
from pipeline.transforms.filters import blurred


class BitDepth(Defended):
    """Each channel rounded to 2^bits evenly spaced levels (Xu, Evans and Qi 2018, Sec. III.A). Backward: the identity."""

    defence = "bit-depth"

    def shown(self, pixels: Tensor) -> Tensor:
        return straight_through(pixels, reduced(pixels.detach(), self._options.bits))


class Jpeg(Defended):
    """The picture after one JPEG file (Dziugaite, Ghahramani and Roy 2016; Das et al. 2018), to the bit what Pillow's holds.

    Backward: a JPEG that rounds no coefficient, and so loses only colour resolution.
    """

    defence = "jpeg"

    def shown(self, pixels: Tensor) -> Tensor:
        return TRANSFORMS.find("jpeg").apply_on_tensors(pixels, [self._options.quality] * len(pixels), [0] * len(pixels))


class Halftone(Defended):
    """Each channel as dots that are there or not, by error diffusion (Floyd and Steinberg 1976), then blurred to tones again.

    The screen is the simulated printer's, which is Pillow's. Backward: the identity through the dots, which keep the mean of
    each place, and the blur's own derivative.
    """

    defence = "halftone"

    def shown(self, pixels: Tensor) -> Tensor:
        planes = pixels.detach().round().to(torch.uint8).flatten(0, 1).cpu().numpy()
        dots = [np.asarray(Image.fromarray(plane).convert("1", dither=Image.Dither.FLOYDSTEINBERG)) for plane in planes]
        seen = torch.from_numpy(np.stack(dots)).to(pixels) * 255
        return blurred(straight_through(pixels, seen.view_as(pixels)), [self._options.sigma_px] * len(pixels))


def reduced(pixels: Tensor, bits: int) -> Tensor:
    """Returns pixels in 0 to 255 rounded to 2^bits evenly spaced levels, both ends among them."""
    steps = 2**bits - 1
    return (pixels * (steps / 255)).round() * (255 / steps)
