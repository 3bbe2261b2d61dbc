"""What lens and camera must be for twins to look as the photos do: blur and ISO of each, sharpening and smoothing of all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from pipeline.physical.calibration.measuring import Measured
from pipeline.physical.calibration.twin import Looks, Scene, looks_of, photographed
from pipeline.physical.simulator import Profile
from pipeline.physical.simulator.profile import limits

_BLUR_RANGE_PX, _ISO_RANGE = (0.05, 20.0), (1.0, 25600.0)
# beliefs in the base: of ln(1 + sharpen_rate) and of ln(luma_denoise_8bit)
_BELIEF_SDS = np.array([0.5, 0.5])
_LEAST_DENOISE_8BIT = 0.05
# how far a twin at its best is from a photo in each look, however many edges and places tell: gains of the white balance, curl
_LEAST_SDS = np.array([0.003, 0.003, 0.01, 0.01])
# of ln(blur), ln(ISO), ln(1 + sharpen_rate), ln(luma_denoise_8bit): what a slope is measured over
_STEPS = np.array([0.08, 0.15, 0.15, 0.2])
# nearer than that slopes stay as they were
_LONGEST_STEP, _NEAR, _CLOSE, _MAX_ROUNDS = 0.7, 0.2, 0.01, 12


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """The lens's blur and the sensitivity with which the twin looks as the photo, and their standard errors."""

    blur_px: float
    iso: float
    blur_sd: float
    iso_sd: float
    twin: Measured


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Every photo's match, and the sharpening and smoothing of brightness that all share; `*_sd` are standard errors.

    They are None where the base's value stays: no photo has edges; none has noise, or the base smooths nothing.
    """

    photos: tuple[Match, ...]
    sharpen_rate: float
    sharpen_sd: float | None
    luma_denoise_8bit: float
    denoise_sd: float | None


def match_photos(printed: Profile, wanted: Sequence[Looks], scenes: Sequence[Scene]) -> Matches:
    """Returns the blur, ISO, sharpening and smoothing at which the profile's twins look as wanted, by least squares.

    All in logarithms, all photos at once, every look by its standard error. Blur and sharpening both move the MTF50, sharpening
    alone the contrast at half of it. Noise is weaker on paper than in black, and the weaker it is the more of it coring takes:
    their ratio tells the smoothing; their mean tells the ISO once the sharpening, which lifts both, is known.
    """
    n, smooths = len(wanted), printed.luma_denoise_8bit > 0
    twins = [_Twins(printed, scene) for scene in scenes]
    believed = np.log([1 + printed.sharpen_rate, max(printed.luma_denoise_8bit, _LEAST_DENOISE_8BIT)])
    p = np.concatenate([np.tile(np.log([max(0.3, fmean(printed.blur_px)), max(20.0, fmean(printed.iso))]), n), believed])
    lifts, denoises = (np.array(limits(key) or (0, np.inf)) for key in ("sharpen_rate", "luma_denoise_8bit"))
    ends = np.log([*[_BLUR_RANGE_PX, _ISO_RANGE] * n, 1 + lifts, np.maximum(denoises, _LEAST_DENOISE_8BIT)]).T
    sds = [_errors(looks, one.looks(own)) for looks, one, own in zip(wanted, twins, _by_photo(p), strict=True)]
    step = np.full(len(p), np.inf)
    for _ in range(_MAX_ROUNDS):
        seen = [one.looks(own).logs for one, own in zip(twins, _by_photo(p), strict=True)]
        if np.abs(step).max() > _NEAR:
            slopes = _slopes(seen, wanted, twins, sds, p, ends[1])
        step = _bounded_step(slopes, _off(seen, wanted, sds, p, believed), np.clip(ends - p, -_LONGEST_STEP, _LONGEST_STEP))
        p = p + step
        if np.abs(step).max() < _CLOSE:
            break
    sd = np.sqrt(np.diag(np.linalg.pinv(slopes.T @ slopes, hermitian=True)))
    value = np.exp(p)
    sd = sd * value
    photos = tuple(
        Match(float(blur_px), float(iso), float(blur_sd), float(iso_sd), one.measured(own))
        for (blur_px, iso), (blur_sd, iso_sd), one, own in zip(
            value[:-2].reshape(-1, 2), sd[:-2].reshape(-1, 2), twins, _by_photo(p), strict=True
        )
    )
    has_edges, has_noise = any(looks.mtf50 for looks in wanted), any(looks.has_noise for looks in wanted)
    return Matches(
        photos,
        float(value[-2] - 1),
        float(sd[-2]) if has_edges else None,
        float(value[-1]) if smooths else 0.0,
        float(sd[-1]) if smooths and has_noise else None,
    )


class _Twins:
    """The twins of one photo, by the logarithms (4,) of blur, ISO, 1 + sharpen_rate and luma_denoise_8bit.

    They are always drawn with the same noise, so that they change with these alone.
    """

    def __init__(self, printed: Profile, scene: Scene):
        self._printed, self._scene = printed, scene

    def measured(self, logs: np.ndarray) -> Measured:
        blur_px, iso, lift, denoise_8bit = map(float, np.exp(logs))
        smoothing = denoise_8bit if self._printed.luma_denoise_8bit else 0.0
        developed = replace(self._printed, sharpen_rate=max(0.0, lift - 1), luma_denoise_8bit=smoothing)
        return photographed(developed, blur_px, iso, self._scene)

    def looks(self, logs: np.ndarray) -> Looks:
        return looks_of(self.measured(logs))


def _by_photo(p: np.ndarray) -> list[np.ndarray]:
    """Returns what each photo is taken with, (4,) each, of all parameters: two of every photo, then the two that all share."""
    return [np.concatenate([own, p[-2:]]) for own in p[:-2].reshape(-1, 2)]


def _errors(*looks: Looks) -> np.ndarray:
    return np.sqrt(sum((one.sds**2 for one in looks), _LEAST_SDS**2))


def _off(
    seen: Sequence[np.ndarray], wanted: Sequence[Looks], sds: Sequence[np.ndarray], p: np.ndarray, believed: np.ndarray
) -> np.ndarray:
    """Returns, (4 n + 2,), how far all looks and the beliefs are off, in standard errors; 0 where photo or twin lacks a look."""
    looks = [np.nan_to_num((logs - one.logs) / sd) for logs, one, sd in zip(seen, wanted, sds, strict=True)]
    return np.concatenate([*looks, (p[-2:] - believed) / _BELIEF_SDS])


def _slopes(
    seen: Sequence[np.ndarray],
    wanted: Sequence[Looks],
    twins: Sequence[_Twins],
    sds: Sequence[np.ndarray],
    p: np.ndarray,
    highest: np.ndarray,
) -> np.ndarray:
    """Returns the derivatives (4 n + 2, 2 n + 2) of `_off` by the parameters, by differences up, or down from near `highest`."""
    slopes = np.zeros((4 * len(seen) + 2, len(p)))
    all_of = zip(seen, wanted, twins, sds, _by_photo(p), _by_photo(highest), strict=True)
    for i, (here, looks, one, sd, own, most) in enumerate(all_of):
        steps = np.where(own + _STEPS > most, -_STEPS, _STEPS)
        moved = np.stack([one.looks(own + step).logs - here for step in np.diag(steps)], axis=1) / steps
        moved = np.nan_to_num(moved / sd[:, None]) * ~np.isnan(looks.logs)[:, None]
        rows = np.s_[4 * i : 4 * i + 4]
        slopes[rows, 2 * i : 2 * i + 2], slopes[rows, -2:] = moved[:, :2], moved[:, 2:]
    slopes[-2:, -2:] = np.diag(1 / _BELIEF_SDS)
    return slopes


def _bounded_step(slopes: np.ndarray, off: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns the step within `ends` (2, P) that leaves the least of what is off, were all linear."""
    from scipy.optimize import lsq_linear

    moved = ends[1] > ends[0]
    step = np.zeros(len(moved))
    step[moved] = lsq_linear(slopes[:, moved], -off, ends[:, moved]).x
    return step
