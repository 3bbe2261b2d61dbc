"""From a file to what its photo of the calibration page shows: light and noise of every patch, bare paper, and sharp edges."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images.colour import srgb_from_linear, with_s_curve
from pipeline.images.photo_tags import photo_tags
from pipeline.images.pictures import pictures
from pipeline.physical.calibration.edges import Edge, edges_of
from pipeline.physical.fiducials.codes import CALIBRATION, decode_payload
from pipeline.physical.fiducials.detection import search
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.page_map import PageMap
from pipeline.physical.printing.chart import Chart, chart_of_code
from pipeline.physical.registration.page import Failure, Registration, register
from pipeline.physical.registration.quality import GREY, blocks_at, grey_noise
from pipeline.physical.simulator import is_simulated
from pipeline.physical.simulator.photo import quantisation
from pipeline.records import Patch

_PRINT_ONE = "Print one: inkproof calibrate --page calibration.pdf"
# a patch's rim is left out: blur, sharpening and the smoothing of colours reach some pixels over it
_PATCH_RATE, _WHITE_RATE = 0.34, 0.62
_MIN_SIDE_PX = 5
_CLIPPED_8BIT = (1, 254)


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
        simulated, quality = is_simulated(tags.maker, tags.software), jpeg_quality(path)
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
    return None if luma is None else min(range(1, 101), key=lambda quality: (abs(sum(quantisation(quality)[0]) - luma), -quality))


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """One even place of the chart as a photo shows it.

    `sent` is the 8-bit colour sent to the printer (white for bare paper), `light` (3,) the mean of its pixels as linear light of
    the camera's own colours, `grey_8bit` and `noise_8bit` mean and standard deviation of its grey about its plane of best fit.
    """

    sent: tuple[int, int, int]
    is_paper: bool
    page_mm: tuple[float, float]
    photo_px: tuple[float, float]
    light: np.ndarray
    grey_8bit: float
    noise_8bit: float
    clipped_rate: float
    n_pixels: int


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A whole photo; `px_per_mm` is at the page's middle."""

    spots: tuple[Spot, ...]
    edges: tuple[Edge, ...]
    size: tuple[int, int]
    px_per_mm: float


def measure(photo: np.ndarray, page_map: PageMap, chart: Chart, tone_contrast_rate: float) -> Measured:
    """Returns what a photo, uint8 (H, W, 3), shows of a chart, its tone curve undone; what is cut off is left out."""
    table = light_table(tone_contrast_rate)
    patches, black, white = chart.printout.patches, (0, 0, 0), (255, 255, 255)
    places = [
        *(_Place(*_middle(p), (p.red, p.green, p.blue), _PATCH_RATE * min(p.width_mm, p.height_mm)) for p in patches),
        *(_Place(square.x_mm, square.y_mm, black, _PATCH_RATE * square.side_mm) for square in chart.squares),
        *(_Place(paper.x_mm, paper.y_mm, white, _WHITE_RATE * paper.half_mm, is_paper=True) for paper in chart.whites),
    ]
    spots = tuple(_spots(photo, page_map, places, table))
    grey = table[np.rint(photo @ GREY.astype(np.float32)).astype(np.uint8)]
    height, width = photo.shape[:2]
    middle = np.array([[page_map.width_mm / 2, page_map.height_mm / 2]])
    scale = float(np.sqrt(abs(np.linalg.det(page_map.jacobian(middle)[0]))))
    return Measured(spots, edges_of(grey, page_map, chart.squares), (width, height), scale)


@lru_cache(maxsize=8)
def light_table(tone_contrast_rate: float) -> np.ndarray:
    """Returns the linear light, float32 (256,), that a camera with this S-curve on sRGB's shows as each 8-bit value."""
    light = np.linspace(0, 1, 65536)
    shown = with_s_curve(srgb_from_linear(light), tone_contrast_rate)
    return np.interp(np.arange(256) / 255, shown, light).astype(np.float32)


def _chart_in(pyramid: Pyramid) -> Chart | None:
    for found in search(pyramid):
        for payload in filter(None, (decode_payload(detection.text) for detection in found)):
            if payload.run_code.startswith(CALIBRATION) and (chart := chart_of_code(payload.run_code)):
                return chart
    return None


class _Place(NamedTuple):
    """An even place of the chart: its middle, the colour sent, and how far around it is looked at."""

    x_mm: float
    y_mm: float
    sent: tuple[int, int, int]
    half_mm: float
    is_paper: bool = False


def _middle(patch: Patch) -> tuple[float, float]:
    return patch.x_mm + patch.width_mm / 2, patch.y_mm + patch.height_mm / 2


def _spots(photo: np.ndarray, page_map: PageMap, places: Sequence[_Place], table: np.ndarray) -> Iterator[Spot]:
    centres_mm = np.array([(place.x_mm, place.y_mm) for place in places])
    blocks = blocks_at(photo, page_map, centres_mm, np.array([place.half_mm for place in places]))
    for place, (x, y), block in zip(places, np.rint(page_map(centres_mm)), blocks, strict=True):
        if block is None or len(block) < _MIN_SIDE_PX:
            continue
        clipped = ((block < _CLIPPED_8BIT[0]) | (block > _CLIPPED_8BIT[1])).any(axis=2).mean()
        yield Spot(
            place.sent,
            place.is_paper,
            (place.x_mm, place.y_mm),
            (float(x), float(y)),
            table[block].mean(axis=(0, 1), dtype=np.float64),
            float((block @ GREY).mean()),
            grey_noise(block),
            float(clipped),
            block.shape[0] * block.shape[1],
        )
