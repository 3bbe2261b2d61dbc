"""The front page: what was asked, the answer, one photographed pair, who photographed what, and what to read with care."""

from dataclasses import replace
from datetime import datetime

from pipeline.document.blocks import Block, Tiles, plain
from pipeline.document.formats import count, listed, ranges
from pipeline.records import PHOTO, SIMULATED, Rate
from pipeline.report.content import GalleryItem, ReportContent
from pipeline.report.gallery import DESTROYED, SURVIVED, gallery, outcome
from pipeline.report.run_flags import front_page_flags
from pipeline.report.summary import (
    has_photos,
    headline_case,
    lead,
    left_out,
    on_cells,
    on_transforms,
    pages_photographed,
    sentences,
    tiles,
)
from pipeline.report.words import cell_title

_N_NAMED, _MOST_DEVICES = 4, 3


def front_page(content: ReportContent) -> tuple[Block, ...]:
    """Returns what stands beneath the report's title; every number in it is computed from the counts."""
    on_files, answer, more = sentences(content)
    case = headline_case(content)
    remarks = [on_cells(content, case), *([on_transforms(content, case)] if content.digital_rates else []), more]
    pair = shown_pair(content)
    facts = [photographed(content), empty_cells(content)] if has_photos(content) else [on_files]
    return (
        plain(f"Run {content.run} · model {content.model.name} · images {content.dataset.name}", "subtitle"),
        plain(f"**Asked:** {lead(content)}", "lead"),
        plain(f"**Answer:** {answer}", "lead"),
        Tiles(tuple(tiles(content))),
        *(_shown(pair) if pair else ()),
        *(plain(text, "bullet") for text in dict.fromkeys((*facts, *remarks)) if text),
        *(plain(left_out(*missing)) for missing in content.left_out),
        *front_page_flags(content),
    )


def _shown(pair: GalleryItem) -> tuple[Block, ...]:
    told = "**One pair, and what the model says of it.** In the difference grey is no change."
    return plain(told), replace(gallery([pair], has_photos=True), level=2)


def shown_pair(content: ReportContent) -> GalleryItem | None:
    """Returns a photographed pair of the gallery whose attack fared as most did, None where none was photographed."""
    found = [item for item in content.gallery if outcome(item) in (SURVIVED, DESTROYED) and item.photo_clean]
    rows = [
        row for row in content.overall if (row.quantity, row.transform) == ("destruction_rate", PHOTO) and row.rate is not None
    ]
    usual = DESTROYED if any((row.rate or 0.0) > 0.5 for row in rows if row.case == headline_case(content)) else SURVIVED
    return next((item for item in found if outcome(item) == usual), next(iter(found), None))


def photographed(content: ReportContent) -> str:
    """Returns who printed and photographed, when, how many of the pages that were laid out, and which are missing."""
    captures = [capture for capture in content.captures if capture.counts and capture.origin == content.main_origin]
    pages = pages_photographed(content)
    missing = [page for page in range(1, content.n_pages + 1) if page not in pages]
    told = f"{len(pages)} of {count(content.n_pages, 'page')} photographed"
    told += (
        f"; page{'s' * (len(missing) > 1)} {ranges(missing)} {'are' if len(missing) > 1 else 'is'} missing, and "
        if missing
        else ""
    )
    told += "all numbers on photographs are those of the other pages" if missing else ""
    if content.main_origin == SIMULATED:
        return f"Printed and photographed by a simulation ({content.profile}): {told}."
    devices = sorted({capture.device for capture in captures if capture.device})
    several = [f"{count(len(devices), 'device')}"] if len(devices) > _MOST_DEVICES else devices
    camera = listed(several) or "a camera that its files do not name"
    printer = content.printer or "a printer that nobody named (report.printer)"
    return f"Printed by {printer}, photographed with {camera}{_when({capture.taken_at for capture in captures})}: {told}."


def empty_cells(content: ReportContent) -> str:
    """Returns which cells have attacks that work as files and no photograph of one, "" where there is none."""

    def cells(rows: list[Rate]) -> set[tuple[str, str, int]]:
        return {(row.case, row.attack, row.epsilon_8bit) for row in rows}

    judged = [row for row in content.rates if row.top_k == 1 and row.transform == PHOTO and row.origin == content.main_origin]
    filled = cells([row for row in judged if row.n_eligible])
    wanted = {(row.case, row.attack, row.epsilon_8bit) for row in content.fills if row.n_found} or cells(judged)
    empty = sorted(wanted - filled)
    if not empty:
        return ""
    named = [f"{cell_title(attack, epsilon)} ({case})" for case, attack, epsilon in empty[:_N_NAMED]]
    named += [f"{len(empty) - _N_NAMED} more"] if len(empty) > _N_NAMED else []
    return f"**No photograph of a working attack in {len(empty)} of {count(len(wanted), 'cell')}:** {listed(named)}."


def _when(taken_at: set[str]) -> str:
    """Returns the days on which cameras say that they took photographs, to go on with; "" where none says it."""
    days = set()
    for text in taken_at:
        try:
            days.add(datetime.strptime(text[:10], "%Y:%m:%d").date())
        except ValueError:  # no date, or none that a calendar has
            continue
    if not days:
        return ""
    first, last = (f"{day.day} {day:%B %Y}" for day in (min(days), max(days)))
    return f" on {first}" if first == last else f" from {first} to {last}"
