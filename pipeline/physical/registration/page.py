"""A photograph becomes pages: which pages of a printout it shows, and where every point of each lies in it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from pipeline.physical import geometry
from pipeline.physical.fiducials.codes import CALIBRATION, Payload, decode_payload, outline_mm
from pipeline.physical.fiducials.detection import Detection, agreement, detect_tags, is_negative, search
from pipeline.physical.fiducials.pyramid import Pyramid, photo_from_level
from pipeline.physical.fiducials.treatments import FIRST_LONG_SIDE_PX
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.cropping import pitch_mm
from pipeline.physical.registration.points import Target, sights, targets
from pipeline.physical.registration.surface import MIN_POINTS, Surface, fit_surface
from pipeline.records import CORNERS, Fiducial, Placement, Printout

_MIN_GROUPS, _MAX_SCATTER_MM = 2, 0.3
_THIRDS = np.array([0.0, 0.5, 1.0])
_WHOLE_PICTURE_RATE = 0.3  # a page that is all there is to see ends the search; a small one may have others beside it
_FIRST_REACH_MM, _LAST_REACH_MM, _MAX_REACH_MM = 1.0, 0.35, 4.0
_REACH_SD, _MAX_ROUNDS = 3.0, 5
# Without one decoded code the known modules themselves must agree: codes of other pages and runs agree by 0.6 at most.
_MIN_CODE_AGREEMENT, _MIN_MEAN_AGREEMENT = 0.65, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Where a page lies in a photo, and what that rests on.

    `codes` are the page's codes that were seen, by corner, read by a decoder or recognised by alignment at their place;
    `n_points` printed points hold the map, of `n_targets` on the page; `detections` is every code in the picture.
    """

    page: int
    page_map: PageMap
    codes: dict[str, Detection]
    n_points: int
    n_targets: int
    reprojection_rms_px: float
    detections: tuple[Detection, ...]
    surface: Surface

    @property
    def n_codes(self) -> int:
        return len(self.codes)

    def is_beyond(self, placement: Placement) -> bool:
        """Returns whether all printed points found lie on one side of an image's centre: no point beyond it holds the map."""
        centre = np.array([placement.x_mm + placement.width_mm / 2, placement.y_mm + placement.height_mm / 2])
        return not self.surface.has_points_around(centre)

    def predicted_error_px(self, placement: Placement) -> float:
        """Returns the registration error to expect in one crop, RMS over its area in pixels of the printed image."""
        return self.predicted_errors_px([placement])[0]

    def predicted_errors_px(self, placements: Sequence[Placement]) -> list[float]:
        """Returns the registration error to expect in each of some crops: all at once takes little more time than one."""
        if not placements:
            return []
        page_mm = np.concatenate(
            [geometry.grid(p.x_mm + p.width_mm * _THIRDS, p.y_mm + p.height_mm * _THIRDS) for p in placements]
        )
        pitches_mm = np.repeat([pitch_mm(p) for p in placements], _THIRDS.size**2, axis=0)
        image_from_photo = np.linalg.inv(self.page_map.jacobian(page_mm) * pitches_mm[:, None])
        squares = self.surface.sd_px(page_mm) ** 2 * (image_from_photo**2).sum(axis=(1, 2)) / 2
        errors: list[float] = np.sqrt(squares.reshape(len(placements), -1).mean(axis=1)).tolist()
        return errors


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """Why a picture, or one page in it, cannot be used: a key of records.DISCARD_REASONS and what was seen."""

    reason: str
    detail: str
    page: int | None = None
    n_codes: int = 0
    detections: tuple[Detection, ...] = ()


