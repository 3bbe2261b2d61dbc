"""How large a page was printed, from a ruler with millimetre ticks that lies along one of the page's edges.

Ticks are one line a millimetre. Seen in millimetres of the layout, their frequency is the printed scale: one layout millimetre
printed at 97 % holds 0.97 ticks. A cloth or a grille may repeat like that too; on a ruler alone every fifth tick is longer.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from scipy.special import bdtrc

from pipeline.physical.fiducials.pyramid import Pyramid, level_from_photo
from pipeline.physical.geometry import SQUARE, Floats, apply_homography
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.quality import DIAGONAL_35MM_MM, USUAL_FOCAL_35MM_MM

MIN_SCALE, MAX_SCALE = 0.85, 1.15
# Ticks are looked for from the bare margin (nothing is printed within 10 mm of the paper's edge) to beyond the edge, which lies
# farther out in layout millimetres where the page was printed smaller than its paper.
_IN_MM, _OUT_MM, _BEYOND_MM = 9.0, 21.0, 10.0
_LINE_MM, _STEP_MM = 1.5, 0.25
_MIN_PX_PER_MM, _LEVEL_PX_PER_MM = 3.0, 3.5
_NODE_MM = 25.0
# Of a line's brightness what changes slowly is taken away, and the rest is brought to one strength, above grey levels of noise.
_SMOOTH_MM, _STRENGTH_MM, _NOISE_8BIT = 2.75, 12.75, 2.0
_WINDOW_MM, _HOP_MM = 60.0, 20.0
# The share of a line's variance that one frequency explains: where to look closer.
_MIN_SHARE = 0.25
_N_CANDIDATES = 3
# Closer: along the ruler itself, and phases in short windows.
_REACH_MM, _ASIDE_MM, _FINE_LINE_MM, _N_TURNS = 160.0, 10.0, 0.5, 3
_SHORT_MM, _SHORT_HOP_MM, _MIN_SHORT_SHARE = 20.0, 5.0, 0.3
_MIN_LENGTH_MM = 60.0
# How far the ticks may lie from where a regular scale has them, in ticks.
_MAX_OFF_RMS = 0.06
# How likely other regular marks may pass for a ruler's; some 400 lines and phases are looked at.
_MAX_CHANCE, _MIN_LEAD, _N_USUAL = 1e-7, 0.25, 21
# How high above the paper the ticks of a ruler may be: nearer to the camera they look larger, and the page smaller.
_THICKNESS_MM = 1.0


class RulerScale(NamedTuple):
    """The printed size relative to the layout's along a ruler, and how far off it may be."""

    scale: float
    error: float


class _Comb(NamedTuple):
    """Where ticks seem to be: how sure, how many a layout mm, a point on them and the direction that they follow, both (2,)."""

    share: float
    frequency: float
    at_mm: Floats
    along: Floats


def ruler_scale(pyramid: Pyramid, page_map: PageMap, focal_35mm_mm: float | None = None) -> RulerScale | None:
    """Returns the scale that a ruler beside a page tells, None where no ruler is sure to lie there.

    Its error is twice the standard deviation of the fit, and what ticks one millimetre above the paper are off by at the camera's
    distance: by `focal_35mm_mm`, its focal length for a picture of 36 x 24 mm, else 26 mm.
    """
    combs = sorted((comb for edge in range(4) for comb in _combs(pyramid, page_map, edge)), key=lambda comb: -comb.share)
    found = (_measured(pyramid, page_map, comb) for comb in combs[:_N_CANDIDATES])
    read = next((one for one in found if one is not None), None)
    if read is None:
        return None
    middle = np.array([[page_map.width_mm / 2, page_map.height_mm / 2]])
    px_per_mm = math.sqrt(abs(np.linalg.det(page_map.jacobian(middle)[0]))) / read.scale
    focal_px = (focal_35mm_mm or USUAL_FOCAL_35MM_MM) * math.hypot(*pyramid.size) / DIAGONAL_35MM_MM
    return read._replace(error=math.hypot(read.error, _THICKNESS_MM * px_per_mm / focal_px))


def _combs(pyramid: Pyramid, page_map: PageMap, edge: int) -> Iterator[_Comb]:
    """Yields the most regular stretch along an edge, 0 .. 3 for top, right, bottom and left, where one frequency stands out."""
    corners = SQUARE * (page_map.width_mm, page_map.height_mm)
    start, end = corners[edge], corners[(edge + 1) % 4]
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length
    first = start - _BEYOND_MM * along
    lines = np.arange(-_IN_MM, _OUT_MM, _LINE_MM)
    strip = _strip(pyramid, page_map, first, along, length + 2 * _BEYOND_MM, lines)
    if strip is None:
        return
    frequencies = np.arange(MIN_SCALE, MAX_SCALE + 1e-9, 1 / _WINDOW_MM)
    found, shares = _waves(_evened(strip), frequencies, _WINDOW_MM, _HOP_MM)
    line, window, k = np.unravel_index(shares.argmax(), shares.shape)
    if shares[line, window, k] < _MIN_SHARE:
        return
    column, frequency = found[max(line - 2, 0) : line + 3, window, k], float(frequencies[k])
    at = first + (window * _HOP_MM + _WINDOW_MM / 2) * along + lines[line] * _outward(along)
    yield _Comb(float(shares[line, window, k]), frequency, at, _turned(along, column, frequency, _LINE_MM))


