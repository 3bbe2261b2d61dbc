"""How light falls on the page and through the lens, from the bare paper spread over it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.physical.calibration.least_squares import Minimum, minimise
from pipeline.physical.calibration.measuring import Measured

# what the rates leave, curl and lamps near by, changes over tens of millimetres: a Gaussian process over the page
_LENGTH_MM, _BEND_SD, _NOISE_SD = 45.0, 0.015, 0.004
_MAX_CLIPPED_RATE = 0.02
_MIN_SPOTS = 12
_N_ROUNDS, _OUTLIER_MEDIANS, _LEAST_OUTLIER = 3, 6.0, 0.01
_SHADOW_DIRECTIONS_DEG, _SHADOW_REACHES, _FIRST_SOFTNESS_MM = range(0, 360, 45), (-0.5, 0.0, 0.5), 20.0
_SOFTNESS_RANGE_MM = (2.0, 40.0)
# a shadow has four parameters more: it is believed where it explains a third of the variance, and its depth is known this well
_MAX_SCATTER_LEFT, _MIN_SHADOW_RATE, _MIN_SHADOW_Z = 0.8, 0.01, 8.0


@dataclass(frozen=True, slots=True, eq=False)
class LightField:
    """The light of one photo, as a share of that at a place that loses nothing.

    `shadow_rate` is 0 where no shadow is seen; `*_sd` are standard errors. `values` (N,) are the light measured at `photo_px`
    (N, 2), `fitted` what the rates say of it.
    """

    light_fall_rate: float
    vignette_rate: float
    shadow_rate: float
    light_fall_sd: float
    vignette_sd: float
    shadow_sd: float
    page_mm: np.ndarray
    photo_px: np.ndarray
    values: np.ndarray
    fitted: np.ndarray
    _shape: Callable[[np.ndarray, np.ndarray], np.ndarray]
    _weights: np.ndarray

    def at(self, page_mm: np.ndarray, photo_px: np.ndarray) -> np.ndarray:
        """Returns the light (N,) at page points (N, 2) that are seen at `photo_px` (N, 2)."""
        return self._shape(page_mm, photo_px) * np.exp(_kernel(page_mm, self.page_mm) @ self._weights)


def fit_light(measured: Measured, page_size_mm: tuple[float, float]) -> LightField | None:
    """Returns the light of a photo, None where too little unclipped paper is seen.

    The rates are those of the simulator: light falls linearly across the page, a shadow with a soft straight edge may lie on it,
    and the lens takes with the square of the distance from the photo's middle. What they leave is smoothed over the page.
    """
    paper = [spot for spot in measured.spots if spot.is_paper and spot.clipped_rate <= _MAX_CLIPPED_RATE]
    if len(paper) < _MIN_SPOTS:
        return None
    page = np.array([spot.page_mm for spot in paper])
    photo = np.array([spot.photo_px for spot in paper])
    # all colours alike but for the white balance: green counts most, as it has least noise
    light = np.array([spot.light @ (0.25, 0.5, 0.25) for spot in paper])
    trust = np.sqrt(np.minimum([spot.n_pixels for spot in paper], 400) / 400)
    centre, size = np.array(page_size_mm) / 2, np.array(measured.size)

    def shade(p: np.ndarray, page_mm: np.ndarray, photo_px: np.ndarray) -> np.ndarray:
        half_mm, half_px = np.linalg.norm(centre), np.linalg.norm(size) / 2
        from_centre = (np.asarray(page_mm) - centre) / half_mm
        square = (((np.asarray(photo_px) - (size - 1) / 2) / half_px) ** 2).sum(axis=1)
        plain = (1 - (from_centre @ p[1:3] + np.hypot(*p[1:3])) / 2) * (1 - p[3] * square)
        return plain if len(p) == 4 else plain * (1 - p[4] * _shadow(from_centre, p[5:], float(half_mm)))

    def residual_of(kept: np.ndarray, p: np.ndarray) -> np.ndarray:
        return kept * (p[0] * shade(p, page, photo) / light - 1)

    start, kept = np.array([light.max(), 0.01, 0.01, 0.05]), trust
    for _ in range(_N_ROUNDS):
        found = _best(partial(residual_of, kept), start)
        off = np.abs(found.parameters[0] * shade(found.parameters, page, photo) / light - 1)
        # a corner that a shadow spares, or a stain, must not bend the rest
        kept = trust * (off <= max(_LEAST_OUTLIER, _OUTLIER_MEDIANS * float(np.median(off))))
    p, sd = found.parameters, found.sd
    fall = float(np.hypot(*p[1:3]))
    toward = p[1:3] / max(fall, 1e-9)
    values, fitted = light / p[0], shade(p, page, photo)
    # what the rates leave is alike over a length: so many places fewer are independent, so much larger are standard errors
    n_independent = max(4.0, float(np.prod(np.ptp(page, axis=0))) / _LENGTH_MM**2)
    dependence = math.sqrt(max(1.0, len(page) / n_independent))
    sd, toward = sd * dependence, toward * dependence
    covariance = _kernel(page, page) + np.diag((_NOISE_SD / trust) ** 2)
    return LightField(
        fall,
        float(p[3]),
        float(p[4]) if len(p) > 4 else 0.0,
        float(math.sqrt(toward @ found.covariance[1:3, 1:3] @ toward)),
        float(sd[3]),
        float(sd[4]) if len(p) > 4 else 0.0,
        page,
        photo,
        values,
        fitted,
        partial(shade, p),
        np.linalg.solve(covariance, np.log(values / fitted)),
    )


def _best(residual_of: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> Minimum:
    """Returns the fit of an even fall of light, or that with a soft shadow too where it explains much more."""
    plain = minimise(residual_of, start)
    best, limit = plain, _MAX_SCATTER_LEFT**2 * (plain.residual @ plain.residual)
    for direction in _SHADOW_DIRECTIONS_DEG:
        for reach in _SHADOW_REACHES:
            shadow = [0.05, reach, math.radians(direction), math.log(_FIRST_SOFTNESS_MM)]
            trial = minimise(residual_of, np.concatenate([plain.parameters, shadow]), max_steps=25)
            rate, reach_found, _, softness = trial.parameters[4:]
            sane = max(_MIN_SHADOW_RATE, _MIN_SHADOW_Z * trial.sd[4]) <= rate < 1 and abs(reach_found) < 1
            sane &= math.log(_SOFTNESS_RANGE_MM[0]) <= softness <= math.log(_SOFTNESS_RANGE_MM[1])
            if sane and trial.residual @ trial.residual < limit:
                best, limit = trial, trial.residual @ trial.residual
    return best


def _shadow(from_centre: np.ndarray, p: np.ndarray, half_diagonal_mm: float) -> np.ndarray:
    """Returns how much of a shadow lies at places, 0 to 1; p is its reach in half diagonals, its direction, ln of its mm."""
    beyond_mm = (from_centre @ (math.cos(p[1]), math.sin(p[1])) - p[0]) * half_diagonal_mm
    return (1 + np.tanh(2 * beyond_mm / math.exp(min(max(p[2], -2.0), 6.0)))) / 2


def _kernel(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    square = ((np.asarray(ones)[:, None] - np.asarray(others)[None]) ** 2).sum(axis=2)
    return _BEND_SD**2 * np.exp(-square / (2 * _LENGTH_MM**2))
