"""How sharp a photo is at the chart's slanted edges: the modulation transfer function after ISO 12233.

Each pixel near an edge is a sample of one edge spread function at its own distance from the edge; five degrees of slant spread
these distances evenly, four to the pixel and more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from pipeline.physical.page_map import PageMap
from pipeline.physical.printing.chart import SlantedSquare

FREQUENCIES = np.linspace(0, 0.5, 101)
BINS_PER_PX = 4
_REACH_PX = 24.0
# of a side: its ends are corners, and the next side must stay out of reach
_USED_RATE, _REACH_RATE = 0.8, 0.35
_MIN_REACH_PX = 8.0
# nearer to the pixels' own rows every sample is at one of few distances; farther, both directions are mixed
_SLANT_RANGE_DEG = (1.5, 25.0)
_MIN_CONTRAST, _N_ROWS = 0.1, 24
_MAX_SHIFT_PX, _MAX_LOG_SCALE = 3.0, 0.1
# how far an edge is off where no second one tells
_SCATTER_OF_ONE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """One side of a slanted square: `is_upright` where it runs down the photo, so that its blur is the one across.

    `mtf` is its contrast at FREQUENCIES.
    """

    is_upright: bool
    mtf: np.ndarray

    @property
    def mtf50(self) -> float:
        """The frequency where half the contrast is left, in cycles per photo pixel; 0.5 at most."""
        return half_contrast(self.mtf)


def edges_of(light: np.ndarray, page_map: PageMap, squares: Sequence[SlantedSquare]) -> tuple[Edge, ...]:
    """Returns every side of the squares that the photo shows well enough, and about as large as the page's middle.

    What ink spreads is more pixels wide where the page is nearer: at a tilt of 12 degrees MTF50 moves by a tenth.

    Args: `light` float32 (H, W), the photo's grey as linear light.
    """
    places = np.array([(page_map.width_mm / 2, page_map.height_mm / 2), *((square.x_mm, square.y_mm) for square in squares)])
    px_per_mm = np.sqrt(np.abs(np.linalg.det(page_map.jacobian(places))))
    alike = np.abs(np.log(px_per_mm[1:] / px_per_mm[0])) <= _MAX_LOG_SCALE
    sides = (
        _edge(light, page_map, start, end, np.array([square.x_mm, square.y_mm]))
        for square in compress(squares, alike)
        for start, end in zip(square.corners_mm, np.roll(square.corners_mm, -1, axis=0), strict=True)
    )
    return tuple(edge for edge in sides if edge is not None)


def half_contrast(mtf: np.ndarray) -> float:
    """Returns the frequency, in cycles per pixel, where `mtf` (at FREQUENCIES) first falls to one half; 0.5 at most."""
    below = np.flatnonzero(mtf < 0.5)
    if not len(below) or below[0] == 0:
        return float(FREQUENCIES[-1] if not len(below) else 0.0)
    k = int(below[0])
    share = (mtf[k - 1] - 0.5) / (mtf[k - 1] - mtf[k])
    return float(FREQUENCIES[k - 1] + share * (FREQUENCIES[k] - FREQUENCIES[k - 1]))


def mid_contrast(mtf: np.ndarray) -> float:
    """Returns the contrast of `mtf` at half of its MTF50: a Gaussian leaves 0.84 of any width, sharpening lifts it."""
    return float(np.interp(half_contrast(mtf) / 2, FREQUENCIES, mtf))


def mean_mtf50(edges: Sequence[Edge]) -> float | None:
    """Returns the geometric mean over both directions of the mean contrast's MTF50; None without an edge of each direction."""
    return over_directions(edges, half_contrast)[0]


def over_directions(edges: Sequence[Edge], measure: Callable[[np.ndarray], float]) -> tuple[float | None, float]:
    """Returns the geometric mean over both directions of what `measure` says of the mean contrast, None without an edge of
    each direction, and the standard error of its logarithm from the scatter of edges of one direction.
    """
    curves = mtf_by_direction(edges)
    values = [measure(curve) for curve in curves.values()]
    if len(values) < 2 or min(values) <= 0:
        return None, 0.0
    groups = [np.array([measure(edge.mtf) for edge in edges if edge.is_upright == upright]) for upright in curves]
    squares = sum(float(((group / group.mean() - 1) ** 2).sum()) for group in groups)
    n_free = len(edges) - len(groups)
    scatter = math.sqrt(squares / n_free) if n_free > 0 else _SCATTER_OF_ONE
    sd = scatter * math.sqrt(sum(1 / len(group) for group in groups)) / 2
    return math.sqrt(math.prod(values)), sd


def mtf_by_direction(edges: Sequence[Edge]) -> dict[bool, np.ndarray]:
    """Returns the mean contrast at FREQUENCIES of the edges that run down (True) and across the photo (False)."""
    groups = {upright: [edge.mtf for edge in edges if edge.is_upright == upright] for upright in (True, False)}
    return {upright: np.mean(group, axis=0) for upright, group in groups.items() if group}


