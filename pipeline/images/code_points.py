"""The code points (ITU-T H.273) by which a PNG, a HEIC, an AVIF or a film names its colours: those of its main picture."""

import re
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HDR_CURVES = {16: "PQ", 18: "HLG"}
_MAX_BOX_BYTES = 2**24
_MAX_CHUNKS = 1000
_MAX_DERIVATIONS = 8


class CodePoints(NamedTuple):
    """`primaries` and `curve` (transfer characteristics) are codes of ITU-T H.273; 2 says that neither is told."""

    primaries: int
    curve: int

    @property
    def hdr(self) -> str:
        """Returns "PQ" or "HLG" where the numbers are meant for an HDR screen, "" for any other."""
        return _HDR_CURVES.get(self.curve, "")


def code_points(path: Path) -> CodePoints | None:
    """Returns what a PNG (chunk cICP), the main picture of a HEIC or AVIF, or a film (box colr) says; None where none does."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head.startswith(b"\x89PNG"):
                return _of_png(file)
            if head[4:8] == b"ftyp":
                return _of_heif(_box(file, b"meta")[4:]) or _of_film(_box(file, b"moov"))
    except (OSError, struct.error, LookupError, ValueError, OverflowError):  # damaged: its decoder will say how
        pass
    return None


def _of_png(file: BinaryIO) -> CodePoints | None:
    at = 8
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"cICP":
            return CodePoints(*struct.unpack(">BB", file.read(2)))
        if kind in (b"IDAT", b"IEND"):
            break
        at += 12 + length
    return None


def _box(file: BinaryIO, wanted: bytes) -> bytes:
    """Returns the content of the first box of a kind, b"" where there is none."""
    at = 0
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        if len(head := file.read(8)) < 8:
            break
        (size, kind), header = struct.unpack(">I4s", head), 8
        if size == 1:
            (size,), header = struct.unpack(">Q", file.read(8)), 16
        if kind == wanted:
            return file.read(min(max(size - header, 0), _MAX_BOX_BYTES) if size else _MAX_BOX_BYTES)
        if size < header:
            break
        at += size
    return b""


def _of_heif(meta: bytes) -> CodePoints | None:
    boxes = _boxes(meta)
    if b"pitm" not in boxes:
        return None
    main = boxes[b"pitm"][0]
    (item,) = struct.unpack_from(">H" if main[0] == 0 else ">I", main, 4)
    inner = _boxes(boxes[b"iprp"][0])
    properties = _listed(inner[b"ipco"][0])
    for _ in range(_MAX_DERIVATIONS):
        for number in _of_item(inner[b"ipma"], item):
            kind, content = properties[number - 1] if 0 < number <= len(properties) else (b"", b"")
            if kind == b"colr" and content[:4] == b"nclx":
                return CodePoints(*struct.unpack_from(">HH", content, 4))
        item = _made_of(boxes[b"iref"][0], item)  # a grid may leave it to its tiles
    return None


def _of_film(tracks: bytes) -> CodePoints | None:
    found = re.search(rb"colrncl[xc](.{4})", tracks, re.DOTALL)  # only a track of pictures holds it
    return CodePoints(*struct.unpack(">HH", found[1])) if found else None


def _made_of(references: bytes, item: int) -> int:
    """Returns the first of the items that an item is put together from (ISO 14496-12, 8.11.12).

    Raises:
        LookupError: it is not put together.
    """
    number = ">H" if references[0] == 0 else ">I"
    size = struct.calcsize(number)
    for kind, content in _listed(references[4:]):
        if kind == b"dimg" and struct.unpack_from(number, content)[0] == item:
            return int(struct.unpack_from(number, content, size + 2)[0])
    raise LookupError(item)


def _listed(content: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the boxes in a box, (kind, content), in their order."""
    found, at = [], 0
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        size = size if size >= 8 else len(content) - at
        found.append((kind, content[at + 8 : at + size]))
        at += size
    return found


def _boxes(content: bytes) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for kind, inside in _listed(content):
        found.setdefault(kind, []).append(inside)
    return found


def _of_item(tables: list[bytes], item: int) -> list[int]:
    """Returns the numbers, from 1, of the properties that the tables (ISO 23008-12, 9.3) give an item."""
    for table in tables:
        version, is_wide, at = table[0], table[3] & 1, 8
        for _ in range(struct.unpack_from(">I", table, 4)[0]):
            found, n = struct.unpack_from(">HB" if version == 0 else ">IB", table, at)
            at += 3 if version == 0 else 5
            numbers = struct.unpack_from(f">{n}{'H' if is_wide else 'B'}", table, at)
            at += n * (2 if is_wide else 1)
            if found == item:
                return [number & (0x7FFF if is_wide else 0x7F) for number in numbers]
    return []
