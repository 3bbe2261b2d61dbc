"""Where every picture, code, tag and mark stands on a printed page."""

from dataclasses import dataclass, field, replace
from typing import Any

CORNERS = ("TL", "TR", "BR", "BL")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one image of a pair is printed. The box is the image's own edge, without frame or caption."""

    page: int
    pair_id: str
    variant: str
    path: str
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Fiducial:
    """Where one QR code is printed. The box is its dark modules' extent, without the quiet zone."""

    page: int
    corner: str
    payload: str
    x_mm: float
    y_mm: float
    size_mm: float


@dataclass(frozen=True, slots=True)
class Tag:
    """Where one AprilTag (family 36h11) is printed, beside the code of its corner. The box is its black border's outer edge."""

    page: int
    corner: str
    tag_id: int
    x_mm: float
    y_mm: float
    size_mm: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Where one registration mark is printed: two black squares that meet at (x, y), upper left and lower right of a 2 x 2 board.

    `size_mm` is the side of the whole board.
    """

    page: int
    x_mm: float
    y_mm: float
    size_mm: float


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of the printed colour strip and the 8-bit colour that it was sent to the printer with."""

    page: int
    red: int
    green: int
    blue: int
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float


@dataclass(frozen=True, slots=True)
class Printout:
    """The geometry of a printable PDF, or of pages for a screen. Pages are numbered from 1; the instruction sheet has number 0.

    On a screen (`medium` "screen") a millimetre is 96 / 25.4 pixels of the page's picture.
    """

    format_version: int
    run: str
    run_code: str
    paper: str
    orientation: str
    page_width_mm: float
    page_height_mm: float
    dpi: int
    module_mm: float
    n_pages: int
    pdf_sha256: str
    placements: tuple[Placement, ...] = field(default=())
    fiducials: tuple[Fiducial, ...] = field(default=())
    medium: str = "paper"
    tags: tuple[Tag, ...] = field(default=())
    marks: tuple[Mark, ...] = field(default=())
    patches: tuple[Patch, ...] = field(default=())

    def of_page(self, page: int) -> "Printout":
        """Returns the printout with what stands on one page alone."""
        kinds = ("placements", "fiducials", "tags", "marks", "patches")
        there: dict[str, Any] = {kind: tuple(one for one in getattr(self, kind) if one.page == page) for kind in kinds}
        return replace(self, **there)
