"""The printer: a page of 8-bit colour becomes the linear reflectance of ink on paper."""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
from PIL import Image

from pipeline.images.colour import linear_levels
from pipeline.physical.simulator.driver import driven
from pipeline.physical.simulator.kernels import gaussian_kernel
from pipeline.physical.simulator.profile import Profile, Shot

if TYPE_CHECKING:
    from torch import Tensor

_Array = TypeVar("_Array", np.ndarray, "Tensor")
_BAND_ROWS = 512
_LUMA = np.array([0.2126, 0.7152, 0.0722])
# what cv2's cubic (a = -0.75) leaves of the variance of white noise, an axis, on average over the places between two samples
CUBIC_POWER = 6 / 7
# Cyan, magenta, yellow and black, degrees: 30 apart where it shows, yellow between (ISO 12647-2, 4.2.2.3)
_ANGLES_DEG = (15.0, 75.0, 0.0, 45.0)
_MIN_TILE, _MAX_TILE = 64, 256
_MAX_CELLS = 8


def printed_reflectance(
    page: np.ndarray, page_width_mm: float, profile: Profile, shot: Shot, shrink: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns the reflectance of the printed page, float32 (H / shrink, W / shrink, 3), sides rounded up.

    Each colour that the driver makes of the page's (`driven`) asks for a reflectance (`row_tables`, `gamut`), which continuous
    tone or dots of ink give (`halftoned`); blocks of `shrink` x `shrink` dots are averaged, so that the camera's warp has no
    detail to alias; then the cyan and the yellow separation are moved, ink and light spread by a Gaussian, gloss veils the ink,
    and the paper's grain multiplies all. Work goes band by band: a page at 600 dpi is 400 MB in float.

    Args:
        page: uint8 (H, W, 3) sRGB raster of the whole page, a pixel for each printer dot where there is a halftone.
    """
    height, width = page.shape[:2]
    page = driven(page, profile)
    paper, reach = profile.paper_reflectance, profile.paper_reflectance - profile.ink_reflectance
    printed = np.empty((-(-height // shrink), -(-width // shrink), 3), np.float32)
    # diffused errors go down the whole page
    band_rows = height if profile.halftone == "error-diffusion" else _BAND_ROWS // shrink * shrink
    band_rows = -(-band_rows // shrink) * shrink
    tables = row_tables(profile, shot, (np.arange(height) + 0.5) * page_width_mm / width)
    for top in range(0, height, band_rows):
        part = page[top : top + band_rows]
        asked = asked_for(part, tables[top : top + band_rows] if len(tables) > 1 else tables, profile)
        out = printed[top // shrink : -(-(top + len(part)) // shrink)]
        if profile.halftone == "none":
            out[...] = _averaged(asked, shrink)
        else:
            np.multiply(_averaged(halftoned(asked, profile, top), shrink), np.float32(-reach / 255), out=out)
            out += np.float32(paper)
    px_per_mm = width / page_width_mm / shrink
    printed = _spread(printed, px_per_mm, profile, shot)
    if veil := veil_rate(profile, shot):
        printed *= np.float32(1 - veil)
        printed += veil * (gamut(profile) @ print_table(profile)[255])
    if profile.paper_grain_rate > 0:
        _add_grain(printed, px_per_mm, profile, rng)
    return printed


def print_table(profile: Profile) -> np.ndarray:
    """Returns the reflectance, float32 (256, 3), that each 8-bit value of red, green and blue asks for, before any dot gain.

    Without a measured curve the driver asks for the area of ink a that would give the value its sRGB luminance between paper
    white and black; Murray-Davies (n = 1) or Yule-Nielsen (n > 1) adds up: R^(1/n) = a R_ink^(1/n) + (1 - a) R_paper^(1/n). A
    measured curve is interpolated by monotone cubics (Fritsch and Carlson 1980).
    """
    area = 1 - linear_levels()
    power = 1 / profile.yule_nielsen_n
    mixed = (area * profile.ink_reflectance**power + (1 - area) * profile.paper_reflectance**power) ** profile.yule_nielsen_n
    measured = (profile.print_curve_red, profile.print_curve_green, profile.print_curve_blue)
    return np.column_stack([_through(np.array(curve)) if curve else mixed for curve in measured]).astype(np.float32)


def gamut(profile: Profile) -> np.ndarray:
    """Returns the matrix, float32 (3, 3), that takes the reflectance asked for to what the inks give."""
    return faded(profile.print_saturation_rate).astype(np.float32)


def faded(saturation_rate: Any) -> np.ndarray:
    """Returns the matrix (3, 3) that leaves that share of colours' saturation, about their luminance."""
    return np.asarray(saturation_rate * np.eye(3) + (1 - saturation_rate) * _LUMA)


def row_tables(profile: Profile, shot: Shot, y_mm: np.ndarray) -> np.ndarray:
    """Returns what each 8-bit value asks for at places down the page, (N, 256, 3), or (1, 256, 3) where all are alike.

    Reflectance, float32, for continuous tone; for a halftone, which prints areas, the inked area in 255ths, uint8.
    """
    table, gain = print_table(profile)[None], np.full(1, shot.dot_gain_rate)
    if profile.banding_rate > 0:
        gain = gain + profile.banding_rate * banding_wave(profile, shot, y_mm)
    if gain.any():
        table = grown(table, profile, gain.astype(np.float32)[:, None, None])
    if profile.halftone == "none":
        return np.ascontiguousarray(table, np.float32)
    paper, ink = profile.paper_reflectance, profile.ink_reflectance
    # the gamut's rows add up to 1, so it does to areas what it does to reflectances
    return np.rint(255 * np.clip((paper - table) / max(paper - ink, 1e-6), 0, 1)).astype(np.uint8)


def asked_for(part: np.ndarray, tables: np.ndarray, profile: Profile) -> np.ndarray:
    """Returns what rows of a page, uint8 (H, W, 3), ask for by their `row_tables`, within the gamut of the inks."""
    return cv2.transform(_looked_up(part, tables), gamut(profile))


def grown(reflectance: _Array, profile: Profile, gain: _Array | float) -> _Array:
    """Returns reflectances, arrays or tensors, with the ink's area a grown to a + 4 g a (1 - a), between none and all.

    The dot gain g is the growth of a 50 % tint: most in middle tones, none on bare paper or in solid black.
    """
    paper, ink = profile.paper_reflectance, profile.ink_reflectance
    out = reflectance - gain * (4 / max(paper - ink, 1e-6)) * (paper - reflectance) * (reflectance - ink)
    return out.clip(reflectance.clip(max=ink), reflectance.clip(min=paper))


def banding_wave(profile: Profile, shot: Shot, y_mm: np.ndarray) -> np.ndarray:
    """Returns the wave of the banding at places down the page, -1 to 1, positive where there is more ink."""
    return np.sin(2 * np.pi * (y_mm / profile.banding_mm + shot.banding_phase))


def veil_rate(profile: Profile, shot: Shot) -> float:
    """Returns which share of the ink's contrast to the paper its gloss takes: solid black by `gloss_reflectance` at 45 degrees.

    It grows with 1 - cos of the tilt, as what a rough surface mirrors of a lit room does at angles below that.
    """
    lift = profile.gloss_reflectance * (1 - math.cos(math.radians(shot.tilt_deg))) / (1 - math.sqrt(0.5))
    return min(1.0, lift / max(profile.paper_reflectance - profile.ink_reflectance, 1e-6))


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


def _through(curve: np.ndarray) -> np.ndarray:
    """Returns values (256,) on monotone cubics through evenly spaced points (n,)."""
    from scipy.interpolate import CubicHermiteSpline

    slopes = np.diff(curve)
    before, after = slopes[:-1], slopes[1:]
    same = before * after > 0
    inner = np.where(same, 2 * before * after / np.where(same, before + after, 1), 0)
    through = CubicHermiteSpline(np.arange(len(curve)), curve, [slopes[0], *inner, slopes[-1]])
    return np.asarray(through(np.linspace(0, len(curve) - 1, 256)))


def _looked_up(part: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Returns each row of uint8 (H, W, 3) through its own table of (H, 256, 3), or all through one of (1, 256, 3)."""
    if len(tables) == 1:
        return cv2.LUT(part, tables)
    out = np.empty(part.shape, tables.dtype)
    for row in range(len(part)):
        out[row] = cv2.LUT(part[row : row + 1], tables[row : row + 1])
    return out


def _averaged(band: np.ndarray, shrink: int) -> np.ndarray:
    if shrink == 1:
        return band
    below, right = -band.shape[0] % shrink, -band.shape[1] % shrink
    if below or right:
        band = cv2.copyMakeBorder(band, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(band, (band.shape[1] // shrink, band.shape[0] // shrink), interpolation=cv2.INTER_AREA)


def _spread(printed: np.ndarray, px_per_mm: float, profile: Profile, shot: Shot) -> np.ndarray:
    """Blurs, and moves each channel with its separation: cyan is what red light meets, magenta green, yellow blue."""
    sigma_px = profile.ink_spread_um / 1000 * px_per_mm
    shifts = [np.array(shift) * px_per_mm for shift in shot.separation_shifts_mm]
    if not any(shift.any() for shift in shifts):
        kernel = gaussian_kernel(sigma_px)
        return cv2.sepFilter2D(printed, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE) if sigma_px > 0 else printed
    for channel, (x, y) in enumerate(shifts):
        kernels = gaussian_kernel(sigma_px, x), gaussian_kernel(sigma_px, y)
        moved = cv2.sepFilter2D(cv2.extractChannel(printed, channel), -1, *kernels, borderType=cv2.BORDER_REPLICATE)
        cv2.insertChannel(moved, printed, channel)
    return printed


def _add_grain(printed: np.ndarray, px_per_mm: float, profile: Profile, rng: np.random.Generator) -> None:
    height, width = printed.shape[:2]
    lattice = tuple(max(2, round(side / px_per_mm / profile.paper_grain_mm)) for side in (height, width))
    fibres = rng.standard_normal(lattice, dtype=np.float32)
    grain: np.ndarray = cv2.resize(fibres, (width, height), interpolation=cv2.INTER_CUBIC)
    grain *= profile.paper_grain_rate / CUBIC_POWER
    grain += 1
    printed *= grain[..., None]


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
