"""A gallery's rows on paper: pictures side by side, with the guesses beneath each."""

from collections.abc import Sequence

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable

from pipeline.document import theme
from pipeline.document.blocks import Gallery, Picture, PictureRow
from pipeline.document.flowables import draw_mark, fitted
from pipeline.document.formats import percent, short_class_name
from pipeline.document.pictures import picture_reader

_N_FACTS = 2
_MOST_TILES_IN_HALF = 3


def rows_on_a_line(block: Gallery) -> int:
    """Returns how many rows of a gallery stand side by side: two where they are short."""
    return 2 if len(block.rows[0].pictures) <= _MOST_TILES_IN_HALF else 1


class PictureLine(Flowable):
    """One or two rows of a gallery side by side."""

    def __init__(self, rows: Sequence[PictureRow], block: Gallery) -> None:
        super().__init__()
        self.rows, self.missing, self.largest_px = tuple(rows), block.missing, block.largest_px
        self.n_tiles, self.columns = len(rows[0].pictures), rows_on_a_line(block)

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        self.width, gaps = available_width, 2.5 * mm
        block_gap = 8 * mm * (self.columns - 1)
        self.gap = gaps
        self.block = (available_width - block_gap) / self.columns
        self.tile = (self.block - gaps * (self.n_tiles - 1)) / self.n_tiles
        self.height = self.tile + 22.5 * mm
        return self.width, self.height

    def draw(self) -> None:
        for index, row in enumerate(self.rows):
            self._draw_row(row, index * (self.block + 8 * mm))

    def _draw_row(self, row: PictureRow, x: float) -> None:
        canvas, top = self.canv, self.height - 4 * mm
        name_style = (theme.BOLD, 7.6)
        first, *others = (f"   {fact}" for fact in row.facts[:_N_FACTS])
        room = self.block - stringWidth(first, theme.SANS, 7)
        name = fitted(short_class_name(row.name, 40), *name_style, room)
        canvas.setFillColor(HexColor(theme.INK))
        canvas.setFont(*name_style)
        canvas.drawString(x, top, name)
        used = stringWidth(name, *name_style)
        canvas.setFont(theme.SANS, 7)
        canvas.setFillColor(HexColor(theme.QUIET))
        for fact in (first, *others):
            canvas.drawString(x + used, top, fitted(fact, theme.SANS, 7, self.block - used))
            used += stringWidth(fact, theme.SANS, 7)
        for place, picture in enumerate(row.pictures):
            self._draw_picture(picture, x + place * (self.tile + self.gap), top - 4.5 * mm)

    def _draw_picture(self, picture: Picture, x: float, top: float) -> None:
        canvas = self.canv
        canvas.setFillColor(HexColor(theme.QUIET))
        canvas.setFont(theme.SANS, 6.2)
        canvas.drawString(x, top, fitted(picture.label, theme.SANS, 6.2, self.tile))
        bottom = top - 1.5 * mm - self.tile
        if picture.pixels is None:
            canvas.setStrokeColor(HexColor(theme.RULE))
            canvas.setDash(2, 2)
            canvas.rect(x, bottom, self.tile, self.tile, stroke=1, fill=0)
            canvas.setDash()
            canvas.drawCentredString(x + self.tile / 2, bottom + self.tile / 2, self.missing)
            return
        reader = picture_reader(picture.pixels, self.largest_px)
        canvas.drawImage(reader, x, bottom, self.tile, self.tile, preserveAspectRatio=True, anchor="nw")
        self._draw_guesses(picture, x, bottom - 3.2 * mm)

    def _draw_guesses(self, picture: Picture, x: float, y: float) -> None:
        canvas = self.canv
        for place, (name, probability) in enumerate(picture.guesses[:3]):
            font, size = (theme.BOLD, 6.2) if place == 0 else (theme.SANS, 5.8)
            indent = 3.4 * mm
            share = percent(probability, 0)
            if place == 0:
                colour = theme.RIGHT if picture.is_right else theme.WRONG
                draw_mark(canvas, "tick" if picture.is_right else "cross", x + 1.3 * mm, y + 0.7 * mm, 1.25 * mm, colour)
            canvas.setFillColor(HexColor(theme.INK if place == 0 else theme.QUIET))
            canvas.setFont(font, size)
            canvas.drawRightString(x + self.tile, y, share)
            room = self.tile - indent - stringWidth(share, font, size) - 1.2 * mm
            name = short_class_name(name, 40)
            while size > 5.2 and stringWidth(name, font, size) > room:
                size -= 0.2
            canvas.setFont(font, size)
            canvas.drawString(x + indent, y, fitted(name, font, size, room))
            y -= 2.9 * mm
