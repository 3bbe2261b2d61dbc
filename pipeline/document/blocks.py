"""What a document says, in order, without a word on how it looks: sections of blocks that the PDF and the HTML page both draw.

"Markup" is plain text, escaped for XML (`&amp;`, `&lt;`), in which `<b>` and `</b>` may stand; all other text is plain.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

import numpy as np

from pipeline.document.tables import Table

if TYPE_CHECKING:  # it is slow to load, and a run that has nothing to do draws nothing
    from matplotlib.figure import Figure as Plot

Mark = Literal["right", "wrong", "open"]


@dataclass(frozen=True, slots=True)
class Subheading:
    """A heading within a section; it stands in the outline beneath the section's."""

    text: str


@dataclass(frozen=True, slots=True)
class Prose:
    """One paragraph of markup; `style` is "body", "lead", "note" (small), "bullet" or "subtitle" (beneath the title)."""

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

    `name` is its file's name without ending, unique within a document; `spoken` says what it shows to who cannot see it.
    """

    name: str
    plot: "Plot"
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
class Finding:
    """A statement, the verdict on it in a word or two, how it was counted, and a line for each piece of evidence."""

    statement: str
    verdict: str
    mark: Mark
    counted: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """Statements with their verdict and the counts that show it."""

    found: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, uint8 (H, W, 3) RGB; `pixels` is None where there is none, and the document says that it is missing.

    `guesses` are names with their share in [0, 1], best first; `is_right` tells of the first, None where nothing was guessed.
    """

    label: str
    pixels: np.ndarray | None = field(compare=False)
    guesses: tuple[tuple[str, float], ...] = ()
    is_right: bool | None = None


@dataclass(frozen=True, slots=True)
class PictureRow:
    """Pictures that belong together, and what they show: a name, facts (on paper the first two) and an outcome (on screen).

    `tags` holds the values of the row by the key of the gallery's choices.
    """

    name: str
    facts: tuple[str, ...]
    pictures: tuple[Picture, ...]
    outcome: str = ""
    mark: Mark = "open"
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reader may choose rows of a gallery by: the `options` are (value of the row's tag, title)."""

    key: str
    title: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Rows of as many pictures each; larger pictures are reduced to `largest_px`. `noun` is what a row is called.

    `level` is that of the rows' headings on screen, 2 where they stand right beneath the title.
    """

    rows: tuple[PictureRow, ...]
    noun: str
    missing: str
    choices: tuple[Choice, ...] = ()
    largest_px: int = 320
    level: int = 3


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure."""

    value: str
    label: str


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


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above a document's sections and in its margins: its title, what it is of, and a warning across each page.

    The `band` is "" where nothing has to be said on every page.
    """

    title: str
    name: str
    band: str = ""


def numbered(tables: Iterable[Table], remark: str = "", ending: str = "") -> tuple[TableBlock, ...]:
    """Returns tables as blocks whose files are named by the tables' numbers."""
    return tuple(TableBlock(f"table-{table.number.lower()}{ending}", table, remark) for table in tables)


def plain(text: str, style: str = "body") -> Prose:
    """Returns a paragraph of plain text in which what to stress stands between double asterisks."""
    return Prose(re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text)), style)
