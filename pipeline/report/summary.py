"""What a run found, in sentences and key figures: computed from the counts, never typed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.document.blocks import Tile
from pipeline.document.formats import NOT_APPLICABLE, count, listed, number, percent
from pipeline.records import CASES, DISCARD_REASONS, PHOTO, SIMULATED, SOURCE, Capture, Discard, Rate
from pipeline.report.content import ReportContent
from pipeline.report.words import CASE_TITLES, attack_order, attack_title, axis_of, cell_title, tops

_NOT_LOST = ("calibration", "duplicate", "superseded")


# What is missing where a stage failed.
_MISSING = {
    "photograph": "Predictions by simulated photographs",
    "classify": "Answers of other judges",
    "thresholds": "How much undoes each attack",
    "explain": "Explanations",
}


def left_out(stage: str, reason: str) -> str:
    """Returns a sentence on what the report lacks, and why."""
    return f"**{_MISSING[stage]} could not be made:** {reason}. Everything else is complete."


@dataclass(frozen=True, slots=True)
class PhotoCount:
    """How many photographs were used, and how many lost for a reason other than being a second one of the same page."""

    n_used: int
    n_lost: int

    @property
    def lost_rate(self) -> float:
        """The share of lost photographs, 0 where there are none."""
        return self.n_lost / (self.n_used + self.n_lost) if self.n_lost else 0.0


def lead(content: ReportContent) -> str:
    """Returns what was asked."""
    attacks = attack_order(_cell_names(content, "attack"))
    epsilons = sorted(_cell_names(content, "epsilon_8bit") - {0})
    cases = [CASE_TITLES[case] for case in CASES if case in _cell_names(content, "case")]
    transforms = list(dict.fromkeys(row.transform for row in content.digital_rates))
    simulated = "simulated " if content.main_origin == SIMULATED else ""
    by = [f"{simulated}printing and photographing"] if has_photos(content) else []
    by += [count(len(transforms), "digital transform")] if transforms else []
    if not attacks:
        return f"{content.model.name} was to be tested on images of {content.dataset.name}; no cell has been filled yet."
    at = f" at ε = {listed(map(str, epsilons))} (8-bit units)" if epsilons else ""
    still = f", and do they still after {' or '.join(by)}" if by else ""
    return (
        f"Do {count(len(attacks), 'attack')} ({listed(map(attack_title, attacks))}){at} fool {content.model.name}{still}? "
        f"Images of {content.dataset.name}, {listed(cases)}."
    )


def sentences(content: ReportContent) -> tuple[str, str, str]:
    """Returns the three sentences that matter, for top-1 and the average case (the prefiltered one where it is alone).

    How the files fare, how the photographs of them, and what was predicted or makes the difference. Where there are real
    photographs they speak of those alone. What to stress stands between double asterisks.
    """
    case = headline_case(content)
    if has_photos(content):
        third = on_predictions(content) or on_cells(content, case) or on_photographs(content)
        return _on_file(content, case), _on_photos(content, case), third
    return _on_file(content, case), "No photograph has been judged yet.", on_transforms(content, case)


def tiles(content: ReportContent) -> list[Tile]:
    """Returns four key figures; those of photographs give way to those of transforms where there is no photograph."""
    case = headline_case(content)
    name = f"top-1, {CASE_TITLES[case]}"
    clean, adversarial = (_overall(content, case, f"{variant}_accuracy", SOURCE) for variant in ("clean", "adversarial"))
    fooled = Tile(_of(adversarial, is_missed=True), f"adversarial files{_on_images(adversarial)} misclassified ({name})")
    if has_photos(content):
        destroyed = _overall(content, case, "destruction_rate", PHOTO)
        photo = _overall(content, case, "clean_accuracy", PHOTO)
        before, after = (percent(found.rate if found else None, 0) for found in (clean, photo))
        seen = f", {count(photo.n_different or 0, 'image')}" if photo else ""
        return [
            Tile(
                _of(destroyed, is_missed=True),
                f"working attacks{_on_images(destroyed)} that survived the photograph ({name}{_ends(destroyed, is_missed=True)})",
            ),
            fooled,
            Tile(f"{before} → {after}", f"clean images right, file → photograph ({name}{seen})"),
            _pages_tile(content),
        ]
    transforms = {row.transform for row in content.digital_rates}
    n_points = len({(row.transform, row.parameter) for row in content.digital_rates})
    return [
        fooled,
        Tile(_of(clean), f"clean files classified right ({name})"),
        Tile(str(len(content.pairs)), "pairs of clean and adversarial images"),
        Tile(str(n_points), f"settings of {count(len(transforms), 'digital transform')}"),
    ]


def _pages_tile(content: ReportContent) -> Tile:
    photos, n_pages = photo_count(content), len(pages_photographed(content))
    lost = f"; {count(photos.n_lost, 'photograph')} of {photos.n_used + photos.n_lost} could not be used" if photos.n_lost else ""
    return Tile(f"{n_pages} of {content.n_pages}" if content.n_pages else NOT_APPLICABLE, f"pages photographed{lost}")


def pages_photographed(content: ReportContent) -> set[int]:
    """Returns the pages of which a photograph counts, of those that a report speaks of."""
    counting = (capture.page for capture in content.captures if capture.counts and capture.origin == content.main_origin)
    return {page for page in counting if page is not None and 1 <= page <= content.n_pages}


def has_photos(content: ReportContent) -> bool:
    """Returns whether any photograph was judged."""
    return any(row.transform == PHOTO for row in (*content.accuracies, *content.rates))


def photo_count(content: ReportContent) -> PhotoCount:
    """Returns how many photographs of a report were used and lost."""
    return count_photos(content.captures, content.discards, content.main_origin)


def count_photos(captures: Iterable[Capture], discards: Iterable[Discard], origin: str) -> PhotoCount:
    """Returns how many photographs were used and lost; a photo of which only a crop was dropped is not lost.

    Where `origin`, that of the photographs that results speak of, is the camera, the simulated ones are not counted.
    """
    captures = list(captures)
    others = {capture.capture_id for capture in captures if capture.origin == SIMULATED != origin}
    used = {capture.photo for capture in captures if capture.counts and capture.capture_id not in others}
    lost = {d.photo for d in discards if not d.pair_id and d.reason not in _NOT_LOST and d.capture_id not in others}
    return PhotoCount(len(used), len(lost - used))


def headline_case(content: ReportContent) -> str:
    """Returns the case that the front page speaks of."""
    cases = _cell_names(content, "case")
    return "prefiltered" if "prefiltered" in cases and "average" not in cases else "average"


def on_predictions(content: ReportContent) -> str:
    """Returns how many measured destruction rates the simulated photographs predicted, "" where they predicted none."""
    rows = [row for row in content.compared if row.quantity == "destruction_rate" and row.n]
    if not rows:
        return ""
    n_within = sum(row.is_within for row in rows)
    rates = count(len(rows), "measured destruction rate")
    return (
        f"The simulated photographs predicted **{n_within} of {rates}** to within "
        f"{'its' if len(rows) == 1 else 'their'} 95 % interval (every cell, {tops(content.top_ks)})."
    )


def _on_file(content: ReportContent, case: str) -> str:
    clean, adversarial = (_overall(content, case, f"{variant}_accuracy", SOURCE) for variant in ("clean", "adversarial"))
    if adversarial is None or clean is None:
        return "No adversarial file has been judged yet."
    return (
        f"As files, **{_of(adversarial, is_missed=True)}** adversarial images{_on_images(adversarial, 'made from')} are "
        f"misclassified, and {_of(clean)} clean ones are classified right (top-1, {CASE_TITLES[case]}, all cells together)."
    )


def _on_photos(content: ReportContent, case: str) -> str:
    found = _overall(content, case, "destruction_rate", PHOTO)
    if found is None:
        return "No attack that worked as a file was photographed, so there is no destruction rate."
    is_simulated = content.main_origin == SIMULATED
    medium = "in the simulated photographs" if is_simulated else "after printing and photographing"
    n_survived, were = found.n_eligible - found.n_hit, "was" if found.n_hit == 1 else "were"
    return (
        f"Of {count(found.n_eligible, 'photographed attack')}{_on_images(found)} that had worked as files, **{n_survived} "
        f"survived** {medium} and {found.n_hit} {were} destroyed, a destruction rate of {_told_rate(found)}."
    )


def on_cells(content: ReportContent, case: str) -> str:
    """Returns which attacks surely survive best and worst, by the ends of their intervals, "" where that is one cell."""
    wanted = (case, PHOTO, 1, content.main_origin)
    rows = [row for row in content.rates if (row.case, row.transform, row.top_k, row.origin) == wanted and row.rate is not None]
    rows = [row for row in rows if row.attack not in content.adaptive]
    if not rows or len({row.rate for row in rows}) == 1:
        return ""
    highest_end, rate = min((row.known[2], row.rate) for row in rows)
    sturdiest = [row for row in rows if (row.known[2], row.rate) == (highest_end, rate)]
    lowest_end, rate = max((row.known[1], row.rate) for row in rows)
    fragile = [row for row in rows if (row.known[1], row.rate) == (lowest_end, rate)]
    if fragile[0].known[0] <= sturdiest[0].known[0]:
        return ""
    joint = "; their intervals overlap" if lowest_end <= highest_end else ""
    most = f"most surely sturdy {_told_cells(sturdiest)}, most surely fragile {_told_cells(fragile)}"
    return f"By the ends of the intervals, {most}{joint}."


def _told_cells(rows: Sequence[Rate]) -> str:
    """Returns the names of cells that fare alike, and how the first of them does."""
    found, verb = rows[0], "is" if len(rows) == 1 else "are"
    names = listed(cell_title(row.attack, row.epsilon_8bit).replace(", ε", " at ε") for row in rows)
    each = ", each" if len(rows) > 1 else ""
    return f"{verb} {names} ({percent(found.rate)} destroyed, {found.n_hit} of {found.n_eligible}{each}{_ends(found)})"


def on_transforms(content: ReportContent, case: str) -> str:
    """Returns which digital transform destroys the most attacks."""
    rows = [row for row in content.overall if row.case == case and row.transform not in (PHOTO, SOURCE) and row.rate is not None]
    if not rows:
        return "No digital transform has been applied to an attack that works."
    most = max(rows, key=lambda row: (row.known[1], row.rate))
    axis = axis_of(most.transform)
    at = "" if most.parameter is None else f" at {number(most.parameter)} ({axis.label})"
    return (
        f"Of the digital transforms, **{axis.title}{at}** destroys the most attacks: {_of(most)}{_on_images(most)}, "
        f"{_told_rate(most)}."
    )


def on_photographs(content: ReportContent) -> str:
    """Returns how many photographs were used and why others were not, "" where there is none."""
    photos = photo_count(content)
    if not photos.n_used + photos.n_lost:
        return ""
    reasons = Counter(d.reason for d in content.discards if not d.pair_id and d.reason not in _NOT_LOST)
    why = listed(DISCARD_REASONS.get(reason, reason) for reason in sorted(reasons))
    lost = f"; {photos.n_lost} had to be discarded ({why})" if photos.n_lost else "; none had to be discarded"
    kind = {("camera",): "photograph", ("camera", SIMULATED): "real photograph"}.get(content.photo_origins)
    kind = kind or ("simulated photograph" if content.main_origin == SIMULATED else "photograph")
    return f"{count(photos.n_used, kind)} {'was' if photos.n_used == 1 else 'were'} used{lost}."


def _overall(content: ReportContent, case: str, quantity: str, transform: str) -> Rate | None:
    """Returns a rate over all cells of a case (of photographs those that the front page speaks of), None where n is 0."""
    for row in content.overall:
        is_asked = (row.case, row.quantity, row.transform) == (case, quantity, transform)
        if is_asked and row.n_eligible and (transform != PHOTO or row.origin == content.main_origin):
            return row
    return None


def _cell_names(content: ReportContent, field: str) -> set[Any]:
    return {getattr(row, field) for row in (*content.accuracies, *content.rates, *content.fills)}


def _of(found: Rate | None, is_missed: bool = False) -> str:
    """Returns the hits of a rate, or what is missed, of all that is eligible."""
    if found is None:
        return NOT_APPLICABLE
    return f"{found.n_eligible - found.n_hit if is_missed else found.n_hit} of {found.n_eligible}"


def _on_images(found: Rate | None, word: str = "on") -> str:
    """Returns of how many images something is."""
    return f" {word} {count(found.n_different or 0, 'image')}" if found else ""


def _told_rate(found: Rate) -> str:
    """Returns a rate with its interval."""
    return f"{percent(found.rate)}{_ends(found)}"


def _ends(found: Rate | None, is_missed: bool = False) -> str:
    """Returns the 95 % interval of a rate, or of what is missed, to go on with."""
    if found is None:
        return ""
    low, high = found.known[1:] if not is_missed else (1 - found.known[2], 1 - found.known[1])
    return f", 95 % interval {100 * low:.0f} to {100 * high:.0f} %"
