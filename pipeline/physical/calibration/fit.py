"""From photos of the calibration page to a profile: everything that can be told of a printer and a phone, with uncertainties."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.physical.calibration.colour import ColourFit, fit_colour
from pipeline.physical.calibration.distortion import LensFit, fit_lens
from pipeline.physical.calibration.light import LightField, fit_light
from pipeline.physical.calibration.matching import Match, Matches, match_photos
from pipeline.physical.calibration.measuring import ChartPhoto, Measured, Spot, measure
from pipeline.physical.calibration.twin import Looks, Scene, looks_of
from pipeline.physical.printing.chart import GREY_STEPS
from pipeline.physical.simulator import Profile
from pipeline.physical.simulator.profile import limits, meanings

_USUAL_FOCAL_35MM_MM = 26.0
# a place of bare paper this large also counts as a white patch
_WHITE_PATCH_PIXELS = 1000
_CONSISTENT_Z = 2.0
_TEXTURE_RATIO, _SIZE_RATIO = 1.25, 1.3


@dataclass(frozen=True, slots=True)
class Parameter:
    """One fitted parameter of a profile: its value as the file has it, standard error, unit, what it is from, and the base's."""

    key: str
    value: Any
    sd: float | None
    unit: str
    source: str
    base: Any

    @classmethod
    def fitted(cls, base: Profile, key: str, value: Any, sd: float | None, source: str) -> "Parameter":
        return cls(key, value, sd, meanings()[key].unit, source, getattr(base, key))