def register(photo: np.ndarray | Pyramid, printout: Printout) -> list[Registration | Failure]:
    """Returns where each page that a photo shows lies in it, or why that cannot be told: one entry a page, at least one.

    Codes are searched for by ever costlier treatments until what is found explains the picture. From them the page's printed
    points are found one after the other, each where those before it say, and a homography with a smooth bend is fitted to all.
    Where no code can be read, the corner tags say where the codes are, and their known modules are recognised there.

    Args: `photo` uint8 (H, W, 3) RGB, any orientation, or its pyramid.
    Returns: Registrations, and Failures with "no-code", "foreign-code", "other-run", "calibration", "repeated-page",
    "negative", "mirrored" or "unregistered".
    """
    pyramid = photo if isinstance(photo, Pyramid) else Pyramid(photo)
    known = {code.payload: code for code in printout.fiducials}
    done: dict[int, Registration | Failure] = {}
    tried: dict[int, int] = {}
    found: tuple[Detection, ...] = ()
    for step, found in enumerate(search(pyramid)):
        is_enough = True
        for page, copies in _by_page(found, known).items():
            if isinstance(done.get(page), Registration) or tried.get(page) == sum(map(len, copies.values())):
                continue
            if step == 0 and len(copies) < len(printout.of_page(page).fiducials):
                is_enough = False  # it was a glance: the next look may read them all
                continue
            tried[page] = sum(map(len, copies.values()))
            done[page] = _registered_by_codes(pyramid, printout, page, copies, found)
        if is_enough and _explains(done, printout, pyramid, read_at_full_size=step > pyramid.level_of(FIRST_LONG_SIDE_PX)):
            break
        of_chart = [payload for payload in _payloads(found) if payload.run_code.startswith(CALIBRATION)]
        if not done and len(of_chart) > len(CORNERS) / 2:  # what more the picture may show is not looked for
            break
        if step == 1 and printout.tags and not any(isinstance(one, Registration) for one in done.values()):
            done |= _registered_by_tags(pyramid, printout, found, done)
            if _explains(done, printout, pyramid, read_at_full_size=False):
                break
    ours: list[Registration | Failure] = [done[page] for page in sorted(done)]
    if not ours:
        return [_nothing_of_this_run(found, printout)]
    return ours + ([_of_another_run(strange, printout, found)] if (strange := _strange(found, known)) else [])


def _explains(done: dict[int, Registration | Failure], printout: Printout, pyramid: Pyramid, read_at_full_size: bool) -> bool:
    """Returns whether all pages seen are registered and no other can be expected: read at full size, or filled by them."""
    pages = [one for one in done.values() if isinstance(one, Registration)]
    if not pages or len(pages) < len(done):
        return False
    if read_at_full_size:
        return True
    seen = sum(cv2.contourArea(one.page_map(_outline(printout)).astype(np.float32)) for one in pages)
    return seen >= _WHOLE_PICTURE_RATE * pyramid.size[0] * pyramid.size[1]


def _registered_by_codes(
    pyramid: Pyramid, printout: Printout, page: int, copies: dict[str, list[Detection]], found: tuple[Detection, ...]
) -> Registration | Failure:
    codes = {corner: copies[corner][0] for corner in CORNERS if corner in copies}
    if any(len(places) > 1 for places in copies.values()):
        return Failure("repeated-page", f"page {page}", page, len(codes), found)
    if 2 * sum(is_negative(pyramid.grey, code) for code in codes.values()) > len(codes):
        return Failure("negative", f"page {page}", page, len(codes), found)
    fiducials = {code.corner: code for code in printout.of_page(page).fiducials}
    size_mm = printout.page_width_mm, printout.page_height_mm
    starts = {c: PageMap.through(outline_mm(fiducials[c]), code.corners, *size_mm) for c, code in codes.items()}
    middles = {corner: outline_mm(code).mean(axis=0) for corner, code in fiducials.items()}
    if any(start and np.linalg.det(start.jacobian(middles[corner][None])[0]) < 0 for corner, start in starts.items()):
        return Failure("mirrored", f"page {page}", page, len(codes), found)
    return _registered(pyramid, printout, page, starts, _map_of_codes(printout, fiducials, codes), codes, found)


