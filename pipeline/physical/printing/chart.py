"""The calibration page: greys, colours, slanted squares, a star and scale bars, whose places follow from the paper alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from pipeline.core.errors import WrongUse, near_match
from pipeline.physical.fiducials.codes import CALIBRATION, N_MODULES, QUIET_MODULES
from pipeline.physical.geometry import SQUARE
from pipeline.physical.printing.arrangement import MM_PER_INCH, bare_printout, grid_dpi
from pipeline.physical.printing.furniture import MARGIN_MM, MARK_CELL_MM, corner_tags
from pipeline.records import Mark, Patch, Printout

RUN = "calibration"
CHART_PAPERS = {"A4": "4", "A3": "3", "Letter": "L"}
_ORIENTATION_CODES = {"portrait": "P", "landscape": "L"}

# 255 = 17 x 15: a print curve at evenly spaced values has whole ones, and every colour's channels are among them.
GREY_STEPS = tuple(range(0, 256, 15))
_STRONG = ((240, 15, 15), (15, 240, 15), (15, 15, 240), (15, 240, 240), (240, 15, 240), (240, 240, 15))
_MIDDLE = ((195, 75, 75), (75, 195, 75), (75, 75, 195), (75, 195, 195), (195, 75, 195), (195, 195, 75))
_PALE = ((240, 195, 195), (195, 240, 195), (195, 195, 240), (195, 240, 240), (240, 195, 240), (240, 240, 195))
_DARK = ((120, 45, 45), (45, 105, 45), (45, 45, 120))
# skin, foliage, sky, brick, sand and the like
_NATURAL = ((225, 180, 150), (195, 150, 120), (120, 75, 60), (90, 120, 60), (60, 90, 45), (105, 150, 195), (165, 195, 225))
_MIXED = ((165, 90, 60), (225, 195, 120), (210, 120, 45), (90, 60, 105), (150, 180, 60))
COLOURS = (*_STRONG, *_MIDDLE, *_PALE, *_DARK, *_NATURAL, *_MIXED)
NOISE_GREYS = (120, 195)
N_COPIES = 2

CELL_MM, PATCH_MM = 12.0, 10.0
_BLOCK, _NOISE_CELLS = 3, 2
_SQUARE_MM, _SLANT_DEG = 20.0, 5.0
_BAR_LENGTHS_MM = (100.0, 50.0)
_TEXT_MM, _SEED = 5.6, 4

Cell = tuple[int, int]


class SlantedSquare(NamedTuple):
    """A black square on white, turned clockwise about its middle; its four sides are the slanted edges of ISO 12233."""

    x_mm: float
    y_mm: float
    side_mm: float
    angle_deg: float

    @property
    def corners_mm(self) -> np.ndarray:
        """The corners (4, 2), clockwise."""
        angle = math.radians(self.angle_deg)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        return np.asarray((2 * SQUARE - 1) * self.side_mm / 2 @ turn + (self.x_mm, self.y_mm))


class ScaleBar(NamedTuple):
    """A bar with a tick every 10 mm, to be held against a ruler; it begins at (x, y) and goes right or down."""

    x_mm: float
    y_mm: float
    length_mm: float
    is_vertical: bool


class White(NamedTuple):
    """A place of bare paper: nothing is printed within `half_mm` of (x, y) along both axes."""

    x_mm: float
    y_mm: float
    half_mm: float


@dataclass(frozen=True, slots=True)
class Chart:
    """One calibration page: a printout that `register` finds, and what else is printed on it, a star about `star_mm` too."""

    printout: Printout
    squares: tuple[SlantedSquare, ...]
    star_mm: tuple[float, float] | None
    bars: tuple[ScaleBar, ...]
    whites: tuple[White, ...]


def calibration_chart(paper: str = "A4", orientation: str = "portrait", dpi: int = 600) -> Chart:
    """Returns the calibration page of a paper: the same for everybody, so that its codes alone tell where everything is.

    In a grid of cells lie slanted squares, a star, scale bars, two large greys, marks on a lattice, and in the other cells every
    grey and colour twice, in an order drawn once for all, so that the fall of light is not mistaken for the tone curve.

    Raises: WrongUse when there is none on that paper or in that orientation.
    """
    if paper not in CHART_PAPERS:
        raise WrongUse(f'There is no calibration page on "{paper}".', near_match(paper, CHART_PAPERS))
    if orientation not in _ORIENTATION_CODES:
        raise WrongUse(f'There is no orientation "{orientation}".', near_match(orientation, _ORIENTATION_CODES))
    printout = bare_printout(RUN, _run_code(paper, orientation), paper, orientation, dpi)
    grid = _Grid(printout)
    printout = replace(printout, tags=tuple(corner_tags(printout, 1, grid.step_mm)))
    squares = tuple(_squares(grid))
    star_mm = grid.take((grid.middle[0], grid.middle[1] - _BLOCK - 1), _BLOCK)
    beside = grid.middle[1] + _BLOCK + 1
    large = [grid.patch((g, g, g), (grid.middle[0], beside + i * _NOISE_CELLS), _NOISE_CELLS) for i, g in enumerate(NOISE_GREYS)]
    bars, marks = tuple(_bars(grid)), tuple(_marks(grid))
    patches = (*large, *_patches(grid))
    return Chart(replace(printout, marks=marks, patches=patches), squares, star_mm, bars, tuple(_whites(grid, squares)))


def _run_code(paper: str, orientation: str) -> str:
    return CALIBRATION + CHART_PAPERS[paper] + _ORIENTATION_CODES[orientation]


def chart_of_code(run_code: str) -> Chart | None:
    """Returns the calibration page that a run code stands for, None for a run's own."""
    kinds = product(CHART_PAPERS, _ORIENTATION_CODES)
    return next((calibration_chart(*kind) for kind in kinds if run_code == _run_code(*kind)), None)