def _measured(pyramid: Pyramid, page_map: PageMap, comb: _Comb) -> RulerScale | None:
    """Returns the scale by the ticks around a place, None where they are not those of a ruler."""
    for _ in range(_N_TURNS):
        fitted = _fitted(pyramid, page_map, comb)
        if fitted is None:
            return None
        comb, strip, ticks_mm, error = fitted
    chances = (
        _chance_of_fifths(strip, ticks_mm, comb.frequency),
        _chance_of_fifths(-strip, ticks_mm + 0.5 / comb.frequency, comb.frequency),
    )
    return RulerScale(comb.frequency, error) if min(chances) <= _MAX_CHANCE else None


def _fitted(pyramid: Pyramid, page_map: PageMap, comb: _Comb) -> tuple[_Comb, np.ndarray, np.ndarray, float] | None:
    """Returns the comb with its frequency and direction by all ticks in one line with it, None where they are few or irregular.

    With it go the lines along them (lines, steps), where those are brightest (N,) mm along the lines, and twice the standard
    deviation of the frequency.
    """
    lines = np.arange(-_ASIDE_MM, _ASIDE_MM, _FINE_LINE_MM)
    strip = _strip(pyramid, page_map, comb.at_mm - _REACH_MM * comb.along, comb.along, 2 * _REACH_MM, lines)
    if strip is None:
        return None
    waves, shares = (one[..., 0] for one in _waves(_evened(strip), np.array([comb.frequency]), _SHORT_MM, _SHORT_HOP_MM))
    middle = slice(waves.shape[1] // 2 - 3, waves.shape[1] // 2 + 4)
    best = int(np.abs(waves[:, middle]).sum(axis=1).argmax())
    core = slice(max(best - 2, 0), best + 3)
    run = _run_around(shares[core].max(axis=0) > _MIN_SHORT_SHARE)
    places = np.arange(run.start, run.stop) * _SHORT_HOP_MM + _SHORT_MM / 2
    if len(places) < 2 or places[-1] - places[0] + _SHORT_MM / 2 < _MIN_LENGTH_MM:
        return None
    turns = np.unwrap(np.angle(waves[core, run].sum(axis=0))) / (2 * math.pi)
    slope, start = (float(one) for one in np.polyfit(places, turns, 1))
    off_rms = float(np.std(turns - slope * places - start))
    frequency = comb.frequency + slope
    if off_rms > _MAX_OFF_RMS or not MIN_SCALE < frequency < MAX_SCALE:
        return None
    ticks_mm = (np.arange(math.ceil(places[0] * frequency + start), places[-1] * frequency + start) - start) / frequency
    # neighbouring windows share what they see: as many are independent as fit side by side
    n_apart = (places[-1] - places[0]) / _SHORT_MM + 1
    # the middle of the ticks leaves the line where the ruler is turned against it
    weights = shares[:, run] ** 2
    aside = np.polyfit(places, lines @ weights / weights.sum(axis=0), 1)[0]
    along = _unit(comb.along + aside * _outward(comb.along))
    return (
        comb._replace(frequency=frequency, along=along),
        strip,
        ticks_mm,
        2 * off_rms / float(np.std(places) * math.sqrt(n_apart)),
    )


def _chance_of_fifths(strip: np.ndarray, ticks_mm: np.ndarray, frequency: float) -> float:
    """Returns how likely ticks of equal length would look like those of a ruler, of which every fifth is longer.

    Beside the shorter ticks' ends a line shows the longer ones alone: there, each should be the strongest of the five around it,
    by a good part of the usual strength of ticks there. Threads and pixels out of step differ by less.

    Args: `strip` (lines, steps) in which ticks are bright, `ticks_mm` (N,) where they are.
    """
    steps = np.arange(strip.shape[1]) * _STEP_MM
    at, before, after = (
        np.stack([np.interp(ticks_mm + shift / frequency, steps, line) for line in strip]) for shift in (0, -0.5, 0.5)
    )
    height = cv2.blur(at - (before + after) / 2, (1, 3))
    around = np.lib.stride_tricks.sliding_window_view(height, 5, axis=1)
    usual = cv2.blur(height, (_N_USUAL, 1)).max(axis=0)[2:-2]
    is_longest = around[..., 2] > np.delete(around, 2, axis=2).max(axis=2) + _MIN_LEAD * usual
    hits = (is_longest[:, first::5] for first in range(5))
    return min(float(bdtrc(each.sum(axis=1).max() - 1, each.shape[1], 0.2)) for each in hits)


def _waves(lines: np.ndarray, frequencies: np.ndarray, window_mm: float, hop_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the wave, complex, of each line, window and frequency (cycles a mm), and its share of the line's variance there."""
    n, hop = round(window_mm / _STEP_MM), round(hop_mm / _STEP_MM)
    windows = np.lib.stride_tricks.sliding_window_view(lines, n, axis=1)[:, ::hop]
    bell = np.hanning(n).astype(np.float32)
    angles = (2 * np.pi * _STEP_MM * np.outer(np.arange(n), frequencies)).astype(np.float32)
    waves = np.concatenate([np.cos(angles), -np.sin(angles)], axis=1) * bell[:, None]
    flat = windows.reshape(-1, n)
    parts = (flat @ waves).reshape(*windows.shape[:2], 2, -1)
    energy = (flat**2 @ bell**2).reshape(*windows.shape[:2], 1) + 1e-6
    shares = 2 * (bell**2).sum() / bell.sum() ** 2 * (parts**2).sum(axis=2) / energy
    starts = np.exp(-2j * np.pi * hop * _STEP_MM * np.outer(np.arange(windows.shape[1]), frequencies))
    return (parts[:, :, 0] + 1j * parts[:, :, 1]) * starts, shares


def _strip(
    pyramid: Pyramid, page_map: PageMap, first: Floats, along: Floats, length_mm: float, lines_mm: Floats
) -> np.ndarray | None:
    """Returns the photo along lines of the page, float32 (lines, steps), less what changes slowly; None where it is too coarse.

    Args: the lines begin beside `first` (2,) and follow `along` (2,) of length 1; `lines_mm` ascending, to the left of it.
    """
    n_steps, n_nodes = round(length_mm / _STEP_MM), math.ceil(length_mm / _NODE_MM) + 1
    steps, nodes = np.arange(n_steps) * _STEP_MM, np.linspace(0, length_mm, n_nodes)
    sides = np.linspace(lines_mm[0], lines_mm[-1], 3)
    places = first + nodes[:, None, None] * along + sides[:, None] * _outward(along)
    near = page_map(places.reshape(-1, 2))
    px_per_mm = np.linalg.norm(near[3 * (n_nodes - 1)] - near[0]) / length_mm
    if not px_per_mm >= _MIN_PX_PER_MM:
        return None
    k = max(0, math.floor(math.log2(px_per_mm / _LEVEL_PX_PER_MM)))
    near = apply_homography(level_from_photo(k), near).reshape(n_nodes, 3, 2)
    share = 2 * (lines_mm - lines_mm[0]) / (lines_mm[-1] - lines_mm[0])
    across = np.stack([(share - 1) * (share - 2) / 2, share * (2 - share), share * (share - 1) / 2], axis=1)
    x, y = (
        (across @ np.stack([np.interp(steps, nodes, side) for side in near[..., axis].T])).astype(np.float32) for axis in (0, 1)
    )
    seen = cv2.remap(pyramid.level(k), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    return seen - cv2.blur(seen, (round(_SMOOTH_MM / _STEP_MM), 1))


def _evened(strip: np.ndarray) -> np.ndarray:
    """Returns lines of one strength everywhere, so that a code or an edge does not outweigh ticks beside it."""
    power = cv2.blur(strip**2, (round(_STRENGTH_MM / _STEP_MM), 1))
    return np.asarray(strip / np.sqrt(power + _NOISE_8BIT**2))


def _turned(along: Floats, waves: np.ndarray, frequency: float, line_mm: float) -> Floats:
    """Returns the direction across ticks whose phases on neighbouring lines are those of complex `waves` (lines, ...)."""
    per_mm = float(np.angle((waves[1:] * waves[:-1].conj()).sum())) / (2 * math.pi * line_mm)
    return _unit(along * frequency + _outward(along) * per_mm)


def _unit(direction: Floats) -> Floats:
    return np.asarray(direction / np.linalg.norm(direction))


def _outward(along: Floats) -> Floats:
    return np.array([along[1], -along[0]])


def _run_around(is_true: np.ndarray) -> slice:
    """Returns the unbroken run of true values around the middle, an empty slice where the middle is false."""
    middle = len(is_true) // 2
    after, before = (int(np.cumprod(side).sum()) for side in (is_true[middle:], is_true[middle::-1]))
    return slice(middle - before + 1, middle + after) if after else slice(middle, middle)