def _registered_by_tags(
    pyramid: Pyramid, printout: Printout, found: tuple[Detection, ...], done: dict[int, Registration | Failure]
) -> dict[int, Registration | Failure]:
    """Returns the pages that two or more corner tags point to and whose codes' modules are where they should be."""
    k = pyramid.level_of(FIRST_LONG_SIDE_PX)
    seen = [(tag, photo_from_level(corners, k)) for tag, corners in detect_tags(pyramid.level(k))]
    of_ours = [
        (tag, corners) for tag in printout.tags for tag_id, corners in seen if tag_id == tag.tag_id and tag.page not in done
    ]
    results: dict[int, Registration | Failure] = {}
    for page in dict.fromkeys(tag.page for tag, _ in of_ours):
        pairs = [(outline_mm(tag), corners) for tag, corners in of_ours if tag.page == page]
        if len(pairs) < _MIN_GROUPS:
            continue
        page_mm, photo_px = (np.concatenate(part) for part in zip(*pairs, strict=True))
        side_px = float(np.linalg.norm(photo_px[0] - photo_px[1]))
        whole = _rough_map(printout, page_mm, photo_px, max(4.0, 0.1 * side_px), 4 * _MIN_GROUPS)
        result = _registered(pyramid, printout, page, {}, whole, {}, found) if whole else None
        if isinstance(result, Registration) and _is_recognised(pyramid, result):
            results[page] = result
    return results


def _registered(
    pyramid: Pyramid,
    printout: Printout,
    page: int,
    starts: dict[str, PageMap | None],
    whole: PageMap | None,
    read: dict[str, Detection],
    found: tuple[Detection, ...],
    covered: frozenset[str] = frozenset(),
) -> Registration | Failure:
    """Returns the page grown from a first guess: the map of the whole page, and near a code that was read that of the code.

    Nothing at the `covered` corners is looked for.
    """
    known = tuple(target for target in targets(printout, page) if target.name not in covered)
    seen: dict[int, np.ndarray] = {}
    guesses: dict[int, PageMap] = {}
    for index, target in enumerate(known):
        guess = starts.get(target.name, whole) if target.kind == "code" else whole
        if target.kind != "mark" and guess:
            guesses[index] = guess
    for guess in {id(guess): guess for guess in guesses.values()}.values():
        _see(pyramid, guess, known, {index: _FIRST_REACH_MM for index, one in guesses.items() if one is guess}, seen)
    try:
        surface = _grown(pyramid, printout, known, seen)
    except geometry.NoHomography:
        surface = None
    used = [known[index] for index, kept in zip(seen, surface.used, strict=True) if kept] if surface else []
    failed = partial(Failure, page=page, n_codes=len(read), detections=found)
    if surface is None or len(used) < MIN_POINTS or len({target.group for target in used}) < _MIN_GROUPS:
        points = f"{len(seen)} of {len(known)} printed points"
        n_codes = len({target.name for target in known if target.kind == "code"})
        return failed("unregistered", f"{len(read)} of {n_codes} codes and {points} found, too few to place the page")
    names = {target.name for target in used}
    if taken := names & _taken(printout.of_page(page).fiducials, surface, found):
        return _registered(pyramid, printout, page, starts, whole, read, found, covered | taken)
    trouble = _implausible(surface.page_map, printout)
    scale = float(np.sqrt(abs(np.linalg.det(surface.page_map.jacobian(used[0].centre_mm[None])[0]))))
    if trouble is None and surface.noise_px > _MAX_SCATTER_MM * scale:
        trouble = f"its printed points disagree by {surface.noise_px / scale:.1f} mm; is the page flat?"
    if trouble is not None:
        return failed("mirrored", f"page {page}") if trouble == "mirrored" else failed("unregistered", trouble)
    codes: dict[str, Detection] = {}
    for code in printout.of_page(page).fiducials:
        n_quarters = sum(target.kind == "code" and target.name == code.corner for target in used)
        if n_quarters >= 3 or (code.corner in read and n_quarters):
            decoder = read[code.corner].decoder if code.corner in read else "alignment"
            codes[code.corner] = Detection(code.payload, surface.page_map(outline_mm(code)), decoder)
    rms = float(np.sqrt((surface.residual_px[surface.used] ** 2).sum(axis=1).mean()))
    more = tuple(code for corner, code in codes.items() if corner not in read)
    return Registration(page, surface.page_map, codes, len(used), len(known), rms, found + more, surface)


