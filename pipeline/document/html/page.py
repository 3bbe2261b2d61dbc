"""A document's page: what it says is the sections' own, in the PDF's order and with the PDF's numbers."""

import base64
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure as Plot
from PIL import Image as PillowImage

from pipeline.document import blocks, figures, formats, theme
from pipeline.document.blocks import Block, Head, Section
from pipeline.document.figures import LOSSLESS_BELOW_PX, reduced_jpeg
from pipeline.document.tables import Cell, Column, Table, group_spans

_NAMES = ("INK", "QUIET", "RULE", "PALE", "ACCENT", "RIGHT", "WRONG", "BAND", "BAND_INK")
_COLOURS = {"paper": "#ffffff"} | {name.lower().replace("_", "-"): getattr(theme, name) for name in _NAMES}
_PX_PER_PT = 96 / 72
_LARGEST_SCALE = 1.5
_FALLBACK_FONTS = "'DejaVu Sans', Verdana, sans-serif"


@dataclass(frozen=True, slots=True)
class _Part:
    """A block (of bullets, several) as the template of its kind takes it."""

    kind: str
    block: Block | Sequence[Block]
    id: str = ""
    drawn: Markup = Markup()
    number: int = 0


@dataclass(frozen=True, slots=True)
class _Written:
    """A section with its parts and the (id, text) of the headings within it."""

    id: str
    title: str
    parts: list[_Part] = field(default_factory=list)
    headings: list[tuple[str, str]] = field(default_factory=list)


def build_page(head: Head, sections: Sequence[Section]) -> bytes:
    """Returns a document as one HTML file: the same bytes for the same content, and nothing in it asks for another file."""
    writer = _Writer()
    written = [writer.section(section) for section in sections]
    page = _templates().get_template("page.html")
    beside = {"style": "style.css", "script": "script.js"}
    given = {key: Markup(files(__package__).joinpath(name).read_text(encoding="utf-8")) for key, name in beside.items()}
    return page.render(head=head, sections=written, colours=_COLOURS, **given).encode("utf-8")


class _Writer:
    """Gives the blocks their numbers and ids one after the other, and draws their plots."""

    def __init__(self) -> None:
        self._figure_numbers = itertools.count(1)
        self._identifiers: set[str] = set()

    def section(self, section: Section) -> _Written:
        written = _Written(self._identifier(section.key), section.title)
        for is_bullet, group in itertools.groupby(section.blocks, lambda block: getattr(block, "style", "") == "bullet"):
            if is_bullet:
                written.parts.append(_Part("bullets", tuple(group)))
                continue
            for part in (self._part(block, written.id) for block in group):
                written.parts.append(part)
                if isinstance(part.block, blocks.Subheading):
                    written.headings.append((part.id, part.block.text))
        return written

    def _part(self, block: Block, key: str) -> _Part:
        kind = type(block).__name__.lower()
        if isinstance(block, blocks.Subheading):
            return _Part(kind, block, self._identifier(f"{key}-{block.text}"))
        if isinstance(block, blocks.Formula):
            svg = inline_svg(figures.formula(block.mathtext), self._identifier("formula"), block.spoken, text_as_paths=True)
            return _Part(kind, block, drawn=Markup(svg))
        if isinstance(block, blocks.Figure):
            identifier = self._identifier(f"figure-{block.name}")
            svg = inline_svg(block.plot, identifier, block.spoken or block.caption)
            return _Part(kind, block, identifier, Markup(svg), next(self._figure_numbers))
        if isinstance(block, (blocks.TableBlock, blocks.TextTable)):
            return _Part(kind, block, self._identifier(block.name))
        return _Part(kind, block)

    def _identifier(self, name: str) -> str:
        """An anchor made of a name; one that is taken gets a number, for names of attacks are the user's."""
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "part"
        candidates = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
        identifier = next(candidate for candidate in candidates if candidate not in self._identifiers)
        self._identifiers.add(identifier)
        return identifier


@cache
def _templates() -> Environment:
    loader = PackageLoader(__package__, "")
    templates = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    templates.filters |= {
        "markup": _markup,
        "tied": formats.tied,
        "percent": formats.percent,
        "first_name": formats.first_name,
        "count_of": formats.count,
        "spans": group_spans,
        "rows": _rows,
        "is_small": is_small,
        "uri": picture_uri,
    }
    return templates


def _markup(text: str) -> Markup:
    """Keeps `<b>` and `</b>`; anything else that looks like a tag is shown as the text it is."""
    parts = re.split(r"(</?b>)", formats.tied(text))
    kept = (part if place % 2 else part.replace("<", "&lt;").replace(">", "&gt;") for place, part in enumerate(parts))
    return Markup("".join(kept))


def _rows(table: Table) -> Iterator[list[tuple[Cell, Column, str]]]:
    """Each row's cells with their column and, where a stub is empty because it says "as above", what stands above.

    Rows that are sorted must say that for themselves.
    """
    above = [""] * len(table.columns)
    for row in table.rows:
        repeated = [text if column.is_stub and not cell.text else "" for cell, column, text in zip(row, table.columns, above)]
        above = [cell.text or text for cell, text in zip(row, repeated)]
        yield list(zip(row, table.columns, repeated))


def inline_svg(plot: Plot, identifier: str, spoken: str, text_as_paths: bool = False) -> str:
    """Returns a plot as an svg element that says `spoken` to who cannot see it; its ids begin with `identifier`."""
    root = ElementTree.fromstring(figures.svg(plot, text_as_paths))
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
        named = [(name.rsplit("}", 1)[-1], value) for name, value in element.attrib.items()]
        element.attrib = {name: _own_references(name, value, identifier) for name, value in named}
    for child in list(root):
        if child.tag == "metadata" or (child.tag == "defs" and child.find("style") is not None):
            root.remove(child)
    width_px = float(root.attrib.pop("width").removesuffix("pt")) * _PX_PER_PT
    del root.attrib["height"]
    root.attrib |= {"role": "img", "aria-label": spoken, "style": f"max-width:{_LARGEST_SCALE * width_px:.0f}px"}
    return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode"))


def picture_uri(pixels: np.ndarray, largest_px: int) -> str:
    """Returns pixels, uint8 (H, W, 3) RGB, as a data URI: small ones lossless, others as the PDF's JPEG."""
    picture, buffer = PillowImage.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    if is_small(pixels):
        picture.save(buffer, "PNG", optimize=True)
    kind, data = ("png", buffer.getvalue()) if is_small(pixels) else ("jpeg", reduced_jpeg(picture, largest_px))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def is_small(pixels: np.ndarray) -> bool:
    """Returns whether a picture is shown with hard pixels, since it has so few."""
    height, width = pixels.shape[:2]
    return bool(max(height, width) < LOSSLESS_BELOW_PX)


def _own_references(name: str, value: str, identifier: str) -> str:
    if name == "id":
        return f"{identifier}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{identifier}-{value[1:]}"
    if name == "style":
        value = re.sub(r"'DejaVu Sans[^']*'", _FALLBACK_FONTS, value)
    return value.replace("url(#", f"url(#{identifier}-")
