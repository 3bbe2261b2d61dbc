"""Kinds of files that the decoders here do not read, or read wrong without a word: each is refused by its name."""

import re
from pathlib import Path

from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images.formats import image_format, shown

_HEAD_BYTES = 4096
_EXPORT = "Export it as an ordinary JPEG or PNG."
# What else people put beside their photos, by its first bytes, without white space and in lower case
_OTHERS = (
    (rb"8bps", "a Photoshop file"), (rb"%!ps", "a PostScript file"), (rb"v/1\x01", "an OpenEXR picture"),
    (rb"#\?radiance", "a Radiance picture"), (rb"ii\xbc", "a JPEG XR picture"), (rb"qoif", "a QOI picture"),
    (rb"pk\x03\x04", "a ZIP archive or a document"), (rb"<!doctype html|<html", "a web page"),
    (rb"(<\?xml.*?)?(<!.*?)?<svg", "an SVG drawing"),
)  # fmt: skip
# Frames of a JPEG (ITU-T T.81, table B.1; T.87) that are not those of photographs
_FRAME = re.compile(rb"\xff([\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7])..(.)", re.DOTALL)
_FRAMES = {0xC3: "lossless ", 0xF7: "JPEG-LS, "}
# Tags of a TIFF, and the size of pixels in a JPEG 2000 (ITU-T T.800, A.5.1)
_BITS, _PHOTOMETRIC, _PLANES = 258, 262, 284
_JPEG_2000_SIZES = re.compile(rb"\xff\x4f\xff\x51.{38}([\x00-\x7f])", re.DOTALL)


def not_read(path: Path) -> BadInput:
    """Returns the error for a file of which no decoder here knows the header."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    name = image_format(path)
    if not name:
        words = next(
            (
                words
                for magic, words in _OTHERS
                if re.match(magic, head.removeprefix(b"\xef\xbb\xbf").lstrip().lower(), re.DOTALL)
            ),
            "",
        )
        what = f"is {words}" if words else "is not an image that can be read"
        return BadInput(f"{shown(path)} {what} (by its content, whatever its name says).", _EXPORT)
    if name == "JPEG" and (frame := _FRAME.search(path.read_bytes())):
        kind, bits = frame[1][0], frame[2][0]
        if kind in _FRAMES or bits != 8:
            return BadInput(f"{shown(path)} is a JPEG of a kind that is not read ({_FRAMES.get(kind, '')}{bits}-bit).", _EXPORT)
    return BadInput(f"{shown(path)} begins like {name}, but is damaged or of a kind of {name} that is not read.", _EXPORT)


def check_kind(image: Image.Image, path: Path) -> None:
    """Raises BadInput where Pillow opens a file, but would give other colours than the file holds."""
    if image.format == "TIFF" and max(image.tag_v2.get(_BITS, (8,))) > 8:  # type: ignore[attr-defined]  # TIFF images alone have it
        is_planar = image.mode != "I;16" and image.tag_v2.get(_PLANES) == 2  # type: ignore[attr-defined]
        if is_planar or image.tag_v2.get(_PHOTOMETRIC) == 0:  # type: ignore[attr-defined]
            order = "with its colours apart" if is_planar else "where 0 is white"
            raise BadInput(f"{shown(path)} is a 16-bit TIFF {order}, which is not read.", _EXPORT)
    if image.format == "JPEG2000" and not image.mode.startswith("I"):
        with path.open("rb") as file:
            sizes = _JPEG_2000_SIZES.search(file.read(_HEAD_BYTES))
        if sizes and sizes[1][0] > 7:
            raise BadInput(f"{shown(path)} is a JPEG 2000 of {sizes[1][0] + 1}-bit colours, which is not read.", _EXPORT)
