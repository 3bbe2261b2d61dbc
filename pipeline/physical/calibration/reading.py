"""From a file to a photo of the calibration page: which page it is, where it lies in the photo, and what the file tells."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images.photo_tags import photo_tags
from pipeline.images.pictures import pictures
from pipeline.physical.fiducials import CALIBRATION, Pyramid, decode_payload, search
from pipeline.physical.printing import Chart, chart_of_code
from pipeline.physical.registration import Failure, Registration, register
from pipeline.physical.simulator import is_simulated

_PRINT_ONE = "Print one: inkproof calibrate --page calibration.pdf"
# libjpeg's luminance table at quality 50, from ITU T.81, Table K.1, by its sum at every quality
_LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ChartPhoto:
    """One photo of a calibration page. `focal_35mm_mm` and `jpeg_quality` are None where the file does not tell."""

    name: str
    pixels: np.ndarray
    pyramid: Pyramid
    chart: Chart
    found: Registration
    focal_35mm_mm: float | None
    jpeg_quality: int | None
    is_simulated: bool


def read_chart_photo(path: Path) -> ChartPhoto:
    """Returns the first picture of a file in which a calibration page lies.

    Raises:
        BadInput: the file cannot be read, or shows no calibration page that can be placed (the hint says what to do).
    """
    trouble: BadInput | None = None
    for picture in pictures(path):
        pyramid = Pyramid(picture.pixels)
        chart = _chart_in(pyramid)
        if chart is None:
            continue
        found = register(pyramid, chart.printout)[0]
        if isinstance(found, Failure):
            trouble = BadInput(
                f"{path}: the calibration page is there, but not where it lies ({found.reason}: {found.detail}).",
                "Photograph again: the whole page, all four codes, flat, from straight above.",
            )
            continue
        tags = photo_tags(path)
        simulated, quality = is_simulated({"Make": tags.maker, "Software": tags.software}), jpeg_quality(path)
        return ChartPhoto(path.name, picture.pixels, pyramid, chart, found, tags.focal_35mm_mm, quality, simulated)
    raise trouble or BadInput(
        f"{path}: no code of a calibration page can be read in it.",
        f"Photograph the whole calibration page, flat and sharp. {_PRINT_ONE}",
    )


def jpeg_quality(path: Path) -> int | None:
    """Returns the libjpeg quality whose quantisation is nearest to a JPEG's, None for other files."""
    try:
        with Image.open(path) as image:
            tables = getattr(image, "quantization", None)
            luma = sum(tables[0]) if image.format in ("JPEG", "MPO") and tables and 0 in tables else None
    except Exception:  # decoders raise anything on hostile bytes
        return None
    return None if luma is None else min(range(1, 101), key=lambda quality: (abs(_table_sum(quality) - luma), -quality))


def _chart_in(pyramid: Pyramid) -> Chart | None:
    for found in search(pyramid):
        for payload in filter(None, (decode_payload(detection.text) for detection in found)):
            if payload.run_code.startswith(CALIBRATION) and (chart := chart_of_code(payload.run_code)):
                return chart
    return None


def _table_sum(quality: int) -> int:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (entry * scale + 50) // 100)) for entry in _LUMA_TABLE)
