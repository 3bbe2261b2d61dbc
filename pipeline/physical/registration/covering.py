"""Whether a crop shows what was printed there, or something that lies on it."""

import cv2
import numpy as np

# Measured on simulated photographs of natural pictures, small ones and digits, with perturbations up to 128/255, patches and
# noise (benchmarks/covered_crops.py): crops of the right place reach 0.57 and more in the profile `harsh` and 0.8 elsewhere;
# 99 of 100 of other images, places beside, codes, lettering, paper and table stay at 0.3 or below; one of 505 in `daylight`
# reached 0.66.
MIN_LIKENESS = 0.4
_GRIDS, _PX_PER_CELL = (12, 24), 4
_LEAST_CONTRAST_8BIT, _NOISE_8BIT = 4.0, 1.0


def likeness(crop: np.ndarray, printed: np.ndarray) -> float:
    """Returns how much a crop resembles what was printed there, as a correlation coefficient in [-1, 1].

    Both are averaged over 12 x 12 cells, so that no perturbation of single pixels decides, and lose what is smoother than about
    two cells, because lamps, shadows and lenses put such light into a photo. Where a picture is nearly flat at that scale and
    large enough, 24 x 24 cells are compared. Contrast of less than one level says nothing: two flat pictures are alike.

    Args: `crop` and `printed` uint8 (H, W, 3) of the same image; their sizes may differ.
    """
    for n in _GRIDS:
        if n > _GRIDS[0] and min(printed.shape[:2]) < n * _PX_PER_CELL:
            break
        known, seen = _structure(printed, n), _structure(crop, n)
        if known.std() >= _LEAST_CONTRAST_8BIT:
            break
    floor = _NOISE_8BIT**2
    spread = ((known**2).mean() + floor) * ((seen**2).mean() + floor)
    return float(((known * seen).mean() + floor) / np.sqrt(spread))


def _structure(image: np.ndarray, n: int) -> np.ndarray:
    cells = cv2.resize(image, (n, n), interpolation=cv2.INTER_AREA).astype(np.float64)
    smooth: np.ndarray = cv2.GaussianBlur(cells, (0, 0), n / _GRIDS[0], borderType=cv2.BORDER_REFLECT)
    return cells - smooth
