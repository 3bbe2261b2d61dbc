"""Two Gaussians (Section 4): what maximum likelihood and robust estimation learn, in closed form and by direct minimisation."""

from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import ndtr

from pipeline.document.blocks import TableBlock, plain
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.studies.ilyas2019.published import SAYS, TEXTS
from pipeline.studies.lab.bench import Bench
from pipeline.studies.lab.parts import Measured, Part, Told
from pipeline.studies.lab.shown import fewer, more_than

_MEAN, _COVARIANCE = np.array([0.8, 0.2]), np.array([[1.0, 0.8], [0.8, 1.0]])
_EPSILONS = (0.0, 0.1, 0.2, 0.4, 0.6)
_ATTACKED = 0.4
_N_PROBLEMS, _N_DIMENSIONS = 200, 10


def robust_direction(mean: np.ndarray, covariance: np.ndarray, epsilon: float) -> np.ndarray:
    """Returns w of the best classifier sign(w·x) of N(yμ, Σ) under changes of Euclidean length ε, w = (Σ + λI)⁻¹μ.

    It is right with probability Φ((w·μ − ε‖w‖) / √(wᵀΣw)). Where that is largest, (μ − εw/‖w‖) wᵀΣw = (w·μ − ε‖w‖) Σw, so w is
    along (Σ + λI)⁻¹μ with λ = ε wᵀΣw / (‖w‖ (w·μ − ε‖w‖)). With w = (Σ + λI)⁻¹μ itself, wᵀΣw + λ‖w‖² = w·μ, and the condition
    becomes λ‖w‖ = ε. λ = 0 is maximum likelihood, Σ⁻¹μ.

    Args:
        mean: μ, (d,). covariance: Σ, (d, d). epsilon: 0 or more, less than ‖μ‖.

    Raises:
        ValueError: ε is ‖μ‖ or more, where no direction is better than chance.
    """
    length = float(np.linalg.norm(mean))
    if not 0 <= epsilon < length:
        raise ValueError(f"expected 0 <= epsilon < {length:g}, got {epsilon}")

    def at(penalty: float) -> np.ndarray:
        found: np.ndarray = np.linalg.solve(covariance + penalty * np.eye(len(mean)), mean)
        return found

    if epsilon == 0:
        return at(0.0)
    # λ‖w‖ ≥ λ‖μ‖ / (σ + λ), σ the largest eigenvalue: at this λ it is ε at least
    most = epsilon * float(np.linalg.eigvalsh(covariance)[-1]) / (length - epsilon)
    return at(brentq(lambda penalty: penalty * np.linalg.norm(at(penalty)) - epsilon, 0.0, most * (1 + 1e-9), xtol=1e-14))


def robust_covariance(covariance: np.ndarray, penalty: float) -> np.ndarray:
    """Returns Σ_r = ½Σ + I/λ + √(Σ/λ + ¼Σ²): what robust maximum likelihood takes for the covariance.

    Against max over δ of ½(z + δ)ᵀM(z + δ) − ½λ‖δ‖², M = Σ_r⁻¹, z = x − yμ, the best answer is δ = (λI − M)⁻¹Mz, of value
    ½zᵀ(Σ_r − I/λ)⁻¹z. The mean of that with ½ log det Σ_r is least where (s_r − 1/λ)² = s s_r for each pair of eigenvalues. The
    mean that is learned stays μ.
    """
    values, vectors = np.linalg.eigh(covariance)
    found: np.ndarray = (vectors * (values / 2 + 1 / penalty + np.sqrt(values / penalty + values**2 / 4))) @ vectors.T
    return found


def mean_square_change(covariance: np.ndarray, penalty: float) -> float:
    """Returns E‖δ‖² of the adversary of `robust_covariance`: the sum of s / (λ s_r − 1)² over eigenvalues."""
    learned = np.linalg.eigvalsh(robust_covariance(covariance, penalty))
    return float((np.linalg.eigvalsh(covariance) / (penalty * learned - 1) ** 2).sum())


def robust_likelihood(covariance: np.ndarray, epsilon: float) -> np.ndarray:
    """Returns Σ_r for the λ at which the adversary's E‖δ‖² is ε²; Σ for ε = 0."""
    if epsilon == 0:
        return covariance
    log_penalty = brentq(lambda log: np.log(mean_square_change(covariance, np.exp(log)) / epsilon**2), -20.0, 20.0)
    return robust_covariance(covariance, float(np.exp(log_penalty)))


