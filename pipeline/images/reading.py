"""Reads the picture in a file as 8-bit sRGB, upright."""

import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput, InkproofError, placed
from pipeline.images.code_points import code_points
from pipeline.images.formats import check_reader, image_format, readable_formats, reason, shown, unreadable
from pipeline.images.jpeg_damage import check_whole
from pipeline.images.limits import limited
from pipeline.images.odd_kinds import check_kind, not_read
from pipeline.images.raw import RAW_FORMATS, developed
from pipeline.images.to_rgb import LoadedImage, frame_note, rgb_from_array, rgb_from_deep, rgb_from_pillow

MAX_PIXELS = 60_000_000
_ORIENTATION = 0x0112
# EXIF orientation: whether rows and columns are exchanged, and OpenCV's code of the flip after it (1 columns, 0 rows, -1 both).
_TURNS = {2: (False, 1), 3: (False, -1), 4: (False, 0), 5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0)}
_MAX_JPEG_SCANS = 100
# Frames of a JPEG that are not progressive: baseline, and extended.
_SEQUENTIAL = (0xC0, 0xC1)


def read_image(path: str | Path, page: int | None = None, max_pixels: int | None = None) -> LoadedImage:
    """Returns the picture in a file as 8-bit sRGB, turned upright by its EXIF tag.

    Colours are converted from those that the file names (see `colour_profiles`). Grayscale, palette, CMYK and YCCK become RGB;
    16-bit values v become round(v / 257); transparency is laid on white; of an animation or a file of several pages the first is
    taken. Each such step adds a note.

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
        raise BadInput(f"{shown(path)} cannot be opened: {reason(error)}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{shown(path)} is not a file.")
    if status.st_size == 0:
        raise BadInput(f"{shown(path)} is empty (0 bytes).", "Copy it again.")
    if (codes := code_points(path)) and codes.hdr:
        raise BadInput(
            f"{shown(path)} is an HDR picture ({codes.hdr}).", "Export it as an ordinary JPEG, or photograph without HDR."
        )
    try:
        if (kind := image_format(path)) in RAW_FORMATS:
            check_reader(path)
            with placed(shown(path)):
                return developed(path, kind, max_pixels)
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            with Image.open(file, formats=readable_formats(path)) as image:
                if page:
                    image.seek(page)
                _check_size(image, path, max_pixels)
                check_kind(image, path)
                loaded = _load(image, path, is_first=page is None)
                if image.format in ("JPEG", "MPO"):
                    check_whole(path, decoder_tells=bool(image.tile))  # Pillow, which says nothing, has emptied it
                return loaded
    except InkproofError:
        raise
    except Image.UnidentifiedImageError as error:
        raise not_read(path) from error
    except Image.DecompressionBombError as error:
        raise BadInput(f"{shown(path)} claims absurd dimensions: {reason(error)}.") from error
    except Exception as error:  # decoders raise anything, from KeyError to struct.error, on hostile bytes
        raise unreadable(path, error) from error


def n_pixels(path: Path) -> int:
    """Returns how many pixels a photo has by its header, which is read in a child process as `read_apart` does; 0 if not told."""
    try:
        return sum(limited(f"{__name__}:n_pixels_here", path))
    except InkproofError:
        return 0


def n_pixels_here(path: Path) -> Iterator[int]:
    """Yields what `n_pixels` returns, read in this process."""
    is_raw = image_format(path) in RAW_FORMATS  # its header may be that of a small picture beside the sensor's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=readable_formats(path)) as image:
            yield 0 if is_raw else image.width * image.height


def read_apart(path: str | Path) -> LoadedImage:
    """Returns what `read_image` returns, read in a child process: so a file from elsewhere costs no more than `limits` allow.

    Raises:
        BadInput: as `read_image` does, or the file takes too much memory or time, has too many pixels, or was cut.
    """
    found: LoadedImage = next(limited(f"{__name__}:image_here", Path(path)))
    return found


def image_here(path: Path) -> Iterator[LoadedImage]:
    """Yields what `read_apart` returns, read in this process."""
    yield read_image(path, max_pixels=MAX_PIXELS)


def _check_size(image: Image.Image, path: Path, max_pixels: int | None) -> None:
    n_pixels = image.width * image.height
    if max_pixels and n_pixels > max_pixels:
        what = f"{shown(path)} has {n_pixels / 1e6:.0f} megapixels; at most {max_pixels / 1e6:.0f} are read."
        raise BadInput(what, "Take it with fewer megapixels, or scan at 600 dpi or less.")


def _load(image: Image.Image, path: Path, is_first: bool = True) -> LoadedImage:
    notes = list(frame_note(image)) if is_first else []
    turn = still_to_turn = image.getexif().get(_ORIENTATION, 1)
    pixels = _by_opencv(image, path)
    if pixels is not None:
        pixels, colour_notes = rgb_from_array(pixels, image, path)
    else:
        is_deep = _is_deep_colour(image, path)
        image.load()
        still_to_turn = image.getexif().get(_ORIENTATION, 1)  # Pillow turns a TIFF by itself while loading it
        deep = _deep_colour(path, np.asarray(image), turn) if is_deep else None
        pixels, colour_notes = rgb_from_pillow(image, path) if deep is None else rgb_from_deep(deep, image, path)
        image.close()  # gives its memory back before the turned copy is made
    if turn in _TURNS:
        notes.append(f"turned upright (EXIF orientation {turn})")
    return LoadedImage(np.ascontiguousarray(_turned(pixels, still_to_turn)), (*notes, *colour_notes))


def _by_opencv(image: Image.Image, path: Path) -> np.ndarray | None:
    """The pixels of a colour JPEG or a still WebP without Pillow's copies; None for any other file and for a damaged JPEG."""
    is_webp = image.format == "WEBP" and not getattr(image, "is_animated", False)
    if image.mode != "RGB" or not (is_webp or image.format in ("JPEG", "MPO")):
        return None
    data = path.read_bytes()
    if is_webp:
        image._decoder = None  # type: ignore[attr-defined]  # gives the memory of two pictures back
    elif (scans := _jpeg_scans(data)) is None:
        return None
    elif scans > _MAX_JPEG_SCANS:
        raise BadInput(f"{shown(path)} has {scans} scans, which no camera writes.", "Export it again.")
    import cv2

    as_rgb = getattr(cv2, "IMREAD_COLOR_RGB", None)  # OpenCV 4.10 lacks it
    how = (as_rgb or cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if pixels is None or pixels.shape != (image.height, image.width, 3):
        if is_webp:
            raise BadInput(f"{shown(path)} is damaged.", "Copy or export it again.")
        return None
    return pixels if as_rgb else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _jpeg_scans(data: bytes) -> int | None:
    """How many scans the first picture of a JPEG has; None where its end is missing (a decoder may fill the rest with grey)."""
    at, n_components = 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] in _SEQUENTIAL:
            n_components = data[at + 9] if at + 9 < len(data) else 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if at + 4 > len(data) or data[at] != 0xFF or data.rfind(b"\xff\xd9", at) < 0:
        return None
    if n_components and data[at + 4 : at + 5] == bytes([n_components]):  # the first has everything, and is decoded alone
        return 1
    # within coded data 0xFF is always followed by 0, so these markers are real ones
    return data.count(b"\xff\xda", at, data.find(b"\xff\xd9", at))


