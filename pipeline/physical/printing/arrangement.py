"""Where everything goes on the pages: pure geometry in whole printer dots, told in millimetres."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import NamedTuple

from pipeline.core.errors import WrongUse
from pipeline.physical.fiducials.codes import MAX_PAGE, N_MODULES, QUIET_MODULES, encode_payload
from pipeline.physical.printing.furniture import CAPTION_MM, FOOTER_MM, HEADER_MM, MARGIN_MM, with_aids
from pipeline.records import CORNERS, VARIANTS, Fiducial, Placement, Printout

MM_PER_INCH = 25.4
PAPERS = {"A3": (297.0, 420.0), "A4": (210.0, 297.0), "A5": (148.0, 210.0), "Letter": (215.9, 279.4)}
ORIENTATIONS = ("portrait", "landscape")
FORMAT_VERSION = 2

# A full-HD screen without the browser's own bars; its pixels are the dots, 96 to the inch as in CSS.
SCREEN, SCREEN_PX, SCREEN_DPI, SCREEN_MODULE_PX = "screen", (1920, 1040), 96, 5

# 16 dots at 600 dpi: a code of 14.2 mm. Three pairs of 224 px images then get eight dots a pixel (75.9 mm) on A4 and on
# Letter; with codes of 16 mm they would get seven.
_MODULE_MM = 0.68

_MIN_PAIR_GAP_MM, _MAX_PAIR_GAP_MM = 2.0, 5.0
_MIN_COLUMN_GAP_MM, _MAX_COLUMN_GAP_MM = 5.0, 14.0
_MIN_ROW_GAP_MM, _MAX_ROW_GAP_MM = 1.5, 9.0
_MIN_IMAGE_MM = 12.0
_DEFAULT_PAIRS = 3


class PrintPair(NamedTuple):
    """One pair to print; both images have the same size in pixels."""

    pair_id: str
    clean_path: str
    adversarial_path: str
    width_px: int
    height_px: int


def arrange(
    pairs: Sequence[PrintPair],
    *,
    run: str,
    run_code: str,
    paper: str = "A4",
    orientation: str = "portrait",
    pairs_per_page: int = 3,
    image_mm: float = 0.0,
    dpi: int = 600,
    aids: bool = True,
    medium: str = "paper",
) -> Printout:
    """Returns the geometry of all pages, with `pdf_sha256` still empty.

    Pairs keep the given order, clean left and adversarial right. Positions lie on the grid of `grid_dpi(dpi)`, sizes are whole
    dots at `dpi`, and so is every image pixel wherever the image has fewer pixels than dots.

    Args: `pairs_per_page` at least 1: the arrangement with the largest images is chosen; 0: as many as fit with images of the
    size that three have. `image_mm` above 0 replaces it: images whose longer side is as close to that as whole dots allow, and as
    many pairs on a page as fit. `aids` prints tags, marks and a colour strip where there is white to spare. With `medium`
    "screen" paper, orientation and dots are a screen's.
    Raises: WrongUse when the paper is unknown, nothing is to be printed, or the pairs cannot fit (the hint says what would).
    """
    sheet = _SCREEN_SHEET if medium == SCREEN else _sheet(paper, orientation, dpi)
    if not pairs:
        raise WrongUse("There is no pair to print.", "Select at least one image and one attack.")
    if image_mm == 0 and pairs_per_page == 0:
        pairs_per_page = _most_of_size(sheet, pairs, _DEFAULT_PAIRS)
    plan = _plan_of_size(sheet, pairs, image_mm) if image_mm > 0 else _plan_of_count(sheet, pairs, pairs_per_page)
    capacity = plan.n_rows * plan.n_columns if image_mm > 0 else pairs_per_page
    n_pages = -(-len(pairs) // capacity)
    if n_pages > MAX_PAGE:
        raise WrongUse(f"{len(pairs)} pairs need {n_pages} pages; a run has at most {MAX_PAGE}.", "Print more pairs on a page.")
    slots = ((pair, *divmod(index, capacity)) for index, pair in enumerate(pairs))
    placements = tuple(chain.from_iterable(_placed(sheet, plan, pair, page + 1, slot) for pair, page, slot in slots))
    printout = _printout(sheet, run, run_code, "landscape" if medium == SCREEN else orientation, n_pages)
    printout = replace(printout, placements=placements, medium=medium)
    return with_aids(printout, sheet.mm(sheet.step)) if aids else printout


def most_pairs_of_size(
    pairs: Sequence[PrintPair], paper: str, orientation: str, n_pairs: int, dpi: int, medium: str = "paper"
) -> int:
    """Returns how many pairs a page takes with images of the size that `n_pairs` have; 0 where those do not fit."""
    sheet = _SCREEN_SHEET if medium == SCREEN else _sheet(paper, orientation, dpi)
    return _most_of_size(sheet, pairs, n_pairs) if _largest_plan(sheet, pairs, n_pairs) else 0


def bare_printout(run: str, run_code: str, paper: str, orientation: str, dpi: int) -> Printout:
    """Returns one page with nothing on it but its four codes, for `chart` to fill; WrongUse for a paper that is not known."""
    return _printout(_sheet(paper, orientation, dpi), run, run_code, orientation, 1)


def grid_dpi(dpi: int) -> int:
    """Returns the dots per inch of the grid that everything is placed on: 300 or 360 where `dpi` allows."""
    return next((grid for grid in (300, 360) if dpi % grid == 0), dpi)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One sheet of paper; lengths in printer dots, all but image sizes whole steps of the grid."""

    paper: str
    dpi: int
    step: int
    width: int
    height: int
    module: int
    margin: int

    @property
    def code(self) -> int:
        return N_MODULES * self.module

    @property
    def inset(self) -> int:
        """From the paper's edge to where the quiet zone of a code ends."""
        return self.margin + self.code + QUIET_MODULES * self.module

    def mm(self, dots: int) -> float:
        return dots * MM_PER_INCH / self.dpi

    def dots(self, mm: float) -> int:
        return math.ceil(mm * self.dpi / MM_PER_INCH / self.step - 1e-9) * self.step


