"""What a report says, in order, without a word on how it looks: sections of blocks that the PDF and the HTML page both draw.

A section of the report is made by a function of the content that returns blocks; nothing in it knows which of the two asks.
"Markup" is plain text, escaped for XML (`&amp;`, `&lt;`), in which `<b>` and `</b>` may stand; all other text is plain.
"""

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape

from matplotlib.figure import Figure as Plot

from pipeline.report.content import GalleryItem
from pipeline.report.findings import Finding
from pipeline.report.summary import Tile
from pipeline.report.tables import Table


@dataclass(frozen=True, slots=True)
class Subheading:
    """A heading within a section; it stands in the outline beneath the section's."""

    text: str


@dataclass(frozen=True, slots=True)
class Prose:
    """One paragraph of markup; `style` is "body", "lead", "note" (small), "bullet" or "subtitle" (beneath the report's title)."""

    markup: str
    style: str = "body"


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula in matplotlib's mathtext, and how it is read aloud."""

    mathtext: str
    spoken: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with its caption (plain text with n and settings); both renderers number figures in the order of appearance.

    `name` is its file's name without ending, unique within a report; `spoken` says what it shows to who cannot see it.
    """

    name: str
    plot: Plot
    caption: str
    spoken: str = ""


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table of figures with its caption and note; `remark` ends the caption. `name` is its file's name without ending."""

    name: str
    table: Table
    remark: str = ""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of wrapped plain text without a number; `widths` are shares of the text's width and add up to 1."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """Statements with their verdict and the counts that show it."""

    found: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pairs as files, their difference and their photographs, with predictions; larger pictures are reduced to `largest_px`."""

    items: tuple[GalleryItem, ...]
    has_photos: bool
    largest_px: int = 320


@dataclass(frozen=True, slots=True)
class Tiles:
    """The key figures side by side."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Text with its own line breaks and even widths."""

    text: str


Block = Subheading | Prose | Formula | Figure | TableBlock | TextTable | Findings | Gallery | Tiles | Code


@dataclass(frozen=True, slots=True)
class Section:
    """A numbered section; `key` is its anchor and does not change between versions."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    on_new_page: bool = False


def plain(text: str, style: str = "body") -> Prose:
    """Returns a paragraph of plain text in which what to stress stands between double asterisks."""
    return Prose(re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text)), style)
