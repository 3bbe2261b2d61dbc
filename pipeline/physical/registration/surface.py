"""The surface of a photographed page from its printed points: a homography plus a smooth bend, with its uncertainty.

Curled paper and a lens that bends straight lines move points smoothly away from any homography. That bend is a Gaussian process
over the page (Rasmussen and Williams 2006, section 2.7: with explicit basis functions, here the homography's eight parameters),
so what is known between the points, and how well, follows from the points themselves: no bend is put in where none shows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.physical.geometry import apply_homography, homography_from_points, homography_rows
from pipeline.physical.page_map import PageMap

# One code alone says where its neighbours are, not where the page ends; two codes' quarters are eight points.
MIN_POINTS = 8
# Lengths over which paper bends: a sheet of A4 has half a wave to two waves across. Bend over noise: none to ten millimetres.
_LENGTHS_MM = (90.0, 130.0, 190.0, 280.0, 400.0)
_RATIOS = (0.0, 0.5, 1.5, 5.0, 15.0, 50.0, 150.0, 500.0, 1500.0)
_ROUGH_LENGTHS_MM, _ROUGH_RATIOS = (190.0,), (0.0, 5.0, 50.0, 500.0)
# A printed point is measured to a few hundredths of a pixel; three such points' worth of belief steadies a fit to few points.
_PRIOR_NOISE_PX, _PRIOR_WEIGHT = 0.04, 6.0
_LEAST_SHARE = 0.02
# Beyond these something is wrong: a point is contradicted by the others, or all scatter more than points do.
_MAX_Z, _MAX_NOISE_PX = 4.5, 0.25
_MAX_REJECTED_RATE = 0.4
_N_SUSPECTS = 6
# Fewer places than these cannot tell a bend from the way that they are seen; the surface stays flat and its error is predicted.
_MIN_GROUPS_TO_BEND = 4
# Where points stand in the corners only, a bend shorter than their distance would be guessed: longer ones miss less. What is left
# grows by less than the deviation that these foretell, because paper that bends much bends regularly: sd mm -> 0.4 sd^(2/3) mm.
# Fitted to flat and curled simulated sheets and the outlines of three real ones; on others true over expected was 0.56 to 1.22.
_MAX_GROUPS_IN_CORNERS = 8
_LONG_MM = (160.0, 280.0, 400.0)
_EXPECTED_MM, _EXPECTED_POWER = 0.4, 2 / 3
# A wrong point may lie anywhere within some tens of pixels; the rest of its group goes with it as exactly as points do.
_LOG_PER_WRONG_POINT, _LOG_PER_FOLLOWER = -2 * np.log(60.0), -2 * (np.log(_PRIOR_NOISE_PX) + 0.5 * np.log(2 * np.pi * np.e))


@dataclass(frozen=True, eq=False)
class Surface:
    """A page's surface in a photo: `page_map` its best estimate, `noise_px` the scatter of a point per axis.

    `used` (N,) bool tells which of the points given it rests on; `residual_px` (N, 2) how far each lies from the map. It is the
    mean of `fits`, each believed by its share. `is_guessed`: its points stand in corners only.
    """

    page_map: PageMap
    noise_px: float
    used: np.ndarray
    residual_px: np.ndarray
    fits: "tuple[_Fit, ...]"
    _shares: np.ndarray
    is_guessed: bool = False

    def sd_px(self, page_mm: np.ndarray) -> np.ndarray:
        """Returns the expected distance, RMS over both axes in photo px, between map and truth at page points (N, 2)."""
        means, variances = zip(*(fit.predicted(page_mm) for fit in self.fits), strict=True)
        share = self._shares[:, None, None]
        mean = self.page_map(page_mm) - apply_homography(self.fits[0].homography, page_mm)
        # uncertainty within each length and strength of the bend, and of which of them is true
        total = (share * (np.array(variances) + (np.array(means) - mean) ** 2)).sum(axis=0)
        sd_px = np.sqrt(total.sum(axis=1))
        if not self.is_guessed:
            return sd_px
        px_per_mm = np.sqrt(np.abs(np.linalg.det(self.page_map.jacobian(page_mm))))
        among_px = px_per_mm * _EXPECTED_MM * (sd_px / px_per_mm) ** _EXPECTED_POWER
        points = self.fits[0].points_mm
        is_among = ((page_mm >= points.min(axis=0)) & (page_mm <= points.max(axis=0))).all(axis=1)
        return np.where(is_among, among_px, sd_px)

    def has_points_around(self, page_mm: np.ndarray) -> bool:
        """Returns whether the points that it rests on lie on both sides of a page point (2,), across and down the page."""
        points = self.fits[0].points_mm
        return bool((points.min(axis=0) < page_mm).all() and (points.max(axis=0) > page_mm).all())


def fit_surface(
    page_mm: np.ndarray, photo_px: np.ndarray, groups: np.ndarray, width_mm: float, height_mm: float, rough: bool = False
) -> Surface:
    """Returns the surface through printed points, without those that the others contradict.

    Where a point is contradicted by more than 4.5 standard deviations, or all scatter, each suspect group is left out in turn,
    and the one whose absence the rest explains best stays out, if that is likelier than all of them being right.

    Where points stand in the corners only, bends are long ones, and the expected error is what such bends were off by elsewhere.

    Args: `page_mm`, `photo_px` (N, 2), N >= 4 with four in general position; `groups` (N,) int, equal for points that stand or
    fall together; `rough` looks at few bends only, four times as fast: good enough to say where the next points are.
    Raises: geometry.NoHomography when the points do not determine one.
    """
    used = np.ones(len(page_mm), bool)
    is_guessed = not rough and _MIN_GROUPS_TO_BEND <= len(np.unique(groups)) <= _MAX_GROUPS_IN_CORNERS
    grid = (_ROUGH_LENGTHS_MM, _ROUGH_RATIOS) if rough else (_LONG_MM if is_guessed else _LENGTHS_MM, _RATIOS)
    fits, shares, evidence = _fitted(page_mm, photo_px, grid, rough)
    while True:
        z = _contradictions(fits[int(np.argmax(shares))], groups[used])
        suspects = sorted(z, key=lambda group: z[group], reverse=True)[:_N_SUSPECTS]
        if not suspects or (z[suspects[0]] <= _MAX_Z and min(fit.noise_px for fit in fits) <= _MAX_NOISE_PX):
            break
        best = None
        for suspect in suspects:
            rest = used & (groups != suspect)
            n_left, n_out = int(rest.sum()), int((used & ~rest).sum())
            if n_left < MIN_POINTS or len(used) - n_left > _MAX_REJECTED_RATE * len(used):
                continue
            tried = _fitted(page_mm[rest], photo_px[rest], grid, rough)
            gain = tried[2] + _LOG_PER_WRONG_POINT + (n_out - 1) * _LOG_PER_FOLLOWER - evidence
            if best is None or gain > best[0]:
                best = (gain, rest, tried)
        if best is None or best[0] <= 0:
            break
        used, (fits, shares, evidence) = best[1], best[2]
    can_bend = len(np.unique(groups[used])) >= _MIN_GROUPS_TO_BEND
    page_map = PageMap(width_mm, height_mm, fits[0].homography)
    if can_bend:
        page_map = PageMap.fitted(_mean(fits, shares), width_mm, height_mm, fits[0].homography)
    noise_px = float(np.sqrt((shares * [fit.noise_px**2 for fit in fits]).sum()))
    return Surface(page_map, noise_px, used, photo_px - page_map(page_mm), fits, shares, is_guessed and can_bend)


def _mean(fits: "tuple[_Fit, ...]", shares: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the surface that is to be expected, as a function of page points."""
    step = sum(share * fit.step for share, fit in zip(shares, fits, strict=True))
    pulls: dict[float, np.ndarray] = {}
    for share, fit in zip(shares, fits, strict=True):
        pulls[fit.length_mm] = pulls.get(fit.length_mm, 0) + share * fit.ratio**2 * fit.weights

    def mean(points: np.ndarray) -> np.ndarray:
        homography, known = fits[0].homography, fits[0].points_mm
        straight = apply_homography(homography, points) + (_basis(homography, points) @ step).reshape(-1, 2)
        return straight + sum(_similarity(points, known, length) @ pull for length, pull in pulls.items())

    return mean


