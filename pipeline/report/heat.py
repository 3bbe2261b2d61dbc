"""A map laid over its picture in colours: what speaks for a class, and what against it, on a scale that pictures share."""

from functools import cache

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize

# Purple against, orange for, as colour-blind readers tell them apart. Grad-CAM has no against: the half of it that is used.
_COLOURS = "PuOr_r"
_USED = {"occlusion": (0.0, 1.0), "gradcam": (0.5, 1.0)}
_PICTURE_CONTRAST = 0.3


def scale_of(maps: np.ndarray) -> float:
    """Returns the end of the scale that maps (N, H, W) share: their largest absolute value, 1 for empty maps."""
    return float(np.abs(maps).max()) or 1.0


def heat_colours(method: str, scale: float) -> ScalarMappable:
    """Returns the colours of -scale (of 0, for Grad-CAM) to scale, as they are on white."""
    return ScalarMappable(Normalize(0.0 if method == "gradcam" else -scale, scale), _light(method))


def heat_picture(pixels: np.ndarray, values: np.ndarray, method: str, scale: float) -> np.ndarray:
    """Returns a map over its picture, which is shown in light greys, as uint8 (H, W, 3).

    Args:
        pixels: uint8 (H, W, 3). values: float (H, W).
        scale: of `scale_of`.
    """
    darkness = 1 - pixels.astype(np.float64) @ (0.299, 0.587, 0.114) / 255
    colours = heat_colours(method, scale).to_rgba(values)[..., :3]
    return np.rint(255 * (colours - _PICTURE_CONTRAST * darkness[..., None])).astype(np.uint8)


@cache
def _light(method: str) -> ListedColormap:
    """The colours made lighter, so that the picture can be darkest where it is black without any value below 0."""
    colours = matplotlib.colormaps[_COLOURS](np.linspace(*_USED[method], 256))[:, :3]
    return ListedColormap(_PICTURE_CONTRAST + (1 - _PICTURE_CONTRAST) * colours)
