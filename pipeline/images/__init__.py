"""The only door between image files and arrays: files to 8-bit RGB, 8-bit RGB to model tensors, and back.

On the file side an image is `uint8 (H, W, 3)` RGB; on the model side `float32 (N, 3, H, W)` in [0, 1]. Colour profiles are not
applied: a network is trained on the stored numbers, and so is it judged here.
"""

import hashlib
import io
import re
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput, InkproofError

if TYPE_CHECKING:
    import torch

# Pillow would also try EPS (which starts Ghostscript), PDF and scientific formats; none of them is a photograph.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
MAX_RESIZED_PIXELS = 100_000_000
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"), (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)  # fmt: skip
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}
_ORIENTATION = 0x0112
# EXIF orientation: whether rows and columns are exchanged, and OpenCV's code of the flip after it (1 columns, 0 rows, -1 both).
_TURNS = {2: (False, 1), 3: (False, -1), 4: (False, 0), 5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0)}
_BAND_PIXELS = 1_000_000
_MAX_JPEG_SCANS = 100


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """`pixels`: uint8 (H, W, 3) RGB, contiguous. `notes`: one phrase for each conversion that changed what the file holds."""

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def read_image(path: str | Path, page: int | None = None, max_pixels: int | None = None) -> LoadedImage:
    """Returns the picture in a file as 8-bit RGB, turned upright by its EXIF tag.

    Grayscale, palette, CMYK and YCCK become RGB; 16-bit values v become round(v / 257); transparency is laid on white; of an
    animation or a file of several pages the first is taken. Each such step adds a note.

    Args:
        page: which picture of a file of several, from 0.
        max_pixels: refuse a larger picture before it is decoded.

    Raises:
        BadInput: the file is missing, empty, truncated, no image, has no such page, or claims dimensions that no photograph has.
    """
    path = Path(path)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise BadInput(f"{shown(path)} cannot be opened: {_reason(error)}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{shown(path)} is not a file.")
    if status.st_size == 0:
        raise BadInput(f"{shown(path)} is empty (0 bytes).")
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            with Image.open(file, formats=readable_formats(path)) as image:
                if page:
                    image.seek(page)
                _check_size(image, path, max_pixels)
                return _load(image, path, is_first=page is None)
    except InkproofError:
        raise
    except Image.UnidentifiedImageError as error:
        raise _not_an_image(path) from error
    except Image.DecompressionBombError as error:
        raise BadInput(f"{shown(path)} claims absurd dimensions: {_reason(error)}.") from error
    except Exception as error:  # decoders raise anything, from KeyError to struct.error, on hostile bytes
        raise BadInput(f"{shown(path)} is damaged: {_reason(error)}.", "Copy or export it again.") from error


def from_pillow(image: Image.Image) -> LoadedImage:
    """Returns a Pillow image as 8-bit RGB with a note for each conversion.

    Raises:
        BadInput: its mode has no meaning as a picture (32-bit numbers outside every usual range).
    """
    frames = _frame_note(image)
    pixels, colour_notes = _rgb_from_pillow(image)
    return LoadedImage(np.ascontiguousarray(pixels), (*frames, *colour_notes))


