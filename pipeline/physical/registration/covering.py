"""Whether a crop shows what was printed there, or something that lies on it."""

import cv2
import numpy as np

# Measured on simulated photographs of natural pictures, small ones and digits in all profiles, with perturbations up to 128/255,
# patches and noise (benchmarks/covered_crops.py): 540 right crops reach 0.56 and more; 99 of 100 of other images, places beside,
# codes, lettering, paper and table stay below 0.23, and 98.5 of 100 that are half covered below 0.35. A few wrong ones reach
# 0.64: a slide rule's scales, half a scale further on.
MIN_LIKENESS = 0.35
_GRIDS, _PX_PER_CELL = (12, 24), 4
_LEAST_CONTRAST_8BIT, _NOISE_8BIT, _EVENED_NOISE = 4.0, 1.5, 0.3
_NEIGHBOURS, _LEAST_LOCAL_8BIT = 1.5, 1.5
# A cell this bright shows nothing; where fewer than this share of a quarter's cells are left, it is not judged.
_BLOWN_OUT_8BIT, _LEAST_SEEN_RATE = 250.0, 1 / 3


def likeness(crop: np.ndarray, printed: np.ndarray) -> float:
    """Returns how much a crop resembles what was printed there in its least alike quarter, a correlation in [-1, 1].

    Both are averaged over 12 x 12 cells, so that no perturbation of single pixels decides, lose what is smoother than about two
    cells, because lamps and lenses put such light into a photo, and are divided by the contrast around each cell, so that what
    lies in a shadow says as much as what lies in the sun. Where a picture is nearly flat at that scale and large enough, 24 x 24
    cells are compared. Quarters that are printed flat or blown out in the photo say nothing; a picture flat all over is compared
    as a whole, and two flat ones are alike.

    Args: `crop` and `printed` uint8 (H, W, 3) of the same image; their sizes may differ.
    """
    for n in _GRIDS:
        if n > _GRIDS[0] and min(printed.shape[:2]) < n * _PX_PER_CELL:
            break
        known, seen = _structure(_cells(printed, n)), _structure(_cells(crop, n))
        if known.std() >= _LEAST_CONTRAST_8BIT:
            break
    if known.std() < _LEAST_CONTRAST_8BIT:
        edge = 3 * float(np.median(np.abs(seen)))  # of a shadow: in few cells, but strong
        return _correlation(known, np.clip(seen, -edge, edge), _NOISE_8BIT)
    shows = _cells(crop, len(seen)).min(axis=2) < _BLOWN_OUT_8BIT
    known_evened, seen_evened = _evened(known), _evened(seen)
    half, least = len(known) // 2, 1.0
    for rows in (slice(half), slice(half, None)):
        for columns in (slice(half), slice(half, None)):
            judged = shows[rows, columns]
            if judged.mean() < _LEAST_SEEN_RATE or known[rows, columns][judged].std() < _LEAST_CONTRAST_8BIT:
                continue
            quarter = known_evened[rows, columns][judged], seen_evened[rows, columns][judged]
            least = min(least, _correlation(*quarter, _EVENED_NOISE))
    return least


def _cells(image: np.ndarray, n: int) -> np.ndarray:
    return cv2.resize(image, (n, n), interpolation=cv2.INTER_AREA).astype(np.float64)


def _structure(cells: np.ndarray) -> np.ndarray:
    smooth: np.ndarray = cv2.GaussianBlur(cells, (0, 0), len(cells) / _GRIDS[0], borderType=cv2.BORDER_REFLECT)
    return cells - smooth


def _evened(structure: np.ndarray) -> np.ndarray:
    reach = _NEIGHBOURS * len(structure) / _GRIDS[0]
    power = cv2.GaussianBlur((structure**2).mean(axis=2), (0, 0), reach, borderType=cv2.BORDER_REFLECT)
    evened: np.ndarray = structure / np.sqrt(power + _LEAST_LOCAL_8BIT**2)[..., None]
    return evened


def _correlation(known: np.ndarray, seen: np.ndarray, noise: float) -> float:
    """Returns the correlation of two structures about zero; contrast below the noise says nothing, and they are alike."""
    floor = noise**2
    return float(((known * seen).mean() + floor) / np.sqrt(((known**2).mean() + floor) * ((seen**2).mean() + floor)))
