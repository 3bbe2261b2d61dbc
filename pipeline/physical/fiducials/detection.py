"""QR codes in a photograph: which are there, and where their corners lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

import cv2
import numpy as np

from pipeline.physical.fiducials.payload import decode_payload
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.fiducials.recognition import order_corners

_MODULES = {"zxing-cpp": "zxingcpp", "pyzbar": "pyzbar.pyzbar"}
FIRST_LONG_SIDE_PX = 2200
_LARGEST_TO_ENLARGE_PX = 6000
# A code has 21 modules; zxing-cpp refuses longer sides.
_LEAST_SIDE_PX, _LARGEST_SIDE_PX = 21, 65_535


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One code found: its text, its corners in the photo and the decoder that read it.

    `corners` is float64 (4, 2): top left, top right, bottom right, bottom left of the code's own frame, at the outer edge of
    its modules, in photo pixels with whole numbers at pixel centres.
    """

    text: str
    corners: np.ndarray
    decoder: str

    def is_same_as(self, other: "Detection") -> bool:
        """Returns whether both are one printed code: the same text in the same place."""
        apart = np.linalg.norm(self.corners.mean(axis=0) - other.corners.mean(axis=0))
        return bool(self.text == other.text and apart < 0.5 * np.linalg.norm(self.corners[0] - self.corners[2]))


def search(pyramid: Pyramid) -> Iterator[tuple[Detection, ...]]:
    """Yields all codes found so far after each treatment of the photo, the cheapest first; stop when it is enough.

    zxing-cpp reads the photo shrunk to about 2000 px, then larger up to its full size, with local contrast evened out (CLAHE,
    clip 2, 8 x 8 tiles), enlarged 1.5 times, and divided by its local background; pyzbar reads it full and halved, where it is
    installed. Corners are the decoder's own, within about a module, those of our codes in the code's own order.
    """
    found: tuple[Detection, ...] = ()
    for image, scale, decoder in _treatments(pyramid):
        for text, corners in _read(image, decoder):
            corners = (corners + 0.5) / scale - 0.5
            if decode_payload(text) is not None:
                corners = order_corners(pyramid.grey, corners, text)
            new = Detection(text, corners, decoder)
            if not any(new.is_same_as(old) for old in found):
                found += (new,)
        yield found


def decoders() -> dict[str, str | None]:
    """Returns the decoders in the order of use: None where one works on this machine, else why not and what to install."""
    return {name: reason or None for name in _MODULES for reason in [_decoder(name)[1]]}


def _treatments(pyramid: Pyramid) -> Iterator[tuple[np.ndarray, float, str]]:
    """Yields (image, its scale, decoder); each image is made only when the search gets there."""
    smallest = pyramid.level_of(FIRST_LONG_SIDE_PX)
    for k in range(smallest, -1, -1):
        yield pyramid.level(k), 0.5**k, "zxing-cpp"
    yield _evened(pyramid.grey), 1.0, "zxing-cpp"
    if max(pyramid.size) <= _LARGEST_TO_ENLARGE_PX:
        yield cv2.resize(pyramid.grey, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR), 1.5, "zxing-cpp"
    yield _without_background(pyramid.grey), 1.0, "zxing-cpp"
    yield pyramid.grey, 1.0, "pyzbar"
    yield pyramid.level(1), 0.5, "pyzbar"


def _evened(grey: np.ndarray) -> np.ndarray:
    return cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(grey)


def _without_background(grey: np.ndarray) -> np.ndarray:
    """Returns the photo over its surroundings' brightness, which lifts codes out of shadow and glare."""
    small = cv2.resize(grey, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA) if min(grey.shape) >= 64 else grey
    around = cv2.GaussianBlur(small, (0, 0), max(1.0, max(small.shape) / 40))
    around = cv2.resize(around, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.divide(grey, np.maximum(around, 1), scale=160)


def _read(grey: np.ndarray, decoder: str) -> list[tuple[str, np.ndarray]]:
    """Returns (text, corners float64 (4, 2) at pixel centres of `grey`) of each code, nothing where the decoder is missing."""
    module = _decoder(decoder)[0]
    if module is None or min(grey.shape) < _LEAST_SIDE_PX or max(grey.shape) > _LARGEST_SIDE_PX:
        return []
    return _read_zxing(module, grey) if decoder == "zxing-cpp" else _read_zbar(module, grey)


def _read_zxing(zxing: ModuleType, grey: np.ndarray) -> list[tuple[str, np.ndarray]]:
    seen = []
    for code in zxing.read_barcodes(grey, formats=zxing.BarcodeFormat.QRCode):
        place = code.position
        points = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
        # Its whole-number positions count pixel edges; ours count pixel centres.
        seen.append((code.text, np.array([(point.x, point.y) for point in points], dtype=np.float64) - 0.5))
    return seen


def _read_zbar(zbar: ModuleType, grey: np.ndarray) -> list[tuple[str, np.ndarray]]:
    try:
        codes = zbar.decode(grey, symbols=[zbar.ZBarSymbol.QRCODE])
    except ValueError:  # of a code in several parts zbar does not tell the orientation, which pyzbar does not expect
        return []
    seen = []
    for code in codes:
        if len(code.polygon) == 4:
            # The polygon is a convex hull: cyclic, but it starts anywhere and runs either way.
            corners = np.array(code.polygon, dtype=np.float64) - 0.5
            seen.append((code.data.decode("utf-8", errors="replace"), corners))
    return seen


@cache
def _decoder(name: str) -> tuple[ModuleType | None, str]:
    """Returns the decoder's module and "", or None and the reason in one line."""
    try:
        return import_module(_MODULES[name]), ""
    except (ImportError, OSError) as error:
        if "zbar shared library" in str(error):
            return None, "the system library libzbar is missing (Debian, Ubuntu: apt install libzbar0; macOS: brew install zbar)"
        return None, f"it cannot be loaded ({error}); pip install {name}"
