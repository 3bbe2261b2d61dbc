"""The sixteen characters of a page's QR code: format version, run, page, corner, and a checksum over them."""

import base64
import hashlib
import re
from dataclasses import dataclass

import numpy as np

from pipeline.records import CORNERS

MAX_PAGE = 36**3 - 1
# Run codes that begin with this belong to the calibration page; the rest tells its paper and orientation.
CALIBRATION = "CAL"

_RUN_CODE = re.compile(r"[A-Z2-7]{5}")
_PAYLOAD = re.compile(r"IP1([A-Z2-7]{5})([0-9A-Z]{3})([0-3])([A-Z2-7]{4})")


@dataclass(frozen=True, slots=True)
class Payload:
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