def margin(w: np.ndarray, mean: np.ndarray, covariance: np.ndarray, epsilon: float) -> float:
    """Returns (w·μ − ε‖w‖) / √(wᵀΣw), of which Φ is the accuracy under attack."""
    return float((w @ mean - epsilon * np.linalg.norm(w)) / np.sqrt(w @ covariance @ w))


def angle(w: np.ndarray, mean: np.ndarray) -> float:
    """Returns the angle between w and μ, in degrees."""
    one, other = w / np.linalg.norm(w), mean / np.linalg.norm(mean)
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(one - other), np.linalg.norm(one + other))))


def _measure(bench: Bench) -> Measured:
    rows = []
    for epsilon in _EPSILONS:
        w = robust_direction(_MEAN, _COVARIANCE, epsilon)
        searched = minimize(lambda v: -margin(v, _MEAN, _COVARIANCE, epsilon), _MEAN, tol=1e-12).x  # noqa: B023
        likely = np.linalg.solve(robust_likelihood(_COVARIANCE, epsilon), _MEAN)
        plain_w = robust_direction(_MEAN, _COVARIANCE, 0.0)
        accuracies = [float(ndtr(margin(v, _MEAN, _COVARIANCE, e))) for v in (w, plain_w) for e in (0.0, epsilon)]
        rows.append(
            [epsilon, epsilon / np.linalg.norm(w), angle(w, _MEAN), angle(likely, _MEAN), angle(searched, w), *accuracies]
        )
    rng, n = bench.rng("gaussian"), bench.pick(2000, 20_000)
    sides = rng.choice([-1, 1], n)
    points = sides[:, None] * _MEAN + rng.multivariate_normal(np.zeros(2), _COVARIANCE, n)
    found: dict[str, Any] = {"rows": np.array(rows)}
    for name, epsilon in (("plain", 0.0), ("robust", _ATTACKED)):
        w = robust_direction(_MEAN, _COVARIANCE, epsilon)
        found[f"{name} wrong"] = sides * (points @ w) - _ATTACKED * np.linalg.norm(w) <= 0
    falls = []
    for _ in range(_N_PROBLEMS):
        root, mean = rng.standard_normal((_N_DIMENSIONS, _N_DIMENSIONS)), rng.standard_normal(_N_DIMENSIONS)
        covariance = root @ root.T / _N_DIMENSIONS + 0.01 * np.eye(_N_DIMENSIONS)
        shares = (0.0, 0.25, 0.5, 0.75)
        angles = [angle(robust_direction(mean, covariance, share * float(np.linalg.norm(mean))), mean) for share in shares]
        falls.append(bool((np.diff(angles) < 0).all()))
    return found | {"falls": np.array(falls)}


def _tell(found: Measured) -> Told:
    turned, right = "angle to μ, degrees", "right, accuracy under attack"
    heads = (
        *(stub("ε", is_number=True), Column("λ")),
        *(Column("classifier", turned), Column("likelihood", turned), Column("search − closed form", turned)),
        *(Column("robust, clean", right), Column("robust, ε", right), Column("plain, clean", right), Column("plain, ε", right)),
    )
    rows = []
    for epsilon, penalty, turn, likely, off, *shares in found["rows"].tolist():
        cells = [f"{epsilon:g}", f"{penalty:.3f}", f"{turn:.2f}", f"{likely:.2f}", f"{off:.1e}", *(f"{s:.4f}" for s in shares)]
        rows.append(tuple(map(Cell, cells)))
    note = TEXTS["gaussian"].format(mean=_MEAN.tolist(), covariance=_COVARIANCE.tolist())
    table = Table("I6", "Two Gaussians: maximum likelihood and robust estimation", heads, tuple(rows), note)
    less = fewer(
        "gaussian", SAYS["gaussian"].format(epsilon=_ATTACKED), "wrong under attack, robust against plain",
        found["robust wrong"], found["plain wrong"],
    )  # fmt: skip
    n_falls = int(found["falls"].sum())
    said = SAYS["gaussian-angle"].format(n=_N_DIMENSIONS)
    turns = more_than("gaussian-angle", said, "random problems", (n_falls, len(found["falls"])), 0.95)
    return Told((plain(TEXTS["gaussian-lead"]), TableBlock("table-i6", table)), (less, turns))


PART = Part("gaussian", "Two Gaussians", _measure, _tell)
