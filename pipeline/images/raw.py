"""Cameras' raw files: which kind a file is, by its content, and its picture, developed by LibRaw."""

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.images.to_rgb import LoadedImage

RAW_FORMATS = ("DNG", "CR2", "CR3", "NEF", "ARW", "RAF", "ORF", "RW2", "PEF", "SRW", "RAW")

_MAGIC = ((b"FUJIFILMCCD-RAW", "RAF"), (b"IIRO", "ORF"), (b"IIRS", "ORF"), (b"MMOR", "ORF"), (b"IIU\0", "RW2"))
_MAKERS = (("NIKON", "NEF"), ("SONY", "ARW"), ("PENTAX", "PEF"), ("RICOH", "PEF"), ("SAMSUNG", "SRW"), ("CANON", "CR2"))
# TIFF tags (TIFF 6.0, TIFF/EP, DNG 1.7) and the two ways in which pixels may be those of a sensor
_PHOTOMETRIC, _MAKE, _SUB_IFDS, _DNG_VERSION = 262, 271, 330, 50706
_SENSOR = (32803, 34892)
_MAX_TAGS, _MAX_SUB_IFDS, _MAX_MAKE_CHARS = 1000, 8, 40


def raw_kind(file: BinaryIO) -> str:
    """Returns which raw file an open file is, a name of RAW_FORMATS, "" for any other file; it is left where it was read to."""
    file.seek(0)
    head = file.read(16)
    if head[4:12] == b"ftypcrx ":
        return "CR3"
    if named := next((name for magic, name in _MAGIC if head.startswith(magic)), ""):
        return named
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return ""
    if head[8:10] == b"CR":
        return "CR2"
    try:
        return _kind_of_tiff(file, "<" if head[:1] == b"I" else ">")
    except (struct.error, OSError, ValueError):  # it is cut off, or leads out of the file
        return ""


def developed(path: Path, kind: str, max_pixels: int | None = None) -> LoadedImage:
    """Returns a raw file's picture as sRGB: the camera's white balance, the sRGB curve, no brightening, upright.

    Raises:
        BadInput: larger than `max_pixels`, or no raw file that this LibRaw knows.
    """
    import rawpy

    with path.open("rb") as file:
        try:
            with rawpy.imread(file) as raw:
                n_pixels = raw.sizes.iheight * raw.sizes.iwidth
                if max_pixels and n_pixels > max_pixels:
                    raise BadInput(f"The raw file has {n_pixels / 1e6:.0f} megapixels; at most {max_pixels / 1e6:.0f} are read.")
                pixels = raw.postprocess(
                    use_camera_wb=True,
                    output_color=rawpy.ColorSpace.sRGB,
                    gamma=(2.4, 12.92),
                    no_auto_bright=True,
                    output_bps=8,
                )
        except rawpy.LibRawError as error:
            words = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
            what = f"It is a raw file ({kind}) that cannot be developed: {words}."
            raise BadInput(what, "Export it as JPEG.") from (MemoryError() if "memory" in words.lower() else error)
    return LoadedImage(np.ascontiguousarray(pixels), (f"developed from a raw file ({kind})",))


def _kind_of_tiff(file: BinaryIO, order: str) -> str:
    file.seek(4)
    (start,) = struct.unpack(order + "I", file.read(4))
    first = _tags(file, order, start)
    if _DNG_VERSION in first:
        return "DNG"
    _, n_subs, where = first.get(_SUB_IFDS, (0, 0, b""))
    n_subs = min(n_subs, _MAX_SUB_IFDS)
    subs = struct.unpack(f"{order}{n_subs}I", _content(file, order, 4 * n_subs, where))
    if not any(_is_of_sensor(order, tags) for tags in (first, *(_tags(file, order, sub) for sub in subs))):
        return ""
    _, n_chars, where = first.get(_MAKE, (0, 0, b""))
    make = _content(file, order, min(n_chars, _MAX_MAKE_CHARS), where).decode("latin-1").upper()
    return next((kind for name, kind in _MAKERS if name in make), "RAW")


def _tags(file: BinaryIO, order: str, start: int) -> dict[int, tuple[int, int, bytes]]:
    """Returns (type, count, value or its place) of each tag in a table of a TIFF."""
    file.seek(start)
    (n_tags,) = struct.unpack(order + "H", file.read(2))
    entries = (struct.unpack(order + "HHI4s", file.read(12)) for _ in range(min(n_tags, _MAX_TAGS)))
    return {tag: (kind, count, value) for tag, kind, count, value in entries}


def _content(file: BinaryIO, order: str, n_bytes: int, value: bytes) -> bytes:
    """Returns what a tag holds: in place, or where its value leads."""
    if n_bytes <= 4:
        return value[:n_bytes]
    file.seek(struct.unpack(order + "I", value)[0])
    return file.read(n_bytes)


def _is_of_sensor(order: str, tags: dict[int, tuple[int, int, bytes]]) -> bool:
    _, _, value = tags.get(_PHOTOMETRIC, (0, 0, bytes(4)))
    return struct.unpack(order + "H", value[:2])[0] in _SENSOR