def _taken(codes: Sequence[Fiducial], surface: Surface, found: tuple[Detection, ...]) -> set[str]:
    """Returns the corners where another code was read at the place of a page's own: a page that lies on this one."""
    if not codes or not found:
        return set()
    outlines = surface.page_map(np.concatenate([outline_mm(code) for code in codes])).reshape(-1, 4, 2)
    apart_px = np.linalg.norm(outlines.mean(axis=1)[:, None] - np.array([one.corners.mean(axis=0) for one in found]), axis=2)
    reach_px = 0.25 * np.linalg.norm(outlines[:, 0] - outlines[:, 2], axis=1)
    return {codes[i].corner for i, k in np.argwhere(apart_px < reach_px[:, None]) if found[k].text != codes[i].payload}


def _grown(pyramid: Pyramid, printout: Printout, known: tuple[Target, ...], seen: dict[int, np.ndarray]) -> Surface | None:
    """Adds to `seen` every target in reach of what is known of the surface, then measures all again where it says they are."""
    for _ in range(_MAX_ROUNDS):
        if len(seen) < 4:
            return None
        surface = _surface(printout, known, seen, rough=True)
        missing, before = [index for index in range(len(known)) if index not in seen], len(seen)
        reaches_mm = zip(missing, _reaches_mm(surface, [known[index] for index in missing]), strict=True)
        _see(pyramid, surface.page_map, known, {index: mm for index, mm in reaches_mm if mm <= _MAX_REACH_MM}, seen)
        if len(seen) == before:
            break
    seen.clear()
    _see(pyramid, surface.page_map, known, dict.fromkeys(range(len(known)), _LAST_REACH_MM), seen, rough=False)
    # one quarter of a code alone may be a fold or a corner of something else
    n_seen, n_all = Counter(known[i].group for i in seen), Counter(target.group for target in known)
    for i in [i for i in seen if 2 * n_seen[known[i].group] <= n_all[known[i].group]]:
        del seen[i]
    return _surface(printout, known, seen) if len(seen) >= 4 else None


def _see(
    pyramid: Pyramid,
    page_map: PageMap,
    known: tuple[Target, ...],
    reaches_mm: dict[int, float],
    seen: dict[int, np.ndarray],
    rough: bool = True,
) -> None:
    """Adds to `seen` those of some targets that are seen where a map says, within their reach."""
    places = sights(pyramid, page_map, [known[index] for index in reaches_mm], list(reaches_mm.values()), rough)
    seen |= {index: place for index, place in zip(reaches_mm, places, strict=True) if place is not None}


def _surface(printout: Printout, known: tuple[Target, ...], seen: dict[int, np.ndarray], rough: bool = False) -> Surface:
    page_mm = np.array([known[index].centre_mm for index in seen])
    photo_px = np.array(list(seen.values()))
    groups = np.array([known[index].group for index in seen])
    return fit_surface(page_mm, photo_px, groups, printout.page_width_mm, printout.page_height_mm, rough)


def _reaches_mm(surface: Surface, missing: list[Target]) -> list[float]:
    """Returns how far around its place to look for each of some targets."""
    centres = np.array([target.centre_mm for target in missing]).reshape(-1, 2)
    scale = np.sqrt(np.abs(np.linalg.det(surface.page_map.jacobian(centres))))
    reaches: list[float] = (_REACH_SD * surface.sd_px(centres) / np.maximum(scale, 1e-6) + _LAST_REACH_MM).tolist()
    return reaches


