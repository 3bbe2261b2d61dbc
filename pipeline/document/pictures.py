"""How photographs and other pictures are embedded in a document, so that its file stays small."""

import io
import math

import numpy as np
from PIL import Image as PillowImage
from reportlab.lib.utils import ImageReader

JPEG_QUALITY = 90
LOSSLESS_BELOW_PX = 65
_LARGEST_PX = 320
# Noise takes up to 1.2 bytes a pixel in the HTML page, so that these are at most 12 MB.
_MOST_PIXELS = 9_500_000


def embedded_px(n_pictures: int) -> int:
    """Returns how long the longer side of an embedded picture may be: 320, and less where there are many, for the file's sake."""
    return min(_LARGEST_PX, math.isqrt(_MOST_PIXELS // max(1, n_pictures)))


def picture_reader(pixels: np.ndarray, largest_px: int = _LARGEST_PX) -> ImageReader:
    """Returns pixels, uint8 (H, W, 3), ready to be embedded: small ones lossless with hard pixels, others as JPEG 4:4:4."""
    picture = PillowImage.fromarray(np.ascontiguousarray(pixels))
    longest = max(picture.size)
    if longest < LOSSLESS_BELOW_PX:
        factor = -(-_LARGEST_PX // (2 * longest))
        enlarged = picture.resize((picture.width * factor, picture.height * factor), PillowImage.Resampling.NEAREST)
        return ImageReader(enlarged)
    return ImageReader(io.BytesIO(reduced_jpeg(picture, largest_px)))


def reduced_jpeg(picture: PillowImage.Image, largest_px: int) -> bytes:
    """Returns a picture as JPEG 4:4:4, reduced where its longer side is longer than `largest_px`."""
    picture.thumbnail((largest_px, largest_px), PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
