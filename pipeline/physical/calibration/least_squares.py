"""Nonlinear least squares by Levenberg and Marquardt, with the covariance of what it finds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_N_STEPS, _STEP_RATE = 60, 1e-6
_ENOUGH_GAIN = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Minimum:
    """`covariance` is s^2 (J'J)^-1 with s^2 the residual's mean square per degree of freedom."""

    parameters: np.ndarray
    residual: np.ndarray
    covariance: np.ndarray

    @property
    def sd(self) -> np.ndarray:
        return np.sqrt(np.diag(self.covariance))


def minimise(
    residual_of: Callable[[np.ndarray], np.ndarray], start: np.ndarray, n_priors: int = 0, max_steps: int = _N_STEPS
) -> Minimum:
    """Returns the parameters (P,) with the least sum of squared residuals (N,), from a start; derivatives by differences.

    Args: `n_priors` of the residuals, its last, are beliefs of unit variance, not data: s^2 is of the others, and the beliefs
    count as much as s^2 says.
    """
    p = np.array(start, np.float64)
    residual, damping = residual_of(p), 1e-3
    jacobian = _jacobian(residual_of, p, residual)
    for _ in range(max_steps):
        normal = jacobian.T @ jacobian
        ridge = damping * np.diag(normal) + 1e-12 * np.trace(normal)
        step = np.linalg.solve(normal + np.diag(ridge), jacobian.T @ residual)
        trial = residual_of(p - step)
        before, after = residual @ residual, trial @ trial
        if not after < before:
            damping *= 10
            if damping > 1e8:
                break
            continue
        p, residual, damping = p - step, trial, max(damping / 10, 1e-9)
        jacobian = _jacobian(residual_of, p, residual)
        if before - after <= _ENOUGH_GAIN * before:
            break
    n_data = len(residual) - n_priors
    data = residual[:n_data]
    variance = float(data @ data) / max(1, n_data - len(p) + n_priors)
    weighted = jacobian.copy()
    weighted[:n_data] /= np.sqrt(max(variance, 1e-300))
    covariance = np.linalg.pinv(weighted.T @ weighted, hermitian=True)
    return Minimum(p, residual, covariance)


def _jacobian(residual_of: Callable[[np.ndarray], np.ndarray], p: np.ndarray, at: np.ndarray) -> np.ndarray:
    columns = np.empty((len(at), len(p)))
    for i in range(len(p)):
        step = _STEP_RATE * max(1.0, abs(p[i]))
        moved = p.copy()
        moved[i] += step
        columns[:, i] = (residual_of(moved) - at) / step
    return columns
