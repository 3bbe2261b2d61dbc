"""Print curves and the camera's colour matrix, from the greys and colours of one or several photos at once.

Under even light a patch is seen as y = M D G t: t holds what each channel of the colour sent, as the base's driver makes it, asks
the printer for (the print curves), G is the printer's gamut, D exposure and white balance of the photo, M the camera's matrix.
One photo cannot tell a printer that loses saturation from a camera that does; photos of differing tints can, since the tint falls
between the two. So G's saturation is believed to be the base profile's, give or take `_SATURATION_SD`, and M takes the rest. Nor
can photos tell bright paper from a long exposure: the paper stays as bright as the base profile's. M's rows add up to 1, so that
white balance is D's alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.images.colour import linear_levels
from pipeline.physical.calibration.least_squares import minimise
from pipeline.physical.calibration.measuring import Spot
from pipeline.physical.printing.chart import GREY_STEPS
from pipeline.physical.simulator import Profile
from pipeline.physical.simulator.camera import camera_matrix
from pipeline.physical.simulator.driver import driven, driver_cube
from pipeline.physical.simulator.printer import faded, print_table
from pipeline.physical.simulator.profile import limits

_N = len(GREY_STEPS)
_STEP = GREY_STEPS[1]
_MAX_CLIPPED_RATE = 0.05
# the eye and the 8-bit file see shares, not differences of light; below this light a difference counts as one of this
_FLOOR = 0.01
_TINY = 1e-30
_SATURATION_SD = 0.15
# of a patch's light, as a share of itself to the power of 0.6
_PATCH_SD = 0.003


@dataclass(frozen=True, slots=True, eq=False)
class ColourFit:
    """`curves` (n, 3): reflectance at GREY_STEPS; `matrix` (3, 3); `balance` (photos, 3): exposure of red, green and blue;
    `saturation_rate` that the print keeps.

    `*_sd` are standard errors from the scatter of the patches about the fit. `seen` and `fitted` (N, 3) are the light of every
    patch of every photo under even light, and what the fit says of it; `spots` what they are, `owners` (N,) of which photo.
    """

    curves: np.ndarray
    matrix: np.ndarray
    balance: np.ndarray
    saturation_rate: float
    curves_sd: np.ndarray
    matrix_sd: np.ndarray
    balance_sd: np.ndarray
    saturation_sd: float
    spots: tuple[Spot, ...]
    owners: np.ndarray
    seen: np.ndarray
    fitted: np.ndarray


def fit_colour(photos: Sequence[Sequence[tuple[Spot, float]]], base: Profile) -> ColourFit:
    """Returns curves, matrix and balances that explain all patches best, by least squares.

    A driver goes by how dark black is, which is only known afterwards: with one it is done twice.

    Args: `photos`, for each the patches that were seen and the light that falls on each.
    """
    found = _fitted(photos, base)
    if driver_cube(base) is None:
        return found
    ink = float(np.clip(found.curves[0].min(), *(limits("ink_reflectance") or (0, 1))))
    return _fitted(photos, replace(base, ink_reflectance=ink))


def _fitted(photos: Sequence[Sequence[tuple[Spot, float]]], base: Profile) -> ColourFit:
    owners = np.array([index for index, patches in enumerate(photos) for _ in patches])
    spots = [spot for patches in photos for spot, _ in patches]
    seen = np.array([spot.light / light for patches in photos for spot, light in patches])
    sent = np.array([spot.sent for spot in spots], np.uint8)
    steps, beyond = _between_greys(driven(sent[None], base)[0])
    weights = 1 / np.maximum(seen, _FLOOR) ** 0.6 / _PATCH_SD
    used = np.array([spot.clipped_rate <= _MAX_CLIPPED_RATE for spot in spots])
    believed, paper = base.print_saturation_rate, base.paper_reflectance
    curves = print_table(base)[list(GREY_STEPS)].astype(np.float64)
    is_white = (sent == 255).all(axis=1)
    whites = np.array([np.mean(seen[is_white & (owners == index)], axis=0) for index in range(len(photos))])
    matrix = camera_matrix(base)
    matrix = matrix / matrix.sum(axis=1, keepdims=True)
    balance = whites @ np.linalg.inv(matrix).T / paper

    def unpack(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inner, sides, balance = _parts(p[:-1])
        matrix = np.column_stack([sides[:, 0], 1 - sides.sum(axis=1), sides[:, 1]])
        return np.vstack([inner, np.full(3, paper)]), matrix, balance

    def light_of(p: np.ndarray) -> np.ndarray:
        """What the patches should show (N, 3)."""
        curves, matrix, balance = unpack(p)
        below, above = (np.take_along_axis(curves, at, axis=0) for at in (steps, steps + 1))
        mixing = faded(_possible(p[-1]))
        return (((1 - beyond) * below + beyond * above) @ mixing.T * balance[owners]) @ matrix.T

    def residual_of(p: np.ndarray) -> np.ndarray:
        return np.append((weights * (light_of(p) - seen))[used], (p[-1] - believed) / _SATURATION_SD)

    found = minimise(
        residual_of,
        np.concatenate([curves[:-1].ravel(), matrix[:, [0, 2]].ravel(), balance.ravel(), [believed]]),
        n_priors=1,
        # exact to the last digit: a complex step has no difference of near values (Squire and Trapp 1998)
        jacobian_of=lambda p: np.stack([residual_of(p + step).imag for step in _TINY * 1j * np.eye(len(p))], axis=1) / _TINY,
    )
    p = found.parameters
    curves, matrix, balance = unpack(p)
    inner_sd, sides_sd, balance_sd = _parts(found.sd[:-1])
    curves_sd = np.vstack([inner_sd, np.zeros(3)])
    matrix_sd = np.column_stack([sides_sd[:, 0], np.hypot(*sides_sd.T), sides_sd[:, 1]])
    errors = (curves_sd, matrix_sd, balance_sd, float(found.sd[-1]))
    return ColourFit(curves, matrix, balance, float(_possible(p[-1])), *errors, tuple(spots), owners, seen, light_of(p))


def _possible(saturation_rate: Any) -> Any:
    """Returns the number, complex or not, or the nearest that a printer can keep."""
    return saturation_rate if 0 <= saturation_rate.real <= 1 else np.clip(saturation_rate.real, 0, 1)


def _between_greys(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of GREY_STEPS lies at or below 8-bit values, and how far beyond it each is, as sRGB's light goes."""
    levels, steps = linear_levels(), np.minimum(values // _STEP, _N - 2).astype(np.int64)
    below, above = levels[steps * _STEP], levels[(steps + 1) * _STEP]
    return steps, (levels[values] - below) / (above - below)


def _parts(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the curves without white (n - 1, 3), the matrix's first and last column (3, 2), and the balances (photos, 3)."""
    inner, sides, balance = np.split(p, [3 * (_N - 1), 3 * (_N - 1) + 6])
    return inner.reshape(-1, 3), sides.reshape(3, 2), balance.reshape(-1, 3)
