"""Printed aids: corner tags, registration marks and a colour strip, wherever a page has white to spare.

They never touch an image and never make one smaller. The marks are what curled paper is measured by: without points between the
images the surface there is a guess.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.fiducials import N_CELLS, QUIET_MODULES, tag_id
from pipeline.printing.furniture import MARGIN_MM, Box, code_box, furniture, tag_box
from pipeline.records import Fiducial, Mark, Patch, Printout, Tag

TAG_CELL_MM = 1.25
MARK_CELL_MM = 1.5
PATCH_MM = 4.5
STRIP_COLOURS = (
    *((grey, grey, grey) for grey in (0, 43, 85, 128, 170, 213, 255)),
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (0, 255, 255),
    (255, 0, 255),
    (255, 255, 0),
)
_MARK_MARGIN_MM, _STRIP_MARGIN_MM = 0.5, 1.2
_MAX_MARKS, _ENOUGH_MM = 24, 30.0
_SEARCH_MM = 0.5


def with_aids(printout: Printout, grid_mm: float) -> Printout:
    """Returns the printout with tags, marks and strips on every page that has room for them.

    Args: `grid_mm` the step that every edge is a multiple of.
    """
    planned: dict[tuple[Box, ...], Printout] = {}
    tags: list[Tag] = []
    patches: list[Patch] = []
    marks: list[Mark] = []
    for page in range(1, printout.n_pages + 1):
        images = tuple(_images(printout, page))
        if images not in planned:  # most pages are alike
            plan = replace(printout, tags=tuple(_tags(printout, page, grid_mm)))
            plan = replace(plan, patches=tuple(_patches(plan, page, grid_mm)))
            planned[images] = replace(plan, marks=tuple(_marks(plan, page, grid_mm)))
        plan = planned[images]
        tags += [replace(tag, page=page, tag_id=tag_id(page, tag.corner)) for tag in plan.tags]
        patches += [replace(patch, page=page) for patch in plan.patches]
        marks += [replace(mark, page=page) for mark in plan.marks]
    return replace(printout, tags=tuple(tags), patches=tuple(patches), marks=tuple(marks))


def _tags(printout: Printout, page: int, grid_mm: float) -> Iterator[Tag]:
    """Yields a tag beside each code, in the strip between the codes or in their column; all four in the same way, or none."""
    codes = [code for code in printout.fiducials if code.page == page]
    size_mm = N_CELLS * _whole(TAG_CELL_MM, grid_mm)
    images = _images(printout, page)
    for beside in (True, False):
        tags = [_tag(printout, code, beside, size_mm, grid_mm) for code in codes]
        boxes = [tag_box(tag.x_mm, tag.y_mm, tag.size_mm) for tag in tags]
        others = [code_box(code, printout.module_mm) for code in codes]
        free = all(not box.overlaps(other) for box in boxes for other in (*images, *others))
        apart = all(not one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
        trial = replace(printout, tags=tuple(tags))
        places = furniture(trial, page)
        texts = (*places.payloads.values(), places.scale_bar, places.header)
        clear = all(not text.overlaps(other) for text in texts for other in (*boxes, *images))
        if free and apart and clear and places.header.width_mm > 40:
            yield from tags
            return


def _tag(printout: Printout, code: Fiducial, beside: bool, size_mm: float, grid_mm: float) -> Tag:
    gap = QUIET_MODULES * printout.module_mm + size_mm / N_CELLS
    step = _whole(code.size_mm + gap, grid_mm), _whole(size_mm + gap, grid_mm)
    x = code.x_mm if not beside else code.x_mm + step[0] if code.corner.endswith("L") else code.x_mm - step[1]
    y = code.y_mm if beside else code.y_mm + step[0] if code.corner.startswith("T") else code.y_mm - step[1]
    rest = _whole(code.size_mm - size_mm, grid_mm)
    if beside and code.corner.startswith("B"):
        y += rest
    if not beside and code.corner.endswith("R"):
        x += rest
    return Tag(code.page, code.corner, tag_id(code.page, code.corner), x, y, size_mm)


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
    """Yields marks one after the other where the nearest known point is farthest, until none is far from one."""
    half = _whole(MARK_CELL_MM, grid_mm)
    side = 2 * half
    free = _free_places(printout, side, side, _MARK_MARGIN_MM, _taken(printout, page), grid_mm) + half
    known = [(code.x_mm + code.size_mm / 2, code.y_mm + code.size_mm / 2) for code in printout.fiducials if code.page == page]
    known += [(tag.x_mm + tag.size_mm / 2, tag.y_mm + tag.size_mm / 2) for tag in printout.tags if tag.page == page]
    apart = np.linalg.norm(free[:, None] - np.array(known)[None], axis=2).min(axis=1)
    for _ in range(_MAX_MARKS):
        if not len(free) or apart.max() < _ENOUGH_MM:
            return
        place = free[int(apart.argmax())]
        yield Mark(page, float(place[0]), float(place[1]), side)
        apart = np.minimum(apart, np.linalg.norm(free - place, axis=1))


def _taken(printout: Printout, page: int) -> list[Box]:
    """Returns everything that stands on a page already."""
    boxes = _images(printout, page) + list(furniture(printout, page).boxes)
    boxes += [code_box(code, printout.module_mm) for code in printout.fiducials if code.page == page]
    boxes += [tag_box(tag.x_mm, tag.y_mm, tag.size_mm) for tag in printout.tags if tag.page == page]
    boxes += [
        Box(patch.x_mm, patch.y_mm, patch.width_mm, patch.height_mm).grown(_STRIP_MARGIN_MM)
        for patch in printout.patches
        if patch.page == page
    ]
    header = furniture(printout, page).header
    return [*boxes, Box(header.x_mm, header.y_mm, header.width_mm, header.height_mm + 0.6)]


def _images(printout: Printout, page: int) -> list[Box]:
    return [Box(p.x_mm, p.y_mm, p.width_mm, p.height_mm) for p in printout.placements if p.page == page]


def _free_places(
    printout: Printout, width_mm: float, height_mm: float, margin_mm: float, taken: list[Box], grid_mm: float
) -> np.ndarray:
    """Returns upper left corners (N, 2) on the grid, row by row, where a box and its margin lie within the page and free."""
    step, start = _whole(_SEARCH_MM, grid_mm), _whole(MARGIN_MM, grid_mm)
    x, y = np.meshgrid(
        np.arange(start, printout.page_width_mm - start - width_mm, step),
        np.arange(start, printout.page_height_mm - start - height_mm, step),
    )
    left, top, right, bottom = x - margin_mm, y - margin_mm, x + width_mm + margin_mm, y + height_mm + margin_mm
    free = np.ones(x.shape, bool)
    for box in taken:
        beside = (right <= box.x_mm) | (left >= box.x_mm + box.width_mm)
        free &= beside | (bottom <= box.y_mm) | (top >= box.y_mm + box.height_mm)
    return np.column_stack([x[free], y[free]])


def _whole(length_mm: float, grid_mm: float) -> float:
    """Returns the nearest whole number of grid steps."""
    return round(length_mm / grid_mm) * grid_mm
