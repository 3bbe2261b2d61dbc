"""QR codes in a photograph: which are there, and where their corners lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

import cv2
import numpy as np

from pipeline.fiducials.payload import decode_payload
from pipeline.fiducials.refinement import agreement, order_corners, refine_corners

_MODULES = {"zxing-cpp": "zxingcpp", "pyzbar": "pyzbar.pyzbar"}
_MIN_AGREEMENT = 0.65


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One code found: its text, its corners in the photo and the decoder that read it.

    `corners` is float64 (4, 2): top left, top right, bottom right, bottom left of the code's own frame, at the outer edge of
    its modules, in photo pixels with whole numbers at pixel centres.
    """

    text: str
    corners: np.ndarray
    decoder: str


def detect(photo: np.ndarray, expected: int = 4) -> list[Detection]:
    """Returns the QR codes of a photo, ours first with corners aligned to a few hundredths of a pixel, in a fixed order.

    zxing-cpp reads the photo as it is. Only while fewer than `expected` of our codes are found follow: the photo with its
    local contrast evened out (CLAHE, clip 2, 8 x 8 tiles), the photo enlarged 1.5 times, and pyzbar, where it is installed.

    Args: `photo` uint8, (H, W, 3) RGB or (H, W); `expected` number of our codes that makes the search stop.
    Returns: an empty list when nothing is found. Codes of other makers keep the decoder's own corners, good to about a pixel.
    """
    grey = _grey(photo)
    found: list[Detection] = []
    for image, scale, decoder in _treatments(grey):
        found = _merged(found, [_finished(grey, text, corners / scale, decoder) for text, corners in _read(image, decoder)])
        if sum(decode_payload(detection.text) is not None for detection in found) >= expected:
            break
    return sorted(found, key=lambda detection: (decode_payload(detection.text) is None, detection.text, *detection.corners[0]))


def detect_near(photo: np.ndarray, corners: np.ndarray, payload: str) -> Detection | None:
    """Returns one known code, looked for only where the rest of the page says it is, or None.

    Its known modules are aligned to the photo and compared with it, which works in blur and noise that no decoder can read. It
    counts as found when the modules agree with a correlation of 0.65, which no other code of the run reaches.

    Args: `photo` uint8, (H, W, 3) RGB or (H, W); `corners` float (4, 2), where its corners should be, good to about one
    module; `payload` what it must say.
    """
    grey = _grey(photo)
    aligned = refine_corners(grey, corners, payload)
    return Detection(payload, aligned, "alignment") if agreement(grey, aligned, payload) >= _MIN_AGREEMENT else None


def decoders() -> dict[str, str | None]:
    """Returns the decoders in the order of use: None where one works on this machine, else why not and what to install."""
    return {name: reason or None for name in _MODULES for reason in [_decoder(name)[1]]}


def _treatments(grey: np.ndarray) -> Iterator[tuple[np.ndarray, float, str]]:
    """Yields (image, its scale, decoder), cheapest first; each image is made only when the search gets there."""
    yield grey, 1.0, "zxing-cpp"
    yield _evened(grey), 1.0, "zxing-cpp"
    yield cv2.resize(grey, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR), 1.5, "zxing-cpp"
    yield grey, 1.0, "pyzbar"


def _grey(photo: np.ndarray) -> np.ndarray:
    if photo.dtype != np.uint8 or photo.ndim not in (2, 3):
        raise ValueError(f"photo: expected uint8 (H, W, 3) or (H, W), got {photo.dtype} {photo.shape}")
    return np.ascontiguousarray(photo) if photo.ndim == 2 else cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)


def _evened(grey: np.ndarray) -> np.ndarray:
    return cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(grey)


def _read(grey: np.ndarray, decoder: str) -> list[tuple[str, np.ndarray]]:
    """Returns (text, corners float64 (4, 2) at pixel centres of `grey`) of each code, nothing where the decoder is missing."""
    module = _decoder(decoder)[0]
    if module is None:
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
            seen.append((code.data.decode("utf-8", errors="replace"), corners))
    return seen


def _finished(grey: np.ndarray, text: str, corners: np.ndarray, decoder: str) -> Detection:
    """Returns the detection with the corners of one of our codes put in order and refined."""
    if decode_payload(text) is not None:
        corners = refine_corners(grey, order_corners(grey, corners, text), text)
    return Detection(text, corners, decoder)


def _merged(found: list[Detection], more: list[Detection]) -> list[Detection]:
    """Returns `found` and those of `more` that are not the same code at the same place."""
    return found + [new for new in more if not any(_same(new, old) for old in found)]


def _same(one: Detection, other: Detection) -> bool:
    apart = np.linalg.norm(one.corners.mean(axis=0) - other.corners.mean(axis=0))
    return one.text == other.text and apart < 0.5 * np.linalg.norm(one.corners[0] - one.corners[2])


@cache
def _decoder(name: str) -> tuple[ModuleType | None, str]:
    """Returns the decoder's module and "", or None and the reason in one line."""
    try:
        return import_module(_MODULES[name]), ""
    except (ImportError, OSError) as error:
        if "zbar shared library" in str(error):
            return None, "the system library libzbar is missing (Debian, Ubuntu: apt install libzbar0; macOS: brew install zbar)"
        return None, f"it cannot be loaded ({error}); pip install {name}"
