"""The gallery's rows on paper: a pair as files, its difference, and what the photographs made of it, with predictions."""

from collections.abc import Sequence

import numpy as np
from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable

from pipeline.report import theme
from pipeline.report.content import GalleryItem, GalleryView
from pipeline.report.flowables import draw_mark, fitted
from pipeline.report.gallery import difference_picture, picture_reader
from pipeline.report.words import cell_title, percent, short_class_name


class GalleryRow(Flowable):
    """One to two pairs side by side: clean, adversarial, difference and, where there are any, the photographs of both."""

    def __init__(self, items: Sequence[GalleryItem], has_photos: bool, largest_px: int) -> None:
        super().__init__()
        self.items, self.has_photos, self.largest_px = tuple(items), has_photos, largest_px
        self.n_tiles = 5 if has_photos else 3
        self.columns = 1 if has_photos else 2

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        self.width, gaps = available_width, 2.5 * mm
        block_gap = 8 * mm * (self.columns - 1)
        self.gap = gaps
        self.block = (available_width - block_gap) / self.columns
        self.tile = (self.block - gaps * (self.n_tiles - 1)) / self.n_tiles
        self.height = self.tile + 22.5 * mm
        return self.width, self.height

    def draw(self) -> None:
        for index, item in enumerate(self.items):
            self._draw_item(item, index * (self.block + 8 * mm))

    def _draw_item(self, item: GalleryItem, x: float) -> None:
        canvas, top = self.canv, self.height - 4 * mm
        name_style = (theme.BOLD, 7.6)
        setting = f"   {cell_title(item.attack, item.epsilon_8bit)}"
        room = self.block - stringWidth(setting, theme.SANS, 7)
        name = fitted(short_class_name(item.true_name, 40), *name_style, room)
        canvas.setFillColor(HexColor(theme.INK))
        canvas.setFont(*name_style)
        canvas.drawString(x, top, name)
        used = stringWidth(name, *name_style)
        canvas.setFont(theme.SANS, 7)
        canvas.setFillColor(HexColor(theme.QUIET))
        canvas.drawString(x + used, top, setting)
        used += stringWidth(setting, theme.SANS, 7)
        canvas.drawString(x + used, top, fitted(f"   {item.image_id}", theme.SANS, 7, self.block - used))
        difference, factor = difference_picture(item)
        tiles: list[tuple[str, GalleryView | np.ndarray | None]] = [
            ("clean", item.clean),
            ("adversarial", item.adversarial),
            (f"difference × {factor}", difference),
        ]
        if self.has_photos:
            tiles += [("photo of clean", item.photo_clean), ("photo of adversarial", item.photo_adversarial)]
        for place, (label, view) in enumerate(tiles):
            self._draw_tile(label, view, x + place * (self.tile + self.gap), top - 4.5 * mm)

    def _draw_tile(self, label: str, view: "GalleryView | np.ndarray | None", x: float, top: float) -> None:
        canvas = self.canv
        canvas.setFillColor(HexColor(theme.QUIET))
        canvas.setFont(theme.SANS, 6.2)
        canvas.drawString(x, top, fitted(label, theme.SANS, 6.2, self.tile))
        bottom = top - 1.5 * mm - self.tile
        if view is None:
            canvas.setStrokeColor(HexColor(theme.RULE))
            canvas.setDash(2, 2)
            canvas.rect(x, bottom, self.tile, self.tile, stroke=1, fill=0)
            canvas.setDash()
            canvas.drawCentredString(x + self.tile / 2, bottom + self.tile / 2, "no photograph")
            return
        pixels = view if isinstance(view, np.ndarray) else view.pixels
        reader = picture_reader(pixels, self.largest_px)
        canvas.drawImage(reader, x, bottom, self.tile, self.tile, preserveAspectRatio=True, anchor="nw")
        if isinstance(view, GalleryView):
            self._draw_predictions(view, x, bottom - 3.2 * mm)

    def _draw_predictions(self, view: GalleryView, x: float, y: float) -> None:
        canvas = self.canv
        for place, (name, probability) in enumerate(view.predictions[:3]):
            font, size = (theme.BOLD, 6.2) if place == 0 else (theme.SANS, 5.8)
            indent = 3.4 * mm
            share = percent(probability, 0)
            if place == 0:
                colour = theme.RIGHT if view.is_correct else theme.WRONG
                draw_mark(canvas, "tick" if view.is_correct else "cross", x + 1.3 * mm, y + 0.7 * mm, 1.25 * mm, colour)
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