_SCREEN_SHEET = _Sheet(SCREEN, SCREEN_DPI, 1, *SCREEN_PX, SCREEN_MODULE_PX, math.ceil(MARGIN_MM * SCREEN_DPI / MM_PER_INCH))


@dataclass(frozen=True, slots=True)
class _Plan:
    """Rows and pair columns of equal cells in a region of the page; lengths in printer dots."""

    region: tuple[int, int, int, int]
    n_rows: int
    n_columns: int
    sizes: dict[tuple[int, int], tuple[int, int]]


def _sheet(paper: str, orientation: str, dpi: int) -> _Sheet:
    if paper not in PAPERS:
        raise WrongUse(f"There is no paper {paper!r}.", f"Choose one of {', '.join(PAPERS)}.")
    if orientation not in ORIENTATIONS:
        raise WrongUse(f"There is no orientation {orientation!r}.", f"Choose one of {', '.join(ORIENTATIONS)}.")
    if dpi < 150:
        raise WrongUse(f"{dpi} dots per inch are too coarse to print pixels.", "Use 300, 600 or 1200.")
    grid = grid_dpi(dpi)
    step = dpi // grid
    width, height, module = (round(length * grid / MM_PER_INCH) * step for length in (*PAPERS[paper], _MODULE_MM))
    if orientation == "landscape":
        width, height = height, width
    return _Sheet(paper, dpi, step, width, height, module, math.ceil(MARGIN_MM * grid / MM_PER_INCH) * step)


def _plan_of_count(sheet: _Sheet, pairs: Sequence[PrintPair], n_pairs: int) -> _Plan:
    """Returns the plan for `n_pairs` on a page whose images are largest."""
    if n_pairs < 1:
        raise WrongUse(f"{n_pairs} pairs on a page make no page.", "Set pairs_per_page to 1 or more.")
    if best := _largest_plan(sheet, pairs, n_pairs):
        return best
    most = next((n for n in range(n_pairs - 1, 0, -1) if _largest_plan(sheet, pairs, n)), 0)
    hint = f"At most {most} fit." if most else "Use larger paper or smaller images."
    raise WrongUse(f"{n_pairs} pairs do not fit on {sheet.paper}.", hint)


