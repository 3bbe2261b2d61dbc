"""Draws on a PDF canvas in millimetres from the page's top left corner, edges on whole printer dots."""

import hashlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfdoc
from reportlab.pdfbase.pdfmetrics import Font, getFont, stringWidth
from reportlab.pdfgen.canvas import Canvas

from pipeline.document import theme
from pipeline.physical.printing.arrangement import MM_PER_INCH
from pipeline.physical.printing.furniture import Box

POINTS_PER_MM = 72 / MM_PER_INCH
BLACK, INK, GREY, PALE, ACCENT = "#000000", "#16202b", "#5b6670", "#eef2f4", "#0c6b74"

_EMBEDDED = {"Helvetica": theme.SANS, "Helvetica-Bold": theme.BOLD, "Courier": theme.MONO}
# A raster device paints every dot that a shape touches, so an edge that lies on a dot's border must stay just inside it.
_INSET_PT = 0.01


class Pen:
    """The one place where millimetres from the top left become points from the bottom left."""

    def __init__(self, canvas: Canvas, page_height_mm: float, dpi: int) -> None:
        self.canvas = canvas
        self.dpi = dpi
        self._n_rows = self._dots(page_height_mm)

    def write(self, file: BinaryIO) -> None:
        """Writes the document, an object after the other."""

        class Written(pdfdoc.PDFFile):
            """Where reportlab would hold all that is written until the end."""

            def __init__(self, version: tuple[int, int]) -> None:
                super().__init__(version)
                for part in self.strings:
                    file.write(part)
                self.write = file.write

        held = pdfdoc.PDFFile
        pdfdoc.PDFFile = Written
        try:
            self.canvas.getpdfdata()
        finally:
            pdfdoc.PDFFile = held

    def image(self, box: Box, name: str, load: Callable[[], np.ndarray]) -> None:
        """Embeds uint8 (H, W, 3) pixels as they are, without loss, to be shown in `box`; they are loaded when they are written.

        Args:
            name: the same for the same pixels, which are embedded once.
        """
        document, x, y, width, height = self.canvas._doc, *self._inset(box)
        name = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        reference = document.getXObjectName(name)
        if not document.hasForm(name):
            document.Reference(_Later(name, load), reference)
        self.canvas._currentPageHasImages = 1
        self.canvas.saveState()
        self.canvas.translate(x, y)
        self.canvas.scale(width, height)
        self.canvas._code.append(f"/{reference} Do")
        self.canvas.restoreState()
        self.canvas._formsinuse.append(name)

    def rectangle(self, box: Box, fill: str = BLACK) -> None:
        """Fills `box`, its edges moved to the nearest dot."""
        self.canvas.setFillColor(fill)
        self.canvas.rect(*self._inset(box), stroke=0, fill=1)

    def frame(self, box: Box, colour: str = GREY) -> None:
        """Outlines `box` with a line of one dot, inside it."""
        dot = MM_PER_INCH / self.dpi
        x, y, width, height = box
        for top in (y, y + height - dot):
            self.rectangle(Box(x, top, width, dot), colour)
        for left in (x, x + width - dot):
            self.rectangle(Box(left, y, dot, height), colour)

    def panel(self, box: Box, fill: str | None, stroke: str | None = None, radius_mm: float = 1.5, line_mm: float = 0.25) -> None:
        """Draws a box with round corners: decoration, not aligned to dots."""
        if fill:
            self.canvas.setFillColor(fill)
        if stroke:
            self.canvas.setStrokeColor(stroke)
            self.canvas.setLineWidth(line_mm * POINTS_PER_MM)
        x, y = self.points(box.x_mm, box.y_mm + box.height_mm)
        size = box.width_mm * POINTS_PER_MM, box.height_mm * POINTS_PER_MM, radius_mm * POINTS_PER_MM
        self.canvas.roundRect(x, y, *size, stroke=int(stroke is not None), fill=int(fill is not None))

    def line(self, x0_mm: float, y0_mm: float, x1_mm: float, y1_mm: float, colour: str = GREY, line_mm: float = 0.1) -> None:
        """Draws a straight line."""
        self.canvas.setStrokeColor(colour)
        self.canvas.setLineWidth(line_mm * POINTS_PER_MM)
        self.canvas.line(*self.points(x0_mm, y0_mm), *self.points(x1_mm, y1_mm))

    def text(
        self,
        x_mm: float,
        y_mm: float,
        text: str,
        size_pt: float,
        *,
        font: str = "Helvetica",
        colour: str = INK,
        anchor: str = "left",
    ) -> float:
        """Writes one line with its baseline at `y_mm`; returns its width in mm. `anchor`: left, centre or right."""
        width = text_width_mm(text, font, size_pt)
        x, y = self.points(x_mm - {"left": 0.0, "centre": 0.5, "right": 1.0}[anchor] * width, y_mm)
        self.canvas.setFillColor(colour)
        self.canvas.setFont(font_for(text, font), size_pt)
        self.canvas.drawString(x, y, text)
        return width

    def modules(self, matrix: np.ndarray, box: Box) -> None:
        """Draws the dark modules of a square code as rectangles, one for each run along the rows and along the columns.

        Runs of both directions overlap, so no hairline shows between neighbours when a screen smooths the edges.
        """
        size = box.width_mm / len(matrix)
        for row, start, stop in _runs(matrix):
            self.rectangle(Box(box.x_mm + start * size, box.y_mm + row * size, (stop - start) * size, size))
        for column, start, stop in _runs(matrix.T):
            if stop - start > 1:
                self.rectangle(Box(box.x_mm + column * size, box.y_mm + start * size, size, (stop - start) * size))

    def points(self, x_mm: float, y_mm: float) -> tuple[float, float]:
        """Returns PDF points of a place on the page, not moved to a dot."""
        return x_mm * POINTS_PER_MM, self._n_rows * 72 / self.dpi - y_mm * POINTS_PER_MM

    def _dots(self, mm: float) -> int:
        return round(mm * self.dpi / MM_PER_INCH)

    def _inset(self, box: Box) -> tuple[float, float, float, float]:
        """Returns x, y, width and height in points of a box snapped to dots, a hair smaller on every side."""
        left, right = self._dots(box.x_mm), self._dots(box.x_mm + box.width_mm)
        top, bottom = self._dots(box.y_mm), self._dots(box.y_mm + box.height_mm)
        dot = 72 / self.dpi
        x, y = left * dot + _INSET_PT, (self._n_rows - bottom) * dot + _INSET_PT
        return x, y, (right - left) * dot - 2 * _INSET_PT, (bottom - top) * dot - 2 * _INSET_PT


