"""A document's building blocks on paper: tables with light rules, figures, tiles, verdicts and rows of pictures."""

import textwrap
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from matplotlib.figure import Figure
from reportlab.lib.colors import HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, Table as PageTable

from pipeline.document import theme
from pipeline.document.blocks import Finding, Gallery, Picture, PictureRow, Tile
from pipeline.document.figures import picture_reader
from pipeline.document.formats import percent, short_class_name, tied
from pipeline.document.tables import Table, group_spans, split_columns
from pipeline.document.vector import Plot

FRAME_WIDTH = 170 * mm
_TEXT_SIZE, _NOTE_SIZE, _PADDING = 7.4, 5.8, 5.0
FINDING_INDENT = 30 * mm
_WIDEST_COLUMN = 26 * mm
_TALLEST_FIGURE = 215 * mm
_ROWS_KEPT_TOGETHER = 30
_N_FACTS = 2
_MOST_TILES_IN_HALF = 3


def table_block(table: Table, remark: str = "") -> list[Flowable]:
    """Returns caption, table and note; what is wider than the page goes on beneath with the first columns again."""
    theme.register_fonts()
    caption = _caption(f"Table {table.number}.", f"{table.title}.{' ' + remark if remark else ''}")
    parts: list[Flowable] = [caption]
    for block in split_columns(table, lambda block: sum(_natural_widths(block)) <= FRAME_WIDTH):
        parts += [_page_table(block), Gap(3 * mm)]
    parts[-1] = Paragraph(escape(table.note), theme.styles()["note"]) if table.note else Gap(5 * mm)
    return [Together(parts)] if len(table.rows) <= _ROWS_KEPT_TOGETHER else [CondPageBreak(40 * mm), *parts]


def figure_block(figure: Figure, number: int, caption: str) -> list[Flowable]:
    """Returns a figure across the page with its numbered caption beneath."""
    plot = Plot(figure, FRAME_WIDTH, _TALLEST_FIGURE)
    return [Together([plot, Gap(2 * mm), _caption(f"Figure {number}.", caption), Gap(5 * mm)])]


def text_table(rows: Sequence[Sequence[str]], widths_mm: Sequence[float], header: Sequence[str] = ()) -> PageTable:
    """Returns a table of wrapped text; the strings are plain, not markup."""
    style = theme.styles()["cell"]
    body = [[prose(escape(text), style) for text in row] for row in rows]
    head = [[prose(f"<b>{escape(text)}</b>", style) for text in header]] if header else []
    commands = [*_cell_commands(), ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor(theme.RULE))]
    if header:
        commands.append(("LINEBELOW", (0, 0), (-1, 0), 0.8, HexColor(theme.INK)))
    return PageTable(head + body, colWidths=[w * mm for w in widths_mm], style=commands, repeatRows=len(head), hAlign="LEFT")


def prose(markup: str, style: ParagraphStyle, **options: object) -> Paragraph:
    """Returns a paragraph in which no number is parted from its per cent sign, nor n, ε or = from their number."""
    return Paragraph(tied(markup), style, **options)


class Together(KeepTogether):
    """Parts on one page, where they are not longer than a page."""

    def __init__(self, parts: Sequence[Flowable]) -> None:
        super().__init__(parts)
        self.parts = tuple(parts)


class Gap(Flowable):
    """Empty height that, unlike a spacer, is also kept where a group of blocks is measured."""

    def __init__(self, height: float) -> None:
        super().__init__()
        self.width, self.height = 0, height

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        pass


class TileRow(Flowable):
    """The key figures side by side on pale ground; labels wrap, values never do."""

    def __init__(self, tiles: Sequence[Tile]) -> None:
        super().__init__()
        self.tiles = tuple(tiles)

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        styles, gap = theme.styles(), 3 * mm
        self.gap = gap
        self.tile_width = (available_width - gap * (len(self.tiles) - 1)) / len(self.tiles)
        inner = self.tile_width - 5 * mm
        size = styles["tile_value"].fontSize
        while size > 8 and any(stringWidth(tile.value, theme.BOLD, size) > inner for tile in self.tiles):
            size -= 0.5
        value_style = styles["tile_value"].clone("tile_value_fitted", fontSize=size)
        self.drawn = [
            [Paragraph(escape(tile.value), value_style), Paragraph(escape(tile.label), styles["tile_label"])]
            for tile in self.tiles
        ]
        heights = [[part.wrap(inner, 1000)[1] for part in parts] for parts in self.drawn]
        self.height = max(map(sum, heights)) + 8 * mm
        return available_width, self.height

    def draw(self) -> None:
        for index, (value, label) in enumerate(self.drawn):
            x = index * (self.tile_width + self.gap)
            self.canv.setFillColor(HexColor(theme.PALE))
            self.canv.roundRect(x, 0, self.tile_width, self.height, 2 * mm, stroke=0, fill=1)
            value.drawOn(self.canv, x + 2.5 * mm, self.height - 3.5 * mm - value.height)
            label.drawOn(self.canv, x + 2.5 * mm, self.height - 5 * mm - value.height - label.height)