def _is_recognised(pyramid: Pyramid, result: Registration) -> bool:
    """Returns whether the modules of codes that no decoder read agree with what they must say."""
    scores = [agreement(pyramid.grey, code.corners, code.text) for code in result.codes.values() if code.decoder == "alignment"]
    one_agrees = max(scores, default=0.0) >= _MIN_CODE_AGREEMENT
    return one_agrees or (len(scores) >= 2 and float(np.mean(scores)) >= _MIN_MEAN_AGREEMENT)


def _map_of_codes(printout: Printout, fiducials: dict[str, Fiducial], codes: dict[str, Detection]) -> PageMap | None:
    """Returns the homography through the codes read, None where there is only one: it says nothing of what is far from it."""
    if len(codes) < 2:
        return None
    page_mm = np.concatenate([outline_mm(fiducials[c]) for c in codes])
    photo_px = np.concatenate([code.corners for code in codes.values()])
    side_px = float(np.median(np.linalg.norm(photo_px[0::4] - photo_px[1::4], axis=1)))
    return _rough_map(printout, page_mm, photo_px, max(4.0, 0.15 * side_px))


def _rough_map(
    printout: Printout, page_mm: np.ndarray, photo_px: np.ndarray, tolerance_px: float, least: int = 4
) -> PageMap | None:
    """Returns the homography on which at least so many points agree."""
    try:
        homography, agrees = geometry.robust_homography(page_mm, photo_px, tolerance_px)
    except geometry.NoHomography:
        return None
    return PageMap(printout.page_width_mm, printout.page_height_mm, homography) if agrees.sum() >= least else None


def _by_page(found: tuple[Detection, ...], known: dict[str, Fiducial]) -> dict[int, dict[str, list[Detection]]]:
    """Returns the printout's codes found: page -> corner -> detections, one for each copy in the photo."""
    by_page: dict[int, dict[str, list[Detection]]] = defaultdict(lambda: defaultdict(list))
    for detection in found:
        if code := known.get(detection.text):
            by_page[code.page][code.corner].append(detection)
    return by_page


def _payloads(found: tuple[Detection, ...]) -> list[Payload]:
    return [payload for payload in (decode_payload(detection.text) for detection in found) if payload is not None]


def _nothing_of_this_run(found: tuple[Detection, ...], printout: Printout) -> Failure:
    if ours := _payloads(found):
        return _of_another_run(ours, printout, found)
    if found:
        return Failure("foreign-code", f"reads {found[0].text[:60]!r}", None, 0, found)
    return Failure("no-code", "", None, 0, found)


def _strange(found: tuple[Detection, ...], known: dict[str, Fiducial]) -> list[Payload]:
    """Returns what codes of this tool say that are not of this printout."""
    return _payloads(tuple(detection for detection in found if detection.text not in known))


def _of_another_run(payloads: list[Payload], printout: Printout, found: tuple[Detection, ...]) -> Failure:
    if all(payload.run_code.startswith(CALIBRATION) for payload in payloads):
        return Failure("calibration", "", None, len(payloads), found)
    runs = ", ".join(sorted({payload.run_code for payload in payloads}))
    pages = ", ".join(map(str, sorted({payload.page for payload in payloads})))
    this = f"this printout is {printout.run_code}, {printout.n_pages} page{'s' * (printout.n_pages > 1)}"
    return Failure("other-run", f"run code {runs}, page {pages}; {this}", None, len(payloads), found)


def _implausible(page_map: PageMap, printout: Printout) -> str | None:
    """Returns what is wrong with a page position that no camera could see, or None."""
    corners = _outline(printout)
    depth = corners @ page_map.homography[2, :2] + page_map.homography[2, 2]
    if depth.min() * depth.max() <= 0:
        return "the page would reach behind the camera"
    outline = page_map(corners)
    edges = np.roll(outline, -1, axis=0) - outline
    turns = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    if (turns < 0).all():
        return "mirrored"
    return None if (turns > 0).all() else "the page's outline would not be convex"


def _outline(printout: Printout) -> np.ndarray:
    return geometry.SQUARE * (printout.page_width_mm, printout.page_height_mm)
