"""The plan of an experiment: pages, ink, time, what each cell will tell, and ways to print less."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil
from typing import Any

from pipeline.core.errors import WrongUse
from pipeline.document.formats import count
from pipeline.physical.fiducials.codes import MAX_PAGE
from pipeline.physical.printing.arrangement import PrintPair, arrange, most_pairs_of_size
from pipeline.planning.computing import work
from pipeline.planning.knowledge import Known, n_available
from pipeline.planning.plan_records import Assumptions, Block, Cost, Plan, PlannedCell, Proposal
from pipeline.records import FEW_ELIGIBLE, Printout
from pipeline.report.words import cell_title
from pipeline.settings import Experiment, LayoutSettings
from pipeline.statistics import detectable_difference, half_width, n_for_half_width, planned_effective_number
from pipeline.store import Run

# Of images that disagree in one attack out of three, which is what the detectable difference is stated for.
_DISCORDANT_RATE = 1 / 3
# From so many pages on the spread between them is seen rather than assumed.
FEW_PAGES = 5
# The share of black in a QR code or a mark, and in a tag with its border: as measured on rendered pages.
_CODE_DARKNESS, _TAG_DARKNESS = 0.5, 0.75
_SAME_SIZE = "images of the same size"
_Blocks = Mapping[Block, tuple[frozenset[str] | None, int]]


def plan(
    experiment: Experiment,
    run: Run,
    done: Collection[str] = (),
    assumptions: Assumptions | None = None,
    earlier: tuple[Experiment, Run] | None = None,
) -> Plan:
    """Returns the plan of an experiment from its file alone, and from what the stages `done` know where there are any.

    Args:
        earlier: a finished run that tells what a pass, a page and a picture cost; this run itself where it is finished.

    Raises:
        WrongUse: the pairs do not fit on the page. BadInput: the earlier run is not finished.
    """
    if earlier is None and "classify" in done:
        earlier = experiment, run
    assumed = assumptions or Assumptions()
    known = Known.of(experiment, run, done)
    blocks = known.blocks(experiment)
    printout, per_page = pages_for(experiment, known.image_px)
    n_of = {block: most if images is None else len(images) for block, (images, most) in blocks.items()}
    n_pairs = sum(n_of.values())
    n_pages = -(-n_pairs // per_page)
    cells = _cells(experiment, known, blocks, per_page, assumed)
    darkness, darkness_from = known.darkness() or (assumed.darkness, "assumed")
    first = printout.placements[:2]
    image_cm2 = sum(place.width_mm * place.height_mm for place in first) / 100
    ink_cm2 = n_pairs * image_cm2 * darkness + n_pages * _furniture_cm2(printout)
    page_cm2 = printout.page_width_mm * printout.page_height_mm / 100
    on_paper = experiment.layout.medium == "paper"
    return Plan(
        run=experiment.name,
        medium=experiment.layout.medium,
        pairs_from=known.source,
        n_pairs=n_pairs,
        pairs_per_page=per_page,
        image_mm=max(first[0].width_mm, first[0].height_mm),
        n_pages=n_pages,
        n_sheets=n_pages + 1 + experiment.layout.calibration if on_paper else 0,
        image_area_cm2=n_pairs * image_cm2,
        ink_cm2=ink_cm2 if on_paper else 0.0,
        coverage_rate=ink_cm2 / (n_pages * page_cm2) if n_pages and on_paper else 0.0,
        darkness=darkness,
        darkness_from=darkness_from,
        photographing_s=n_pages * assumed.seconds_per_page,
        cells=tuple(cells),
        costs=tuple(Cost(*block, n, n / per_page) for block, n in n_of.items()),
        proposals=tuple(_proposals(experiment, known, assumed, n_pages)),
        n_images_for_wish=_n_images_for(experiment, cells, assumed, per_page),
        work=work(experiment, known.n_clean(experiment), n_of, n_pages, earlier),
        warnings=tuple(_warnings(experiment, cells, n_pages, per_page)),
        assumptions=assumed,
    )


def pages_for(experiment: Experiment, image_px: tuple[int, int]) -> tuple[Printout, int]:
    """Returns one page as it will be laid out, and how many pairs fit on it."""
    return _pages_of(experiment.name, experiment.layout, image_px)


@lru_cache(maxsize=64)  # one plan asks for the same page several times
def _pages_of(name: str, settings: LayoutSettings, image_px: tuple[int, int]) -> tuple[Printout, int]:
    names = ("paper", "orientation", "pairs_per_page", "image_mm", "dpi", "medium")
    options: dict[str, Any] = {"run": name, "run_code": "AAAAA"} | {name: getattr(settings, name) for name in names}
    pairs = [PrintPair(str(n), "", "", *image_px) for n in range(600)]
    per_page = settings.pairs_per_page
    if settings.image_mm > 0 or not per_page:
        per_page = sum(place.page == 1 for place in arrange(pairs, aids=False, **options).placements) // 2
    return arrange(pairs[:per_page], aids=settings.aids, **options), per_page


def _furniture_cm2(printout: Printout) -> float:
    """Returns the ink of one page's codes, tags, marks and colour strip, in cm² of solid colour."""
    squares = [(square.page, square.size_mm) for kind in (printout.fiducials, printout.marks) for square in kind]
    codes = sum(size_mm**2 for page, size_mm in squares if page == 1) * _CODE_DARKNESS
    codes += sum(tag.size_mm**2 for tag in printout.tags if tag.page == 1) * _TAG_DARKNESS
    strip = sum(
        patch.width_mm * patch.height_mm * (1 - (patch.red + patch.green + patch.blue) / 765)
        for patch in printout.patches
        if patch.page == 1
    )
    return (codes + strip) / 100


