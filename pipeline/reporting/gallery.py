"""The gallery: pairs as files, their difference and their photographs, and how such pictures are embedded in a report."""

import io

import numpy as np
from PIL import Image as PillowImage
from reportlab.lib.utils import ImageReader

from pipeline.reporting.blocks import Block, Gallery, Prose
from pipeline.reporting.content import GalleryItem, ReportContent

JPEG_QUALITY = 90
LARGEST_TILE_PX = 320
LOSSLESS_BELOW_PX = 65


def gallery_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns how to read the pictures, and the pictures."""
    if not content.gallery:
        return (Prose("No pair was chosen for the gallery."),)
    has_photos = any(item.photo_clean or item.photo_adversarial for item in content.gallery)
    kind = "real photographs" if content.compared else "photographs"
    photographs = f" The {kind} are shown as they were judged, cropped and straightened." if has_photos else ""
    intro = (
        "The difference is adversarial minus clean, multiplied by the factor above it, on mid-grey: grey is no change. Beneath "
        "each picture stand the likeliest classes and their probabilities; a filled tick marks a right, a hollow cross a wrong "
        f"first guess.{photographs} Pictures are embedded at JPEG quality {JPEG_QUALITY}; the run's own files are lossless."
    )
    return Prose(intro), Gallery(content.gallery, has_photos)


def difference_picture(item: GalleryItem) -> tuple[np.ndarray, int]:
    """Returns (adversarial - clean) x factor around mid-grey 128 as uint8 (H, W, 3), and the factor (at most 20)."""
    difference = item.adversarial.pixels.astype(np.int32) - item.clean.pixels.astype(np.int32)
    factor = int(np.clip(127 // max(1, item.epsilon_8bit or int(np.abs(difference).max())), 1, 20))
    return np.clip(128 + factor * difference, 0, 255).astype(np.uint8), factor


def picture_reader(pixels: np.ndarray) -> ImageReader:
    """Returns pixels, uint8 (H, W, 3), ready to be embedded: small ones lossless with hard pixels, others as JPEG 4:4:4."""
    picture = PillowImage.fromarray(np.ascontiguousarray(pixels))
    longest = max(picture.size)
    if longest < LOSSLESS_BELOW_PX:
        factor = -(-LARGEST_TILE_PX // (2 * longest))
        enlarged = picture.resize((picture.width * factor, picture.height * factor), PillowImage.Resampling.NEAREST)
        return ImageReader(enlarged)
    if longest > LARGEST_TILE_PX:
        picture.thumbnail((LARGEST_TILE_PX, LARGEST_TILE_PX), PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    buffer.seek(0)
    return ImageReader(buffer)
