"""A small twin of the chart, printed and photographed by the simulator: what sharpness and noise a profile gives, as measured."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from pipeline.physical.calibration.edges import mean_mtf50
from pipeline.physical.calibration.measuring import Measured, Spot, measure
from pipeline.physical.printing.chart import GREY_STEPS, Chart, SlantedSquare, White, calibration_chart
from pipeline.physical.printing.document import chart_raster
from pipeline.physical.simulator import Profile, encode_jpeg, simulate_photo
from pipeline.physical.simulator.profile import limits
from pipeline.records import Patch

MIN_NOISE_PIXELS = 300
_NOISE_RANGE_8BIT = (8.0, 247.0)
_SQUARE_MM, _SLANT_DEG = 20.0, 5.0
_BLOCK_MM, _CELL_MM, _PATCH_MM, _MARGIN_MM = 36.0, 12.0, 10.0, 6.0
_N_COLUMNS, _N_WHITE_ROWS = 6, 2
# neighbours share noise after demosaicing: so many pixels tell as much as one
_PIXELS_ALIKE = 6.0
_FILL_RATE = 0.9
_SEED = 20
_N_ROUNDS, _CLOSE = 9, 0.003
_FIRST_SLOPES = (-0.7, 0.6)
_SLOPE_RANGES = ((-2.5, -0.15), (0.15, 3.0))
_LONGEST_STEP = 0.7
_LEFT_OUT = (
    *("curl_mm", "light_fall_rate", "cast_shadow_rate", "glare_rate", "n_occluders", "white_balance_error_rate", "tilt_deg"),
    *("roll_deg", "defocus_px", "motion_px", "lens_k1", "lens_k2", "lens_p1", "lens_p2", "chromatic_px", "vignette_rate"),
)
_BLUR_RANGE_PX, _ISO_RANGE = (0.05, 20.0), (1.0, 25600.0)


@dataclass(frozen=True, slots=True)
class Looks:
    """What is matched: MTF50 in cycles per pixel, and noise where no halftone is, 8-bit; None where it cannot be measured.

    `white_sd` and `black_sd` are the standard errors of ln(noise), from the scatter of the places.
    """

    mtf50: float | None
    white_8bit: float | None
    black_8bit: float | None
    white_sd: float
    black_sd: float

    @property
    def noise_8bit(self) -> float | None:
        """The geometric mean of both, or the one there is."""
        levels = [math.log(level) for level in (self.white_8bit, self.black_8bit) if level]
        return math.exp(fmean(levels)) if levels else None

    @property
    def log_ratio(self) -> float | None:
        """How much more noise there is on paper than in black, as a logarithm: coring takes most where noise is least."""
        return math.log(self.white_8bit / self.black_8bit) if self.white_8bit and self.black_8bit else None


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """The lens's blur and the sensitivity with which the twin looks as the photo; `*_slope` are d ln(look) / d ln(parameter)."""

    blur_px: float
    iso: float
    blur_slope: float
    iso_slope: float
    looks: Looks
    twin: Measured


def looks_of(measured: Measured) -> Looks:
    """Returns the sharpness of the edges and the noise where no halftone is: on bare paper and in solid black."""
    white, white_sd = _noise([spot for spot in measured.spots if spot.is_paper and spot.n_pixels >= MIN_NOISE_PIXELS])
    black, black_sd = _noise([spot for spot in measured.spots if max(spot.sent) == 0])
    return Looks(mean_mtf50(measured.edges), white, black, white_sd, black_sd)


def _noise(spots: Sequence[Spot]) -> tuple[float | None, float]:
    """Returns the noise of places alike, weighted by their pixels, and the standard error of its logarithm."""
    usable = [s for s in spots if _NOISE_RANGE_8BIT[0] <= s.grey_8bit <= _NOISE_RANGE_8BIT[1] and s.noise_8bit > 0]
    if not usable:
        return None, 0.0
    share = np.array([s.n_pixels for s in usable]) / sum(s.n_pixels for s in usable)
    variances = np.array([s.noise_8bit**2 for s in usable])
    mean = float(share @ variances)
    # a place's own error is never less than that of as many independent pixels as neighbours leave
    n_independent = sum(s.n_pixels for s in usable) / _PIXELS_ALIKE
    scatter = float(np.sqrt((share**2) @ (variances / mean - 1) ** 2)) / 2
    return math.sqrt(mean), max(scatter, 1 / math.sqrt(2 * n_independent))


@dataclass(frozen=True, slots=True)
class Scene:
    """What a twin is photographed with: the photo's pixels per mm, its exposure on the page, the quality of its file."""

    px_per_mm: float
    light: float
    jpeg_quality: int


