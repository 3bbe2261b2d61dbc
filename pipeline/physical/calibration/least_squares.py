"""Nonlinear least squares by SciPy, with beliefs beside the data and the covariance of what is found."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_N_STEPS, _TOLERANCE = 60, 1e-10


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
    residual_of: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    n_priors: int = 0,
    max_steps: int = _N_STEPS,
    jacobian_of: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Minimum:
    """Returns the parameters (P,) with the least sum of squared residuals (N,), from a start.

    Args:
        n_priors: of the residuals, its last, are beliefs of unit variance, not data: s^2 is of the others, and the beliefs count
            as much as s^2 says.
        jacobian_of: the residuals' derivatives (N, P); by differences where there are none.
    """
    from scipy.optimize import least_squares

    # MINPACK's wants as many residuals as parameters; a photo that shows too few patches has less
    method = "lm" if len(residual_of(start)) >= len(start) else "trf"
    tolerances = dict.fromkeys(("ftol", "xtol", "gtol"), _TOLERANCE)
    jacobian = jacobian_of or "2-point"
    found = least_squares(residual_of, start, jacobian, method=method, x_scale="jac", max_nfev=max_steps, **tolerances)
    n_data, n_parameters = len(found.fun) - n_priors, len(found.x)
    data = found.fun[:n_data]
    variance = float(data @ data) / max(1, n_data - n_parameters + n_priors)
    weighted = found.jac.copy()
    weighted[:n_data] /= np.sqrt(max(variance, 1e-300))
    return Minimum(found.x, found.fun, np.linalg.pinv(weighted.T @ weighted, hermitian=True))
