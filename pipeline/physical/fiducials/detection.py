"""QR codes in a photograph: which are there, and where their corners lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np

from pipeline.physical.fiducials.payload import decode_payload
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.fiducials.recognition import order_corners
from pipeline.physical.fiducials.treatments import Treatment, treatments

_MODULES = {"zxing-cpp": "zxingcpp", "pyzbar": "pyzbar.pyzbar"}
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
    """Yields all codes found so far after each treatment of the photo (see `treatments`); stop when it is enough.

    Corners are the decoder's own, within about a module, those of our codes in the code's own order.
    """
    found: tuple[Detection, ...] = ()
    for treatment in treatments(pyramid):
        for new in read_treated(pyramid, treatment):
            if not any(new.is_same_as(old) for old in found):
                found += (new,)
        yield found


def read_treated(pyramid: Pyramid, treatment: Treatment) -> list[Detection]:
    """Returns the codes that one treatment of a photo shows; nothing where its decoder is missing."""
    image = treatment.image(pyramid) if _decoder(treatment.decoder)[0] else None
    codes = []
    for text, corners in _read(image, treatment.decoder) if image is not None else ():
        corners = (corners + 0.5) / treatment.scale - 0.5
        if decode_payload(text) is not None:
            corners = order_corners(pyramid.grey, corners, text)
        codes.append(Detection(text, corners, treatment.decoder))
    return codes


def decoders() -> dict[str, str | None]:
    """Returns the decoders in the order of use: None where one works on this machine, else why not and what to install."""
    return {name: reason or None for name in _MODULES for reason in [_decoder(name)[1]]}


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
    seen = []
    for code in zbar.decode(grey, symbols=[zbar.ZBarSymbol.QRCODE]):
        if len(code.polygon) == 4:
            # The polygon is a convex hull: cyclic, but it starts anywhere and runs either way.
            corners = np.array(code.polygon, dtype=np.float64) - 0.5
            seen.append((_text_of(code.data), corners))
    return seen


def _text_of(data: bytes) -> str:
    """Returns what a code says: zbar takes UTF-8 for Shift-JIS or Big5, so its text is written so again and read as UTF-8."""
    text = data.decode("utf-8", errors="replace")
    for guess in ("cp932", "big5"):
        try:
            return text.encode(guess).decode("utf-8")
        except UnicodeError:
            continue
    return text


@cache
def _decoder(name: str) -> tuple[ModuleType | None, str]:
    """Returns the decoder's module and "", or None and the reason in one line."""
    try:
        return import_module(_MODULES[name]), ""
    except (ImportError, OSError) as error:
        if "zbar shared library" in str(error):
            return None, "the system library libzbar is missing (Debian, Ubuntu: apt install libzbar0; macOS: brew install zbar)"
        return None, f"it cannot be loaded ({error}); pip install {name}"