def _edge(light: np.ndarray, page_map: PageMap, start: np.ndarray, end: np.ndarray, middle: np.ndarray) -> Edge | None:
    trim = (1 - _USED_RATE) / 2
    line_mm = start + np.linspace(trim, 1 - trim, 7)[:, None] * (end - start)
    line = page_map(line_mm)
    along = line[-1] - line[0]
    length = float(np.linalg.norm(along))
    along = along / max(length, 1e-9)
    across = np.array([-along[1], along[0]])
    inside = page_map(middle[None])[0]
    origin = line.mean(axis=0)
    if (inside - origin) @ across > 0:  # positive is out of the black
        across = -across
    reach = min(_REACH_PX, _REACH_RATE * length / _USED_RATE)
    slant = math.degrees(math.asin(min(abs(along[0]), abs(along[1]))))
    if reach < _MIN_REACH_PX or not _SLANT_RANGE_DEG[0] <= slant <= _SLANT_RANGE_DEG[1]:
        return None
    s, d, values = _samples(light, origin, along, across, length / 2, reach + _MAX_SHIFT_PX)
    if not len(s):
        return None
    # paper curls and lenses bend: the printed line is a parabola here
    bend = np.polynomial.polynomial.polyfit((line - origin) @ along, (line - origin) @ across, 2)
    d = d - np.polynomial.polynomial.polyval(s, bend)
    level = [float(np.median(values[sign * d > reach / 2])) for sign in (-1, 1)]
    if level[1] - level[0] < _MIN_CONTRAST:
        return None
    shift = _shift(s, d, (values - level[0]) / (level[1] - level[0]), length)
    if shift is None:
        return None
    mtf = _response(d - np.polynomial.polynomial.polyval(s, shift), values, reach)
    return None if mtf is None else Edge(bool(abs(along[1]) > abs(along[0])), mtf)


def _samples(
    light: np.ndarray, origin: np.ndarray, along: np.ndarray, across: np.ndarray, half: float, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns place along, distance across and light of every pixel beside a line; none where it is not wholly in the photo."""
    corners = np.array([origin + u * half * along + v * reach * across for u in (-1, 1) for v in (-1, 1)])
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    if left < 0 or top < 0 or right > light.shape[1] or bottom > light.shape[0]:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    y, x = np.mgrid[top:bottom, left:right]
    s = (x - origin[0]) * along[0] + (y - origin[1]) * along[1]
    d = (x - origin[0]) * across[0] + (y - origin[1]) * across[1]
    near = (np.abs(s) <= half) & (np.abs(d) <= reach)
    return s[near], d[near], light[top:bottom, left:right][near].astype(np.float64)


def _shift(s: np.ndarray, d: np.ndarray, share: np.ndarray, length: float) -> np.ndarray | None:
    """Returns where the edge is seen about its printed line: coefficients (2,) of a straight line along it.

    In each of some rows across the edge, black's and white's areas tell where it is; ink grows and light falls off evenly.
    """
    row = np.clip(((s / length + 0.5) * _N_ROWS).astype(int), 0, _N_ROWS - 1)
    reach = 8.0
    near = np.abs(d) <= reach
    n = np.bincount(row[near], minlength=_N_ROWS)
    if n.min() < 3:
        return None
    white = np.bincount(row[near], share[near], minlength=_N_ROWS) / n
    place = reach - 2 * reach * white
    middle = np.bincount(row[near], s[near], minlength=_N_ROWS) / n
    fit = np.polynomial.polynomial.polyfit(middle, place, 1)
    return fit if abs(fit[0]) < _MAX_SHIFT_PX else None


def _response(d: np.ndarray, values: np.ndarray, reach: float) -> np.ndarray | None:
    """Returns the contrast at FREQUENCIES of the edge spread function that light `values` at distances `d` px sample."""
    n_bins = 2 * int(reach * BINS_PER_PX)
    index = np.floor(d * BINS_PER_PX).astype(int) + n_bins // 2
    inside = (index >= 0) & (index < n_bins)
    n = np.bincount(index[inside], minlength=n_bins)
    distance = (np.arange(n_bins) - n_bins // 2 + 0.5) / BINS_PER_PX
    if (n == 0).sum() > n_bins // 10:
        return None
    filled = n > 0
    summed = np.bincount(index[inside], values[inside], minlength=n_bins)
    spread = np.interp(distance, distance[filled], summed[filled] / n[filled])
    ends = max(2, n_bins // 8)
    black, white = float(np.median(spread[:ends])), float(np.median(spread[-ends:]))
    if white - black < _MIN_CONTRAST:
        return None
    spread = (spread - black) / (white - black)
    line = np.diff(spread)
    place = (np.arange(len(line)) - (len(line) - 1) / 2) / BINS_PER_PX
    line = line * np.clip(2 * (1 - np.abs(place) / reach), 0, 1)
    mtf = np.abs(np.exp(-2j * np.pi * np.outer(FREQUENCIES, place)) @ line)
    # a bin averages, and so does the difference of two of them (ISO 12233, Annex D)
    return mtf / max(mtf[0], 1e-9) / np.sinc(FREQUENCIES / BINS_PER_PX) ** 2
