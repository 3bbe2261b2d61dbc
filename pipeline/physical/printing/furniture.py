"""What a page carries besides its images and codes: texts, a scale bar, and aids wherever it has white to spare. Geometry in mm.

The aids are corner tags, registration marks and a colour strip. They never touch an image and never make one smaller. The marks
are what curled paper is measured by: without points between the images the surface there is a guess.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pipeline.physical import geometry
from pipeline.physical.fiducials.codes import N_CELLS, QUIET_MODULES, tag_id
from pipeline.records import Fiducial, Mark, Patch, Placement, Printout, Tag

MARGIN_MM, CAPTION_MM, HEADER_MM, FOOTER_MM, _PAYLOAD_MM = 10.0, 3.8, 6.0, 8.6, 5.0

TAG_CELL_MM, MARK_CELL_MM, PATCH_MM = 1.25, 1.5, 4.5
STRIP_COLOURS = (
    *((grey, grey, grey) for grey in (0, 43, 85, 128, 170, 213, 255)),
    *((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255), (255, 0, 255), (255, 255, 0)),
)
_MARK_MARGIN_MM, _STRIP_MARGIN_MM = 0.5, 1.2
_MAX_MARKS, _APART_MM = 24, 25.0
_SEARCH_MM = 0.5
_N_PLACES, _N_POINTS = 4000, 5


class Box(NamedTuple):
    """A rectangle on the page, in mm from its top left corner."""

    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float

    def overlaps(self, other: "Box") -> bool:
        """Returns whether two boxes share any area."""
        across = self.x_mm < other.x_mm + other.width_mm and other.x_mm < self.x_mm + self.width_mm
        return across and self.y_mm < other.y_mm + other.height_mm and other.y_mm < self.y_mm + self.height_mm

    def grown(self, by_mm: float) -> "Box":
        """Returns the box with a margin on every side."""
        return Box(self.x_mm - by_mm, self.y_mm - by_mm, self.width_mm + 2 * by_mm, self.height_mm + 2 * by_mm)


@dataclass(frozen=True, slots=True)
class Furniture:
    """What a page carries besides images, codes and aids: one box for each, none overlapping another or any of those."""

    header: Box
    scale_bar: Box
    payloads: dict[str, Box]
    captions: dict[tuple[str, str], Box]


def furniture(printout: Printout, page: int) -> Furniture:
    """Returns where the texts of one page and its scale bar go; they follow from the printout alone."""
    sheet, code = printout.of_page(page), printout.fiducials[0]
    quiet = QUIET_MODULES * printout.module_mm
    left, right = code.x_mm + code.size_mm + quiet, printout.page_width_mm - code.x_mm - code.size_mm - quiet
    header = Box(left + 0.6, code.y_mm, right - left - 1.2, HEADER_MM - 2.0)
    footer = Box(left, printout.page_height_mm - MARGIN_MM - FOOTER_MM + 2.4, right - left, FOOTER_MM - 2.4)
    tags = [tag_box(tag) for tag in sheet.tags]
    header, footer = _between(header, tags), _between(footer, tags)
    bar_mm = next(length for length in (100, 50, 20) if length <= footer.width_mm or length == 20)
    return Furniture(
        header,
        Box(footer.x_mm + (footer.width_mm - bar_mm) / 2, footer.y_mm, bar_mm, footer.height_mm),
        {f.corner: _payload_box(printout, f, quiet, tags) for f in sheet.fiducials},
        {(p.pair_id, p.variant): Box(p.x_mm, p.y_mm + p.height_mm + 0.6, p.width_mm, CAPTION_MM - 0.9) for p in sheet.placements},
    )


def box_of(one: Placement | Patch | Fiducial | Tag) -> Box:
    """Returns what an image, a patch, a code or a tag covers."""
    size = (one.size_mm, one.size_mm) if isinstance(one, (Fiducial, Tag)) else (one.width_mm, one.height_mm)
    return Box(one.x_mm, one.y_mm, *size)


def tag_box(tag: Tag) -> Box:
    """Returns a tag's box with the white cell that it needs around it."""
    return box_of(tag).grown(tag.size_mm / N_CELLS)


def code_box(code: Fiducial, module_mm: float) -> Box:
    """Returns a code's box with its quiet zone."""
    return box_of(code).grown(QUIET_MODULES * module_mm)


def _between(strip: Box, tags: list[Box]) -> Box:
    """Returns what is left of a strip between the tags that reach into it from both ends."""
    left, right, middle = strip.x_mm, strip.x_mm + strip.width_mm, strip.x_mm + strip.width_mm / 2
    for tag in tags:
        if tag.overlaps(strip):
            if tag.x_mm + tag.width_mm / 2 < middle:
                left = max(left, tag.x_mm + tag.width_mm + 0.6)
            else:
                right = min(right, tag.x_mm - 0.6)
    return Box(left, strip.y_mm, right - left, strip.height_mm)