class Verdict(Flowable):
    """A finding's verdict as a shape and a word beside its statement and count."""

    _SHAPES = {"right": ("tick", theme.RIGHT), "wrong": ("cross", theme.WRONG), "open": ("dash", theme.QUIET)}

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding
        self.keepWithNext = 1
        self.verdict = textwrap.wrap(finding.verdict, 15)

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        self.text = prose(
            f"{escape(self.finding.statement)} <font size=7 color='{theme.QUIET}'>{escape(self.finding.counted)}</font>",
            theme.styles()["statement"],
        )
        _, height = self.text.wrap(available_width - FINDING_INDENT, available_height)
        self.height = max(height, 9 * len(self.verdict)) + 2 * mm
        return available_width, self.height

    def draw(self) -> None:
        shape, colour = self._SHAPES[self.finding.mark]
        top = self.height - 2.4 * mm
        _draw_mark(self.canv, shape, 1.8 * mm, top, 1.6 * mm, colour)
        self.canv.setFillColor(HexColor(colour))
        self.canv.setFont(theme.BOLD, 7.4)
        for place, line in enumerate(self.verdict):
            self.canv.drawString(5 * mm, top - 2.6 - 9 * place, line)
        self.text.drawOn(self.canv, FINDING_INDENT, self.height - self.text.height)


def gallery_lines(block: Gallery) -> list[Flowable]:
    """Returns the rows of a gallery, two side by side where they are short."""
    per_line = 2 if len(block.rows[0].pictures) <= _MOST_TILES_IN_HALF else 1
    starts = range(0, len(block.rows), per_line)
    return [Gap(2 * mm), *(PictureLine(block.rows[start : start + per_line], block, per_line) for start in starts)]


class PictureLine(Flowable):
    """One or two rows of a gallery side by side."""

    def __init__(self, rows: Sequence[PictureRow], block: Gallery, columns: int) -> None:
        super().__init__()
        self.rows, self.missing, self.largest_px = tuple(rows), block.missing, block.largest_px
        self.n_tiles, self.columns = len(rows[0].pictures), columns

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        self.width, self.gap = available_width, 2.5 * mm
        self.block = (available_width - 8 * mm * (self.columns - 1)) / self.columns
        self.tile = (self.block - self.gap * (self.n_tiles - 1)) / self.n_tiles
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
                _draw_mark(canvas, "tick" if picture.is_right else "cross", x + 1.3 * mm, y + 0.7 * mm, 1.25 * mm, colour)
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


def _draw_mark(canvas: Canvas, shape: str, x: float, y: float, radius: float, colour: str) -> None:
    """Draws a tick, a cross or a dash in a ring around (x, y): told apart by shape, not by colour alone."""
    canvas.saveState()
    canvas.setStrokeColor(HexColor(colour))
    canvas.setFillColor(HexColor("#ffffff" if shape != "tick" else colour))
    canvas.setLineWidth(0.7)
    canvas.circle(x, y, radius, stroke=1, fill=1)
    canvas.setLineCap(1)
    canvas.setLineWidth(1.0)
    canvas.setStrokeColor(HexColor("#ffffff" if shape == "tick" else colour))
    r = radius * 0.5
    if shape == "tick":
        canvas.lines([(x - r, y - 0.1 * r, x - 0.2 * r, y - 0.8 * r), (x - 0.2 * r, y - 0.8 * r, x + r, y + 0.8 * r)])
    elif shape == "cross":
        r *= 0.85
        canvas.lines([(x - r, y - r, x + r, y + r), (x - r, y + r, x + r, y - r)])
    else:
        canvas.line(x - r, y, x + r, y)
    canvas.restoreState()


