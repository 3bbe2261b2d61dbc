"""What is done to a photo before a decoder reads it, the cheapest for what it finds first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from pipeline.physical.fiducials.pyramid import Pyramid

FIRST_LONG_SIDE_PX = 2200
_LARGEST_TO_ENLARGE_PX, _LARGEST_TO_TRIPLE_PX = 6000, 2000
_GREY_LEVELS = np.arange(256) / 255
# Widths of what counts as background, as shares of the long side: a shadow's and a module's.
_WIDE, _NARROW = 1 / 40, 1 / 200


GLANCE, FIRST_LOOK, THOROUGH = range(3)


@dataclass(frozen=True, slots=True)
class Treatment:
    """One step of the search: what is made of the photo (None: nothing), how much wider and taller that is, and who reads it.

    `effort`: at `FIRST_LOOK` the decoder need not look for negatives and at smaller versions too: a later step does; at a
    `GLANCE` one threshold for the whole picture has to do as well.
    """

    name: str
    decoder: str
    image: Callable[[Pyramid], np.ndarray | None]
    scale: tuple[float, float] = (1.0, 1.0)
    effort: int = THOROUGH


def treatments(pyramid: Pyramid) -> Iterator[Treatment]:
    """Yields the steps of the search of one photo.

    First the photo itself, shrunk to about 2000 px: a glance, which shows all codes of most photos in a quarter of the time.
    Then so again and larger up to its full size, then once more for negatives and for codes so large or blurred that only a
    smaller version shows them. The rest are in the order of what they
    find that those before them do not, for each second: measured on real photographs of QR codes as they are and made smaller,
    blurred, squeezed, bent, shadowed and glaring (`benchmarks/real_codes.py`). Of 1116 codes so, zxing-cpp alone reads 638, all
    of these 846; the first five add 195 of these 208, the rest at most 4 each. All take 1.5 s of a 12 MP photo without a code.
    """
    first = pyramid.level_of(FIRST_LONG_SIDE_PX)
    for k, effort in ((first, GLANCE), *((k, FIRST_LOOK) for k in range(first, -1, -1))):
        name = "glanced at" if effort == GLANCE else "as it is" if k == 0 else f"shrunk {2**k} times"
        yield Treatment(name, "zxing-cpp", partial(Pyramid.level, k=k), (0.5**k, 0.5**k), effort)
    yield Treatment("looked at closely", "zxing-cpp", partial(Pyramid.level, k=0))
    yield from _TREATMENTS


def _brightened(grey: np.ndarray) -> np.ndarray:
    """Returns the photo brightened by gamma 0.4, which spreads what is dark."""
    return cv2.LUT(grey, np.rint(255 * _GREY_LEVELS**0.4).astype(np.uint8))


def _evened(grey: np.ndarray, clip: float) -> np.ndarray:
    return cv2.createCLAHE(clipLimit=clip, tileGridSize=(8, 8)).apply(grey)


def _without_background(grey: np.ndarray, width: float) -> np.ndarray:
    """Returns the photo over its surroundings' brightness, which lifts codes out of shadow and glare."""
    # a blur of three pixels of a smaller photo is as smooth and costs little
    shrink = int(np.clip(width * max(grey.shape) / 3, 1, 8))
    small = cv2.resize(grey, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA) if min(grey.shape) >= 64 else grey
    around = cv2.GaussianBlur(small, (0, 0), max(1.0, max(small.shape) * width))
    around = cv2.resize(around, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.divide(grey, np.maximum(around, 1), scale=160)


def _enlarged(grey: np.ndarray, across: float, down: float, how: int = cv2.INTER_LINEAR) -> np.ndarray | None:
    """Returns the photo enlarged, None where it is large enough already."""
    largest = _LARGEST_TO_TRIPLE_PX if across * down > 4 else _LARGEST_TO_ENLARGE_PX
    return cv2.resize(grey, None, fx=across, fy=down, interpolation=how) if max(grey.shape) <= largest else None


def _lifted(grey: np.ndarray) -> np.ndarray | None:
    return _enlarged(_without_background(grey, _WIDE), 1.5, 1.5) if max(grey.shape) <= _LARGEST_TO_ENLARGE_PX else None


_TREATMENTS = (
    Treatment("gamma 0.4", "zxing-cpp", lambda photo: _brightened(photo.grey)),
    Treatment("2 times as wide", "zxing-cpp", lambda photo: _enlarged(photo.grey, 2, 1), (2.0, 1.0)),
    Treatment("enlarged 3 times", "zxing-cpp", lambda photo: _enlarged(photo.grey, 3, 3, cv2.INTER_CUBIC), (3.0, 3.0)),
    Treatment("over a narrow background", "zxing-cpp", lambda photo: _without_background(photo.grey, _NARROW)),
    Treatment("2 times as tall", "zxing-cpp", lambda photo: _enlarged(photo.grey, 1, 2), (1.0, 2.0)),
    Treatment("enlarged 1.5 times", "zxing-cpp", lambda photo: _enlarged(photo.grey, 1.5, 1.5), (1.5, 1.5)),
    Treatment("over a wide background, 1.5 times", "zxing-cpp", lambda photo: _lifted(photo.grey), (1.5, 1.5)),
    Treatment("over a wide background", "zxing-cpp", lambda photo: _without_background(photo.grey, _WIDE)),
    Treatment("CLAHE 4", "zxing-cpp", lambda photo: _evened(photo.grey, 4.0)),
    Treatment("CLAHE 2", "zxing-cpp", lambda photo: _evened(photo.grey, 2.0)),
    Treatment("as it is", "pyzbar", lambda photo: photo.grey),
    Treatment("shrunk 2 times", "pyzbar", lambda photo: photo.level(1), (0.5, 0.5)),
)
