"""The colours that a file names, as sRGB: LittleCMS through Pillow, relative colorimetric with black-point compensation."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms

from pipeline.images.code_points import code_points
from pipeline.images.colour import linear_from_srgb, srgb_from_linear

# Primaries and white (x, y) by their code in ITU-T H.273; all others are taken for sRGB's, as browsers do.
_D65 = (0.3127, 0.3290)
_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_PRIMARIES = {
    9: ("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    12: ("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
_ADOBE_RGB = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
# What a PNG with this gAMA and sRGB's primaries means: sRGB.
_SRGB_GAMMA = 1 / 2.2
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50_XYZ = np.array([0.9642, 1.0, 0.8249])
_CURVE_POINTS = 4096
# LittleCMS draws a profile's tables together into one, which is up to ten levels off, or takes 0.5 s for a megapixel.
_MAX_EXACT_PIXELS = 13_000_000
# How the note of a conversion begins.
CONVERTED = "colours converted to sRGB from"
_LATTICE = np.stack(np.meshgrid(*[np.linspace(0, 255, 9).round().astype(np.uint8)] * 3, indexing="ij"), axis=-1).reshape(1, -1, 3)
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


@dataclass(frozen=True)
class ToSrgb:
    """`apply`: uint8 (H, W) or (H, W, C) in the file's own numbers to sRGB, uint8 (H, W, 3). `mode`: the Pillow mode it takes.

    `light`: numbers in [0, 1], float (H, W, 3), to linear light of sRGB's primaries, where LittleCMS is not needed for that.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    mode: str
    note: str
    light: Callable[[np.ndarray], np.ndarray] | None

    def apply_16_bit(self, colours: np.ndarray) -> np.ndarray:
        """Returns uint16 (H, W, 3) as sRGB, uint8: exactly where the profile is three curves and a matrix, else rounded first."""
        if self.light is None:
            return self.apply(((colours.astype(np.uint32) + 128) // 257).astype(np.uint8))
        return np.rint(255 * srgb_from_linear(self.light(colours / 65535))).astype(np.uint8)


def to_srgb(image: Image.Image, path: Path | None = None) -> tuple[ToSrgb | None, tuple[str, ...]]:
    """Returns what turns the picture's colours into sRGB, None where they are sRGB already, and notes on what was not used.

    The colours are those of the embedded ICC profile; without one, of the code points in a HEIF, AVIF or PNG file, of a PNG's
    gamma and chromaticities, or of the EXIF mark of Adobe RGB; without any, sRGB.

    Args:
        path: the file that the picture was opened from, for what Pillow does not tell of its header.
    """
    mode = _plain_mode(image.mode)
    if mode == "LAB":  # which needs no profile
        return None, ()
    try:
        profile = image.info.get("icc_profile") or (None if mode == "CMYK" else _described(image, path))
        if profile is None:
            return None, ()
        if not _has_mode(profile, mode):
            return None, (f"its colour profile is not for {mode}: not used",)
        return _conversion(profile, mode, image.width * image.height <= _MAX_EXACT_PIXELS), ()
    except (ImageCms.PyCMSError, ArithmeticError, LookupError, OSError, TypeError, ValueError, struct.error):
        return None, ("its colour profile cannot be read: taken for sRGB",)


def matrix_profile(
    name: str, primaries: tuple[tuple[float, float], ...], white: tuple[float, float] = _D65, gamma: float | None = None
) -> bytes:
    """Returns an ICC profile (version 2) of a display: red, green and blue primaries (x, y), white, and one curve.

    Args:
        gamma: of the curve value^gamma; None for sRGB's curve.
    """
    values = np.linspace(0, 1, _CURVE_POINTS)
    light = values**gamma if gamma else linear_from_srgb(values)
    curve = b"curv" + struct.pack(">II", 0, _CURVE_POINTS) + np.rint(65535 * light).astype(">u2").tobytes()
    text = name.encode("ascii", "replace") + b"\0"
    words = b"desc" + struct.pack(">II", 0, len(text)) + text + b"\0" * 78
    tags = {b"desc": words, b"cprt": b"text\0\0\0\0No copyright\0", b"wtpt": _xyz(_D50_XYZ)}
    tags |= {f"{c}XYZ".encode(): _xyz(column) for c, column in zip("rgb", _d50_from_linear(primaries, white).T, strict=True)}
    places, data, start = {}, b"", 132 + 12 * (len(tags) + 3)
    for tag, content in {**tags, b"rTRC": curve}.items():
        places[tag] = struct.pack(">II", start + len(data), len(content))
        data += content + b"\0" * (-len(content) % 4)
    places |= dict.fromkeys((b"gTRC", b"bTRC"), places[b"rTRC"])
    table = b"".join(tag + place for tag, place in places.items())
    head = struct.pack(">I", start + len(data)) + b"\0\0\0\0\x02\x10\0\0mntrRGB XYZ " + b"\0" * 12 + b"acsp"
    head = head.ljust(68, b"\0") + _fixed(_D50_XYZ)
    return head.ljust(128, b"\0") + struct.pack(">I", len(places)) + table + data


def srgb_profile() -> bytes:
    """Returns an ICC profile of sRGB."""
    return matrix_profile("sRGB", _BT709)


def _plain_mode(mode: str) -> str:
    return {"CMYK": "CMYK", "LAB": "LAB"}.get(mode) or ("L" if mode[0] in "1LIF" else "RGB")


def _described(image: Image.Image, path: Path | None) -> bytes | None:
    """Returns a profile of colours that are told otherwise than by a profile; None where they are sRGB's or not told."""
    if path is not None and image.format in ("HEIF", "AVIF", "PNG") and (codes := code_points(path)):
        name, primaries = _PRIMARIES.get(codes[0], ("", _BT709))
        gamma = {4: 2.2, 5: 2.8, 8: 1.0}.get(codes[1])
        return matrix_profile(name or "BT.709", primaries, gamma=gamma) if name or gamma else None
    if image.format == "PNG" and "srgb" not in image.info and (told := image.info.get("gamma")):
        numbers = image.info.get("chromaticity") or (*_D65, *chain(*_BT709))
        if abs(told - _SRGB_GAMMA) < 0.01 and np.allclose(numbers, (*_D65, *chain(*_BT709)), atol=0.01):
            return None
        white, *corners = ((numbers[i], numbers[i + 1]) for i in (0, 2, 4, 6))
        return matrix_profile("the gamma and chromaticities of the file", tuple(corners), white, 1 / told)
    interoperability = image.getexif().get_ifd(ExifTags.IFD.Interop).get(1)
    return matrix_profile("Adobe RGB", _ADOBE_RGB, gamma=563 / 256) if interoperability == "R03" else None


def _has_mode(profile: bytes, mode: str) -> bool:
    space = _MODES.get(_opened(profile).profile.xcolor_space.strip())
    return space == mode or (space == "RGB" and mode == "L")


@lru_cache(maxsize=16)
def _conversion(profile: bytes, mode: str, is_exact: bool) -> ToSrgb | None:
    """Returns the conversion from a profile; None if it moves no colour by more than one level."""
    source, light = _opened(profile), _light(profile)
    own_mode = _MODES[source.profile.xcolor_space.strip()]
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    if own_mode != "L" and light is None:
        flags |= ImageCms.Flags.NOOPTIMIZE if is_exact else ImageCms.Flags.HIGHRESPRECALC
    transform = ImageCms.buildTransform(source, _srgb(), own_mode, "RGB", intent, flags)

    def apply(pixels: np.ndarray) -> np.ndarray:
        if own_mode == "RGB" and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        picture = Image.fromarray(np.ascontiguousarray(pixels), own_mode)
        return np.asarray(ImageCms.applyTransform(picture, transform))

    if own_mode in ("RGB", "L"):
        own = _LATTICE if own_mode == "RGB" else np.arange(256, dtype=np.uint8)[None]
        as_rgb = own if own.ndim == 3 else np.repeat(own[..., None], 3, axis=2)
        if np.abs(apply(own).astype(int) - as_rgb).max() <= 1:
            return None
    name = (source.profile.profile_description or "its colour profile").strip()
    return ToSrgb(apply, mode, f"{CONVERTED} {name}", light)


def _light(profile: bytes) -> Callable[[np.ndarray], np.ndarray] | None:
    """Returns what a profile of three curves and a matrix does, in full precision; None for any other profile."""
    n_tags = int.from_bytes(profile[128:132], "big")
    places = (struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(n_tags))
    tags = {name: profile[offset : offset + size] for name, offset, size in places}
    if b"A2B0" in tags or b"rXYZ" not in tags or any(f"{letter}TRC".encode() not in tags for letter in "rgb"):
        return None
    columns = [np.frombuffer(tags[f"{letter}XYZ".encode()], ">i4", 3, 8) / 65536 for letter in "rgb"]
    srgb_from_own = np.linalg.solve(_d50_from_linear(_BT709, _D65), np.array(columns).T)
    curves = [_curve(tags[f"{letter}TRC".encode()]) for letter in "rgb"]
    return lambda values: np.stack([curve(values[..., i]) for i, curve in enumerate(curves)], axis=-1) @ srgb_from_own.T


def _curve(tag: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a profile's curve from its numbers to light (ICC.1:2022, 10.6 and 10.18)."""
    if tag[:4] == b"curv":
        points = np.frombuffer(tag, ">u2", int.from_bytes(tag[8:12], "big"), 12)
        if len(points) < 2:
            power = points[0] / 256 if len(points) else 1.0
            return lambda values: values**power
        return lambda values: np.interp(values, np.linspace(0, 1, len(points)), points / 65535)
    kind = int.from_bytes(tag[8:10], "big")
    numbers = np.frombuffer(tag, ">i4", (1, 3, 4, 5, 7)[kind], 12) / 65536
    g, a, b, c, d, e, f = np.concatenate([numbers, np.array([1, 1, 0, 0, 0, 0, 0])[len(numbers) :]])
    if kind in (1, 2):
        c, d, e, f = 0.0, -b / a, c, c
    return lambda values: np.where(values >= d, np.maximum(a * values + b, 0) ** g + e, c * values + f)


def _d50_from_linear(primaries: tuple[tuple[float, float], ...], white: tuple[float, float]) -> np.ndarray:
    """Returns the matrix from linear light to XYZ under D50, to which Bradford's method adapts the white."""
    to_xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white_xyz = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50_XYZ) / (_BRADFORD @ white_xyz)) @ _BRADFORD
    return adapt @ (to_xyz * np.linalg.solve(to_xyz, white_xyz))


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: np.ndarray) -> bytes:
    """Returns numbers as s15Fixed16."""
    return np.rint(values * 65536).astype(">i4").tobytes()
