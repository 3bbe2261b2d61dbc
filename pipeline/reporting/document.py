"""The report as a PDF: one function that turns a ReportContent into bytes, the same bytes for the same content."""

import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count as counter
from typing import Any
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, Image, KeepTogether, PageBreak, Preformatted

from pipeline.reporting import figures, theme
from pipeline.reporting.blocks import (
    Code,
    Figure,
    Findings,
    Formula,
    Gallery,
    Prose,
    Section,
    Subheading,
    TableBlock,
    TextTable,
    Tiles,
)
from pipeline.reporting.content import ReportContent
from pipeline.reporting.findings import Finding
from pipeline.reporting.flowables import FRAME_WIDTH, Gap, TileRow, Verdict, figure_block, prose, table_block, text_table
from pipeline.reporting.gallery_row import GalleryRow
from pipeline.reporting.pages import CountingCanvas, Heading, ReportDocument
from pipeline.reporting.sections import sections

_CODE_WIDTH = 112


def build_report(content: ReportContent, said: Sequence[Section] | None = None) -> bytes:
    """Returns the report as a PDF (A4, fonts embedded): the same bytes for the same content, with no date in them.

    A run without photographs, transforms, one of the cases or any filled cell gives a shorter report that says so. `said` is
    `sections(content)`, for a caller that has it already.
    """
    theme.register_fonts()
    buffer = io.BytesIO()
    document = ReportDocument(buffer, content)
    with _binary_streams():
        document.build(_story(content, sections(content) if said is None else said), canvasmaker=CountingCanvas)
    return buffer.getvalue()


def _story(content: ReportContent, said: Sequence[Section]) -> list[Flowable]:
    draw = _Drawing()
    story: list[Flowable] = [Gap(6 * mm), Heading(escape(content.title), theme.styles()["title"], outline=f"1  {said[0].title}")]
    for place, section in enumerate(said, 1):
        if place > 1:
            room = 100 * mm if len(section.blocks) > 1 else 40 * mm
            story.append(PageBreak() if section.on_new_page else CondPageBreak(room))
            story.append(Heading(escape(f"{place}  {section.title}"), theme.styles()["h1"]))
        for block in section.blocks:
            story += draw(block)
    return story


class _Drawing:
    """Draws one block after the other; figures are numbered in the order in which they appear."""

    def __init__(self) -> None:
        self._figure_numbers = counter(1)
        self._by_type: dict[type, Callable[[Any], list[Flowable]]] = {
            Subheading: _subheading,
            Prose: _prose,
            Formula: _formula,
            Figure: self._figure,
            TableBlock: lambda block: table_block(block.table, block.remark),
            TextTable: _text_table,
            Findings: lambda block: [flowable for finding in block.found for flowable in _finding(finding)],
            Gallery: _gallery,
            Tiles: lambda block: [TileRow(block.tiles), Gap(7 * mm)],
            Code: lambda block: [Preformatted("\n".join(_wrapped_code(block.text)), theme.styles()["code"])],
        }

    def __call__(self, block: Any) -> list[Flowable]:
        return self._by_type[type(block)](block)

    def _figure(self, block: Figure) -> list[Flowable]:
        return figure_block(figures.png(block.plot), next(self._figure_numbers), block.caption)


def _subheading(block: Subheading) -> list[Flowable]:
    return [CondPageBreak(55 * mm), Heading(escape(block.text), theme.styles()["h2"])]


def _prose(block: Prose) -> list[Flowable]:
    return [prose(block.markup, theme.styles()[block.style], **({"bulletText": "•"} if block.style == "bullet" else {}))]


def _formula(block: Formula) -> list[Flowable]:
    png = figures.png(figures.formula(block.mathtext), dpi=300)
    return [Image(io.BytesIO(png), width=115 * mm, height=115 * mm * 0.62 / 4.6), Gap(3 * mm)]


def _text_table(block: TextTable) -> list[Flowable]:
    return [text_table(block.rows, [share * FRAME_WIDTH / mm for share in block.widths], block.header), Gap(4 * mm)]


def _finding(finding: Finding) -> list[Flowable]:
    style = theme.styles()["evidence"].clone("evidence_line", leftIndent=30 * mm)
    evidence: list[Flowable] = [prose(escape(line), style) for line in finding.evidence]
    kept = len(evidence) if len(evidence) <= 18 else 4
    verdict = Verdict(finding.verdict, finding.statement, finding.counted)
    return [KeepTogether([verdict, *evidence[:kept]]), *evidence[kept:], Gap(4.5 * mm)]


def _gallery(block: Gallery) -> list[Flowable]:
    per_row = 1 if block.has_photos else 2
    starts = range(0, len(block.items), per_row)
    return [Gap(2 * mm), *(GalleryRow(block.items[start : start + per_row], block.has_photos) for start in starts)]


def _wrapped_code(text: str) -> list[str]:
    options = {"subsequent_indent": "    ", "drop_whitespace": False, "replace_whitespace": False}
    lines = text.expandtabs(4).rstrip().splitlines()
    return [part for line in lines for part in textwrap.wrap(line, _CODE_WIDTH, **options) or [""]]


@contextmanager
def _binary_streams() -> Iterator[None]:
    """ReportLab writes streams as ASCII by default, a quarter larger, and takes the choice from a module setting only."""
    before = rl_config.useA85
    rl_config.useA85 = 0
    try:
        yield
    finally:
        rl_config.useA85 = before
