"""Pixels of every kind that files hold, as 8-bit sRGB, with a note for each conversion."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images.colour_profiles import ToSrgb, to_srgb

_BAND_PIXELS = 1_000_000


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """`pixels`: uint8 (H, W, 3) sRGB, contiguous. `notes`: one phrase for each conversion that changed what the file holds."""

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def from_pillow(image: Image.Image) -> LoadedImage:
    """Returns a Pillow image as 8-bit sRGB with a note for each conversion.

    Raises:
        BadInput: its mode has no meaning as a picture (32-bit numbers outside every usual range).
    """
    frames = frame_note(image)
    pixels, colour_notes = rgb_from_pillow(image)
    return LoadedImage(np.ascontiguousarray(pixels), (*frames, *colour_notes))


def frame_note(image: Image.Image) -> tuple[str, ...]:
    n_frames = getattr(image, "n_frames", 1)
    return (f"first of {n_frames} {'pages' if image.format == 'TIFF' else 'frames'}",) if n_frames > 1 else ()


def rgb_from_deep(colours: np.ndarray, image: Image.Image, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the 16-bit colours, uint16 (H, W, 3 or 4), of a file that Pillow opened as `image`, as 8-bit sRGB, and notes."""
    conversion, notes = _converted(image, path)
    pixels, is_opaque = np.empty((*colours.shape[:2], 3), np.uint8), True
    for rows in _bands(*colours.shape[:2]):
        alpha, band = colours[rows][..., 3:], colours[rows][..., :3]
        is_clear = (alpha < 65535).any()
        if conversion is not None:
            pixels[rows] = conversion.apply_16_bit(band)
        elif not is_clear:
            pixels[rows] = _scaled_16_bit(band)
        if is_clear:
            is_opaque = False
            wide = band if conversion is None else pixels[rows].astype(np.uint16) * 257
            pixels[rows] = _scaled_16_bit(_on_white(wide, alpha, 65535))
    return pixels, ("16-bit scaled to 8-bit", *notes) + (() if is_opaque else ("transparency laid on white",))


def rgb_from_array(pixels: np.ndarray, image: Image.Image, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the 8-bit colours, uint8 (H, W, 3), of a file that Pillow opened as `image`, as sRGB, and notes."""
    conversion, notes = _converted(image, path)
    if conversion is not None:
        for rows in _bands(*pixels.shape[:2]):
            pixels[rows] = conversion.apply(pixels[rows])
    return pixels, notes


def _converted(image: Image.Image, path: Path | None) -> tuple[ToSrgb | None, tuple[str, ...]]:
    conversion, notes = to_srgb(image, path)
    return conversion, (conversion.note, *notes) if conversion else notes


def _on_white(colours: np.ndarray, alpha: np.ndarray, white: int) -> np.ndarray:
    alpha = alpha.astype(np.uint64)
    return (colours * alpha + white * (white - alpha) + white // 2) // white


def _bands(height: int, width: int) -> list[slice]:
    """Rows to work on at a time, so that intermediate numbers never fill the memory."""
    step = max(1, _BAND_PIXELS // width)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _scaled_16_bit(values: np.ndarray) -> np.ndarray:
    """round(v / 257): 65535 = 255 x 257, so 8-bit values that were widened come back exactly."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def rgb_from_pillow(image: Image.Image, path: Path | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a loaded Pillow image as 8-bit sRGB, uint8 (H, W, 3), and notes."""
    mode = image.mode
    conversion, profile_notes = _converted(image, path)
    if mode.startswith("I;16") or mode in ("I", "F"):
        values = np.asarray(image)
        gray = _scaled_16_bit(values) if mode.startswith("I;16") else _gray_from_wide(values)
        kind = {"I": "32-bit", "F": "float"}.get(mode, "16-bit")
        pixels = conversion.apply(gray) if conversion else np.repeat(gray[..., None], 3, axis=2)
        return pixels, (f"{kind} scaled to 8-bit", "grayscale", *profile_notes)
    notes = {"P": "palette", "PA": "palette", "1": "black and white", "L": "grayscale", "LA": "grayscale", "La": "grayscale"}
    colour: tuple[str, ...] = () if mode in ("RGB", "RGBA", "RGBa", "RGBX") else (notes.get(mode, f"{mode} converted to RGB"),)
    pixels, is_opaque = np.empty((image.height, image.width, 3), np.uint8), True
    for rows in _bands(image.height, image.width):
        band = image.crop((0, rows.start, image.width, rows.stop))
        alpha = None
        if image.has_transparency_data:
            band = band.convert("RGBA")
            alpha = np.asarray(band)[..., 3:]
        if conversion is None:
            pixels[rows] = np.asarray(band.convert("RGB"))
        else:
            pixels[rows] = conversion.apply(np.asarray(band.convert(conversion.mode) if band.mode != conversion.mode else band))
        if alpha is not None and (alpha < 255).any():
            is_opaque = False
            pixels[rows] = _on_white(pixels[rows], alpha, 255)
    if image.has_transparency_data:
        colour += ("opaque alpha channel dropped" if is_opaque else "transparency laid on white",)
    return pixels, (*colour, *profile_notes)


def _gray_from_wide(values: np.ndarray) -> np.ndarray:
    """8-bit gray from 32-bit numbers, whose usual ranges are [0, 1] (float), [0, 255] and [0, 65535]."""
    if not np.isfinite(values).all():
        raise BadInput("The picture holds numbers that are not finite.", "Export it as an 8-bit PNG.")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:
        what = f"The picture holds numbers from {low:g} to {high:g}, which no 8-bit image can mean."
        raise BadInput(what, "Export it as an 8-bit PNG.")
    if values.dtype.kind == "f" and high <= 1:
        values, high = values * 255.0, 255.0
    if values.dtype.kind == "f" and high <= 255:
        rounded: np.ndarray = np.rint(values)
        return rounded.astype(np.uint8)
    return _scaled_16_bit(np.rint(values))
