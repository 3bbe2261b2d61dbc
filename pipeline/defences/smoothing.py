"""Defences that smooth a picture: Gaussian, median and bilateral filter, and total variation."""

from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from pipeline.defences.defended import Defended, straight_through
from pipeline.transforms.filters import blurred


class Gaussian(Defended):
    """A Gaussian blur, the border mirrored. Xu, Evans and Qi (2018, Sec. III.B) discuss it as smoothing; exact backward."""

    defence = "gaussian"

    def shown(self, pixels: Tensor) -> Tensor:
        return blurred(pixels, [self._options.sigma_px] * len(pixels))


class Median(Defended):
    """The median of a square around each pixel, channel by channel, the border mirrored (Xu, Evans and Qi 2018, Sec. III.B).

    Backward: exact, to the pixel that the median is of.
    """

    defence = "median"

    def shown(self, pixels: Tensor) -> Tensor:
        return median(pixels, self._options.size_px)


class Bilateral(Defended):
    """The mean of a square's pixels, weighted by their distance in the picture and in colour (Tomasi and Manduchi 1998).

    The border is mirrored. Backward: exact, through the weights too.
    """

    defence = "bilateral"

    def shown(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[2:]
        reach = self._options.size_px // 2
        around = pad(pixels, (reach,) * 4, mode="reflect")
        total, weights = torch.zeros_like(pixels), torch.zeros_like(pixels[:, :1])
        for down, across in product(range(2 * reach + 1), repeat=2):
            other = around[:, :, down : down + height, across : across + width]
            place = ((down - reach) ** 2 + (across - reach) ** 2) / (2 * self._options.sigma_px**2)
            colour = (other - pixels).square().sum(dim=1, keepdim=True) / (2 * self._options.sigma_8bit**2)
            weight = torch.exp(-place - colour)
            total, weights = total + weight * other, weights + weight
        return total / weights


class TotalVariation(Defended):
    """The picture u with the smallest |u - x|² / 2w + TV(u), channel by channel (Rudin, Osher and Fatemi 1992; Chambolle 2004).

    As a defence by Guo et al. (2018), who beside that draw the pixels that u has to be near to; here all are. Backward: the
    identity.
    """

    defence = "total-variation"

    def shown(self, pixels: Tensor) -> Tensor:
        from skimage.restoration import denoise_tv_chambolle  # and with it all of scipy.stats: a second

        weight, n_steps = self._options.weight_8bit, self._options.n_steps
        images = pixels.detach().double().cpu().numpy()
        seen = [denoise_tv_chambolle(image, weight, max_num_iter=n_steps, channel_axis=0) for image in images]
        return straight_through(pixels, torch.from_numpy(np.stack(seen)).to(pixels))


def median(pixels: Tensor, size_px: int) -> Tensor:
    """Returns the median of a square of an odd side around each pixel, channel by channel, the border mirrored."""
    around = pad(pixels, (size_px // 2,) * 4, mode="reflect")
    return around.unfold(2, size_px, 1).unfold(3, size_px, 1).flatten(4).median(dim=4).values