def text_width_mm(text: str, font: str, size_pt: float) -> float:
    """Returns how long a line of text is."""
    return float(stringWidth(text, font_for(text, font), size_pt)) / POINTS_PER_MM


def font_for(text: str, font: str) -> str:
    """Returns one of the fonts that every PDF reader has, or, where it lacks a letter, the embedded one in its place."""
    faces = [own := getFont(font), *own.substitutionFonts]
    if all(any(_has(face, letter) for face in faces) for letter in set(text)):
        return font
    theme.register_fonts()
    return _EMBEDDED[font]


def _has(face: Font, letter: str) -> bool:
    try:
        return bool(letter.encode(face.encName))
    except UnicodeError:
        return False


def _runs(matrix: np.ndarray) -> list[tuple[int, int, int]]:
    """Returns (row, first, one past the last) of every run of True along the rows."""
    edges = np.diff(np.pad(matrix.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, stops = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return [(int(row), int(start), int(stop)) for (row, start), (_, stop) in zip(starts, stops, strict=True)]


class _Later(pdfdoc.PDFObject):
    """An image of a document, of which nothing is held until it is written."""

    def __init__(self, name: str, load: Callable[[], np.ndarray]) -> None:
        self._name, self._load = name, load

    def format(self, document: Any) -> bytes:
        found = pdfdoc.PDFImageXObject(self._name, ImageReader(Image.fromarray(self._load())))
        written: bytes = found.format(document)
        return written
