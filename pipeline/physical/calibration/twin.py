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

from pipeline.physical.calibration.edges import half_contrast, mid_contrast, over_directions
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
_N_COLUMNS, _N_WHITE_ROWS, _N_BLOCK_ROWS = 6, 2, 2
# neighbours share noise after demosaicing: so many pixels tell as much as one
_PIXELS_ALIKE = 6.0
_FILL_RATE = 0.9
_SEED = 20
_LEFT_OUT = (
    *("curl_mm", "light_fall_rate", "cast_shadow_rate", "glare_rate", "n_occluders", "red_error_rate", "blue_error_rate"),
    *(
        "tilt_deg",
        "roll_deg",
        "defocus_px",
        "motion_px",
        "lens_k1",
        "lens_k2",
        "lens_p1",
        "lens_p2",
        "chromatic_px",
        "vignette_rate",
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What is matched.

    `logs` (4,) are the logarithms of MTF50 in cycles per pixel, of the contrast at half of it, and of the noise where no halftone
    is, on bare paper and in solid black, 8-bit; nan where it cannot be measured. `sds` (4,) are their standard errors, from the
    scatter of edges and places.
    """

    logs: np.ndarray
    sds: np.ndarray

    @property
    def mtf50(self) -> float | None:
        return None if np.isnan(self.logs[0]) else math.exp(self.logs[0])

    @property
    def has_noise(self) -> bool:
        return not np.isnan(self.logs[2:]).all()


def looks_of(measured: Measured) -> Looks:
    """Returns the sharpness of the edges and the noise where no halftone is: on bare paper and in solid black."""
    seen = [
        *(over_directions(measured.edges, measure) for measure in (half_contrast, mid_contrast)),
        _noise([spot for spot in measured.spots if spot.is_paper and spot.n_pixels >= MIN_NOISE_PIXELS]),
        _noise([spot for spot in measured.spots if max(spot.sent) == 0]),
    ]
    return Looks(np.array([math.log(value) if value else math.nan for value, _ in seen]), np.array([sd for _, sd in seen]))


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
    """Returns four slanted squares, every grey and some bare paper on a sheet of 84 x 144 mm, with the chart's own sizes."""
    squares = tuple(
        SlantedSquare(_MARGIN_MM + _BLOCK_MM * (column + 0.5), _MARGIN_MM + _BLOCK_MM * (row + 0.5), _SQUARE_MM, turn)
        for row in range(_N_BLOCK_ROWS)
        for column, turn in enumerate((_SLANT_DEG, -_SLANT_DEG))
    )
    gap, top = (_CELL_MM - _PATCH_MM) / 2, _MARGIN_MM + _N_BLOCK_ROWS * _BLOCK_MM
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
        page_height_mm=2 * _MARGIN_MM + _N_BLOCK_ROWS * _BLOCK_MM + (n_rows + _N_WHITE_ROWS) * _CELL_MM,
        fiducials=(),
        tags=(),
        marks=(),
        patches=tuple(patches),
    )
    return Chart(sheet, squares, None, (), tuple(whites))


@lru_cache(maxsize=2)
def _raster(dpi: int) -> np.ndarray:
    return chart_raster(twin_chart(), dpi)
