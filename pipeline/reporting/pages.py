"""The report's pages: what stands in their margins, how they are counted, and what the PDF's outline holds."""

import io
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph

from pipeline.reporting import theme
from pipeline.reporting.content import SIMULATED, ReportContent
from pipeline.reporting.flowables import FRAME_WIDTH, fitted

SIMULATED_BAND = "SIMULATED PHOTOGRAPHS"
MIXED_BAND = "REAL AND SIMULATED PHOTOGRAPHS"
_TOTAL_PAGES = "total-pages"


def band(content: ReportContent) -> str:
    """Returns the words of the band that says simulated, "" where every photograph is a real one."""
    if not content.simulated:
        return ""
    if content.main_origin == SIMULATED:
        return f"{SIMULATED_BAND} · no paper, no camera"
    return f"{MIXED_BAND} · every table and figure of photographs says which"


class Heading(Paragraph):
    """A paragraph that also stands in the PDF's outline, two levels deep."""

    def __init__(self, text: str, style: Any, outline: str = "") -> None:
        super().__init__(text, style)
        self.outline_title = outline or text
        self.outline_level = 1 if style.name == "h2" else 0


class ReportDocument(BaseDocTemplate):
    """A4 pages with the run's name above, page numbers beneath and, where it applies, the band that says simulated."""

    def __init__(self, buffer: io.BytesIO, content: ReportContent) -> None:
        super().__init__(
            buffer,
            pagesize=A4,
            invariant=1,
            title=content.title,
            author="",
            subject=f"inkproof report of run {content.run}",
            creator="inkproof",
            lang="en",
        )
        self.content, self.n_outline = content, 0
        margin = theme.PAGE_MARGIN_MM * mm
        height = A4[1] - 2 * margin - 6 * mm
        frame = Frame(margin, margin, FRAME_WIDTH, height, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
        self.addPageTemplates(PageTemplate("page", [frame], onPage=self._furniture))

    def afterFlowable(self, flowable: Flowable) -> None:
        if isinstance(flowable, Heading):
            self.n_outline += 1
            key = f"outline-{self.n_outline}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.outline_title, key, flowable.outline_level, closed=flowable.outline_level == 0)

    def _furniture(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        margin, (width, height) = theme.PAGE_MARGIN_MM * mm, A4
        canvas.saveState()
        if words := band(self.content):
            canvas.setFillColor(HexColor(theme.BAND))
            canvas.rect(0, height - 9 * mm, width, 9 * mm, stroke=0, fill=1)
            canvas.setFillColor(HexColor(theme.BAND_INK))
            canvas.setFont(theme.BOLD, 8)
            canvas.drawCentredString(width / 2, height - 6 * mm, words)
        canvas.setFont(theme.SANS, 7)
        canvas.setFillColor(HexColor(theme.QUIET))
        canvas.drawString(margin, height - 16 * mm, fitted(self.content.run, theme.SANS, 7, 80 * mm))
        canvas.drawRightString(width - margin, height - 16 * mm, "inkproof")
        canvas.setStrokeColor(HexColor(theme.RULE))
        canvas.setLineWidth(0.4)
        canvas.line(margin, height - 18 * mm, width - margin, height - 18 * mm)
        canvas.drawString(margin, 11 * mm, fitted(self.content.title, theme.SANS, 7, 120 * mm))
        total_width = stringWidth("00", theme.SANS, 7)
        canvas.drawRightString(width - margin - total_width, 11 * mm, f"page {document.page} of ")
        canvas.translate(width - margin - total_width, 11 * mm)
        canvas.doForm(_TOTAL_PAGES)
        canvas.restoreState()


class CountingCanvas(Canvas):
    """Writes the number of pages, known only at the end, into the form that every page's footer refers to."""

    def save(self) -> None:
        n_pages = self.getPageNumber() - 1
        self.beginForm(_TOTAL_PAGES)
        self.setFont(theme.SANS, 7)
        self.setFillColor(HexColor(theme.QUIET))
        self.drawString(0, 0, str(n_pages))
        self.endForm()
        super().save()
