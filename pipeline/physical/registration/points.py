"""The printed points of a page, measured in a photo: each known pattern is looked for where the page should have it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, product

import cv2
import numpy as np

from pipeline.physical.fiducials.codes import N_CELLS, N_MODULES, modules, tag_modules
from pipeline.physical.fiducials.pyramid import Pyramid, level_from_photo
from pipeline.physical.geometry import SQUARE, apply_homography
from pipeline.physical.page_map import PageMap
from pipeline.records import Printout

# Pixels of the upright patch: fine enough that a photo of 12 megapixels has about two of its own for each.
_CODE_PX, _TAG_PX, _MARK_PX = 4, 6, 10
_QUIET_MODULES, _QUIET_CELLS = 2, 1
_HALF = 10
_MARK_MARGIN_PX = 3
_MIN_AGREEMENT = {"code": 0.7, "tag": 0.75, "mark": 0.75}
_MAX_SHIFT_PX = 3.0
_MAX_PHOTO_PX = 2.2
_MAX_STEPS, _LAST_STEP_PX, _LEAST_GAIN = 15, 1e-3, 1e-3
_SMOOTHING_PX, _BORDER_PX = 5, 6


@dataclass(frozen=True, eq=False)
class _Pattern:
    """What is printed at a point: `template` float32 (h, w) as it should look upright, and what aligns a photo to it.

    `measure` (3, h w) takes what is seen, in units of 8 bits, to its gain over the smoothed template, and to the shift (x, y)
    times that gain that explains best what is seen, from `unshifted` (2,) on; none minds an offset. `size` is the template's
    spread when smoothed.
    """

    template: np.ndarray
    measure: np.ndarray
    unshifted: tuple[float, float]
    size: float

    @classmethod
    def of(cls, drawn: np.ndarray, part: tuple[slice, slice] = (slice(None), slice(None))) -> "_Pattern":
        """Returns a part of something drawn, as it is seen with the rest around it.

        Its border counts less: a photo that is more blurred than the drawing would pull what is cut there to one side.
        """
        smooth, template = _smoothed(drawn), drawn[part]
        counts = np.outer(*(_fading_in_and_out(side) for side in template.shape)).ravel()
        slopes = np.stack([slope[part].ravel() for slope in np.gradient(smooth)[::-1]])
        slopes -= (slopes @ counts / counts.sum())[:, None]
        seen, weighted = smooth[part].ravel(), slopes * counts
        seen -= seen.mean()
        shift_from, power = np.linalg.solve(weighted @ slopes.T, weighted), float(seen @ seen)
        x, y = (shift_from @ seen).tolist()
        return cls(template, np.vstack([seen / power, shift_from]), (x, y), power**0.5)


@dataclass(frozen=True, eq=False)
class Target:
    """One printed pattern.

    Pixel (row i, column j) of its template lies at `origin_mm` + `pitch_mm` (j, i) on the page. `group` is equal for patterns
    that stand or fall together, as the four quarters of one code.
    """

    kind: str
    name: str
    group: int
    pattern: _Pattern
    origin_mm: tuple[float, float]
    pitch_mm: float

    @property
    def template(self) -> np.ndarray:
        """What it should look like upright, float32 (h, w)."""
        return self.pattern.template

    @property
    def centre_mm(self) -> np.ndarray:
        height, width = self.template.shape
        return np.array(self.origin_mm) + self.pitch_mm * np.array([(width - 1) / 2, (height - 1) / 2])


def targets(printout: Printout, page: int) -> tuple[Target, ...]:
    """Returns every pattern printed on a page: four quarters of each code, the tags, the marks."""
    return tuple(_targets(printout, page))


def sights(
    pyramid: Pyramid, photo_from_page: PageMap, known: Sequence[Target], reaches_mm: Sequence[float], rough: bool = False
) -> list[np.ndarray | None]:
    """Returns where each target's centre is seen, (2,) photo px, within its reach of the place that the map gives it, or None.

    The photo is drawn upright on the target's own grid; the best place to a whole pixel of that grid is the maximum of the
    normalised correlation, its fraction an alignment by translation (the inverse compositional one of Baker and Matthews 2004,
    blind to gain and offset), or, `rough`, the top of a parabola, to a tenth of a pixel, in half the time.
    """
    margins_px = [int(np.ceil(reach / target.pitch_mm)) + 2 for reach, target in zip(reaches_mm, known, strict=True)]
    patches = _upright(pyramid, photo_from_page, known, margins_px) if known else ()
    return [_sight(target, *patch, rough) if patch else None for target, patch in zip(known, patches, strict=True)]


def _sight(target: Target, patch: np.ndarray, photo_from_patch: np.ndarray, rough: bool) -> np.ndarray | None:
    height, width = target.template.shape
    expected = (patch.shape[1] - width) / 2, (patch.shape[0] - height) / 2
    place = None if rough else _aligned(target, patch, expected)  # as a rule it is near
    if place is None:
        place = _best_match(target, patch)
        place = place if rough or place is None else _aligned(target, patch, place)
    if place is None:
        return None
    centre = photo_from_patch @ (place[0] + (width - 1) / 2, place[1] + (height - 1) / 2, 1)
    return np.asarray(centre[:2] / centre[2])


def _best_match(target: Target, patch: np.ndarray) -> tuple[float, float] | None:
    """Returns where in a patch a target begins, to a tenth of a pixel; None where nothing like it is there."""
    scores = cv2.matchTemplate(patch, target.template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (left, top) = cv2.minMaxLoc(scores)
    if not best >= _MIN_AGREEMENT[target.kind] - 0.1:
        return None
    return left + _summit(scores[top, left - 1 : left + 2]), top + _summit(scores[top - 1 : top + 2, left])


def _summit(scores: np.ndarray) -> float:
    """Returns how far from the middle one of three scores the parabola through them is highest; 0 at the border."""
    if len(scores) < 3:
        return 0.0
    before, here, after = scores.tolist()
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def _aligned(target: Target, patch: np.ndarray, near: tuple[float, float]) -> tuple[float, float] | None:
    """Returns where in a patch a target begins, to a thousandth of a pixel, from a place near by; None if it is not there."""
    pattern, patch = target.pattern, _smoothed(patch)
    height, width = target.template.shape
    x, y = near
    for _ in range(_MAX_STEPS):
        seen = cv2.getRectSubPix(patch, (width, height), (x + (width - 1) / 2, y + (height - 1) / 2)).ravel()
        gain, gain_x, gain_y = (pattern.measure @ seen).tolist()
        if gain <= _LEAST_GAIN:
            return None
        step_x, step_y = gain_x / gain - pattern.unshifted[0], gain_y / gain - pattern.unshifted[1]
        x, y = x - step_x, y - step_y
        if max(abs(x - near[0]), abs(y - near[1])) > _MAX_SHIFT_PX:
            return None
        if max(abs(step_x), abs(step_y)) < _LAST_STEP_PX:
            break
    agreement = gain * pattern.size / np.linalg.norm(seen - seen.mean())
    return (x, y) if agreement >= _MIN_AGREEMENT[target.kind] else None


def _fading_in_and_out(n: int) -> np.ndarray:
    """Returns 1 in the middle of n places, falling towards 0 over `_BORDER_PX` at both ends."""
    from_end = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
    return (np.sin(np.pi / 2 * np.minimum(from_end / _BORDER_PX, 1)) ** 2).astype(np.float32)


def _smoothed(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (_SMOOTHING_PX, _SMOOTHING_PX), 0)


def _upright(
    pyramid: Pyramid, photo_from_page: PageMap, known: Sequence[Target], margins_px: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray] | None]:
    """Yields the photo as seen on each target's grid with a margin, float32, and photo_from_patch; None where the photo ends."""
    pitches, margins = np.array([target.pitch_mm for target in known]), np.array(margins_px)
    sizes = np.array([target.template.shape[::-1] for target in known]) + 2 * margins[:, None]
    page_from_patch = np.zeros((len(known), 3, 3))
    page_from_patch[:, 0, 0] = page_from_patch[:, 1, 1] = pitches
    page_from_patch[:, :2, 2] = np.array([target.origin_mm for target in known]) - (margins * pitches)[:, None]
    page_from_patch[:, 2, 2] = 1
    centres = np.array([target.centre_mm for target in known])
    bends = photo_from_page(centres) - apply_homography(photo_from_page.homography, centres)
    photo_from_patch = photo_from_page.homography @ page_from_patch
    photo_from_patch[:, :2] += bends[..., None] * photo_from_patch[:, 2:]
    corners = SQUARE * (sizes - 1)[:, None]
    both = np.concatenate([corners, corners + margins[:, None, None] * (1 - 2 * SQUARE)], axis=1)
    mapped = both @ photo_from_patch[:, :, :2].swapaxes(1, 2) + photo_from_patch[:, None, :, 2]
    depths, places = mapped[:, :4, 2], mapped[..., :2] / mapped[..., 2:]
    outlines, inside = places[:, :4], places[:, 4:]
    is_seen = depths.min(axis=1) * depths.max(axis=1) > 0
    is_seen &= ((inside >= 0) & (inside <= np.array(pyramid.size) - 1)).all(axis=(1, 2))
    sides_px = np.linalg.norm(np.roll(outlines, -1, axis=1) - outlines, axis=2).max(axis=1)
    spans_px = np.where(is_seen, sides_px, 0) / (sizes.max(axis=1) - 1)
    halvings = np.ceil(np.log2(np.maximum(spans_px / _MAX_PHOTO_PX, 1))).astype(int)
    levels = np.minimum(halvings, min(pyramid.size).bit_length() - 1)
    from_photo = np.array([level_from_photo(k) for k in range(levels.max() + 1)])
    level_from_patch, flags = from_photo[levels] @ photo_from_patch, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for i, size in enumerate(sizes.tolist()):
        if not is_seen[i]:
            yield None
            continue
        grey = pyramid.level(int(levels[i]))
        patch = cv2.warpPerspective(grey, level_from_patch[i], size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        yield patch.astype(np.float32), photo_from_patch[i]


def _targets(printout: Printout, page: int) -> Iterator[Target]:
    sheet, groups = printout.of_page(page), count()
    for code in sheet.fiducials:
        group, module_mm = next(groups), code.size_mm / N_MODULES
        pitch = module_mm / _CODE_PX
        for (top, left), pattern in _code_patterns(code.payload).items():
            x_mm = code.x_mm - _QUIET_MODULES * module_mm + (left + 0.5) * pitch
            y_mm = code.y_mm - _QUIET_MODULES * module_mm + (top + 0.5) * pitch
            yield Target("code", code.corner, group, pattern, (x_mm, y_mm), pitch)
    for tag in sheet.tags:
        pitch, start = tag.size_mm / N_CELLS / _TAG_PX, _QUIET_CELLS * _TAG_PX - 0.5
        place = tag.x_mm - start * pitch, tag.y_mm - start * pitch
        yield Target("tag", tag.corner, next(groups), _tag_pattern(tag.tag_id), place, pitch)
    for mark in sheet.marks:
        pitch, start = mark.size_mm / 2 / _MARK_PX, _MARK_PX + _MARK_MARGIN_PX - 0.5
        place = mark.x_mm - start * pitch, mark.y_mm - start * pitch
        yield Target("mark", f"({mark.x_mm:.0f}, {mark.y_mm:.0f}) mm", next(groups), _mark_pattern(), place, pitch)


@lru_cache(maxsize=4096)
def _code_patterns(payload: str) -> dict[tuple[int, int], _Pattern]:
    """Returns the four quarters of a code, by their top and left, px."""
    whole = _drawn(np.pad(modules(payload), _QUIET_MODULES), _CODE_PX)
    size = (_HALF + 2 * _QUIET_MODULES) * _CODE_PX
    places = product((0, len(whole) - size), repeat=2)
    return {(y, x): _Pattern.of(whole, (slice(y, y + size), slice(x, x + size))) for y, x in places}


@lru_cache(maxsize=1024)
def _tag_pattern(tag_id: int) -> _Pattern:
    return _Pattern.of(_drawn(np.pad(tag_modules(tag_id), _QUIET_CELLS), _TAG_PX))


@lru_cache(maxsize=1)
def _mark_pattern() -> _Pattern:
    board = np.kron(np.eye(2, dtype=bool), np.ones((_MARK_PX, _MARK_PX), bool))
    return _Pattern.of(_drawn(np.pad(board, _MARK_MARGIN_PX), 1))


def _drawn(dark: np.ndarray, px: int) -> np.ndarray:
    light = np.kron(~dark, np.ones((px, px), bool))
    # about what a lens leaves of sharp edges, so that a blurred photo agrees as well as a sharp one
    return cv2.GaussianBlur(light.astype(np.float32) * 255, (0, 0), 1.0)
