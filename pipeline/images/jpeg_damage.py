"""Whether all of a JPEG was there: its decoder fills up with grey what is missing, and says so on standard error alone."""

import re
from pathlib import Path

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.images.formats import shown
from pipeline.images.limits import told

_END = np.array([0xFF, 0xD9], np.uint8)
# Some cameras pad the coded data before its end by a few bytes.
_MAX_PADDING_BYTES = 64


def check_whole(path: Path, decoder_tells: bool) -> None:
    """Does nothing for a JPEG that is whole; looks in the child process only, where what decoders say is kept.

    Args:
        decoder_tells: the file was decoded by a library that says what is missing; else it is decoded once more for that.

    Raises:
        BadInput: a part of its data is missing or cannot be decoded.
    """
    if not decoder_tells:
        _decoded_once_more(path)
    for line in told().splitlines():
        kind, _, trouble = line.partition("Corrupt JPEG data: ")
        padding = re.match(r"(\d+) extraneous bytes before marker 0xd9", trouble)
        if trouble and not kind and not (padding and int(padding[1]) <= _MAX_PADDING_BYTES):
            raise BadInput(f"{shown(path)} is truncated or damaged: {trouble}.", "Copy or export it again.")


def _decoded_once_more(path: Path) -> None:
    """Decodes at an eighth of the size; an end mark after the file lets the decoder say what is missing before it."""
    import cv2

    cv2.imdecode(np.append(np.fromfile(path, np.uint8), _END), cv2.IMREAD_REDUCED_GRAYSCALE_8)
