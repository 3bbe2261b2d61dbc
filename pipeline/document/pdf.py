"""A document as a PDF: one function that turns its sections into bytes, the same bytes for the same sections."""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import count as counter
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepInFrame, PageBreak, Paragraph, Preformatted

from pipeline.document import blocks, figures, flowables, theme
from pipeline.document.blocks import Head, Section
from pipeline.document.pages import ContentsLine, Heading, PaperDocument
from pipeline.document.streams import binary_streams
from pipeline.document.vector import Plot

_CODE_WIDTH = 112


def build_pdf(head: Head, sections: Sequence[Section]) -> bytes:
    """Returns a document as a PDF (A4, fonts embedded): the same bytes for the same content, with no date in them."""
    theme.register_fonts()
    buffer = io.BytesIO()
    with binary_streams():
        PaperDocument(buffer, head).build(_story(head.title, sections))
    return buffer.getvalue()


def _story(title: str, sections: Sequence[Section]) -> list[Flowable]:
    draw, styles = _Drawing(), theme.styles()
    front, *others = sections
    story: list[Flowable] = [flowables.Gap(3 * mm), Heading(escape(title), styles["title"], front.key, f"1  {front.title}")]
    drawn = list(_apart(draw.section(front)))
    is_one_page = not any(isinstance(block, blocks.Subheading) for block in front.blocks)
    story += [KeepInFrame(flowables.FRAME_WIDTH, 0, drawn, mode="shrink")] if is_one_page else drawn
    story += [PageBreak(), Paragraph("Contents", styles["h1"]), *_contents(sections), flowables.Gap(6 * mm)]
    for place, section in enumerate(others, 2):
        room = 75 * mm if len(section.blocks) > 1 else 40 * mm
        story.append(CondPageBreak(room))
        story += draw.section(section, Heading(escape(f"{place}  {section.title}"), styles["h1"], section.key))
    return story


def _apart(drawn: Sequence[Flowable]) -> Iterator[Flowable]:
    """Yields flowables without what keeps them together, which cannot be shrunk and need not be kept on the one page."""
    for one in drawn:
        yield from _apart(one.parts) if isinstance(one, flowables.Together) else (one,)


def _contents(sections: Sequence[Section]) -> Iterator[Flowable]:
    for place, section in enumerate(sections, 1):
        yield ContentsLine(f"{place}  {section.title}", section.key, is_section=True)
        for turn, block in enumerate(section.blocks):
            if isinstance(block, blocks.Subheading):
                yield ContentsLine(block.text, f"{section.key}-{turn}", is_section=False)


class _Drawing:
    """Draws one block after the other; figures are numbered in the order in which they appear."""

    def __init__(self) -> None:
        numbers = counter(1)
        self._by_type: dict[type, Callable[[Any], list[Flowable]]] = {
            blocks.Prose: _prose,
            blocks.Formula: lambda block: [Plot(figures.formula(block.mathtext)), flowables.Gap(3 * mm)],
            blocks.Figure: lambda block: flowables.figure_block(block.plot, next(numbers), block.caption),
            blocks.TableBlock: lambda block: flowables.table_block(block.table, block.remark),
            blocks.TextTable: _text_table,
            blocks.Findings: lambda block: [flowable for finding in block.found for flowable in _finding(finding)],
            blocks.Gallery: flowables.gallery_lines,
            blocks.Tiles: lambda block: [flowables.TileRow(block.tiles), flowables.Gap(5 * mm)],
            blocks.Code: _code,
        }

    def section(self, section: Section, *before: Flowable) -> list[Flowable]:
        """Returns what is drawn of a section; a heading just before a block stays with it."""
        drawn = list(before)
        for turn, block in enumerate(section.blocks):
            if isinstance(block, blocks.Subheading):
                heading = Heading(escape(block.text), theme.styles()["h2"], f"{section.key}-{turn}")
                drawn += [CondPageBreak(55 * mm), heading]
                continue
            first, *others = self._by_type[type(block)](block)
            if isinstance(first, flowables.Together) and drawn and isinstance(drawn[-1], Heading):
                first = flowables.Together([drawn.pop(), *first.parts])
            drawn += [first, *others]
        return drawn


def _prose(block: blocks.Prose) -> list[Flowable]:
    options = {"bulletText": "•"} if block.style == "bullet" else {}
    return [flowables.prose(block.markup, theme.styles()[block.style], **options)]


def _text_table(block: blocks.TextTable) -> list[Flowable]:
    widths_mm = [share * flowables.FRAME_WIDTH / mm for share in block.widths]
    return [flowables.text_table(block.rows, widths_mm, block.header), flowables.Gap(4 * mm)]


def _finding(finding: blocks.Finding) -> list[Flowable]:
    style = theme.styles()["evidence"].clone("evidence_line", leftIndent=flowables.FINDING_INDENT)
    evidence: list[Flowable] = [flowables.prose(escape(line), style) for line in finding.evidence]
    kept = len(evidence) if len(evidence) <= 18 else 4
    return [
        flowables.Together([flowables.Verdict(finding), *evidence[:kept]]),
        *evidence[kept:],
        flowables.Gap((4.5 if evidence else 1.5) * mm),
    ]


def _code(block: blocks.Code) -> list[Flowable]:
    """Each paragraph is a flowable of its own, so that a heading stays with the first one alone."""
    paragraphs = re.split(r"\n\s*\n", block.text.expandtabs(4).rstrip())
    style = theme.styles()["code"].clone("code_paragraph", spaceAfter=theme.styles()["code"].leading)
    wrapper = textwrap.TextWrapper(_CODE_WIDTH, subsequent_indent="    ", drop_whitespace=False, replace_whitespace=False)
    wrapped = ([part for line in paragraph.splitlines() for part in wrapper.wrap(line)] for paragraph in paragraphs)
    return [Preformatted("\n".join(lines), style) for lines in wrapped]
