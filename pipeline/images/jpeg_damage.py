"""Whether all of a JPEG was there: its decoder fills up with grey what is missing, and says so on standard error alone."""

import re
from pathlib import Path

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.images.formats import shown
from pipeline.images.limits import told

# What is not stuffed, filled, or a restart within coded data; and the markers of frames that are not progressive
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_PROGRESSIVE, _SCAN, _LAST = 0xC2, 0xDA, 0xD9
_OTHER_FRAMES = (0xC0, 0xC1, 0xC3)
_END = np.array([0xFF, 0xD9], np.uint8)
# Some cameras pad the coded data before its end by a few bytes; what stands before the tables belongs to no picture.
_MAX_PADDING_BYTES = 64
_HARMLESS = re.compile(r"(\d+) extraneous bytes before marker 0x(?:(d9)|db|e.|c[0-2])")


def check_whole(path: Path, decoder_tells: bool) -> None:
    """Does nothing for a JPEG that is whole; looks in the child process only, where what decoders say is kept.

    Args:
        decoder_tells: the file was decoded by a library that says what is missing; else it is decoded once more for that.

    Raises:
        BadInput: a part of its data is missing or cannot be decoded.
    """
    if told() is None:
        return
    if not decoder_tells:
        _decoded_once_more(path)
    for line in (told() or "").splitlines():
        kind, _, trouble = line.partition("Corrupt JPEG data: ")
        padding = _HARMLESS.match(trouble)
        is_harmless = padding and (not padding[2] or int(padding[1]) <= _MAX_PADDING_BYTES)
        if trouble and not kind and not is_harmless:
            raise BadInput(f"{shown(path)} is truncated or damaged: {trouble}.", "Copy or export it again.")
    if not _brings_every_bit(path.read_bytes()):
        raise BadInput(f"{shown(path)} is truncated: its last scans are missing.", "Copy or export it again.")


def _decoded_once_more(path: Path) -> None:
    """Decodes at an eighth of the size; an end mark after the file lets the decoder say what is missing before it."""
    import cv2

    cv2.imdecode(np.append(np.fromfile(path, np.uint8), _END), cv2.IMREAD_REDUCED_GRAYSCALE_8)


def _brings_every_bit(data: bytes) -> bool:
    """Whether the scans of a progressive JPEG bring each coefficient down to its last bit (ITU T.81, G.1.1.1); others do."""
    missing: dict[int, list[int]] = {}
    at = 2
    try:
        while (marker := _MARKER.search(data, at)) and marker[0][1] != _LAST:
            kind, at = marker[0][1], marker.end()
            length = int.from_bytes(data[at : at + 2], "big")
            segment, at = data[at + 2 : at + length], at + length
            if kind in _OTHER_FRAMES:
                return True
            if kind == _PROGRESSIVE:
                missing = {segment[6 + 3 * i]: [16] * 64 for i in range(segment[5])}
            elif kind == _SCAN:
                first, last, bits = segment[1 + 2 * segment[0] : 4 + 2 * segment[0]]
                for i in range(segment[0]):
                    missing[segment[1 + 2 * i]][first : last + 1] = [bits & 15] * (last + 1 - first)
    except (LookupError, ValueError):  # odder than its decoder found it
        return True
    return not any(map(any, missing.values()))