def _cells(experiment: Experiment, known: Known, blocks: _Blocks, per_page: int, assumed: Assumptions) -> list[PlannedCell]:
    cells = []
    for case in experiment.selection.cases:
        for block, (images, upper) in blocks.items():
            n_block = upper if images is None else len(images)
            n_images, n_eligible, how = _expected(case, block, experiment, known, assumed)
            n_pages = _pages_with_some(n_eligible, n_block, per_page)
            n_effective = planned_effective_number(n_eligible, n_pages, assumed.page_correlation)
            rate = (known.earlier or {}).get((case, *block), assumed.rate)
            told = half_width(rate, n_effective), detectable_difference(n_effective, _DISCORDANT_RATE)
            cells.append(PlannedCell(case, *block, n_images, n_eligible, how, n_pages, n_effective, rate, *told))
    return cells


def _pages_with_some(n_eligible: int, n_pairs: int, per_page: int) -> int:
    """Returns on how many pages at least one of the eligible pairs is expected, strewn over all of an attack and epsilon."""
    if not n_eligible:
        return 0
    occupied = n_pairs / per_page * (1 - (1 - n_eligible / n_pairs) ** per_page)
    return max(1, min(n_eligible, round(occupied)))


def _expected(case: str, block: Block, experiment: Experiment, known: Known, assumed: Assumptions) -> tuple[int, int, str]:
    """Returns how many images a cell has, how many of them will be eligible, and how that is known."""
    images = known.images(case, block)
    n_images = min(experiment.selection.n_images, n_available(experiment)) if images is None else len(images)
    if known.eligible and (case, *block) in known.eligible:
        return n_images, min(n_images, known.eligible[case, *block]), "measured"
    if case == "prefiltered":  # whose images are drawn for it
        return n_images, n_images, "assumed" if images is None else "selected"
    if images is not None:
        return n_images, round(len(images & known.clean_right) * assumed.fooled_rate), "selected"
    return n_images, round(n_images * assumed.clean_accuracy * assumed.fooled_rate), "assumed"


