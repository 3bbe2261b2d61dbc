"""The pages on paper: what stands in their margins, how they are counted, and what the PDF's outline holds."""

import io
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph

from pipeline.document import theme
from pipeline.document.blocks import Head
from pipeline.document.flowables import FRAME_WIDTH, fitted

SIMULATED_BAND = "SIMULATED PHOTOGRAPHS · no paper, no camera"
MIXED_BAND = "REAL AND SIMULATED PHOTOGRAPHS"
_TOTAL_PAGES = "total-pages"
_CONTENTS_SIZE = 8.6


class Heading(Paragraph):
    """A paragraph that also stands in the PDF's outline, two levels deep, where links to its key lead."""

    def __init__(self, text: str, style: ParagraphStyle, key: str, outline: str = "") -> None:
        super().__init__(text, style)
        self.key = key
        self.outline_title = outline or text
        self.outline_level = 1 if style.name == "h2" else 0


class ContentsLine(Flowable):
    """One line of the table of contents: a title, dots and the page, all of it a link."""

    def __init__(self, text: str, key: str, is_section: bool) -> None:
        super().__init__()
        self.text, self.key, self.is_section = text, key, is_section

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        self.width, self.height = available_width, 6.2 * mm if self.is_section else 4.8 * mm
        return self.width, self.height

    def draw(self) -> None:
        canvas, font = self.canv, theme.BOLD if self.is_section else theme.SANS
        left = 0 if self.is_section else 6 * mm
        text = fitted(self.text, font, _CONTENTS_SIZE, self.width - left - 14 * mm)
        canvas.setFillColor(HexColor(theme.INK))
        canvas.setFont(font, _CONTENTS_SIZE)
        canvas.drawString(left, 1.4 * mm, text)
        canvas.setStrokeColor(HexColor(theme.RULE))
        canvas.setLineWidth(0.6)
        canvas.setDash(0.6, 2.4)
        start = left + stringWidth(text, font, _CONTENTS_SIZE) + 2 * mm
        canvas.line(start, 1.4 * mm, self.width - 8 * mm, 1.4 * mm)
        canvas.linkRect("", self.key, (0, 0, self.width, self.height), relative=1, thickness=0)
        canvas.translate(self.width, 1.4 * mm)
        canvas.doForm(canvas.page_form(self.key))


class PaperDocument(BaseDocTemplate):
    """A4 pages with the name of what they are of above, page numbers beneath and, where it applies, a band across their top."""

    def __init__(self, buffer: io.BytesIO, head: Head) -> None:
        facts = {"title": head.title, "author": "", "subject": f"inkproof report of run {head.name}", "creator": "inkproof"}
        super().__init__(buffer, pagesize=A4, invariant=1, lang="en", **facts)
        self.head = head
        margin = theme.PAGE_MARGIN_MM * mm
        height = A4[1] - 2 * margin - 6 * mm
        frame = Frame(margin, margin, FRAME_WIDTH, height, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
        self.addPageTemplates(PageTemplate("page", [frame], onPage=self._furniture))

    def build(self, story: list[Flowable]) -> None:
        super().build(story, canvasmaker=CountingCanvas)

    def afterFlowable(self, flowable: Flowable) -> None:
        if isinstance(flowable, Heading):
            self.canv.bookmarkPage(flowable.key)
            self.canv.page_of[flowable.key] = self.page
            level = flowable.outline_level
            self.canv.addOutlineEntry(flowable.outline_title, flowable.key, level, closed=level == 0)

    def _furniture(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        margin, (width, height) = theme.PAGE_MARGIN_MM * mm, A4
        canvas.saveState()
        if self.head.band:
            canvas.setFillColor(HexColor(theme.BAND))
            canvas.rect(0, height - 9 * mm, width, 9 * mm, stroke=0, fill=1)
            canvas.setFillColor(HexColor(theme.BAND_INK))
            canvas.setFont(theme.BOLD, 8)
            canvas.drawCentredString(width / 2, height - 6 * mm, self.head.band)
        canvas.setFont(theme.SANS, 7)
        canvas.setFillColor(HexColor(theme.QUIET))
        canvas.drawString(margin, height - 16 * mm, fitted(self.head.name, theme.SANS, 7, 80 * mm))
        canvas.drawRightString(width - margin, height - 16 * mm, "inkproof")
        canvas.setStrokeColor(HexColor(theme.RULE))
        canvas.setLineWidth(0.4)
        canvas.line(margin, height - 18 * mm, width - margin, height - 18 * mm)
        canvas.drawString(margin, 11 * mm, fitted(self.title, theme.SANS, 7, 120 * mm))
        total_width = stringWidth("00", theme.SANS, 7)
        canvas.drawRightString(width - margin - total_width, 11 * mm, f"page {document.page} of ")
        canvas.translate(width - margin - total_width, 11 * mm)
        canvas.doForm(_TOTAL_PAGES)
        canvas.restoreState()


class CountingCanvas(Canvas):
    """Writes what is known only at the end, the numbers of pages, into forms that earlier pages refer to."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "initialFontName": theme.SANS})  # else Helvetica, not embedded, is named
        self.page_of: dict[str, int] = {}
        self.wanted: list[str] = []

    def page_form(self, key: str) -> str:
        """Returns the name of the form that will say, ending where it is put, on which page a heading stands."""
        self.wanted.append(key)
        return f"page-of-{key}"

    def save(self) -> None:
        self._write_form(_TOTAL_PAGES, str(self.getPageNumber() - 1), 7)
        for key in self.wanted:
            self._write_form(f"page-of-{key}", str(self.page_of[key]), _CONTENTS_SIZE, is_right=True)
        super().save()

    def _write_form(self, name: str, text: str, size: float, is_right: bool = False) -> None:
        width = stringWidth(text, theme.SANS, size)
        self.beginForm(name, lowerx=-width - 1, lowery=-size, upperx=width + 1, uppery=size)
        self.setFont(theme.SANS, size)
        self.setFillColor(HexColor(theme.QUIET))
        self.drawString(-width if is_right else 0, 0, text)
        self.endForm()
