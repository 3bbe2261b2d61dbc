"""Kinds of files that the decoders do not read, or would read wrong without a word, are refused by name with what to do."""

import base64
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hostile_files import encoded
from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images.pictures import pictures

tifffile = pytest.importorskip("tifffile")
# 8 rows of (200, 60, 60) over 8 of (60, 70, 200), by libjpeg's arithmetic coder, which no camera uses
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkK"
    "Cgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/yQARCAAQABADASIAAhEB"
    "AxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ANAAh+57jfnywobgiAJZN+Bn7CwdBSmK/9k="
)
COLOURS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
DEEP = COLOURS.astype(np.uint16) * 257


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"photometric": "rgb"} | options)
    return buffer.getvalue()


def jpeg_of_kind(marker: int, bits: int) -> bytes:
    """An ordinary JPEG whose frame header says that it is of another kind."""
    data = bytearray(encoded(Image.fromarray(COLOURS), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


REFUSED = {
    "12-bit.jpg": (lambda: jpeg_of_kind(0xC1, 12), r"JPEG of a kind that is not read \(12-bit\)"),
    "lossless.jpg": (lambda: jpeg_of_kind(0xC3, 16), r"not read \(lossless 16-bit\)"),
    "ls.jpg": (lambda: jpeg_of_kind(0xF7, 8), "JPEG-LS"),
    "float.tif": (lambda: tiff((COLOURS / 255).astype(np.float32)), "of a kind of TIFF that is not read"),
    "32-bit.tif": (lambda: tiff(COLOURS.astype(np.uint32) << 24), "of a kind of TIFF that is not read"),
    "planes.tif": (lambda: tiff(np.moveaxis(DEEP, 2, 0).copy(), planarconfig="separate"), "16-bit TIFF with its colours apart"),
    "white-is-0.tif": (lambda: tiff(DEEP[..., 0].copy(), photometric="miniswhite"), "16-bit TIFF where 0 is white"),
    "deep.jp2": (lambda: cv2.imencode(".jp2", np.tile(DEEP, (8, 8, 1)))[1].tobytes(), "JPEG 2000 of 16-bit colours"),
    "a.psd": (lambda: b"8BPS\0\1" + bytes(60), "a Photoshop file"),
    "a.eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript file"),
    "a.svg": (lambda: b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<SVG width='9'></SVG>", "an SVG drawing"),
    "a.jxr": (lambda: b"II\xbc\1" + bytes(60), "a JPEG XR picture"),
    "a.exr": (lambda: b"v/1\1" + bytes(60), "an OpenEXR picture"),
    "a.hdr": (lambda: b"#?RADIANCE\n", "a Radiance picture"),
    "a.docx": (lambda: b"PK\3\4" + bytes(60), "a ZIP archive"),
    "page.jpg": (lambda: b"\n<!DOCTYPE html><title>Sign in</title>", "a web page"),
    "text.jpg": (lambda: b"Not a picture.\n" * 9, "not an image that can be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_name_with_what_to_do(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make, words = REFUSED[name]
    (tmp_path / name).write_bytes(make())
    with pytest.raises(BadInput, match=words) as refusal:
        list(pictures(tmp_path / name))
    assert "Export it" in refusal.value.hint
    assert capfd.readouterr() == ("", "")


READ = {
    "big.tif": lambda: tiff(COLOURS, bigtiff=True),
    "tiles.tif": lambda: tiff(np.tile(COLOURS, (4, 4, 1)), tile=(32, 32)),
    "planes.tif": lambda: tiff(np.moveaxis(COLOURS, 2, 0).copy(), planarconfig="separate"),
    "deep-tiles.tif": lambda: tiff(np.tile(DEEP, (4, 4, 1)), tile=(32, 32)),
    "deep-big-endian.tif": lambda: tiff(DEEP, byteorder=">"),
    "white-is-0.tif": lambda: tiff(255 - COLOURS[..., 0], photometric="miniswhite"),
    "lzw.tif": lambda: encoded(Image.fromarray(COLOURS), "TIFF", compression="tiff_lzw"),
    "deep.png": lambda: cv2.imencode(".png", DEEP[..., ::-1])[1].tobytes(),
    "lossless.webp": lambda: encoded(Image.fromarray(COLOURS), "WEBP", lossless=True),
    "lossless.jp2": lambda: encoded(Image.fromarray(COLOURS), "JPEG2000"),
    "a.bmp": lambda: encoded(Image.fromarray(COLOURS), "BMP"),
    "a.ppm": lambda: encoded(Image.fromarray(COLOURS), "PPM"),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_keeps_its_numbers(tmp_path: Path, name: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(READ[name]())
    (found,) = pictures(tmp_path / "photo.jpg")
    expected = np.repeat(COLOURS[..., :1], 3, axis=2) if name == "white-is-0.tif" else COLOURS
    np.testing.assert_array_equal(found.pixels[:16, :24], expected)


def test_an_arithmetic_coded_jpeg_is_read(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(ARITHMETIC)
    (found,) = pictures(tmp_path / "photo.jpg")
    assert found.pixels.shape == (16, 16, 3)
    np.testing.assert_allclose(found.pixels[:6], np.broadcast_to((200, 60, 60), (6, 16, 3)), atol=4)
    np.testing.assert_allclose(found.pixels[10:], np.broadcast_to((60, 70, 200), (6, 16, 3)), atol=4)
