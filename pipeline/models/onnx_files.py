"""Which further files an ONNX file keeps its weights in."""

from collections.abc import Iterator
from pathlib import Path

# The fields of the protocol buffer through which a tensor is reached, by message; see onnx.proto.
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_FIXED_BYTES = {1: 8, 5: 4}


def external_files(file: Path) -> tuple[Path, ...]:
    """Returns the files beside an ONNX file that hold tensors of it, sorted; () where it holds all of them itself.

    Raises:
        ValueError, IndexError: the file is no protocol buffer.
    """
    names = {name.decode() for name in _locations(memoryview(file.read_bytes()), "model")}
    return tuple(file.absolute().parent / name for name in sorted(names))


def _locations(message: memoryview, kind: str) -> Iterator[bytes]:
    for number, content in _fields(message):
        part = _PARTS[kind].get(number)
        if part == "entry":
            entry = dict(_fields(content))
            if bytes(entry.get(1, b"")) == b"location":
                yield bytes(entry.get(2, b""))
        elif part:
            yield from _locations(content, part)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields the number and the content of each field that has a length; numbers are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            _, at = _varint(message, at)
        elif wire in _FIXED_BYTES:
            at += _FIXED_BYTES[wire]
        elif wire == 2:
            length, at = _varint(message, at)
            yield number, message[at : at + length]
            at += length
        else:
            raise ValueError(f"expected a protocol buffer, got wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
