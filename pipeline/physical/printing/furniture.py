"""What a page carries besides its images and its codes' own boxes: header, scale bar, texts. Pure geometry in mm."""

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.physical.fiducials import N_CELLS, QUIET_MODULES
from pipeline.records import Fiducial, Patch, Placement, Printout, Tag

MARGIN_MM = 10.0
CAPTION_MM = 3.8
HEADER_MM = 6.0
FOOTER_MM = 8.6
_PAYLOAD_MM = 5.0


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
    scale_bar_mm: int
    payloads: dict[str, Box]
    captions: dict[tuple[str, str], Box]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Every box, for whatever else wants a place."""
        return (self.header, self.scale_bar, *self.payloads.values(), *self.captions.values())


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
        bar_mm,
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
