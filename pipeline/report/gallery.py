"""The gallery: pairs as files, their difference and their photographs, and how such pictures are embedded in a report."""

import io
import math

import numpy as np
from PIL import Image as PillowImage
from reportlab.lib.utils import ImageReader

from pipeline.report.blocks import Block, Gallery, Prose
from pipeline.report.content import GalleryItem, ReportContent

JPEG_QUALITY = 90
LOSSLESS_BELOW_PX = 65
_LARGEST_PX = 320
# Noise takes up to 1.2 bytes a pixel in the HTML page, so that these are at most 12 MB.
_MOST_PIXELS = 9_500_000


def gallery_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns how to read the pictures, and the pictures."""
    if not content.gallery:
        return (Prose("No pair was chosen for the gallery."),)
    has_photos = any(item.photo_clean or item.photo_adversarial for item in content.gallery)
    kind = "real photographs" if content.compared else "photographs"
    photographs = f" The {kind} are shown as they were judged, cropped and straightened." if has_photos else ""
    largest_px = embedded_px((5 if has_photos else 3) * len(content.gallery))
    is_reduced = any(max(item.clean.pixels.shape) > largest_px for item in content.gallery)
    reduced = f", reduced to {largest_px} pixels" if is_reduced else ""
    intro = (
        "The difference is adversarial minus clean, multiplied by the factor above it, on mid-grey: grey is no change. Beneath "
        "each picture stand the likeliest classes and their probabilities; a filled tick marks a right, a hollow cross a wrong "
        f"first guess.{photographs} Pictures are embedded at JPEG quality {JPEG_QUALITY}{reduced}; the run's own files are "
        "lossless."
    )
    return Prose(intro), Gallery(content.gallery, has_photos, largest_px)


def embedded_px(n_pictures: int) -> int:
    """Returns how long the longer side of an embedded picture may be: 320, and less where there are many, for the file's sake."""
    return min(_LARGEST_PX, math.isqrt(_MOST_PIXELS // max(1, n_pictures)))


def difference_picture(item: GalleryItem) -> tuple[np.ndarray, int]:
    """Returns (adversarial - clean) x factor around mid-grey 128 as uint8 (H, W, 3), and the factor (at most 20)."""
    difference = item.adversarial.pixels.astype(np.int32) - item.clean.pixels.astype(np.int32)
    factor = int(np.clip(127 // max(1, item.epsilon_8bit or int(np.abs(difference).max())), 1, 20))
    return np.clip(128 + factor * difference, 0, 255).astype(np.uint8), factor


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