def _payload_box(printout: Printout, code: Fiducial, quiet: float, tags: list[Box]) -> Box:
    """Returns the place of a code's text: beneath it (the upper codes) or above it, else beside it where images are near."""
    height, width = _PAYLOAD_MM, code.size_mm
    upper, leftmost = code.corner.startswith("T"), code.corner.endswith("L")
    images = [Box(p.x_mm, p.y_mm, p.width_mm, p.height_mm + CAPTION_MM) for p in printout.placements]
    reach = max((tag.height_mm for tag in tags), default=0.0)
    beneath = code.y_mm + code.size_mm + quiet if upper else code.y_mm - quiet - height
    beside = code.x_mm + code.size_mm + quiet if leftmost else code.x_mm - quiet - width
    y = code.y_mm + code.size_mm - height if upper else code.y_mm
    boxes = [Box(code.x_mm, beneath + (more if upper else -more), width, height) for more in (0.0, reach)]
    boxes += [Box(beside + (more if leftmost else -more), y, width, height) for more in (0.0, reach)]
    return next((box for box in boxes if not any(box.overlaps(other) for other in (*images, *tags))), boxes[-1])


def with_aids(printout: Printout, grid_mm: float) -> Printout:
    """Returns the printout with tags, marks and strips on every page that has room, every edge on a grid of `grid_mm`."""
    planned: dict[tuple[Box, ...], Printout] = {}
    tags, patches, marks = list[Tag](), list[Patch](), list[Mark]()
    for page in range(1, printout.n_pages + 1):
        images = tuple(_images(printout, page))
        if images not in planned:  # most pages are alike
            plan = replace(printout, tags=tuple(corner_tags(printout, page, grid_mm)))
            plan = replace(plan, patches=tuple(_patches(plan, page, grid_mm)))
            planned[images] = replace(plan, marks=tuple(_marks(plan, page, grid_mm)))
        plan = planned[images]
        tags += [replace(tag, page=page, tag_id=tag_id(page, tag.corner)) for tag in plan.tags]
        patches += [replace(patch, page=page) for patch in plan.patches]
        marks += [replace(mark, page=page) for mark in plan.marks]
    return replace(printout, tags=tuple(tags), patches=tuple(patches), marks=tuple(marks))


