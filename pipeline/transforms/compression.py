"""JPEG compression."""

import io

import numpy as np
from PIL import Image


def compress_jpeg(pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
    """Returns pixels after one JPEG round trip: libjpeg-turbo through Pillow, quality `value`, chroma 4:2:0."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=round(value), subsampling="4:2:0")
    buffer.seek(0)
    return np.asarray(Image.open(buffer).convert("RGB"))