def image_format(path: str | Path) -> str:
    """Returns the format that a file's first bytes announce, "" where they announce no image (32 bytes are read)."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(32)
    except (OSError, ValueError):
        return ""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if re.match(rb"P[1-6][\s#]", head):
        return "PPM"
    if head[4:8] == b"ftyp":
        return (
            "AVIF"
            if b"avif" in head[8:] or b"avis" in head[8:]
            else "HEIF"
            if re.search(rb"hei[cfmsx]|hev[cmsx]|mif1|msf1", head[8:])
            else ""
        )
    return ""


def picture_files(place: Path) -> list[Path]:
    """Returns the pictures that a path means: the file itself, or those in a folder, sorted by name.

    Raises:
        BadInput: there is no such path, or the folder holds no picture.
    """
    if not place.is_dir():
        if not image_format(place):
            raise BadInput(f"{shown(place)}: no such picture or folder.", "Give a JPEG or PNG file, or a folder of them.")
        return [place]
    found = [path for path in sorted(place.iterdir()) if path.is_file() and image_format(path)]
    if not found:
        raise BadInput(f"{shown(place)}: a folder without pictures.", "Put JPEG or PNG files into it.")
    return found


def png_bytes(pixels: np.ndarray, compress_level: int = 6) -> bytes:
    """Returns uint8 (H, W, 3) RGB pixels as the bytes of an 8-bit PNG without metadata: the same pixels, the same bytes.

    Args:
        compress_level: 1 is four times as fast as 6 and a tenth larger, where pixels are noisy.
    """
    _check_pixels(pixels)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=compress_level, optimize=False)
    return buffer.getvalue()


def jpeg_bytes(pixels: np.ndarray, quality: int) -> bytes:
    """Returns uint8 (H, W, 3) RGB pixels as a JPEG for people to look at; nothing is ever judged from one."""
    _check_pixels(pixels)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def read_png(source: bytes | str | Path) -> np.ndarray:
    """Returns the pixels, uint8 (H, W, 3) RGB, of a PNG that `png_bytes` made; nothing is converted.

    Raises:
        BadInput: missing, damaged, or not an 8-bit RGB PNG.
    """
    name = "The PNG" if isinstance(source, bytes) else shown(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                image.load()
                if image.mode != "RGB" or data[24] != 8:
                    raise BadInput(f"{name} is not an 8-bit RGB PNG.")
                return np.array(image)
    except InkproofError:
        raise
    except Image.UnidentifiedImageError as error:
        raise BadInput(f"{name} is not a PNG.") from error
    except Exception as error:  # as in read_image
        raise BadInput(f"{name} cannot be read: {_reason(error)}.") from error


def to_model(images: np.ndarray, device: "str | torch.device" = "cpu") -> "torch.Tensor":
    """Returns uint8 (N, H, W, 3) images as a contiguous float32 (N, 3, H, W) tensor in [0, 1]."""
    import torch

    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"expected uint8 (N, H, W, 3), got {images.dtype} {images.shape}")
    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return planes.to(device=device, dtype=torch.float32) / 255.0


def to_pixels(tensor: "torch.Tensor") -> np.ndarray:
    """Returns a float (N, 3, H, W) tensor in [0, 1] as uint8 (N, H, W, 3): clipped, then rounded to the nearest."""
    import torch

    if tensor.ndim != 4 or tensor.shape[1] != 3 or not tensor.is_floating_point():
        raise ValueError(f"expected float (N, 3, H, W), got {tensor.dtype} {tuple(tensor.shape)}")
    if torch.isnan(tensor).any():
        raise ValueError("expected numbers in [0, 1], got NaN")
    rounded = (tensor.detach().float().clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.cpu().numpy().transpose(0, 2, 3, 1))


def pixels_sha256(pixels: np.ndarray) -> str:
    """Returns the SHA-256, in hex, of uint8 pixels: of their shape and their bytes, whatever file held them."""
    if pixels.dtype != np.uint8:
        raise ValueError(f"expected uint8, got {pixels.dtype}")
    digest = hashlib.sha256("x".join(map(str, pixels.shape)).encode() + b"\n")
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def resize_shorter_and_crop(
    pixels: np.ndarray, resize_px: int, crop: tuple[int, int], interpolation: str = "bilinear"
) -> np.ndarray:
    """Returns uint8 (H, W, 3) pixels resized until the shorter side is `resize_px`, then the central `crop` (height, width).

    The same bits as torchvision's evaluation preset, Resize + CenterCrop on a Pillow image: the longer side is truncated to a
    whole number, Pillow's filter widens with the reduction (antialiased), the crop's corner is rounded half to even, and a crop
    larger than the image is filled up with black.

    Args:
        interpolation: "bilinear", "bicubic" or "nearest".

    Raises:
        BadInput: so elongated a picture that the resized one would not fit in memory.
    """
    _check_pixels(pixels)
    if resize_px < 1 or min(crop) < 1:
        raise ValueError(f"expected positive sizes, got resize_px={resize_px}, crop={crop}")
    if interpolation not in _FILTERS:
        raise ValueError(f"expected one of {', '.join(_FILTERS)}, got {interpolation!r}")
    height, width = pixels.shape[:2]
    long_px = int(resize_px * max(height, width) / min(height, width))
    if long_px * resize_px > MAX_RESIZED_PIXELS:
        raise BadInput(
            f"The picture is too elongated ({width} x {height} pixels) to be resized to {resize_px} on its shorter side."
        )
    size = (resize_px, long_px) if width <= height else (long_px, resize_px)
    if size != (width, height):
        pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, _FILTERS[interpolation]))
    return _centre_crop(pixels, crop)


def shown(path: str | Path) -> str:
    """Returns a path as one printable line, also where a file name holds line breaks or bytes that are no text."""
    text = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _centre_crop(pixels: np.ndarray, crop: tuple[int, int]) -> np.ndarray:
    height, width = pixels.shape[:2]
    missing = [max(crop[0] - height, 0), max(crop[1] - width, 0)]
    if any(missing):
        pixels = np.pad(pixels, [(m // 2, (m + 1) // 2) for m in missing] + [(0, 0)])
        height, width = pixels.shape[:2]
    top, left = round((height - crop[0]) / 2), round((width - crop[1]) / 2)
    return np.ascontiguousarray(pixels[top : top + crop[0], left : left + crop[1]])


def readable_formats(path: Path) -> tuple[str, ...]:
    """Returns the formats that Pillow may try on a file. HEIC needs a plug-in, which is asked for only when it is met."""
    Image.init()
    formats = tuple(name for name in FORMATS if name in Image.OPEN)  # a build of Pillow may lack AVIF or JPEG 2000
    if image_format(path) != "HEIF":
        return formats
    try:
        import pillow_heif
    except ImportError as error:
        raise BadInput(
            f"{shown(path)} is a HEIC picture, which needs a plug-in.",
            "Install it (pip install pillow-heif) or export the picture as JPEG.",
        ) from error
    pillow_heif.register_heif_opener()
    return (*formats, "HEIF")


def _check_size(image: Image.Image, path: Path, max_pixels: int | None) -> None:
    if max_pixels and image.width * image.height > max_pixels:
        raise BadInput(
            f"{shown(path)} has {image.width * image.height / 1e6:.0f} megapixels; at most {max_pixels / 1e6:.0f} are read.",
            "Take it with fewer megapixels, or scan at 600 dpi or less.",
        )


def _load(image: Image.Image, path: Path, is_first: bool = True) -> LoadedImage:
    notes = list(_frame_note(image)) if is_first else []
    turn = still_to_turn = image.getexif().get(_ORIENTATION, 1)
    pixels, colour_notes = _plain_jpeg(image, path), ()
    if pixels is None:
        is_deep = _is_deep_colour(image, path)
        image.load()
        still_to_turn = image.getexif().get(_ORIENTATION, 1)  # Pillow turns a TIFF by itself while loading it
        deep = _deep_colour(path, np.asarray(image), turn) if is_deep else None
        pixels, colour_notes = _rgb_from_pillow(image) if deep is None else _rgb_from_deep(deep)
        image.close()  # gives its memory back before the turned copy is made
    if turn in _TURNS:
        notes.append(f"turned upright (EXIF orientation {turn})")
    return LoadedImage(np.ascontiguousarray(_turned(pixels, still_to_turn)), (*notes, *colour_notes))


def _plain_jpeg(image: Image.Image, path: Path) -> np.ndarray | None:
    """The pixels of a colour JPEG without Pillow's copies; None for any other file and for a damaged one."""
    if image.format not in ("JPEG", "MPO") or image.mode != "RGB":
        return None
    data = np.fromfile(path, np.uint8)
    scans = _jpeg_scans(data.data)
    if scans is None:
        return None
    if scans > _MAX_JPEG_SCANS:
        raise BadInput(f"{shown(path)} has {scans} scans, which no camera writes.", "Export it again.")
    import cv2

    as_rgb = getattr(cv2, "IMREAD_COLOR_RGB", None)  # OpenCV 4.10 lacks it
    pixels = cv2.imdecode(data, (as_rgb or cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape != (image.height, image.width, 3):
        return None
    return pixels if as_rgb else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _jpeg_scans(data: memoryview) -> int | None:
    """How many scans the first picture of a JPEG has; None where its end is missing (a decoder may fill the rest with grey)."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if at + 4 > len(data) or data[at] != 0xFF:
        return None
    scans = bytes(data[at:])  # within coded data 0xFF is always followed by 0, so these markers are real ones
    end = scans.find(b"\xff\xd9")
    return None if end < 0 else scans.count(b"\xff\xda", 0, end)


def _turned(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Turned by an EXIF orientation 1 ... 8; as it is for anything else."""
    if orientation not in _TURNS:
        return pixels
    import cv2

    is_transposed, flip = _TURNS[orientation]
    pixels = cv2.transpose(pixels) if is_transposed else pixels
    return pixels if flip is None else cv2.flip(pixels, flip)


def _frame_note(image: Image.Image) -> tuple[str, ...]:
    n_frames = getattr(image, "n_frames", 1)
    return (f"first of {n_frames} {'pages' if image.format == 'TIFF' else 'frames'}",) if n_frames > 1 else ()


def _is_deep_colour(image: Image.Image, path: Path) -> bool:
    """Whether the file holds 16-bit colours that Pillow would cut to their high byte."""
    if image.mode not in ("RGB", "RGBA", "RGBX", "RGBa", "LA"):
        return False
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:25] == b"\x10"
    return image.format == "TIFF" and 16 in (image.tag_v2.get(258) or ())  # type: ignore[attr-defined]


def _deep_colour(path: Path, high_bytes: np.ndarray, turn: int) -> np.ndarray | None:
    """The 16-bit colours, uint16 (H, W, 3 or 4), by OpenCV; None unless their high bytes are what Pillow saw."""
    import cv2

    decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3 or decoded.shape[2] not in (3, 4):
        return None
    colours = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB if decoded.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, decoded)
    for candidate in (colours, _turned(colours, turn)):
        if candidate.shape == high_bytes.shape and np.array_equal(candidate >> 8, high_bytes):
            return candidate
    return None


