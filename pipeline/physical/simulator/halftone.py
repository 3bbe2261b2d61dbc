"""How a printer makes tones of dots: a clustered-dot screen for each ink, or error diffusion."""

import math
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from pipeline.physical.simulator.profile import Profile

# Cyan, magenta, yellow and black, degrees: 30 apart where it shows, yellow between (ISO 12647-2, 4.2.2.3)
_ANGLES_DEG = (15.0, 75.0, 0.0, 45.0)
_MIN_TILE, _MAX_TILE = 64, 256
_MAX_CELLS = 8


def halftoned(area: np.ndarray, profile: Profile, row: int = 0, column: int = 0) -> np.ndarray:
    """Returns where a channel's light meets ink, uint8 (H, W, 3), 255 or 0, a pixel for each printer dot.

    Cyan ink takes red light, magenta green, yellow blue, and black all three, a share `black_generation_rate` of what the
    three have in common. The screens are independent, so that a channel is covered on average by just the area asked for.

    Args:
        area: uint8 (H, W, 3), inked area of the red, green and blue light, of 255.
        row, column: where the first dot lies on the page, for the screens' phase.
    """
    separations, black = _separated(area, profile.black_generation_rate)
    screen = _diffused if profile.halftone == "error-diffusion" else _screened
    inked = [screen(plane, profile, ink, row, column) for ink, plane in enumerate(separations)]
    if black is not None:
        dots = screen(black, profile, 3, row, column)
        inked = [cv2.bitwise_or(plane, dots) for plane in inked]
    return cv2.merge(inked)


@lru_cache(maxsize=32)
def screen_tile(dpi: int, lpi: float, angle_deg: float) -> np.ndarray:
    """Returns one period of a clustered-dot screen, uint8 (n, n): an area a of 255 inks the dots whose threshold is below a.

    The cell's sides are taken to the nearest vectors of whole dots (a supercell of up to 8 x 8 cells), so that the tile repeats
    without a seam; thresholds rank the spot function cos 2 pi u + cos 2 pi v over 64 dots or more a side, so that every area is
    met to a part in 4000.
    """
    cells, across, down = _cell_vector(dpi / lpi, angle_deg)
    n = (across**2 + down**2) // math.gcd(across, down)
    n *= -(-_MIN_TILE // n)
    x = np.arange(n) + 0.5
    scale = cells / (across**2 + down**2)
    u = (x * across + x[:, None] * down) * scale
    v = (x[:, None] * across - x * down) * scale
    spot = np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v)
    # dots of one cell that are equally near its middle are inked cell by cell, in an order without a pattern
    order = np.lexsort((np.random.default_rng(0).random(spot.size), -np.round(spot, 9).ravel()))
    ranks = np.empty(spot.size)
    ranks[order] = np.arange(spot.size)
    return np.minimum(ranks * 255 / spot.size, 254).astype(np.uint8).reshape(n, n)


def _separated(area: np.ndarray, black_rate: float) -> tuple[list[np.ndarray], np.ndarray | None]:
    planes = list(cv2.split(area))
    if black_rate <= 0:
        return planes, None
    common = cv2.min(cv2.min(planes[0], planes[1]), planes[2])
    black = cv2.LUT(common, np.rint(np.arange(256) * black_rate).astype(np.uint8))
    left = cv2.bitwise_not(black)
    # 1 - area = (1 - black) (1 - colour); where all is black there is nothing left to cover
    return [cv2.divide(cv2.subtract(plane, black), left, scale=255) for plane in planes], black


def _screened(plane: np.ndarray, profile: Profile, ink: int, row: int, column: int) -> np.ndarray:
    tile = screen_tile(profile.printer_dpi, profile.screen_lpi, _ANGLES_DEG[ink])
    height, width = plane.shape
    n = len(tile)
    line = np.take(tile, np.arange(column, column + width) % n, axis=1)
    return cv2.compare(plane, np.take(line, np.arange(row, row + height) % n, axis=0), cv2.CMP_GT)


def _diffused(plane: np.ndarray, profile: Profile, ink: int, row: int, column: int) -> np.ndarray:
    """Floyd and Steinberg's error diffusion (1976), in Pillow's implementation."""
    dots = Image.fromarray(plane).convert("1", dither=Image.Dither.FLOYDSTEINBERG)
    return np.asarray(dots).astype(np.uint8) * 255


@lru_cache(maxsize=32)
def _cell_vector(period: float, angle_deg: float) -> tuple[int, int, int]:
    """Returns how many cells, and over how many dots across and down, come nearest to a period in dots and an angle."""
    best, least = (1, max(1, round(period)), 0), math.inf
    for cells in range(1, _MAX_CELLS + 1):
        x, y = (cells * period * f(math.radians(angle_deg)) for f in (math.cos, math.sin))
        across, down = round(x), round(y)
        if not across and not down:
            continue
        if (across**2 + down**2) // math.gcd(across, down) > _MAX_TILE:
            continue
        error = math.hypot(across - x, down - y) / cells
        if error < least - 1e-9:
            best, least = (cells, across, down), error
    return best
