"""Pixels of every kind that files hold, as 8-bit RGB, with a note for each conversion."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput

_BAND_PIXELS = 1_000_000


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """`pixels`: uint8 (H, W, 3) RGB, contiguous. `notes`: one phrase for each conversion that changed what the file holds."""

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def from_pillow(image: Image.Image) -> LoadedImage:
    """Returns a Pillow image as 8-bit RGB with a note for each conversion.

    Raises:
        BadInput: its mode has no meaning as a picture (32-bit numbers outside every usual range).
    """
    frames = frame_note(image)
    pixels, colour_notes = rgb_from_pillow(image)
    return LoadedImage(np.ascontiguousarray(pixels), (*frames, *colour_notes))


def frame_note(image: Image.Image) -> tuple[str, ...]:
    n_frames = getattr(image, "n_frames", 1)
    return (f"first of {n_frames} {'pages' if image.format == 'TIFF' else 'frames'}",) if n_frames > 1 else ()


def rgb_from_deep(colours: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    pixels, is_opaque = np.empty((*colours.shape[:2], 3), np.uint8), True
    for rows in _bands(*colours.shape[:2]):
        band = colours[rows]
        if band.shape[2] == 4 and (band[..., 3] < 65535).any():
            is_opaque, alpha = False, band[..., 3:].astype(np.uint64)
            band = (band[..., :3] * alpha + 65535 * (65535 - alpha) + 32767) // 65535
        pixels[rows] = _scaled_16_bit(band[..., :3])
    return pixels, ("16-bit scaled to 8-bit",) + (() if is_opaque else ("transparency laid on white",))


def _bands(height: int, width: int) -> list[slice]:
    """Rows to work on at a time, so that intermediate numbers never fill the memory."""
    step = max(1, _BAND_PIXELS // width)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _scaled_16_bit(values: np.ndarray) -> np.ndarray:
    """round(v / 257): 65535 = 255 x 257, so 8-bit values that were widened come back exactly."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def rgb_from_pillow(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    mode = image.mode
    if mode.startswith("I;16"):
        gray = _scaled_16_bit(np.asarray(image))
        return _gray_to_rgb(gray), ("16-bit scaled to 8-bit", "grayscale")
    if mode in ("I", "F"):
        kind = "32-bit" if mode == "I" else "float"
        return _gray_to_rgb(_gray_from_wide(np.asarray(image))), (f"{kind} scaled to 8-bit", "grayscale")
    notes = {"P": "palette", "PA": "palette", "1": "black and white", "L": "grayscale", "LA": "grayscale", "La": "grayscale"}
    is_rgb = mode in ("RGB", "RGBA", "RGBa", "RGBX")
    colour = () if is_rgb else (notes.get(mode, f"{mode} converted to RGB"),)
    pixels, is_opaque = np.empty((image.height, image.width, 3), np.uint8), True
    for rows in _bands(image.height, image.width):
        band = image.crop((0, rows.start, image.width, rows.stop))
        if not image.has_transparency_data:
            pixels[rows] = np.asarray(band.convert("RGB"))
            continue
        layers = np.asarray(band.convert("RGBA")).astype(np.uint32)
        alpha = layers[..., 3:]
        if (alpha == 255).all():
            pixels[rows] = layers[..., :3]
            continue
        is_opaque = False
        pixels[rows] = (layers[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    if not image.has_transparency_data:
        return pixels, colour
    return pixels, (*colour, "opaque alpha channel dropped" if is_opaque else "transparency laid on white")


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


def _gray_to_rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[..., None], 3, axis=2)
