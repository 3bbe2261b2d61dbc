"""What a photo of the calibration page shows: light and noise of every patch, bare paper, and how sharp its edges are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.images.colour import srgb_from_linear, with_s_curve
from pipeline.physical.calibration.edges import Edge, edges_of
from pipeline.physical.page_map import PageMap
from pipeline.physical.printing import Chart

GREY = np.array([0.299, 0.587, 0.114])
# a patch's rim is left out: blur, sharpening and the smoothing of colours reach some pixels over it
_PATCH_RATE, _WHITE_RATE = 0.34, 0.62
_MIN_HALF_PX = 2
_CLIPPED_8BIT = (1, 254)


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
    places, sent, halves, is_paper = [], [], [], []
    for patch in chart.printout.patches:
        places.append((patch.x_mm + patch.width_mm / 2, patch.y_mm + patch.height_mm / 2))
        sent.append((patch.red, patch.green, patch.blue))
        halves.append(_PATCH_RATE * min(patch.width_mm, patch.height_mm))
        is_paper.append(False)
    for square in chart.squares:
        places.append((square.x_mm, square.y_mm))
        sent.append((0, 0, 0))
        halves.append(_PATCH_RATE * square.side_mm)
        is_paper.append(False)
    for white in chart.whites:
        places.append((white.x_mm, white.y_mm))
        sent.append((255, 255, 255))
        halves.append(_WHITE_RATE * white.half_mm)
        is_paper.append(True)
    spots = _spots(photo, page_map, np.array(places), sent, halves, is_paper, table)
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


def _spots(
    photo: np.ndarray,
    page_map: PageMap,
    places_mm: np.ndarray,
    sent: Sequence[tuple[int, int, int]],
    halves_mm: Sequence[float],
    is_paper: Sequence[bool],
    table: np.ndarray,
) -> tuple[Spot, ...]:
    height, width = photo.shape[:2]
    page_from_photo = np.linalg.inv(page_map.jacobian(places_mm))
    halves = (np.array(halves_mm) / np.abs(page_from_photo).sum(axis=2).max(axis=1)).astype(int)
    found = []
    for index, (x, y) in enumerate(np.rint(page_map(places_mm)).astype(int)):
        half = int(halves[index])
        if half < _MIN_HALF_PX or not (half <= x < width - half and half <= y < height - half):
            continue
        block = photo[y - half : y + half + 1, x - half : x + half + 1]
        clipped = ((block < _CLIPPED_8BIT[0]) | (block > _CLIPPED_8BIT[1])).any(axis=2).mean()
        grey, noise = _level_and_noise(block @ GREY)
        found.append(
            Spot(
                sent[index],
                is_paper[index],
                (float(places_mm[index, 0]), float(places_mm[index, 1])),
                (float(x), float(y)),
                table[block].mean(axis=(0, 1), dtype=np.float64),
                grey,
                noise,
                float(clipped),
                block.shape[0] * block.shape[1],
            )
        )
    return tuple(found)


def _level_and_noise(grey: np.ndarray) -> tuple[float, float]:
    mean = float(grey.mean())
    side = np.arange(len(grey)) - (len(grey) - 1) / 2
    squares = (side**2).sum() * len(side)
    flat = grey - mean
    flat = flat - side * ((flat * side).sum() / squares) - side[:, None] * ((flat * side[:, None]).sum() / squares)
    return mean, float(np.sqrt((flat**2).sum() / max(1, flat.size - 3)))
