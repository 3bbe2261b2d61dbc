"""Codes and tags in a photograph: which are there, where their corners lie, and whether a known code is where it should be."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from pipeline.physical.fiducials.codes import N_MODULES, TAG_FAMILY, decode_payload, modules
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.fiducials.treatments import GLANCE, THOROUGH, Treatment, treatments
from pipeline.physical.geometry import SQUARE

_MODULES = {"zxing-cpp": "zxingcpp", "pyzbar": "pyzbar.pyzbar"}
_LEAST_SIDE_PX, _LARGEST_SIDE_PX = 21, 65_535  # a code has 21 modules; zxing-cpp refuses longer sides
_DATA = np.ones((N_MODULES, N_MODULES), dtype=bool)  # where codes differ: not in the finder and timing patterns
_DATA[:9, :9] = _DATA[:9, 13:] = _DATA[13:, :9] = _DATA[6] = _DATA[:, 6] = False
# Whoever agrees so well with its modules has its corners in its own order: in any other the finders' share is all that agrees.
_SURE_AGREEMENT = 0.75
_TURNS = tuple(tuple((start + step * k) % 4 for k in range(4)) for step in (1, -1) for start in range(4))


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
    image = treatment.image(pyramid) if _decoder(treatment.decoder) else None
    codes = []
    for text, corners in _read(image, treatment.decoder, treatment.effort) if image is not None else ():
        corners = (corners + 0.5) / treatment.scale - 0.5
        if decode_payload(text) is not None:
            corners = order_corners(pyramid.grey, corners, text)
        codes.append(Detection(text, corners, treatment.decoder))
    return codes


def agreement(photo_grey: np.ndarray, corners: np.ndarray, payload: str) -> float:
    """Returns how well the photo's modules agree with those of `payload`, as a correlation coefficient in [-1, 1].

    Codes of one run begin with the same letters and so agree by 0.3 on average and by 0.6 at most; a blank sheet scores about 0.
    `photo_grey` is uint8 (H, W), `corners` float (4, 2), TL TR BR BL, in photo pixels.
    """
    seen = straightened(photo_grey, corners, N_MODULES)[_DATA]
    return float(_correlations(seen[None], ~modules(payload)[_DATA])[0])


def is_negative(photo_grey: np.ndarray, code: Detection) -> bool:
    """Returns whether one of our codes has dark and light exchanged, as in a photo of inverted colours: decoders read it too."""
    if agreement(photo_grey, code.corners, code.text) >= _SURE_AGREEMENT:
        return False
    seen = _seen_in_turns(photo_grey, code.corners)
    scores = _correlations(seen[:, _DATA], ~modules(code.text)[_DATA])
    return bool(-scores.min() > scores.max())


def order_corners(photo_grey: np.ndarray, corners: np.ndarray, payload: str) -> np.ndarray:
    """Returns `corners` turned and, if the photo is mirrored, flipped, so that they are TL TR BR BL of the code itself.

    Of the eight orders of the four corners, float (4, 2), the one that agrees best with the known modules; the first on a draw.
    """
    corners = np.asarray(corners, dtype=np.float64)
    if agreement(photo_grey, corners, payload) >= _SURE_AGREEMENT:
        return corners
    scores = _correlations(_seen_in_turns(photo_grey, corners).reshape(len(_TURNS), -1), ~modules(payload).ravel())
    best = int(np.argmax(scores))
    return corners[list(_TURNS[best])] if scores[best] > scores[0] + 0.05 else corners


def _seen_in_turns(photo_grey: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Returns a code's modules as seen with its corners in each order of `_TURNS`, (8, 21, 21)."""
    seen = straightened(photo_grey, corners, N_MODULES)
    turned = [np.rot90(seen, k) for k in range(4)]
    return np.array(turned + [one.T for one in turned])


def _correlations(seen: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns the correlation of each row of `seen` (N, K) with `known` (K,), 0 where either is flat."""
    seen, known = seen - seen.mean(axis=1, keepdims=True), known - known.mean()
    spreads = np.linalg.norm(seen, axis=1) * np.linalg.norm(known)
    return np.divide(seen @ known, spreads, out=np.zeros(len(seen)), where=spreads > 0)


def straightened(photo_grey: np.ndarray, outline: np.ndarray, side_px: int) -> np.ndarray:
    """Returns what lies within an outline, TL TR BR BL in photo pixels, as a square of so many pixels, interpolated linearly."""
    square = (SQUARE * side_px - 0.5).astype(np.float32)
    photo_from_square = cv2.getPerspectiveTransform(square, outline.astype(np.float32))
    size, flags = (side_px, side_px), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(photo_grey, photo_from_square, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def detect_tags(photo_grey: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Returns (id, corners float64 (4, 2): TL TR BR BL of the tag's own frame, photo px) of each tag, good to about a pixel."""
    corners, ids, _ = cv2.aruco.ArucoDetector(TAG_FAMILY).detectMarkers(photo_grey)
    tags = ids.ravel() if corners else ()
    return [(int(tag), quad.reshape(4, 2).astype(np.float64)) for tag, quad in zip(tags, corners, strict=True)]


def _read(grey: np.ndarray, decoder: str, effort: int = THOROUGH) -> list[tuple[str, np.ndarray]]:
    """Returns (text, corners float64 (4, 2) at pixel centres of `grey`) of each code, nothing where the decoder is missing."""
    module = _decoder(decoder)
    if module is None or min(grey.shape) < _LEAST_SIDE_PX or max(grey.shape) > _LARGEST_SIDE_PX:
        return []
    seen: list[tuple[str, Any]]
    if decoder == "zxing-cpp":
        is_thorough = effort == THOROUGH
        threshold = module.Binarizer.GlobalHistogram if effort == GLANCE else module.Binarizer.LocalAverage
        how = {"try_downscale": is_thorough, "try_invert": is_thorough, "binarizer": threshold}
        codes = [(code.text, code.position) for code in module.read_barcodes(grey, formats=module.BarcodeFormat.QRCode, **how)]
        order = ("top_left", "top_right", "bottom_right", "bottom_left")
        seen = [(text, [(getattr(at, name).x, getattr(at, name).y) for name in order]) for text, at in codes]
    else:  # the polygon is a convex hull: cyclic, but it starts anywhere and runs either way
        try:
            found = module.decode(grey, symbols=[module.ZBarSymbol.QRCODE])
        except ValueError:  # of a code in several parts zbar does not tell the orientation, which pyzbar does not expect
            return []
        seen = [(_text_of(code.data), code.polygon) for code in found if len(code.polygon) == 4]
    # whole-number positions count pixel edges; ours count pixel centres
    return [(text, np.array(points, dtype=np.float64) - 0.5) for text, points in seen]


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
def _decoder(name: str) -> ModuleType | None:
    """Returns the decoder's module, None where it cannot be loaded: pyzbar needs a system library."""
    try:
        return import_module(_MODULES[name])
    except (ImportError, OSError):
        return None
