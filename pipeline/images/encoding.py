"""8-bit RGB pixels as PNG and JPEG, back again, and their hash."""

import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput, InkproofError
from pipeline.images.formats import reason, shown


def png_bytes(pixels: np.ndarray) -> bytes:
    """Returns uint8 (H, W, 3) RGB pixels as the bytes of an 8-bit PNG without metadata: the same pixels, the same bytes."""
    return _saved(pixels, format="PNG", compress_level=6, optimize=False)


def quick_png_bytes(pixels: np.ndarray) -> bytes:
    """Returns a PNG of the same pixels as `png_bytes`, not compressed: 1.6 times as large as one of noisy pixels, in no time."""
    import cv2

    check_pixels(pixels)
    how = [cv2.IMWRITE_PNG_COMPRESSION, 0]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # OpenCV 4.11 lacks it, and tries all filters for nothing
        how += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), how)[1].tobytes()


def jpeg_bytes(pixels: np.ndarray, quality: int) -> bytes:
    """Returns uint8 (H, W, 3) RGB pixels as a JPEG for people to look at; nothing is ever judged from one."""
    import cv2

    check_pixels(pixels)
    return cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def read_png(source: bytes | str | Path, name: str = "The PNG") -> np.ndarray:
    """Returns the pixels, uint8 (H, W, 3) RGB, of a PNG that `png_bytes` made; nothing is converted.

    Args:
        name: what messages call a source of bytes.

    Raises:
        BadInput: missing, damaged, or not an 8-bit RGB PNG.
    """
    name = name if isinstance(source, bytes) else shown(source)
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
        raise BadInput(f"{name} cannot be read: {reason(error)}.") from error


def pixels_sha256(pixels: np.ndarray) -> str:
    """Returns the SHA-256, in hex, of uint8 pixels: of their shape and their bytes, whatever file held them."""
    if pixels.dtype != np.uint8:
        raise ValueError(f"expected uint8, got {pixels.dtype}")
    digest = hashlib.sha256("x".join(map(str, pixels.shape)).encode() + b"\n")
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _saved(pixels: np.ndarray, format: str, **options: str | int) -> bytes:
    check_pixels(pixels)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format, **options)
    return buffer.getvalue()


def check_pixels(pixels: np.ndarray) -> None:
    """Raises ValueError unless these are uint8 (H, W, 3)."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < 1:
        raise ValueError(f"expected uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