@dataclass(frozen=True, slots=True, eq=False)
class PhotoFit:
    """What one photo said; `wanted` is what the photo looks like."""

    name: str
    measured: Measured
    light: LightField
    lens: LensFit | None
    exposure: float
    wanted: Looks
    match: Match


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A fitted profile and everything that it rests on; `notes` say what the photos could not tell."""

    profile: Profile
    base: Profile
    parameters: tuple[Parameter, ...]
    photos: tuple[PhotoFit, ...]
    colour: ColourFit
    notes: tuple[str, ...]
    n_simulated: int


def fit_profile(photos: Sequence[ChartPhoto], base: Profile, progress: Callable[[str], None] = lambda what: None) -> Calibration:
    """Returns the profile that makes simulated photos look like these.

    In this order: light from bare paper, curves and colour matrix from the patches under that light, then blur, ISO, sharpening
    and smoothing by the photos' twins, and the lens from the printed points. What photos cannot tell apart stays the base's: the
    camera's tone curve, how far its sharpening reaches, its smoothing of colours, the halftone, the ink's spread, how bright the
    paper is, and, where all photos have one tint, how much of the saturation is lost in print.

    Raises:
        BadInput: a photo is overexposed, or shows too little of the page.
    """
    measured = [measure(photo.pixels, photo.found.page_map, photo.chart, base.tone_contrast_rate) for photo in photos]
    lights = [_light(photo, seen) for photo, seen in zip(photos, measured, strict=True)]
    colour = fit_colour([_lit_patches(seen, light) for seen, light in zip(measured, lights, strict=True)], base)
    printed, parameters, notes = _printed(colour, base)
    scenes = [
        Scene(seen.px_per_mm, float(balance[1] * light.values.mean()), photo.jpeg_quality or round(fmean(base.jpeg_quality)))
        for photo, seen, light, balance in zip(photos, measured, lights, colour.balance, strict=True)
    ]
    wanted = [looks_of(seen) for seen in measured]
    progress("fitting sharpness and noise")
    matches = match_photos(printed, wanted, scenes)
    fits = []
    for index, photo in enumerate(photos):
        progress(f"fitting {photo.name}")
        focal = photo.focal_35mm_mm or base.focal_35mm_mm or _USUAL_FOCAL_35MM_MM
        lens = fit_lens(photo.pyramid, photo.found, photo.chart.printout, focal)
        exposure = float(colour.balance[index, 1])
        fits.append(PhotoFit(photo.name, measured[index], lights[index], lens, exposure, wanted[index], matches.photos[index]))
    looks, look_notes = _look_parameters(fits, matches, base)
    frame, frame_notes = _file_parameters(photos, fits, base)
    parameters, cut = within_limits([*parameters, *_light_parameters(fits, colour, base), *looks, *frame])
    profile = replace(printed, **{p.key: p.value for p in parameters})
    notes = [*notes, *look_notes, *frame_notes, *_texture_notes(fits), *cut]
    n_simulated = sum(photo.is_simulated for photo in photos)
    return Calibration(profile, base, tuple(parameters), tuple(fits), colour, tuple(notes), n_simulated)


def within_limits(parameters: Sequence[Parameter]) -> tuple[list[Parameter], list[str]]:
    """Returns the parameters cut to what a profile can hold, so that its file can be read again, and a note on each cut one."""
    kept, notes = [], []
    for parameter in parameters:
        value = parameter.value
        if ends := limits(parameter.key):
            cut = np.clip(value, *ends)
            value = tuple(map(float, cut)) if isinstance(value, tuple) else type(value)(cut)
        if ends and value != parameter.value:
            beyond = f"beyond {ends[0]:g} to {ends[1]:g}, which no profile holds"
            notes.append(f"{parameter.key} came out {beyond}, and was cut to that")
        kept.append(replace(parameter, value=value))
    return kept, notes


def _light(photo: ChartPhoto, measured: Measured) -> LightField:
    printout = photo.chart.printout
    light = fit_light(measured, (printout.page_width_mm, printout.page_height_mm))
    if light is None:
        hint = "Photograph again: the whole page, and tap on the paper so that it is not blown out."
        raise BadInput(f"{photo.name}: the paper is overexposed or mostly out of the photo.", hint)
    return light


def _lit_patches(measured: Measured, light: LightField) -> list[tuple[Spot, float]]:
    spots = [spot for spot in measured.spots if not spot.is_paper or spot.n_pixels >= _WHITE_PATCH_PIXELS]
    places = light.at(np.array([spot.page_mm for spot in spots]), np.array([spot.photo_px for spot in spots]))
    return list(zip(spots, map(float, places), strict=True))


def _printed(colour: ColourFit, base: Profile) -> tuple[Profile, list[Parameter], list[str]]:
    """Returns the base with the fitted colours, none of whose curves falls, its parameters, and notes."""
    from scipy.optimize import isotonic_regression

    n_grey = sum(len(set(spot.sent)) == 1 and not spot.is_paper for spot in colour.spots)
    n_colour = sum(len(set(spot.sent)) > 1 for spot in colour.spots)
    curves = np.clip(colour.curves, 0, base.paper_reflectance)
    parameters, notes = [], []
    for channel, name in enumerate(("red", "green", "blue")):
        curve = tuple(round(float(v), 5) for v in isotonic_regression(curves[:, channel]).x)
        sd = _root_mean_square(colour.curves_sd[:-1, channel])
        parameters.append(Parameter.fitted(base, f"print_curve_{name}", curve, sd, f"{n_grey} grey patches"))
    ink, sd = round(max(0.0, float(curves[0].min())), 5), float(colour.curves_sd[0].max())
    parameters.append(Parameter.fitted(base, "ink_reflectance", ink, sd, "the darkest of the curves"))
    matrix, sd = tuple(round(float(v), 5) for v in np.clip(colour.matrix, -4, 4).ravel()), _root_mean_square(colour.matrix_sd)
    parameters.append(Parameter.fitted(base, "colour_matrix", matrix, sd, f"{n_colour} colour patches"))
    kept, kept_sd = round(colour.saturation_rate, 5), colour.saturation_sd
    tints = f"{n_colour} colour patches in {len(colour.balance)} lights"
    parameters.append(Parameter.fitted(base, "print_saturation_rate", kept, kept_sd, tints))
    if any(base.dot_gain_rate):
        parameters.append(Parameter.fitted(base, "dot_gain_rate", (0.0, 0.0), None, "part of the curves above"))
    n_clipped = sum(spot.clipped_rate > 0.05 for spot in colour.spots)
    if n_clipped:
        notes.append(f"{n_clipped} of {len(colour.spots)} patches were clipped in a photo and left out")
    parameters, cut = within_limits(parameters)
    return replace(base, **{p.key: p.value for p in parameters}), parameters, [*notes, *cut]


def _light_parameters(fits: Sequence[PhotoFit], colour: ColourFit, base: Profile) -> list[Parameter]:
    errors = colour.balance[:, [0, 2]] / colour.balance[:, 1:2] - 1
    error_sd = np.hypot(colour.balance_sd[:, [0, 2]], colour.balance_sd[:, 1:2]) / colour.balance[:, 1:2]
    lights = [fit.light for fit in fits]
    paper = f"{sum(len(light.values) for light in lights)} places of bare paper"
    shadows = [light.shadow_rate for light in lights]
    shadow_sd = _root_mean_square([light.shadow_sd for light in lights if light.shadow_rate]) if any(shadows) else None
    exposures, falls = [fit.exposure for fit in fits], [max(0.0, light.light_fall_rate) for light in lights]
    vignettes = [max(0.0, light.vignette_rate) for light in lights]
    return [
        _ranged(base, "exposure", exposures, [float(sd[1]) for sd in colour.balance_sd], "bare paper"),
        *(
            _ranged(base, f"{name}_error_rate", errors[:, i].tolist(), error_sd[:, i].tolist(), f"{name} against green on greys")
            for i, name in enumerate(("red", "blue"))
        ),
        _ranged(base, "light_fall_rate", falls, [light.light_fall_sd for light in lights], paper),
        _ranged(base, "vignette_rate", vignettes, [light.vignette_sd for light in lights], paper),
        Parameter.fitted(base, "cast_shadow_rate", _rounded(min(shadows), max(shadows)), shadow_sd, paper),
    ]


def _look_parameters(fits: Sequence[PhotoFit], matches: Matches, base: Profile) -> tuple[list[Parameter], list[str]]:
    parameters: list[Parameter] = []
    notes: list[str] = []
    if edged := [fit for fit in fits if fit.wanted.mtf50]:
        n_edges = sum(len(fit.measured.edges) for fit in edged)
        edges = f"{n_edges} slanted edge{'s' * (n_edges != 1)}"
        parameters.append(
            _ranged(base, "blur_px", [fit.match.blur_px for fit in edged], [fit.match.blur_sd for fit in edged], edges)
        )
        parameters.append(Parameter.fitted(base, "sharpen_rate", float(f"{matches.sharpen_rate:.4g}"), matches.sharpen_sd, edges))
        for key in ("defocus_px", "motion_px"):
            if max(getattr(base, key)) > 0:
                parameters.append(Parameter.fitted(base, key, (0.0, 0.0), None, "part of blur_px"))
    else:
        notes.append("no slanted edge could be measured: blur_px and sharpen_rate are the base's")
    noisy = [fit for fit in fits if fit.wanted.has_noise]
    if noisy and base.full_well_e:
        source = "noise of bare paper and solid black"
        parameters.append(_ranged(base, "iso", [fit.match.iso for fit in noisy], [fit.match.iso_sd for fit in noisy], source))
    if matches.denoise_sd is not None:
        smoothing, source = float(f"{matches.luma_denoise_8bit:.4g}"), "noise of bare paper against solid black"
        parameters.append(Parameter.fitted(base, "luma_denoise_8bit", smoothing, matches.denoise_sd, source))
    if lenses := [fit.lens for fit in fits if fit.lens is not None]:
        points = f"{sum(lens.n_points for lens in lenses)} printed points"
        for key in ("k1", "p1", "p2"):
            values, sds = [getattr(lens, key) for lens in lenses], [getattr(lens, f"{key}_sd") for lens in lenses]
            parameters.append(_ranged(base, f"lens_{key}", values, sds, points))
    else:
        notes.append("too few printed points to fit the lens: its distortion is the base's")
    return parameters, notes


def _file_parameters(photos: Sequence[ChartPhoto], fits: Sequence[PhotoFit], base: Profile) -> tuple[list[Parameter], list[str]]:
    parameters: list[Parameter] = []
    notes: list[str] = []
    if qualities := [photo.jpeg_quality for photo in photos if photo.jpeg_quality]:
        bounds = (float(min(qualities)), float(max(qualities)))
        parameters.append(Parameter.fitted(base, "jpeg_quality", bounds, None, "the files' own tables"))
    sides = {tuple(sorted(fit.measured.size)) for fit in fits}
    if len(sides) == 1:
        short_px, long_px = map(int, sides.pop())
        parameters.append(Parameter.fitted(base, "frame_short_px", short_px, None, "the photos' size"))
        parameters.append(Parameter.fitted(base, "frame_long_px", long_px, None, "the photos' size"))
        if not 1 / _SIZE_RATIO <= long_px / base.frame_long_px <= _SIZE_RATIO:
            notes.append(
                f"the photos are {long_px} px long and the base's {base.frame_long_px}: how far its sharpening and "
                "its smoothing reach, which are kept, are in pixels of another size; choose a --base of this size"
            )
    focals = {photo.focal_35mm_mm for photo in photos}
    if len(focals) == 1 and (focal_mm := focals.pop()) is not None:
        parameters.append(Parameter.fitted(base, "focal_35mm_mm", float(focal_mm), None, "EXIF"))
    return parameters, notes


def _ranged(base: Profile, key: str, values: Sequence[float], sds: Sequence[float], source: str) -> Parameter:
    bounds, sd = spread(values, sds)
    return Parameter.fitted(base, key, _rounded(*bounds), sd, source)


def _rounded(low: float, high: float) -> tuple[float, float]:
    return float(f"{low:.5g}"), float(f"{high:.5g}")


def _root_mean_square(values: Sequence[float] | np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _texture_notes(fits: Sequence[PhotoFit]) -> list[str]:
    texture = [ratio for fit in fits if (ratio := _texture_ratio(fit))]
    if not texture or 1 / _TEXTURE_RATIO <= fmean(texture) <= _TEXTURE_RATIO:
        return []
    return [
        f"middle greys are {fmean(texture):.2f} times as grainy as the profile's: its halftone, screen_lpi, ink_spread_um or "
        "paper_grain_rate is not this printer's, and is not fitted"
    ]


def spread(values: Sequence[float], sds: Sequence[float]) -> tuple[tuple[float, float], float]:
    """Returns the range of a parameter over the photos and its standard error.

    Where the photos agree within twice their errors it is one value, their weighted mean; else from the least to the greatest.
    """
    each, each_sd = np.array(values, np.float64), np.maximum(np.array(sds, np.float64), 1e-12)
    weights = 1 / each_sd**2
    mean = float((weights * each).sum() / weights.sum())
    if len(each) > 1 and (np.abs(each - mean) / each_sd).max() > _CONSISTENT_Z:
        return (float(each.min()), float(each.max())), float(np.sqrt((each_sd**2).mean()))
    return (mean, mean), float(1 / math.sqrt(weights.sum()))


def _texture_ratio(fit: PhotoFit) -> float | None:
    """How much more the photo's middle greys vary than its twin's."""
    middle, both = {(step, step, step) for step in GREY_STEPS if 90 <= step <= 180}, (fit.measured, fit.match.twin)
    seen, twin = ([spot.noise_8bit for spot in measured.spots if spot.sent in middle] for measured in both)
    return fmean(seen) / fmean(twin) if seen and twin and fmean(twin) > 0 else None
