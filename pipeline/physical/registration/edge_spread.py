"""How sharp a photo is where a code or tag is printed, from the edges of black squares whose printed places are known.

The slanted edge of ISO 12233 needs some ten pixels with nothing else beside it; a module is six to ten. So the whole profile of
a finder pattern, black and white in the ratio 1 : 1 : 3 : 1 : 1, is blurred by a Gaussian and fitted to the pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import ndtr

from pipeline.images.colour import linear_levels
from pipeline.physical.fiducials.codes import N_CELLS, N_MODULES
from pipeline.physical.page_map import PageMap
from pipeline.records import Fiducial, Tag

GAUSSIAN_MTF50 = 0.18739  # sqrt(ln 2 / 2) / pi: a Gaussian of sigma px halves the contrast at this over sigma
_NYQUIST = 0.5  # pixels carry no more, however sharp the edge
_BIN_PX = 0.5
_FIRST_SIGMA_PX, _LEAST_SIGMA_PX, _MOST_SIGMA_PX = 1.2, 0.1, 12.0
_N_STEPS, _ENOUGH_GAIN = 30, 1e-4
# of white light: less contrast and more misfit are something else than a printed edge
_MIN_CONTRAST, _MAX_MISFIT = 0.02, 0.15
_LIGHT = linear_levels()

# px across the edges, linear light, number of photo pixels (one value a bin each), px per module
_Strip = tuple[np.ndarray, np.ndarray, np.ndarray, float]


@dataclass(frozen=True, slots=True)
class _Profile:
    """The edges met going inwards from an outer corner, in modules: where each lies, and -1 into black or 1 into white.

    Pixels count where `reach` bounds the way across the edges and `along` the way beside them.
    """

    corners: tuple[tuple[int, int], ...]
    n_modules: int
    edges: tuple[tuple[float, int], ...]
    reach: tuple[float, float]
    along: tuple[float, float]


# Neighbours of a finder differ from code to code: they begin a module beyond its last edge. Only rows through its middle
# square see 1 : 1 : 3 : 1 : 1.
_FINDERS = _Profile(((1, 0), (0, 1)), N_MODULES, ((0, -1), (1, 1), (2, -1), (5, 1), (6, -1), (7, 1)), (-2.5, 7.0), (2.75, 4.25))
_BORDER = _Profile(((0, 0), (1, 1)), N_CELLS, ((0, -1),), (-0.9, 0.55), (2.0, 6.0))


def mtf50(photo_grey: np.ndarray, page_map: PageMap, fiducial: Fiducial | Tag, about: float | None = None) -> float | None:
    """Returns the frequency at which a code's or tag's edges keep half their contrast, in cycles per photo px, 0.5 at most.

    In linear light, as if the photo's tone curve were sRGB's; the geometric mean over the two printed directions. Dark squares
    may be larger than drawn, as ink spreads. None where it does not lie wholly in the photo, uint8 (H, W), is hidden or has no
    contrast. `about`: a frequency near it, where one is known, is found from there in less time.
    """
    first_px = GAUSSIAN_MTF50 / about if about else _FIRST_SIGMA_PX
    profile = _FINDERS if isinstance(fiducial, Fiducial) else _BORDER
    blurs = (_sigma_px(strips, profile.edges, first_px) for strips in _strips(photo_grey, page_map, fiducial, profile))
    sigmas = [sigma for sigma in blurs if sigma is not None]
    return min(float(GAUSSIAN_MTF50 / np.sqrt(sigmas[0] * sigmas[1])), _NYQUIST) if len(sigmas) == 2 else None


def _strips(photo_grey: np.ndarray, page_map: PageMap, fiducial: Fiducial | Tag, profile: _Profile) -> Iterator[list[_Strip]]:
    """Yields for across and for down one strip an outer corner; nothing where one is not in the photo or smaller than pixels."""
    height, width = photo_grey.shape
    module_mm = fiducial.size_mm / profile.n_modules
    low, high = profile.reach[0], max(profile.reach[1], profile.along[1])
    square = np.array([[low, low], [high, low], [high, high], [low, high]])
    strips: tuple[list[_Strip], list[_Strip]] = ([], [])
    corners = np.array(profile.corners)[:, None]
    page_mm = (fiducial.x_mm, fiducial.y_mm) + corners * fiducial.size_mm + square * (1 - 2 * corners) * module_mm
    for outline in page_map(page_mm.reshape(-1, 2)).reshape(-1, 4, 2):
        left, top = np.floor(outline.min(axis=0)).astype(int)
        right, bottom = np.ceil(outline.max(axis=0)).astype(int) + 1
        if left < 0 or top < 0 or right > width or bottom > height:
            return
        modules_from_photo = cv2.getPerspectiveTransform((outline - (left, top)).astype(np.float32), square.astype(np.float32))
        x, y = np.arange(right - left), np.arange(bottom - top)[:, None]
        h = modules_from_photo
        straight = [h[axis, 0] * x + (h[axis, 1] * y + h[axis, 2]) for axis in range(3)]
        places = [straight[axis] / straight[2] for axis in (0, 1)]
        light = _LIGHT[photo_grey[top:bottom, left:right]]
        # a step along x or y of the photo, in modules, at the square's middle: its norm is modules per px across the edge
        middle = np.linalg.inv(h) @ [(low + high) / 2, (low + high) / 2, 1]
        slopes = (h[:2, :2] - np.outer([(low + high) / 2] * 2, h[2, :2])) / (h[2] @ (middle / middle[2]))
        for axis in (0, 1):
            across, along = places[axis], places[1 - axis]
            inside = (across > profile.reach[0]) & (across < profile.reach[1])
            inside &= (along > profile.along[0]) & (along < profile.along[1])
            if not inside.any():
                return
            px_per_module = 1 / float(np.linalg.norm(slopes[axis]))
            strips[axis].append((*_binned(across[inside] * px_per_module, light[inside]), px_per_module))
    yield from strips


def _binned(across_px: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mean place, mean light and number of pixels of each half pixel that has any: the mean place costs little blur."""
    index = np.floor((across_px - across_px.min()) / _BIN_PX).astype(int)
    n = np.bincount(index)
    some = n > 0
    return np.bincount(index, across_px)[some] / n[some], np.bincount(index, light)[some] / n[some], n[some]