def corner_tags(printout: Printout, page: int, grid_mm: float) -> Iterator[Tag]:
    """Yields a tag beside each code, in the strip between the codes or in their column; all four in the same way, or none."""
    codes = printout.of_page(page).fiducials
    size_mm = N_CELLS * _whole(TAG_CELL_MM, grid_mm)
    images = _images(printout, page)
    for beside in (True, False):
        tags = [_tag(printout, code, beside, size_mm, grid_mm) for code in codes]
        boxes = [tag_box(tag) for tag in tags]
        others = [code_box(code, printout.module_mm) for code in codes]
        free = all(not box.overlaps(other) for box in boxes for other in (*images, *others))
        apart = all(not one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
        places = furniture(replace(printout, tags=tuple(tags)), page)
        texts = (*places.payloads.values(), places.scale_bar, places.header)
        clear = all(not text.overlaps(other) for text in texts for other in (*boxes, *images))
        if free and apart and clear and places.header.width_mm > 40:
            yield from tags
            return


def _tag(printout: Printout, code: Fiducial, beside: bool, size_mm: float, grid_mm: float) -> Tag:
    gap = QUIET_MODULES * printout.module_mm + size_mm / N_CELLS
    step = _whole(code.size_mm + gap, grid_mm), _whole(size_mm + gap, grid_mm)
    rest = _whole(code.size_mm - size_mm, grid_mm)
    leftmost, upper = code.corner.endswith("L"), code.corner.startswith("T")
    x_away, y_away = (step[0] if first else -step[1] for first in (leftmost, upper))
    x_flush, y_flush = (0.0 if first else rest for first in (leftmost, upper))
    x, y = (x_away, y_flush) if beside else (x_flush, y_away)
    return Tag(code.page, code.corner, tag_id(code.page, code.corner), code.x_mm + x, code.y_mm + y, size_mm)


def _patches(printout: Printout, page: int, grid_mm: float) -> Iterator[Patch]:
    """Yields the colour strip, in one row or column or in two, at the first free place from the top."""
    side = _whole(PATCH_MM, grid_mm)
    taken = _taken(printout, page)
    n = len(STRIP_COLOURS)
    for columns in (n, 1, -(-n // 2), 2):
        width, height = columns * side, -(-n // columns) * side
        places = _free_places(printout, width, height, _STRIP_MARGIN_MM, taken, grid_mm)
        if len(places):
            x, y = places[0]
            for index, colour in enumerate(STRIP_COLOURS):
                row, column = divmod(index, columns)
                yield Patch(page, *colour, float(x + column * side), float(y + row * side), side, side)
            return


def _marks(printout: Printout, page: int, grid_mm: float) -> Iterator[Mark]:
    """Yields marks one after the other, each where it brings most points nearer to a known one (greedy k-median)."""
    half = _whole(MARK_CELL_MM, grid_mm)
    side = 2 * half
    free = _free_places(printout, side, side, _MARK_MARGIN_MM, _taken(printout, page), grid_mm) + half
    # one place of each small cell of the page, narrow gaps included: marks need not stand to the dot
    cell_mm = math.sqrt(printout.page_width_mm * printout.page_height_mm / _N_PLACES)
    _, first = np.unique(np.floor(free / cell_mm) @ (1e4, 1.0), return_index=True)
    free = free[np.sort(first)]
    sheet = printout.of_page(page)
    squares: list[Fiducial | Tag] = [*sheet.fiducials, *sheet.tags]
    known = np.array([(one.x_mm + one.size_mm / 2, one.y_mm + one.size_mm / 2) for one in squares])
    points, weights = _points(printout, page)
    reach = _distances(free, points)
    left = _distances(known, points).min(axis=0)
    apart = _distances(known, free).min(axis=0)
    for _ in range(_MAX_MARKS):
        # the square lets the farthest points count most
        gains = np.where(apart < _APART_MM, -1.0, (left**2 - np.minimum(left, reach) ** 2) @ weights)
        if not len(free) or gains.max() <= 0:
            return
        best = int(gains.argmax())
        yield Mark(page, float(free[best, 0]), float(free[best, 1]), side)
        left = np.minimum(left, reach[best])
        apart = np.minimum(apart, np.linalg.norm(free - free[best], axis=1))


def _points(printout: Printout, page: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns points (N, 2) to be near to and their weights: half for the images, half for the page about them."""
    images = np.concatenate([_lattice(box) for box in _images(printout, page)])
    sheet = _lattice(Box(0.0, 0.0, printout.page_width_mm, printout.page_height_mm).grown(-MARGIN_MM), 2 * _N_POINTS)
    return np.concatenate([images, sheet]), np.repeat([1 / len(images), 1 / len(sheet)], [len(images), len(sheet)])


def _lattice(box: Box, n_points: int = _N_POINTS) -> np.ndarray:
    x, y = (np.linspace(0, length, n_points) for length in (box.width_mm, box.height_mm))
    return geometry.grid(box.x_mm + x, box.y_mm + y)


def _distances(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.asarray(np.hypot(*(ones[:, None, axis] - others[None, :, axis] for axis in (0, 1))))


def _taken(printout: Printout, page: int) -> list[Box]:
    """Returns everything that stands on a page already."""
    sheet, places = printout.of_page(page), furniture(printout, page)
    boxes = [*_images(printout, page), places.header, places.scale_bar, *places.payloads.values(), *places.captions.values()]
    boxes.append(places.header._replace(height_mm=places.header.height_mm + 0.6))
    boxes += [code_box(code, printout.module_mm) for code in sheet.fiducials] + [tag_box(tag) for tag in sheet.tags]
    return boxes + [box_of(patch).grown(_STRIP_MARGIN_MM) for patch in sheet.patches]


def _images(printout: Printout, page: int) -> list[Box]:
    return [box_of(placement) for placement in printout.of_page(page).placements]


def _free_places(
    printout: Printout, width_mm: float, height_mm: float, margin_mm: float, taken: list[Box], grid_mm: float
) -> np.ndarray:
    """Returns upper left corners (N, 2) on the grid, row by row, where a box and its margin lie within the page and free."""
    x = _starts([box.x_mm + box.width_mm + margin_mm for box in taken], printout.page_width_mm - width_mm, grid_mm)
    y = _starts([box.y_mm + box.height_mm + margin_mm for box in taken], printout.page_height_mm - height_mm, grid_mm)
    free = np.ones((len(y), len(x)), bool)
    for box in taken:
        grown = box.grown(margin_mm)
        across = (x + width_mm > grown.x_mm) & (x < grown.x_mm + grown.width_mm)
        down = (y + height_mm > grown.y_mm) & (y < grown.y_mm + grown.height_mm)
        free[np.ix_(down, across)] = False
    rows, columns = np.nonzero(free)
    return np.column_stack([x[columns], y[rows]])


def _starts(edges_mm: list[float], end_mm: float, grid_mm: float) -> np.ndarray:
    """Returns where to try along one axis: at even steps, and right beside each edge, so that no narrow gap is stepped over."""
    first = math.ceil(MARGIN_MM / grid_mm - 1e-9)
    last = math.floor((end_mm - MARGIN_MM) / grid_mm + 1e-9)
    steps = np.arange(first, last + 1, round(_SEARCH_MM / grid_mm))
    beside = np.ceil(np.array(edges_mm) / grid_mm - 1e-9).astype(int)
    return np.union1d(steps, beside[(first <= beside) & (beside <= last)]) * grid_mm


def _whole(length_mm: float, grid_mm: float) -> float:
    """Returns the nearest whole number of grid steps."""
    return round(length_mm / grid_mm) * grid_mm