def fitted(text: str, font: str, size: float, room: float) -> str:
    """Returns the text, cut with an ellipsis where it is wider than `room` points."""
    if stringWidth(text, font, size) <= room:
        return text
    while text and stringWidth(text.rstrip() + "…", font, size) > room:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def _caption(number: str, text: str) -> Paragraph:
    return prose(f"<b>{escape(number)}</b> {escape(text)}", theme.styles()["caption"])


def _page_table(table: Table) -> PageTable:
    has_groups = any(column.group for column in table.columns)
    n_head = 1 + has_groups
    styles = [_cell_style(column.is_number) for column in table.columns]
    head = [[Paragraph(f"<b>{escape(c.header)}</b>", s) for c, s in zip(table.columns, styles, strict=True)]]
    ink, rule = HexColor(theme.INK), HexColor(theme.RULE)
    commands = _cell_commands()
    if has_groups:
        row: list[Flowable | str] = [""] * len(table.columns)
        for start, stop, group in group_spans(table.columns):
            if group:
                row[start] = Paragraph(f"<b>{escape(group)}</b>", _cell_style(False).clone("group", alignment=1))
                commands += [("SPAN", (start, 0), (stop - 1, 0)), ("LINEBELOW", (start, 0), (stop - 1, 0), 0.4, rule)]
        head.insert(0, row)
    commands += [("LINEABOVE", (0, 0), (-1, 0), 0.8, ink), ("LINEBELOW", (0, n_head - 1), (-1, n_head - 1), 0.6, ink)]
    commands.append(("LINEBELOW", (0, -1), (-1, -1), 0.8, ink))
    commands += [("LINEABOVE", (0, n_head + row), (-1, n_head + row), 0.4, rule) for row in sorted(table.rules)]
    body: list[list[Paragraph | str]] = []
    for cells in table.rows:
        body.append([])
        for cell, style in zip(cells, styles, strict=True):
            note = f"<br/><font size={_NOTE_SIZE} color='{theme.QUIET}'>{escape(cell.note)}</font>" if cell.note else ""
            body[-1].append(Paragraph(escape(cell.text) + note, style) if cell.text or note else "")
    return PageTable(head + body, colWidths=_page_widths(table), style=commands, repeatRows=n_head, hAlign="LEFT")


def _cell_style(is_number: bool) -> ParagraphStyle:
    style = theme.styles()["cell"]
    return style.clone("number", alignment=2, leading=9) if is_number else style.clone("word", leading=9)


def _page_widths(table: Table) -> list[float]:
    """Stubs as wide as they need; the data columns share the rest, up to a width that still reads as one row."""
    widths = _natural_widths(table)
    data = [i for i, column in enumerate(table.columns) if not column.is_stub]
    spare = FRAME_WIDTH - sum(widths)
    even = min(_WIDEST_COLUMN, (spare + sum(widths[i] for i in data)) / max(1, len(data)))
    if all(widths[i] <= even for i in data):
        for i in data:
            widths[i] = even
    return widths


def _natural_widths(table: Table) -> list[float]:
    widths = []
    for index, column in enumerate(table.columns):
        needed = [stringWidth(column.header, theme.BOLD, _TEXT_SIZE)]
        for row in table.rows:
            needed += [stringWidth(row[index].text, theme.SANS, _TEXT_SIZE), stringWidth(row[index].note, theme.SANS, _NOTE_SIZE)]
        widths.append(max(needed) + 2 * _PADDING + 0.5)
    for start, stop, group in group_spans(table.columns):
        missing = stringWidth(group, theme.BOLD, _TEXT_SIZE) + 2 * _PADDING + 0.5 - sum(widths[start:stop])
        if group and missing > 0:
            widths[start:stop] = [width + missing / (stop - start) for width in widths[start:stop]]
    return widths


def _cell_commands() -> list[tuple[Any, ...]]:
    sides = (
        ("VALIGN", "TOP"),
        ("LEFTPADDING", _PADDING),
        ("RIGHTPADDING", _PADDING),
        ("TOPPADDING", 2.0),
        ("BOTTOMPADDING", 2.4),
    )
    # An empty cell takes its height from the table's own type, not from a paragraph's.
    type_size = (("FONTNAME", theme.SANS), ("FONTSIZE", _TEXT_SIZE), ("LEADING", 9))
    return [(command, (0, 0), (-1, -1), value) for command, value in (*sides, *type_size)]