def _sigma_px(strips: list[_Strip], edges: tuple[tuple[float, int], ...], first_px: float) -> float | None:
    """Returns the blur that all strips of one direction share, by least squares from a first guess.

    Unknown are black, white, log sigma, the growth of dark squares (where there are two kinds of edges to tell it from an
    offset), and each strip's offset from the page map.
    """
    from scipy.optimize import leastsq

    x, light, weight = (np.concatenate([strip[i] for strip in strips]) for i in range(3))
    strip_of = np.repeat(np.arange(len(strips)), [len(strip[0]) for strip in strips])
    scale = np.array([strip[3] for strip in strips])[strip_of]
    # single precision is enough for what the curve of the blur is worth at a place, and twice as fast
    places, signs = np.array([place for place, _ in edges]), np.array([sign for _, sign in edges], np.float32)
    from_edges = (x[:, None] - scale[:, None] * places).astype(np.float32)
    weight = np.sqrt(weight)
    one_strip = np.equal.outer(strip_of, np.arange(len(strips)))
    last: dict[bytes, tuple[np.ndarray, np.ndarray, float]] = {}

    def blurred(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Where each pixel lies from each edge, in sigmas, the share of light that it gets, and sigma."""
        if (key := p.tobytes()) not in last:
            sigma = max(float(np.exp(p[2])), _LEAST_SIGMA_PX)
            z = (from_edges - np.float32(p[3]) * signs - p[4 + strip_of, None].astype(np.float32)) / np.float32(sigma)
            last.clear()
            last[key] = z, 1 + ndtr(z) @ signs, sigma
        return last[key]

    def residual_of(p: np.ndarray) -> np.ndarray:
        return weight * (p[0] + (p[1] - p[0]) * blurred(p)[1] - light)

    def jacobian_of(p: np.ndarray) -> np.ndarray:
        z, share, sigma = blurred(p)
        steps = np.empty((len(x), 4 + len(strips)))
        bell = np.exp(-z * z / 2) * np.float32((p[0] - p[1]) / np.sqrt(2 * np.pi))
        steps[:, 0], steps[:, 1], steps[:, 2] = 1 - share, share, (z * bell) @ signs
        steps[:, 3] = bell.sum(axis=1) / sigma if len(edges) > 1 else 0
        steps[:, 4:] = one_strip * (bell @ signs / sigma)[:, None]
        return weight[:, None] * steps

    start = np.zeros(4 + len(strips))
    start[:3] = light.min(), light.max(), np.log(first_px)
    # as `least_squares` does, in half the time; without `full_output` it would warn where the steps run out
    limits = {"ftol": _ENOUGH_GAIN, "xtol": 1e-8, "gtol": 1e-8, "maxfev": _N_STEPS}
    found = leastsq(residual_of, start, Dfun=jacobian_of, full_output=True, **limits)[0]
    contrast, sigma = found[1] - found[0], blurred(found)[2]
    misfit = np.linalg.norm(residual_of(found)) / np.sqrt(weight @ weight)
    if contrast < _MIN_CONTRAST or misfit > _MAX_MISFIT * contrast or sigma > _MOST_SIGMA_PX:
        return None
    return sigma
