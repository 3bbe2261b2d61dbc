"""A document as a PDF: one function that turns its sections into bytes, the same bytes for the same sections."""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count as counter
from typing import Any
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, PageBreak, Paragraph, Preformatted

from pipeline.document import figures, theme
from pipeline.document.blocks import (
    Code,
    Figure,
    Finding,
    Findings,
    Formula,
    Gallery,
    Head,
    Prose,
    Section,
    Subheading,
    TableBlock,
    TextTable,
    Tiles,
)
from pipeline.document.flowables import FRAME_WIDTH, Gap, TileRow, Together, Verdict, figure_block, prose, table_block, text_table
from pipeline.document.pages import ContentsLine, Heading, PaperDocument
from pipeline.document.picture_rows import PictureLine, rows_on_a_line
from pipeline.document.vector import Plot

_CODE_WIDTH = 112


def build_pdf(head: Head, sections: Sequence[Section]) -> bytes:
    """Returns a document as a PDF (A4, fonts embedded): the same bytes for the same content, with no date in them."""
    theme.register_fonts()
    buffer = io.BytesIO()
    document = PaperDocument(buffer, head)
    with _binary_streams():
        document.build(_story(head.title, sections))
    return buffer.getvalue()


def _story(title: str, sections: Sequence[Section]) -> list[Flowable]:
    draw, styles = _Drawing(), theme.styles()
    front, *others = sections
    story: list[Flowable] = [Gap(6 * mm), Heading(escape(title), styles["title"], front.key, f"1  {front.title}")]
    story += draw.section(front)
    story += [PageBreak(), Paragraph("Contents", styles["h1"]), *_contents(sections), Gap(6 * mm)]
    for place, section in enumerate(others, 2):
        room = 100 * mm if len(section.blocks) > 1 else 40 * mm
        story.append(PageBreak() if section.on_new_page else CondPageBreak(room))
        story.append(Heading(escape(f"{place}  {section.title}"), styles["h1"], section.key))
        story += draw.section(section)
    return story


def _contents(sections: Sequence[Section]) -> Iterator[Flowable]:
    for place, section in enumerate(sections, 1):
        yield ContentsLine(f"{place}  {section.title}", section.key, is_section=True)
        for turn, block in enumerate(section.blocks):
            if isinstance(block, Subheading):
                yield ContentsLine(block.text, f"{section.key}-{turn}", is_section=False)


class _Drawing:
    """Draws one block after the other; figures are numbered in the order in which they appear."""

    def __init__(self) -> None:
        self._figure_numbers = counter(1)
        self._by_type: dict[type, Callable[[Any], list[Flowable]]] = {
            Prose: _prose,
            Formula: _formula,
            Figure: self._figure,
            TableBlock: lambda block: table_block(block.table, block.remark),
            TextTable: _text_table,
            Findings: lambda block: [flowable for finding in block.found for flowable in _finding(finding)],
            Gallery: _gallery,
            Tiles: lambda block: [TileRow(block.tiles), Gap(7 * mm)],
            Code: _code,
        }

    def section(self, section: Section) -> list[Flowable]:
        drawn: list[Flowable] = []
        for turn, block in enumerate(section.blocks):
            if isinstance(block, Subheading):
                heading = Heading(escape(block.text), theme.styles()["h2"], f"{section.key}-{turn}")
                drawn += [CondPageBreak(55 * mm), heading]
                continue
            first, *others = self._by_type[type(block)](block)
            if isinstance(first, Together) and drawn and isinstance(drawn[-1], Heading):
                first = Together([drawn.pop(), *first.parts])
            drawn += [first, *others]
        return drawn

    def _figure(self, block: Figure) -> list[Flowable]:
        return figure_block(block.plot, next(self._figure_numbers), block.caption)


def _prose(block: Prose) -> list[Flowable]:
    return [prose(block.markup, theme.styles()[block.style], **({"bulletText": "•"} if block.style == "bullet" else {}))]


def _formula(block: Formula) -> list[Flowable]:
    return [Plot(figures.formula(block.mathtext)), Gap(3 * mm)]


def _text_table(block: TextTable) -> list[Flowable]:
    return [text_table(block.rows, [share * FRAME_WIDTH / mm for share in block.widths], block.header), Gap(4 * mm)]


def _finding(finding: Finding) -> list[Flowable]:
    style = theme.styles()["evidence"].clone("evidence_line", leftIndent=30 * mm)
    evidence: list[Flowable] = [prose(escape(line), style) for line in finding.evidence]
    kept = len(evidence) if len(evidence) <= 18 else 4
    return [Together([Verdict(finding), *evidence[:kept]]), *evidence[kept:], Gap(4.5 * mm)]


def _gallery(block: Gallery) -> list[Flowable]:
    per_line = rows_on_a_line(block)
    starts = range(0, len(block.rows), per_line)
    return [Gap(2 * mm), *(PictureLine(block.rows[start : start + per_line], block) for start in starts)]


def _code(block: Code) -> list[Flowable]:
    """Each paragraph is a flowable of its own, so that a heading stays with the first one alone."""
    paragraphs = re.split(r"\n\s*\n", block.text.expandtabs(4).rstrip())
    style = theme.styles()["code"].clone("code_paragraph", spaceAfter=theme.styles()["code"].leading)
    return [Preformatted("\n".join(_wrapped(paragraph)), style) for paragraph in paragraphs]


def _wrapped(code: str) -> list[str]:
    wrapper = textwrap.TextWrapper(_CODE_WIDTH, subsequent_indent="    ", drop_whitespace=False, replace_whitespace=False)
    return [part for line in code.splitlines() for part in wrapper.wrap(line)]


@contextmanager
def _binary_streams() -> Iterator[None]:
    """ReportLab writes streams as ASCII by default, a quarter larger, and takes the choice from a module setting only."""
    before = rl_config.useA85
    rl_config.useA85 = 0
    try:
        yield
    finally:
        rl_config.useA85 = before
