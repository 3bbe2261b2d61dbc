"""The warnings of a run: what in its records would let a number mislead, measured and set against a limit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np

from pipeline.document.formats import count, listed, percent
from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.outcomes import Outcomes, Question
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.quality import print_scale
from pipeline.records import PHOTO, SIMULATED, SOURCE, Capture, Cell, CellFill, Discard, Pair, Printout, Rate, View, flags
from pipeline.records.flags import FlagRow, ModelFlag
from pipeline.report.raised_flags import RUN_FLAGS
from pipeline.report.summary import count_photos
from pipeline.report.words import CASE_TITLES, attack_title
from pipeline.specs.attacks import ATTACKS
from pipeline.statistics import PairedResult, compare_paired
from pipeline.statistics.likeness import Alike
from pipeline.store import Run, record_from
from pipeline.store.artefacts import CAPTURED, DISCARDS, LAYOUT, SELECTION

# Of the photo's width: two pixels of 4000. Nobody holds a camera so still; a copy of a photo lies within a tenth of that.
_SAME_PLACE = 5e-4


@dataclass(frozen=True)
class Evidence:
    """What the flags of a run are found from.

    `origin` is that of the photographs that the run's results speak of, "" where there is none; `n_simulated` counts those that
    count and are not merely a prediction beside real ones. `clean` holds, by case, the comparison of clean images as files
    (first) with the same images in photographs (second), top-1; `n_clean` says of how many different images that is. `masked` are
    the signs of masked gradients.
    """

    rates: Sequence[Rate] = ()
    pairs: Sequence[Pair] = ()
    fills: Sequence[CellFill] = ()
    views: Sequence[View] = ()
    captures: Sequence[Capture] = ()
    discards: Sequence[Discard] = ()
    origin: str = ""
    n_simulated: int = 0
    clean: Mapping[str, PairedResult] = field(default_factory=dict)
    n_clean: Mapping[str, int] = field(default_factory=dict)
    printout: Printout | None = None
    alike: Sequence[Alike] = ()
    model_flags: Sequence[ModelFlag] = ()
    masked: Sequence[FlagRow] = ()

    @property
    def counted(self) -> list[Capture]:
        """The photographs that the results rest on."""
        return [capture for capture in self.captures if capture.counts and capture.origin == self.origin]


def gathered(
    run: Run,
    pairs: Sequence[Pair],
    views: Sequence[View],
    rates: Sequence[Rate],
    cells: Mapping[Cell, Sequence[Pair]],
    outcomes: Outcomes,
    is_predicted: bool,
) -> Evidence:
    """Returns what the flags of a run are found from; `is_predicted`: simulated photographs are merely shown beside real ones."""
    selection = SELECTION.read(run)
    has_photos = bool(outcomes.photos)
    origin = min((condition.origin for condition in outcomes.photos), default="")
    clean, n_clean = _clean(cells, outcomes, origin)
    simulated = {view.capture_id for view in views if view.transform == PHOTO and view.origin == SIMULATED}
    return Evidence(
        rates=rates,
        pairs=pairs,
        fills=[record_from(CellFill, row) for row in selection["fills"]],
        views=views,
        captures=CAPTURED.read(run) if has_photos else (),
        discards=DISCARDS.read(run) if has_photos else (),
        origin=origin,
        n_simulated=0 if is_predicted else len(simulated),
        clean=clean,
        n_clean=n_clean,
        printout=LAYOUT.read(run) if has_photos else None,
        alike=[record_from(Alike, row) for row in selection["alike"]],
        model_flags=[record_from(ModelFlag, row) for row in selection["model_flags"]],
    )


def run_flags(evidence: Evidence) -> list[FlagRow]:
    """Returns every warning that is raised, by flag in the order of RUN_FLAGS and within a flag the worst first."""
    found = (
        *_simulated(evidence.n_simulated),
        *_few_eligible(evidence.rates, evidence.origin),
        *_not_filled(evidence.fills),
        *_many_discards(evidence),
        *_clean_drop(evidence),
        *_page_scaled(evidence.counted, evidence.printout),
        *_low_resolution(evidence.counted, evidence.views),
        *_epsilon_exceeded(evidence.pairs),
        *_attack_not_finite(evidence.pairs),
        *_gradients_miss(evidence.pairs),
        *evidence.masked,
        *_mixed_devices(evidence.counted),
        *_duplicates(evidence.counted, evidence.printout, evidence.alike),
        *(FlagRow("model", f"{flag.name}: {flag.detail}") for flag in evidence.model_flags),
    )
    order = list(RUN_FLAGS)
    return sorted(found, key=lambda row: order.index(row.flag))


def _clean(
    cells: Mapping[Cell, Sequence[Pair]], outcomes: Outcomes, origin: str
) -> tuple[dict[str, PairedResult], dict[str, int]]:
    """Returns, by case, clean images right as files and in photographs, and how many different ones there are.

    Those of one page are correlated, and so are the photographs of an image that is printed for several cells.
    """
    found: dict[str, list[tuple[tuple[bool, bool], int | str, str]]] = defaultdict(list)
    for photo in (condition for condition in outcomes.photos if condition.origin == origin):
        for cell, pairs in cells.items():
            asked = [Question("clean_accuracy", cell, condition, TOP_1) for condition in (outcomes.source, photo)]
            files, photos = (outcomes.trial_of_each(question, pairs) for question in asked)
            for image in (image for image in files if image in photos):
                found[cell[0]].append(((files[image].is_hit, photos[image].is_hit), photos[image].page, image))
    compared = {
        case: compare_paired([right for right, _, _ in rows], [[page for _, page, _ in rows], [image for _, _, image in rows]])
        for case, rows in found.items()
    }
    return compared, {case: len({image for _, _, image in rows}) for case, rows in found.items()}


def _simulated(n: int) -> Iterator[FlagRow]:
    if n:
        message = f"the results rest on {count(n, 'simulated photograph')}"
        yield FlagRow("simulated", message, n, 0, transform=PHOTO)


def _few_eligible(rates: Iterable[Rate], origin: str) -> Iterator[FlagRow]:
    """Of photographs and of files apart: all digital transforms of a cell share the attacks that work as files."""
    fewest: dict[tuple[str, str, int, str, int], int] = {}
    for row in rates:
        if row.transform != PHOTO or row.origin == origin:
            key = (row.case, row.attack, row.epsilon_8bit, PHOTO if row.transform == PHOTO else SOURCE, row.top_k)
            fewest[key] = min(row.n_eligible, fewest.get(key, row.n_eligible))
    for n, (*cell, transform, top_k) in sorted((n, key) for key, n in fewest.items() if n < flags.FEW_ELIGIBLE):
        place = f", top-{top_k}, {'in photographs' if transform == PHOTO else 'as files'}"
        words = count(n, "working attack")
        yield _of_cell("few-eligible", words, n, flags.FEW_ELIGIBLE, cell, place, transform=transform, top_k=top_k)


def _not_filled(fills: Iterable[CellFill]) -> Iterator[FlagRow]:
    short = (fill for fill in fills if fill.n_found < fill.n_wanted)
    for fill in sorted(short, key=lambda fill: fill.n_found / fill.n_wanted):
        cell = fill.case, fill.attack, fill.epsilon_8bit
        yield _of_cell("not-filled", f"{fill.n_found} of {fill.n_wanted} images", fill.n_found, fill.n_wanted, cell)


def _many_discards(evidence: Evidence) -> Iterator[FlagRow]:
    found = []
    photos = count_photos(evidence.captures, evidence.discards, evidence.origin)
    if photos.lost_rate > flags.MANY_DISCARDS:
        words = f"{photos.n_lost} of {count(photos.n_used + photos.n_lost, 'photograph')} could not be used"
        found.append(FlagRow("many-discards", words, photos.lost_rate, flags.MANY_DISCARDS, transform=PHOTO))
    on_missing_pages = _on_missing_pages(evidence)
    pairs: dict[Cell, list[str]] = defaultdict(list)
    for pair in evidence.pairs:
        for case in pair.cases:
            pairs[case, pair.attack, pair.epsilon_8bit].append(pair.pair_id)
    for row in evidence.rates:
        cell = row.case, row.attack, row.epsilon_8bit
        lost, n = row.n_discarded or 0, len(pairs[cell])
        if (row.transform, row.origin, row.top_k) == (PHOTO, evidence.origin, 1) and n and lost / n > flags.MANY_DISCARDS:
            n_missing = len(on_missing_pages.intersection(pairs[cell]))
            why = f" ({n_missing} on pages that are not photographed)" if n_missing else ""
            words = f"{lost} of {count(n, 'pair')} have no usable photograph{why}"
            found.append(_of_cell("many-discards", words, lost / n, flags.MANY_DISCARDS, cell, transform=PHOTO))
    yield from sorted(found, key=lambda row: -(row.measured or 0))


def _on_missing_pages(evidence: Evidence) -> set[str]:
    """Returns the pairs on pages of which there is no photograph at all."""
    seen = {capture.page for capture in evidence.captures}
    placements = evidence.printout.placements if evidence.printout else ()
    return {place.pair_id for place in placements if place.page not in seen}


def _clean_drop(evidence: Evidence) -> Iterator[FlagRow]:
    for case, found in sorted(evidence.clean.items(), key=lambda item: -(item[1].difference or 0)):
        if found.difference is not None and found.low is not None and found.difference > flags.CLEAN_DROP and found.low > 0:
            right = [percent((found.n_both + n_alone) / found.n) for n_alone in (found.n_first, found.n_second)]
            ends = f"{100 * found.low:.0f} to {100 * (found.high or 0):.0f}"
            n_images = evidence.n_clean.get(case, found.n)
            of_images = f" photographs of {count(n_images, 'image')}" if n_images < found.n else ""
            words = (
                f"clean images right: {right[0]} as files, {right[1]} in photographs, {100 * found.difference:.1f} points less "
                f"({ends}; n = {found.n}{of_images}), {CASE_TITLES.get(case, case)}"
            )
            yield FlagRow("clean-drop", words, found.difference, flags.CLEAN_DROP, case, transform=PHOTO, top_k=1)


def _page_scaled(captures: Iterable[Capture], printout: Printout | None) -> list[FlagRow]:
    """Of one picture at most one row: a page of another size says more than one of another shape."""
    found = []
    for capture in captures:
        measured = print_scale(capture, printout) if printout else None
        if measured is None:
            continue
        if measured.scale is not None and abs(measured.scale - 1) > flags.PRINT_SCALE + measured.error:
            value, limit = measured.scale, flags.PRINT_SCALE + measured.error
            by = (
                f"by the ruler beside it, ± {100 * measured.error:.1f}"
                if measured.error
                else f"in a scan of {capture.scan_dpi:.0f} dpi"
            )
            words = f"{100 * value:.1f} % of its size {by}"
        elif measured.aspect is not None and abs(measured.aspect - 1) > flags.PRINT_ASPECT:
            value, limit = measured.aspect, flags.PRINT_ASPECT
            words = f"width to height {100 * value:.1f} % of the layout's"
        else:
            continue
        limit = float(1 + np.sign(value - 1) * limit)
        found.append(_of_page("page-scaled", f"{words} ({_photo(capture)})", value, limit, capture))
    return sorted(found, key=lambda row: -abs((row.measured or 1) - 1))


def _low_resolution(captures: Iterable[Capture], views: Iterable[View]) -> Iterator[FlagRow]:
    by_capture: dict[str, list[float]] = defaultdict(list)
    for view in views:
        if view.photo_px_per_image_px is not None:
            by_capture[view.capture_id].append(view.photo_px_per_image_px)
    found = [(median(by_capture[capture.capture_id]), capture) for capture in captures if by_capture[capture.capture_id]]
    for value, capture in sorted(found, key=lambda item: item[0]):
        if value < flags.LOW_RESOLUTION_PX:
            words = f"{value:.2f} photo pixels an image pixel ({_photo(capture)})"
            yield _of_page("low-resolution", words, value, flags.LOW_RESOLUTION_PX, capture)


def _epsilon_exceeded(pairs: Iterable[Pair]) -> Iterator[FlagRow]:
    by_cell: dict[tuple[str, int], list[int]] = defaultdict(list)
    for pair in pairs:
        if pair.epsilon_8bit:
            by_cell[pair.attack, pair.epsilon_8bit].append(pair.linf_8bit)
    for (attack, epsilon), found in sorted(by_cell.items(), key=lambda item: item[0][1] - max(item[1])):
        n_over = sum(linf > epsilon for linf in found)
        if n_over:
            message = f"{n_over} of {count(len(found), 'file')} up to {max(found)}, {attack_title(attack)} at ε = {epsilon}"
            yield FlagRow("epsilon-exceeded", message, max(found), epsilon, attack=attack, epsilon_8bit=epsilon, transform=SOURCE)


def _attack_not_finite(pairs: Iterable[Pair]) -> Iterator[FlagRow]:
    by_cell: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for pair in pairs:
        by_cell[pair.attack, pair.epsilon_8bit].append(pair.is_blind)
    for (attack, epsilon), found in sorted(by_cell.items(), key=lambda item: -sum(item[1]) / len(item[1])):
        if any(found):
            strength = f" at ε = {epsilon}" if epsilon else ""
            message = f"{sum(found)} of {count(len(found), 'image')}, {attack_title(attack)}{strength}"
            yield FlagRow("attack-not-finite", message, sum(found), 0, attack=attack, epsilon_8bit=epsilon, transform=SOURCE)


def _gradients_miss(pairs: Iterable[Pair]) -> Iterator[FlagRow]:
    by_cell: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for pair in pairs:
        if pair.by:
            by_cell[pair.attack, pair.epsilon_8bit].append(not ATTACKS.find(pair.by).needs_gradient)
    for (attack, epsilon), found in sorted(by_cell.items(), key=lambda item: -sum(item[1]) / len(item[1])):
        if any(found):
            fooled = f"{sum(found)} of {count(len(found), 'image')} that {attack_title(attack)} fooled at ε = {epsilon}"
            message = f"{fooled} {'were' if sum(found) > 1 else 'was'} fooled without gradients alone"
            yield FlagRow("gradients-miss", message, sum(found), 0, attack=attack, epsilon_8bit=epsilon, transform=SOURCE)


def _mixed_devices(captures: Iterable[Capture]) -> Iterator[FlagRow]:
    """What EXIF does not name is no device of its own: one messenger in between takes the tags off some photos."""
    devices = Counter(capture.device for capture in captures if capture.device)
    if len(devices) > 1:
        named = listed(f"{device} ({n})" for device, n in sorted(devices.items(), key=lambda item: (-item[1], item[0])))
        yield FlagRow("mixed-devices", f"{len(devices)} devices: {named}", len(devices), 1, transform=PHOTO)


def _duplicates(captures: Iterable[Capture], printout: Printout | None, alike: Iterable[Alike]) -> Iterator[FlagRow]:
    for found in sorted(alike, key=lambda pair: pair.rms_8bit):
        message = f"the images {found.other_id} and {found.image_id} differ by {found.rms_8bit:.1f} levels"
        yield FlagRow("duplicates", message, found.rms_8bit, flags.ALIKE_RMS_8BIT)
    by_page: dict[int | None, list[Capture]] = defaultdict(list)
    for capture in captures:
        if capture.photo_from_page is not None:
            by_page[capture.page].append(capture)
    for first, second in (two for shots in by_page.values() for two in combinations(shots, 2)):
        if printout and first.taken_at == second.taken_at and (apart := _apart(first, second, printout)) < _SAME_PLACE:
            words = f"{_photo(first)} and {_photo(second)} are one photograph"
            yield _of_page("duplicates", words, apart, _SAME_PLACE, second)


def _apart(first: Capture, second: Capture, printout: Printout) -> float:
    """Returns how far the page's corners lie apart in two pictures, as a share of their widths."""
    width, height = printout.page_width_mm, printout.page_height_mm
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    places = [
        PageMap.from_numbers(width, height, shot.photo_from_page, shot.residual_px)(corners) / shot.width_px
        for shot in (first, second)
    ]
    return float(np.abs(places[0] - places[1]).max())


def _of_cell(
    flag: str, words: str, measured: float, limit: float, cell: Sequence[Any], ending: str = "", **where: Any
) -> FlagRow:
    case, attack, epsilon = cell
    at = f" at ε = {epsilon}" if epsilon else ""
    message = f"{words}, {attack_title(attack)}{at}, {CASE_TITLES.get(case, case)}{ending}"
    return FlagRow(flag, message, measured, limit, case, attack, epsilon, **where)


def _of_page(flag: str, words: str, measured: float, limit: float, capture: Capture) -> FlagRow:
    message = f"page {capture.page}: {words}"
    return FlagRow(flag, message, measured, limit, transform=PHOTO, page=capture.page, photo=capture.photo)


def _photo(capture: Capture) -> str:
    return f"{capture.photo}, {capture.frame}" if capture.frame else capture.photo