@dataclass(frozen=True, eq=False)
class _Fit:
    """One length and strength of the bend: its posterior, all in units of photo px."""

    homography: np.ndarray
    points_mm: np.ndarray
    length_mm: float
    ratio: float
    noise_px: float
    step: np.ndarray
    weights: np.ndarray
    inverse: np.ndarray
    pulled_basis: np.ndarray
    step_covariance: np.ndarray

    def predicted(self, page_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and variance, each (N, 2), of what is added to the homography."""
        kernel = self.ratio**2 * _similarity(page_mm, self.points_mm, self.length_mm)
        spread = self.ratio**2 - (kernel @ self.inverse * kernel).sum(axis=1)
        basis = _basis(self.homography, page_mm)
        rest = basis - (kernel @ self.pulled_basis.reshape(-1, 16)).reshape(-1, 8)
        steps = ((rest @ self.step_covariance) * rest).sum(axis=1).reshape(-1, 2)
        mean = (basis @ self.step).reshape(-1, 2) + kernel @ self.weights
        return mean, self.noise_px**2 * (np.maximum(spread, 0)[:, None] + steps)


def _fitted(
    page_mm: np.ndarray, photo_px: np.ndarray, grid: tuple[tuple[float, ...], tuple[float, ...]], rough: bool
) -> tuple[tuple[_Fit, ...], np.ndarray, float]:
    """Returns the fits that matter, their shares of belief, and the log evidence of all lengths and strengths in a grid."""
    lengths_mm, ratios = grid
    homography = homography_from_points(page_mm, photo_px, rough)
    residual = photo_px - apply_homography(homography, page_mm)
    basis = _basis(homography, page_mm)
    kernels = np.stack([_similarity(page_mm, page_mm, length) for length in lengths_mm])
    scores, noises = _likelihoods(kernels, residual, basis, ratios)
    scores[1:, np.array(ratios) == 0] = -np.inf  # without a bend its length means nothing
    n_tried = np.isfinite(scores).sum()
    shares = np.exp(scores - scores.max())
    kept = np.argwhere(shares >= _LEAST_SHARE * shares.sum())
    fits = tuple(
        _posterior(homography, page_mm, residual, basis, kernels[i], (lengths_mm[i], ratios[j], float(noises[i, j])))
        for i, j in kept
    )
    of_fits = shares[tuple(kept.T)]
    return fits, of_fits / of_fits.sum(), float(scores.max() + np.log(shares.sum() / n_tried))


def _likelihoods(
    kernels: np.ndarray, residual: np.ndarray, basis: np.ndarray, ratios: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns log likelihood and noise, each (L, R), for all L lengths and R ratios; one eigendecomposition serves a length."""
    values, vectors = np.linalg.eigh(kernels)
    n_lengths, n = values.shape
    turned = vectors.swapaxes(1, 2)
    turned_basis = (turned @ basis.reshape(n, 16)).reshape(n_lengths, 1, 2 * n, 8)
    turned_residual = (turned @ residual).reshape(n_lengths, 1, 2 * n)
    weights = 1 / np.repeat(np.square(ratios)[:, None] * np.maximum(values, 0)[:, None] + 1, 2, axis=2)
    pulled = weights[..., None] * turned_basis
    normal = turned_basis.swapaxes(2, 3) @ pulled
    wanted = (turned_residual[..., None, :] @ pulled).swapaxes(2, 3)
    steps = _inverse(normal) @ wanted
    rest = turned_residual - (turned_basis @ steps)[..., 0]
    n_free = 2 * n - 8 + _PRIOR_WEIGHT
    variances = ((weights * rest**2).sum(axis=2) + _PRIOR_WEIGHT * _PRIOR_NOISE_PX**2) / n_free
    spreads = n_free * np.log(2 * np.pi * np.e * variances) - np.log(weights).sum(axis=2) + np.linalg.slogdet(normal)[1]
    return -0.5 * spreads, np.sqrt(variances)


def _posterior(
    homography: np.ndarray,
    page_mm: np.ndarray,
    residual: np.ndarray,
    basis: np.ndarray,
    kernel: np.ndarray,
    bend: tuple[float, float, float],
) -> _Fit:
    length_mm, ratio, noise_px = bend
    n = len(page_mm)
    inverse = np.linalg.inv(ratio**2 * kernel + np.eye(n))
    pulled = (inverse @ basis.reshape(n, 16)).reshape(2 * n, 8)
    covariance = _inverse(basis.T @ pulled)
    step = covariance @ (pulled.T @ residual.ravel())
    rest = residual - (basis @ step).reshape(n, 2)
    return _Fit(homography, page_mm, length_mm, ratio, noise_px, step, inverse @ rest, inverse, pulled, covariance)


def _contradictions(fit: _Fit, groups: np.ndarray) -> dict[int, float]:
    """Returns for each group by how many standard deviations per coordinate the other points contradict it."""
    return {
        group: float(np.sqrt(max(error @ pull, 0) / len(pull))) / fit.noise_px for group, error, pull in _left_out(fit, groups)
    }


def _left_out(fit: _Fit, groups: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields each group, by how much the other points miss it, x and y in turn, px, and that times its inverse covariance.

    The leave-one-out residual is e = P_gg^-1 (P r)_g with covariance P_gg^-1 (in squares of the noise), so e' P_gg e is
    (P r)_g' P_gg^-1 (P r)_g.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    sizes = np.bincount(numbers)
    members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(sizes)[:-1])
    for size in np.unique(sizes):  # those of one size at once
        alike = np.flatnonzero(sizes == size)
        points = np.array([members[i] for i in alike])
        both = np.kron(fit.inverse[points[:, :, None], points[:, None]], np.eye(2))
        basis = fit.pulled_basis.reshape(-1, 2, 8)[points].reshape(len(alike), -1, 8)
        inverses = _inverse(both - basis @ fit.step_covariance @ basis.swapaxes(1, 2))
        pull = fit.weights[points].reshape(len(alike), -1)  # the weights are P r
        yield from zip(names[alike].tolist(), (inverses @ pull[..., None])[..., 0], pull, strict=True)


def _inverse(symmetric: np.ndarray) -> np.ndarray:
    """Returns the pseudo-inverse of symmetric matrices (..., n, n), as `pinv` does in three times as long."""
    values, vectors = np.linalg.eigh(symmetric)
    size = np.abs(values)
    is_nil = size <= symmetric.shape[-1] * np.finfo(float).eps * size.max(axis=-1, keepdims=True)
    shares = np.where(is_nil, 0.0, 1 / np.where(is_nil, 1.0, values))
    inverse: np.ndarray = (vectors * shares[..., None, :]) @ vectors.swapaxes(-1, -2)
    return inverse


def _similarity(one_mm: np.ndarray, other_mm: np.ndarray, length_mm: float) -> np.ndarray:
    (x, y), (other_x, other_y) = one_mm.T, other_mm.T
    return np.exp(((x[:, None] - other_x) ** 2 + (y[:, None] - other_y) ** 2) / (-2 * length_mm**2))


def _basis(homography: np.ndarray, page_mm: np.ndarray) -> np.ndarray:
    """Returns the (2 N, 8) derivative of the mapped points by the homography's parameters, in units of about one pixel."""
    rows = homography_rows(page_mm, apply_homography(homography, page_mm))
    depth = homography[2, 0] * page_mm[:, 0] + homography[2, 1] * page_mm[:, 1] + homography[2, 2]
    scale = np.array([1e-2, 1e-2, 1, 1e-2, 1e-2, 1, 1e-5, 1e-5])
    return (rows / depth[:, None, None] * scale).reshape(-1, 8)
