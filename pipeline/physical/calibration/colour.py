"""Print curves and the camera's colour matrix, from the greys and colours of one or several photos at once.

Under even light a patch is seen as y = M D G t: t holds what each channel of the colour sent asks the printer for (the print
curves), G is the printer's gamut, D exposure and white balance of the photo, M the camera's matrix. A photo alone cannot tell a
printer that loses saturation from a camera that does: G stays the base profile's, and M takes all of the rest. Nor can it tell
bright paper from a long exposure: the paper stays as bright as the base profile's. M's rows add up to 1, so that white balance is
D's alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.physical.calibration.least_squares import minimise
from pipeline.physical.calibration.measuring import Spot
from pipeline.physical.printing.chart import GREY_STEPS
from pipeline.physical.simulator import Profile
from pipeline.physical.simulator.camera import camera_matrix
from pipeline.physical.simulator.printer import gamut, print_table

_N = len(GREY_STEPS)
_STEP = GREY_STEPS[1]
_MAX_CLIPPED_RATE = 0.05
# the eye and the 8-bit file see shares, not differences of light; below this light a difference counts as one of this
_FLOOR = 0.01
_TINY = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class ColourFit:
    """`curves` (n, 3): reflectance at GREY_STEPS; `matrix` (3, 3); `balance` (photos, 3): exposure of red, green and blue.

    `*_sd` are standard errors from the scatter of the patches about the fit. `seen` and `fitted` (N, 3) are the light of every
    patch of every photo under even light, and what the fit says of it; `spots` what they are, `owners` (N,) of which photo.
    """

    curves: np.ndarray
    matrix: np.ndarray
    balance: np.ndarray
    curves_sd: np.ndarray
    matrix_sd: np.ndarray
    balance_sd: np.ndarray
    spots: tuple[Spot, ...]
    owners: np.ndarray
    seen: np.ndarray
    fitted: np.ndarray


def fit_colour(photos: Sequence[Sequence[tuple[Spot, float]]], base: Profile) -> ColourFit:
    """Returns curves, matrix and balances that explain all patches best, by least squares.

    Args: `photos`, for each the patches that were seen and the light that falls on each.
    """
    owners = np.array([index for index, patches in enumerate(photos) for _ in patches])
    spots = [spot for patches in photos for spot, _ in patches]
    seen = np.array([spot.light / light for patches in photos for spot, light in patches])
    steps = np.array([spot.sent for spot in spots]) // _STEP
    weights = 1 / np.maximum(seen, _FLOOR) ** 0.6
    used = np.array([spot.clipped_rate <= _MAX_CLIPPED_RATE for spot in spots])
    mixing = gamut(base).astype(np.float64)
    paper = base.paper_reflectance
    curves = print_table(base)[list(GREY_STEPS)].astype(np.float64)
    is_white = (steps == _N - 1).all(axis=1)
    whites = np.array([np.mean(seen[is_white & (owners == index)], axis=0) for index in range(len(photos))])
    matrix = camera_matrix(base)
    matrix = matrix / matrix.sum(axis=1, keepdims=True)
    balance = whites @ np.linalg.inv(matrix).T / paper

    def unpack(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inner, sides, balance = _parts(p)
        matrix = np.column_stack([sides[:, 0], 1 - sides.sum(axis=1), sides[:, 1]])
        return np.vstack([inner, np.full(3, paper)]), matrix, balance

    def light_of(p: np.ndarray) -> np.ndarray:
        """What the patches should show (N, 3)."""
        curves, matrix, balance = unpack(p)
        return (np.take_along_axis(curves, steps, axis=0) @ mixing.T * balance[owners]) @ matrix.T

    def residual_of(p: np.ndarray) -> np.ndarray:
        return np.asarray((weights * (light_of(p) - seen))[used]).ravel()

    found = minimise(
        residual_of,
        np.concatenate([curves[:-1].ravel(), matrix[:, [0, 2]].ravel(), balance.ravel()]),
        # exact to the last digit: a complex step has no difference of near values (Squire and Trapp 1998)
        jacobian_of=lambda p: np.stack([residual_of(p + step).imag for step in _TINY * 1j * np.eye(len(p))], axis=1) / _TINY,
    )
    p = found.parameters
    curves, matrix, balance = unpack(p)
    inner_sd, sides_sd, balance_sd = _parts(found.sd)
    curves_sd = np.vstack([inner_sd, np.zeros(3)])
    matrix_sd = np.column_stack([sides_sd[:, 0], np.hypot(*sides_sd.T), sides_sd[:, 1]])
    return ColourFit(curves, matrix, balance, curves_sd, matrix_sd, balance_sd, tuple(spots), owners, seen, light_of(p))


def _parts(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the curves without white (n - 1, 3), the matrix's first and last column (3, 2), and the balances (photos, 3)."""
    inner, sides, balance = np.split(p, [3 * (_N - 1), 3 * (_N - 1) + 6])
    return inner.reshape(-1, 3), sides.reshape(3, 2), balance.reshape(-1, 3)