def _most_of_size(sheet: _Sheet, pairs: Sequence[PrintPair], n_pairs: int) -> int:
    """Returns how many pairs a page takes with images of the size that `n_pairs` have, or as many as fit where those do not."""
    largest = next((plan for n in range(n_pairs, 0, -1) if (plan := _largest_plan(sheet, pairs, n))), None)
    if largest is None:
        return n_pairs  # the refusal that follows says what would fit
    most = n_pairs
    while (more := _largest_plan(sheet, pairs, most + 1)) and more.sizes == largest.sizes:
        most += 1
    return most


def _largest_plan(sheet: _Sheet, pairs: Sequence[PrintPair], n_pairs: int) -> _Plan | None:
    plans = []
    for region in _regions(sheet):
        for n_columns in range(1, n_pairs + 1):
            n_rows = -(-n_pairs // n_columns)
            room = _room(sheet, region, n_rows, n_columns)
            if min(room) <= 0:
                continue
            sizes = {(p.width_px, p.height_px): _largest_size(sheet, p.width_px, p.height_px, room) for p in pairs}
            smallest = min(max(size) for size in sizes.values())
            if smallest >= sheet.dots(_MIN_IMAGE_MM):
                plans.append((smallest, min(room), -n_columns, _Plan(region, n_rows, n_columns, sizes)))
    return max(plans, key=lambda entry: entry[:3])[3] if plans else None


def _plan_of_size(sheet: _Sheet, pairs: Sequence[PrintPair], image_mm: float) -> _Plan:
    """Returns the plan for images of `image_mm` with the most pairs on a page."""
    sizes = {(p.width_px, p.height_px): _nearest_size(sheet, p.width_px, p.height_px, image_mm) for p in pairs}
    wide, high = map(max, zip(*sizes.values(), strict=True))
    plans = []
    for region in _regions(sheet):
        n_columns = next(n for n in count() if _room(sheet, region, 1, n + 1)[0] < wide)
        n_rows = next(n for n in count() if _room(sheet, region, n + 1, 1)[1] < high)
        if n_columns and n_rows:
            plans.append((n_rows * n_columns, _Plan(region, n_rows, n_columns, sizes)))
    if not plans:
        largest = _largest_plan(sheet, pairs, 1)
        possible = min(max(size) for size in largest.sizes.values()) if largest else 0
        raise WrongUse(
            f"Images of {image_mm:g} mm do not fit side by side on {sheet.paper}.",
            f"The largest that fit are {math.floor(sheet.mm(possible) * 10) / 10:g} mm.",
        )
    return max(plans, key=lambda entry: entry[0])[1]


def _regions(sheet: _Sheet) -> tuple[tuple[int, int, int, int], ...]:
    """Returns (left, top, right, bottom) of the two places for images: between the columns of codes, and between their rows."""
    header, footer = sheet.dots(HEADER_MM), sheet.dots(FOOTER_MM)
    return (
        (sheet.inset, sheet.margin + header, sheet.width - sheet.inset, sheet.height - sheet.margin - footer),
        (sheet.margin, sheet.inset, sheet.width - sheet.margin, sheet.height - sheet.inset),
    )


def _room(sheet: _Sheet, region: tuple[int, int, int, int], n_rows: int, n_columns: int) -> tuple[int, int]:
    """Returns the width and height that an image may have at most."""
    left, top, right, bottom = region
    gaps_x = n_columns * sheet.dots(_MIN_PAIR_GAP_MM) + (n_columns - 1) * sheet.dots(_MIN_COLUMN_GAP_MM)
    gaps_y = n_rows * sheet.dots(CAPTION_MM) + (n_rows - 1) * sheet.dots(_MIN_ROW_GAP_MM)
    return (right - left - gaps_x) // (2 * n_columns), (bottom - top - gaps_y) // n_rows


# On a screen every image pixel must have whole dots: it has too few to show it otherwise.
def _largest_size(sheet: _Sheet, width_px: int, height_px: int, room: tuple[int, int]) -> tuple[int, int]:
    fit = min(room[0] / width_px, room[1] / height_px)
    dots_per_pixel = int(fit) if fit >= 1 or sheet.paper == SCREEN else fit
    return int(width_px * dots_per_pixel), int(height_px * dots_per_pixel)


def _nearest_size(sheet: _Sheet, width_px: int, height_px: int, image_mm: float) -> tuple[int, int]:
    wanted = image_mm * sheet.dpi / MM_PER_INCH / max(width_px, height_px)
    dots_per_pixel = max(1, round(wanted)) if wanted >= 1 or sheet.paper == SCREEN else wanted
    return round(width_px * dots_per_pixel), round(height_px * dots_per_pixel)


def _placed(sheet: _Sheet, plan: _Plan, pair: PrintPair, page: int, slot: int) -> Iterator[Placement]:
    """Yields the clean and the adversarial image of one pair, centred in their cells of row-by-row slot `slot`."""
    left, top, right, bottom = plan.region
    wide, high = map(max, zip(*plan.sizes.values(), strict=True))
    spare_x, spare_y = right - left - 2 * plan.n_columns * wide, bottom - top - plan.n_rows * (high + sheet.dots(CAPTION_MM))
    # The space left over goes first to the pairs' own gaps, so that the two images of a pair stay closest.
    for_pairs = spare_x - (plan.n_columns - 1) * sheet.dots(_MIN_COLUMN_GAP_MM)
    pair_gap = min(sheet.dots(_MAX_PAIR_GAP_MM), for_pairs // plan.n_columns)
    spare_x -= plan.n_columns * pair_gap
    column_gap = min(sheet.dots(_MAX_COLUMN_GAP_MM), spare_x // max(1, plan.n_columns - 1)) if plan.n_columns > 1 else 0
    row_gap = min(sheet.dots(_MAX_ROW_GAP_MM), spare_y // (plan.n_rows - 1)) if plan.n_rows > 1 else 0
    start_x = left + (spare_x - (plan.n_columns - 1) * column_gap) // 2
    start_y = top + (spare_y - (plan.n_rows - 1) * row_gap) // 2
    row, column = divmod(slot, plan.n_columns)
    width, height = plan.sizes[pair.width_px, pair.height_px]
    y = start_y + row * (high + sheet.dots(CAPTION_MM) + row_gap) + (high - height) // 2
    y -= y % sheet.step
    for index, (variant, path) in enumerate(zip(VARIANTS, (pair.clean_path, pair.adversarial_path), strict=True)):
        x = start_x + column * (2 * wide + pair_gap + column_gap) + index * (wide + pair_gap) + (wide - width) // 2
        x -= x % sheet.step
        box = sheet.mm(x), sheet.mm(y), sheet.mm(width), sheet.mm(height)
        yield Placement(page, pair.pair_id, variant, path, *box, pair.width_px, pair.height_px)


def _printout(sheet: _Sheet, run: str, run_code: str, orientation: str, n_pages: int) -> Printout:
    """Returns pages with nothing on them but their codes."""
    size = sheet.mm(sheet.width), sheet.mm(sheet.height), sheet.dpi, sheet.mm(sheet.module)
    fiducials = tuple(_fiducial(sheet, run_code, page, corner) for page in range(1, n_pages + 1) for corner in CORNERS)
    return Printout(FORMAT_VERSION, run, run_code, sheet.paper, orientation, *size, n_pages, "", fiducials=fiducials)


def _fiducial(sheet: _Sheet, run_code: str, page: int, corner: str) -> Fiducial:
    x = sheet.margin if corner.endswith("L") else sheet.width - sheet.margin - sheet.code
    y = sheet.margin if corner.startswith("T") else sheet.height - sheet.margin - sheet.code
    return Fiducial(page, corner, encode_payload(run_code, page, corner), sheet.mm(x), sheet.mm(y), sheet.mm(sheet.code))