class _Grid:
    """The cells between the rows of codes, centred across the page, and which of them are taken."""

    def __init__(self, printout: Printout) -> None:
        self.step_mm = MM_PER_INCH / grid_dpi(printout.dpi)
        self.cell_mm = self.whole(CELL_MM)
        inset = MARGIN_MM + (N_MODULES + QUIET_MODULES) * printout.module_mm + _TEXT_MM
        width, height = printout.page_width_mm - 2 * MARGIN_MM, printout.page_height_mm - 2 * inset
        self.n_columns, self.n_rows = int(width // self.cell_mm), int(height // self.cell_mm)
        self.x_mm = self.whole((printout.page_width_mm - self.n_columns * self.cell_mm) / 2)
        self.y_mm = self.whole((printout.page_height_mm - self.n_rows * self.cell_mm) / 2)
        self.taken = np.zeros((self.n_rows, self.n_columns), bool)
        self.plain = ~self.taken
        self.middle = ((self.n_rows - _BLOCK) // 2, (self.n_columns - _BLOCK) // 2)

    def whole(self, length_mm: float) -> float:
        return round(length_mm / self.step_mm) * self.step_mm

    def take(self, cell: Cell, n_cells: int = 1, n_across: int = 0, plain: bool = False) -> tuple[float, float]:
        """Marks a block of free cells as taken, `plain` where white is left on all sides; returns its middle."""
        row, column = cell
        below, right = row + n_cells, column + (n_across or n_cells)
        block = self.taken[row:below, column:right]
        if row < 0 or column < 0 or below > self.n_rows or right > self.n_columns or block.any():
            raise ValueError("the paper is too small for a calibration page")
        block[:] = True
        self.plain[row:below, column:right] = plain
        (x0, y0), (x1, y1) = self.place_mm(cell), self.place_mm((below, right))
        return (x0 + x1) / 2, (y0 + y1) / 2

    def place_mm(self, cell: Cell) -> tuple[float, float]:
        """Returns the upper left corner of a cell."""
        return self.x_mm + cell[1] * self.cell_mm, self.y_mm + cell[0] * self.cell_mm

    def patch(self, colour: tuple[int, int, int], cell: Cell, n_cells: int = 1) -> Patch:
        """Takes a block of cells for a patch of one colour."""
        self.take(cell, n_cells, plain=n_cells == 1)
        x, y = self.place_mm(cell)
        gap, side = self.whole((CELL_MM - PATCH_MM) / 2), self.whole(n_cells * CELL_MM - (CELL_MM - PATCH_MM))
        return Patch(1, *colour, x + gap, y + gap, side, side)

    def free_cells(self) -> list[Cell]:
        return [(int(row), int(column)) for row, column in np.argwhere(~self.taken)]


def _squares(grid: _Grid) -> Iterator[SlantedSquare]:
    last_row, last_column = grid.n_rows - _BLOCK, grid.n_columns - _BLOCK
    # turned either way: a phone held askew by five degrees still sees half of them aslant
    cells = ((0, 0), (0, last_column), (last_row, last_column), (last_row, 0), grid.middle)
    for index, cell in enumerate(cells):
        yield SlantedSquare(*grid.take(cell, _BLOCK), _SQUARE_MM, _SLANT_DEG if index % 2 == 0 else -_SLANT_DEG)


def _bars(grid: _Grid) -> Iterator[ScaleBar]:
    for is_vertical, room in ((False, grid.n_columns - 2 * _BLOCK), (True, grid.n_rows - 2 * _BLOCK)):
        length = next(length for length in _BAR_LENGTHS_MM if length <= room * grid.cell_mm - 4)
        n_cells = math.ceil((length + 4) / grid.cell_mm)
        cell = (_BLOCK, 0) if is_vertical else (grid.n_rows - 1, _BLOCK)
        grid.take(cell, n_cells if is_vertical else 1, 1 if is_vertical else n_cells)
        x, y = grid.place_mm(cell)
        across, along = grid.whole(grid.cell_mm / 2), grid.whole(2.0)
        yield ScaleBar(x + (across if is_vertical else along), y + (along if is_vertical else across), length, is_vertical)


def _marks(grid: _Grid) -> Iterator[Mark]:
    side = 2 * grid.whole(MARK_CELL_MM)
    for row, column in grid.free_cells():
        if row % 3 == 1 and column % 3 == 1:
            grid.take((row, column), plain=True)
            x, y = grid.place_mm((row, column))
            yield Mark(1, x + grid.whole(grid.cell_mm / 2), y + grid.whole(grid.cell_mm / 2), side)


def _patches(grid: _Grid) -> Iterator[Patch]:
    colours = [*((grey, grey, grey) for grey in GREY_STEPS), *COLOURS] * N_COPIES
    cells = grid.free_cells()
    if len(cells) < len(colours):
        raise ValueError("the paper is too small for a calibration page")
    order = np.random.Generator(np.random.PCG64(_SEED)).permutation(len(cells))
    return (grid.patch(colour, cells[place]) for colour, place in zip(colours, order, strict=False))


def _whites(grid: _Grid, squares: tuple[SlantedSquare, ...]) -> Iterator[White]:
    """Yields the corners of the squares' blocks, the empty cells, and where the gaps between cells cross."""
    beside = 0.4 * _BLOCK * grid.cell_mm
    for square, y, x in product(squares, (-beside, beside), (-beside, beside)):
        yield White(square.x_mm + x, square.y_mm + y, 3.0)
    for row, column in grid.free_cells():
        x, y = grid.place_mm((row, column))
        yield White(x + grid.cell_mm / 2, y + grid.cell_mm / 2, 0.35 * grid.cell_mm)
    for row, column in product(range(1, grid.n_rows), range(1, grid.n_columns)):
        if grid.plain[row - 1 : row + 1, column - 1 : column + 1].all():
            yield White(*grid.place_mm((row, column)), 0.4 * (CELL_MM - PATCH_MM))