def _proposals(experiment: Experiment, known: Known, assumed: Assumptions, n_pages: int) -> list[Proposal]:
    """Returns ways to print less, each applied alone: the one that costs nothing first, then those that halve the pages."""
    selection, layout = experiment.selection, experiment.layout
    ways: list[tuple[str, list[str], Experiment]] = []
    # Of every attack the strongest epsilon is kept, and from there every second.
    fewer = tuple(
        replace(attack, epsilons_8bit=tuple(sorted(sorted(attack.epsilons_8bit, reverse=True)[::2])))
        for attack in experiment.attacks
    )
    if fewer != experiment.attacks:
        words = [
            f"attacks.{_place(experiment, index)}.epsilons_8bit={list(attack.epsilons_8bit)}"
            for index, attack in enumerate(fewer)
            if attack != experiment.attacks[index]
        ]
        ways.append(("every second ε", words, replace(experiment, attacks=fewer)))
    if len(selection.cases) > 1:
        for case in selection.cases:
            words = [f'selection.cases=["{case}"]']
            ways.append((f"the {case} case alone", words, replace(experiment, selection=replace(selection, cases=(case,)))))
    if selection.n_images > 1:
        half = (selection.n_images + 1) // 2
        words = [f"selection.n_images={half}"]
        ways.append(("half the images", words, replace(experiment, selection=replace(selection, n_images=half))))
    per_page = pages_for(experiment, known.image_px)[1]
    if layout.image_mm == 0 and per_page <= 12:
        fitting = _same_size(experiment, known.image_px, per_page)
        sizes = [(_SAME_SIZE, fitting)] if fitting > per_page else []
        for what, n_pairs in [*sizes, ("smaller images", 2 * per_page)]:
            words = [f"layout.pairs_per_page={n_pairs}"]
            ways.append((what, words, replace(experiment, layout=replace(layout, pairs_per_page=n_pairs))))
    found = []
    for what, words, smaller in ways:
        try:
            printout, per_page = pages_for(smaller, known.image_px)
        except WrongUse:  # they do not fit
            continue
        then = _scaled(known, smaller, experiment)
        blocks = then.blocks(smaller)
        n_left = -(-sum(upper if images is None else len(images) for images, upper in blocks.values()) // per_page)
        widths = [cell.half_width for cell in _cells(smaller, then, blocks, per_page, assumed)]
        known_widths = [width for width in widths if width is not None]
        widest = max(known_widths) if len(known_widths) == len(widths) else None
        typed = " ".join(f"--set {shlex.quote(word)}" for word in words)
        if n_left < n_pages:
            first = printout.placements[0]
            found.append(Proposal(what, typed, n_left, max(first.width_mm, first.height_mm), widest))
    return sorted(found, key=lambda proposal: (proposal.what != _SAME_SIZE, proposal.n_pages > ceil(n_pages / 2)))


def _same_size(experiment: Experiment, image_px: tuple[int, int], per_page: int) -> int:
    """Returns how many pairs a page takes with images as large as they are now."""
    layout, pairs = experiment.layout, [PrintPair("0", "", "", *image_px)]
    return min(24, most_pairs_of_size(pairs, layout.paper, layout.orientation, per_page, layout.dpi, layout.medium))


def _scaled(known: Known, smaller: Experiment, before: Experiment) -> Known:
    """What would be known with fewer images: the first of each cell stand for those that would be drawn."""
    share = smaller.selection.n_images / before.selection.n_images
    if share == 1 or known.selected is None:
        return known
    selected = {cell: frozenset(sorted(images)[: ceil(len(images) * share)]) for cell, images in known.selected.items()}
    eligible = {cell: round(n * share) for cell, n in (known.eligible or {}).items()}
    return replace(known, selected=selected, eligible=eligible)


def _place(experiment: Experiment, index: int) -> str:
    """Returns how --set names an attack: by its name or label where that is enough, else by its number."""
    attack = experiment.attacks[index]
    shown = attack.label or attack.name
    names = [name for other in experiment.attacks for name in {other.label, other.name} if name == shown]
    return shown if "." not in shown and len(names) == 1 else str(index)


def _n_images_for(experiment: Experiment, cells: Sequence[PlannedCell], assumed: Assumptions, per_page: int) -> int | None:
    """Returns how many images a cell has to be given for the wished interval in all of them; None where some stay empty."""
    wanted = []
    for cell in cells:
        if not cell.n_eligible:
            return None
        share = cell.n_eligible / cell.n_images
        together = min(cell.n_eligible / max(1, cell.n_pages), per_page)
        design = 1 + max(0.0, together - 1) * assumed.page_correlation
        wanted.append(ceil(n_for_half_width(assumed.wished_half_width, cell.rate, design) / share))
    return max(wanted, default=None)


def _warnings(experiment: Experiment, cells: Sequence[PlannedCell], n_pages: int, per_page: int) -> list[str]:
    found = []
    few = [cell for cell in cells if cell.n_eligible < FEW_ELIGIBLE]
    if few:
        least = min(few, key=lambda cell: cell.n_eligible)
        named = f"{cell_title(least.attack, least.epsilon_8bit)}, {least.case}"
        text = (
            f"{len(few)} of {count(len(cells), 'cell')} will have fewer than {FEW_ELIGIBLE} eligible images, the fewest "
            f"{least.n_eligible} ({named})"
        )
        if all(cell.n_eligible for cell in few):
            wanted = max(ceil(FEW_ELIGIBLE * cell.n_images / cell.n_eligible) for cell in few)
            text += f"; --set selection.n_images={wanted} would do, if there are so many"
        found.append(text + ".")
    scarce = [cell for cell in cells if cell.n_eligible and cell.n_pages < min(FEW_PAGES, cell.n_eligible)]
    if scarce:
        found.append(
            f"{len(scarce)} of {count(len(cells), 'cell')} lie on fewer than {FEW_PAGES} pages, too few to "
            "measure how strongly images on one page are correlated; intervals then rest on an assumption. "
            "Fewer pairs on a page or more images help."
        )
    if n_pages > MAX_PAGE:
        found.append(f"{n_pages:,} pages are more than the {MAX_PAGE:,} that a run can number; print more pairs on a page.")
    if experiment.photograph.by == "simulator":
        found.append('photograph.by is "simulator": nothing has to be printed, and sheets, ink and time are those of doing so.')
    return found
