"""What is printed at the corners of a page: the sixteen characters of a QR code, its modules, and the cells of AprilTags."""

import base64
import hashlib
import re
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import qrcode
from qrcode.util import MODE_ALPHA_NUM, QRData

from pipeline.physical.geometry import SQUARE
from pipeline.records import CORNERS, Fiducial, Tag

MAX_PAGE = 36**3 - 1
# Run codes that begin with this belong to the calibration page; the rest tells its paper and orientation.
CALIBRATION = "CAL"

_RUN_CODE = re.compile(r"[A-Z2-7]{5}")
_PAYLOAD = re.compile(r"IP1([A-Z2-7]{5})([0-9A-Z]{3})([0-3])([A-Z2-7]{4})")

N_MODULES, QUIET_MODULES = 21, 4

# Which of the eight masks scores best differs between encoders; one fixed mask keeps a printed code and the pattern that a
# later version aligns to it equal. Sixteen characters fill the symbol exactly, so no mask meets a run of padding.
_MASK = 2

# AprilTags (family 36h11, Olson 2011): large cells that are still found where blur hides the modules of a QR code.
TAG_FAMILY = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
N_CELLS = 8
_N_TAGGED_PAGES = 587 // len(CORNERS)


class Payload(NamedTuple):
    """What one code says; `corner` is a name from records.CORNERS."""

    run_code: str
    page: int
    corner: str


def encode_payload(run_code: str, page: int, corner: str) -> str:
    """Returns the 16 upper-case letters and digits of one code: IP, version, run (5), page (3), corner (1), checksum (4).

    Args: `run_code` five characters of A-Z2-7; `page` 1 .. 46655; `corner` one of records.CORNERS.
    Raises: ValueError when one of them is out of range.
    """
    if not _RUN_CODE.fullmatch(run_code):
        raise ValueError(f"run_code: expected five characters of A-Z2-7, got {run_code!r}")
    if not 1 <= page <= MAX_PAGE:
        raise ValueError(f"page: expected 1 .. {MAX_PAGE}, got {page}")
    if corner not in CORNERS:
        raise ValueError(f"corner: expected one of {CORNERS}, got {corner!r}")
    body = f"IP1{run_code}{np.base_repr(page, 36).zfill(3)}{CORNERS.index(corner)}"
    return body + _checksum(body)


def decode_payload(text: str) -> Payload | None:
    """Returns what `text` says, or None when it is not one of our codes or its checksum fails; it never guesses."""
    found = _PAYLOAD.fullmatch(text)
    if found is None or _checksum(text[:-4]) != found[4]:
        return None
    page = int(found[2], 36)
    return Payload(found[1], page, CORNERS[int(found[3])]) if page else None


def _checksum(body: str) -> str:
    return base64.b32encode(hashlib.sha256(body.encode("ascii")).digest())[:4].decode("ascii")


@lru_cache(maxsize=4096)
def modules(payload: str) -> np.ndarray:
    """Returns the code's modules, bool (21, 21), True where dark, read-only, without the quiet zone.

    QR version 1, error correction level Q, alphanumeric mode, mask 2 (ISO/IEC 18004). ValueError when `payload` is not sixteen
    characters of the alphanumeric set.
    """
    if len(payload) != 16 or not payload.isascii() or not payload.isalnum() or payload != payload.upper():
        raise ValueError(f"payload: expected sixteen upper-case letters and digits, got {payload!r}")
    code = qrcode.QRCode(version=1, error_correction=qrcode.constants.ERROR_CORRECT_Q, border=0, mask_pattern=_MASK)
    code.add_data(QRData(payload, mode=MODE_ALPHA_NUM))
    code.make(fit=False)
    matrix = np.array(code.get_matrix(), dtype=bool)
    matrix.setflags(write=False)
    return matrix


def outline_mm(square: Fiducial | Tag) -> np.ndarray:
    """Returns the corners of a printed code or tag on its page, (4, 2) mm."""
    return SQUARE * square.size_mm + (square.x_mm, square.y_mm)


def tag_id(page: int, corner: str) -> int:
    """Returns the id of the tag beside one code; the family has ids for 146 pages, so later pages take the same ones again."""
    return len(CORNERS) * ((page - 1) % _N_TAGGED_PAGES) + CORNERS.index(corner)


@lru_cache(maxsize=1024)
def tag_modules(tag: int) -> np.ndarray:
    """Returns the tag's cells with its black border, bool (8, 8), True where dark, read-only."""
    cells = cv2.aruco.generateImageMarker(TAG_FAMILY, tag, N_CELLS) < 128
    cells.setflags(write=False)
    return cells