def matched(profile: Profile, wanted: Looks, scene: Scene, start: tuple[float, float] | None = None) -> Match:
    """Returns the blur and ISO at which the profile's twin looks as wanted, by secants in logarithms, both at once.

    The twin is always drawn with the same noise, so that it changes with the parameters alone. No root finder of SciPy's: a look
    costs a simulated photograph, steps need limits, and the slopes are results.

    Args: `start` the blur and ISO to begin with, else the profile's.
    """
    start = start or (max(0.3, fmean(profile.blur_px)), max(20.0, fmean(profile.iso)))
    places = [math.log(value) for value in start]
    ranges = [(math.log(low), math.log(high)) for low, high in (_BLUR_RANGE_PX, _ISO_RANGE)]
    slopes, before = list(_FIRST_SLOPES), None
    for _ in range(_N_ROUNDS):
        blur_px, iso = (math.exp(place) for place in places)
        twin = photographed(profile, blur_px, iso, scene)
        seen = looks_of(twin)
        errors = [_error(wanted.mtf50, seen.mtf50), _error(wanted.noise_8bit, seen.noise_8bit)]
        if before is not None:
            for i in (0, 1):
                moved = places[i] - before[0][i]
                if abs(moved) > 0.05:
                    slopes[i] = float(np.clip((before[1][i] - errors[i]) / moved, *_SLOPE_RANGES[i]))
        if max(map(abs, errors)) < _CLOSE:
            break
        before = (list(places), errors)
        steps = np.clip(np.divide(errors, slopes), -_LONGEST_STEP, _LONGEST_STEP)
        places = [float(np.clip(place + step, *r)) for place, step, r in zip(places, steps, ranges, strict=True)]
        if places == before[0]:
            break
    return Match(blur_px, iso, slopes[0], slopes[1], seen, twin)


def photographed(profile: Profile, blur_px: float, iso: float, scene: Scene, seed: int = _SEED) -> Measured:
    """Returns what a photo of the twin shows: from straight above, in even light, through a lens that bends nothing."""
    chart = twin_chart()
    width_mm, height_mm = chart.printout.page_width_mm, chart.printout.page_height_mm
    width, height = (round(side * scene.px_per_mm / _FILL_RATE) for side in (width_mm, height_mm))
    light = float(np.clip(scene.light, *(limits("exposure") or (0, 1))))
    alike = dict.fromkeys(_LEFT_OUT, 0.0) | {
        "misregistration_um": fmean(profile.misregistration_um),
        "illuminant_k": math.sqrt(math.prod(profile.illuminant_k)),
        "page_fill_rate": _FILL_RATE,
        "blur_px": blur_px,
        "exposure": light,
        "iso": iso,
        "jpeg_quality": scene.jpeg_quality,
    }
    ranges: dict[str, Any] = {key: (value, value) for key, value in alike.items()}
    still = replace(
        profile,
        **ranges,
        edge_shadow_rate=0.0,
        quarter_turn_rate=0.0,
        frame_long_px=max(width, height),
        frame_short_px=min(width, height),
        read_noise_log_sd=0.0,
    )
    photo = simulate_photo(_raster(profile.printer_dpi), width_mm, height_mm, still, np.random.Generator(np.random.PCG64(seed)))
    with Image.open(io.BytesIO(encode_jpeg(photo))) as file:
        pixels = np.asarray(file.convert("RGB"))
    return measure(pixels, photo.page_map, chart, profile.tone_contrast_rate)


@lru_cache(maxsize=1)
def twin_chart() -> Chart:
    """Returns two slanted squares, every grey and some bare paper on a sheet of 84 x 108 mm, with the chart's own sizes."""
    squares = tuple(
        SlantedSquare(_MARGIN_MM + _BLOCK_MM * (i + 0.5), _MARGIN_MM + _BLOCK_MM / 2, _SQUARE_MM, turn)
        for i, turn in enumerate((_SLANT_DEG, -_SLANT_DEG))
    )
    gap, top = (_CELL_MM - _PATCH_MM) / 2, _MARGIN_MM + _BLOCK_MM
    n_rows = -(-len(GREY_STEPS) // _N_COLUMNS)
    rows = range(n_rows + _N_WHITE_ROWS)
    cells = [(_MARGIN_MM + column * _CELL_MM, top + row * _CELL_MM) for row in rows for column in range(_N_COLUMNS)]
    patches = [
        Patch(1, *(grey,) * 3, x + gap, y + gap, _PATCH_MM, _PATCH_MM) for grey, (x, y) in zip(GREY_STEPS, cells, strict=False)
    ]
    whites = [White(x + _CELL_MM / 2, y + _CELL_MM / 2, _CELL_MM / 2) for x, y in cells[n_rows * _N_COLUMNS :]]
    sheet = replace(
        calibration_chart().printout,
        page_width_mm=2 * _MARGIN_MM + _N_COLUMNS * _CELL_MM,
        page_height_mm=2 * _MARGIN_MM + _BLOCK_MM + (n_rows + _N_WHITE_ROWS) * _CELL_MM,
        fiducials=(),
        tags=(),
        marks=(),
        patches=tuple(patches),
    )
    return Chart(sheet, squares, None, (), tuple(whites))


@lru_cache(maxsize=2)
def _raster(dpi: int) -> np.ndarray:
    return chart_raster(twin_chart(), dpi)


def _error(wanted: float | None, seen: float | None) -> float:
    """What is missing of a look, as a difference of logarithms; 0 where it cannot be told."""
    return math.log(wanted / seen) if wanted and seen else 0.0