def _turned(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Turned by an EXIF orientation 1 ... 8; as it is for anything else."""
    if orientation not in _TURNS:
        return pixels
    import cv2

    is_transposed, flip = _TURNS[orientation]
    pixels = cv2.transpose(pixels) if is_transposed else pixels
    return pixels if flip is None else cv2.flip(pixels, flip)


def _is_deep_colour(image: Image.Image, path: Path) -> bool:
    """Whether the file holds 16-bit colours that Pillow would cut to their high byte."""
    if image.mode not in ("RGB", "RGBA", "RGBX", "RGBa", "LA"):
        return False
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:25] == b"\x10"
    return image.format == "TIFF" and 16 in (image.tag_v2.get(258) or ())  # type: ignore[attr-defined]  # TIFF images alone have it


def _deep_colour(path: Path, high_bytes: np.ndarray, turn: int) -> np.ndarray | None:
    """The 16-bit colours, uint16 (H, W, 3 or 4), by OpenCV; None unless their high bytes are what Pillow saw."""
    import cv2

    decoded: np.ndarray | None = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3 or decoded.shape[2] not in (3, 4):
        return None
    colours: np.ndarray = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB if decoded.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, decoded)
    for candidate in (colours, _turned(colours, turn)):
        if candidate.shape == high_bytes.shape and np.array_equal(candidate >> 8, high_bytes):
            return candidate
    return None