def _rgb_from_deep(colours: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
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


def _rgb_from_pillow(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    mode = image.mode
    if mode.startswith("I;16"):
        gray = _scaled_16_bit(np.asarray(image))
        return _gray_to_rgb(gray), ("16-bit scaled to 8-bit", "grayscale")
    if mode in ("I", "F"):
        return _gray_to_rgb(_gray_from_wide(np.asarray(image))), (
            f"{'32-bit' if mode == 'I' else 'float'} scaled to 8-bit",
            "grayscale",
        )
    notes = {"P": "palette", "PA": "palette", "1": "black and white", "L": "grayscale", "LA": "grayscale", "La": "grayscale"}
    colour = (
        (notes[mode],) if mode in notes else (f"{mode} converted to RGB",) if mode not in ("RGB", "RGBA", "RGBa", "RGBX") else ()
    )
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
        raise BadInput(
            f"The picture holds numbers from {low:g} to {high:g}, which no 8-bit image can mean.", "Export it as an 8-bit PNG."
        )
    if values.dtype.kind == "f" and high <= 1:
        return np.rint(values * 255.0).astype(np.uint8)
    if values.dtype.kind == "f" and high <= 255:
        return np.rint(values).astype(np.uint8)
    return _scaled_16_bit(np.rint(values))


def _gray_to_rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[..., None], 3, axis=2)


def _check_pixels(pixels: np.ndarray) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < 1:
        raise ValueError(f"expected uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")


def _not_an_image(path: Path) -> BadInput:
    if image_format(path):
        return BadInput(
            f"{shown(path)} is damaged: it begins like {image_format(path)}, but its header cannot be read.",
            "Copy or export it again.",
        )
    return BadInput(f"{shown(path)} is not an image that can be read (by its content, whatever its name says).")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    words: Any = str(error).strip().splitlines()
    return shown(words[0].rstrip(".")) if words else type(error).__name__
