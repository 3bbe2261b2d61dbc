"""All crops of a run beside their sources, on sheets that a person can leaf through."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from pipeline.physical.registration.lettering import JOINT, font, shortened, wrapped

COLUMNS = ("clean source", "clean crop", "adversarial source", "adversarial crop")

_HEIGHT_PX, _MARGIN_PX, _GAP_PX = 2000, 24, 6
_HEADER_PX, _TITLE_PX, _WORDS_PX, _ROW_GAP_PX = 76, 26, 36, 14
# Two groups of four beside each other up to this side, one above it; larger images are shrunk.
_PAIRED_PX, _ALONE_PX = 232, 384
_PAPER, _BOX, _INK = (250, 250, 248), (214, 216, 220), (30, 34, 42)
_FAINT, _AMBER, _GREEN = (112, 118, 128), (176, 96, 0), (20, 122, 76)


@dataclass(frozen=True, eq=False)
class ContactRow:
    """One pair: four images in the order of COLUMNS, uint8 (H, W, 3) or None for one that is missing.

    `words` stand beneath each image, what a crop is worth, or in its place why it is missing ("not captured").
    """

    title: str
    images: tuple[np.ndarray | None, ...]
    words: tuple[str, ...]


def draw_contact_sheets(rows: Sequence[ContactRow], name: str) -> Iterator[np.ndarray]:
    """Yields sheets, uint8 (H, W, 3), about 1600 x 2000 px, that show all rows under a header with `name` and the sheet's number.

    Images appear at one whole scale: enlarged pixel by pixel, or shrunk by averaging; nothing is yielded for no rows.
    """
    if not rows:
        return
    shapes = [image.shape for row in rows for image in row.images if image is not None] or [(_PAIRED_PX // 2,) * 2]
    largest = (max(shape[1] for shape in shapes), max(shape[0] for shape in shapes))
    room_px = _PAIRED_PX if max(largest) <= _PAIRED_PX else _ALONE_PX
    n_columns = 2 if room_px == _PAIRED_PX and len(rows) > 1 else 1
    box = (max(_scaled(largest[0], largest, room_px), 96), max(_scaled(largest[1], largest, room_px), 96))
    group_px = len(COLUMNS) * box[0] + (len(COLUMNS) - 1) * _GAP_PX
    row_px = _TITLE_PX + box[1] + _WORDS_PX + _ROW_GAP_PX
    n_lines = max(1, (_HEIGHT_PX - _HEADER_PX - _MARGIN_PX) // row_px)
    n_sheets = math.ceil(len(rows) / (n_lines * n_columns))
    # as even as they come: no last sheet with a single row
    n_lines = math.ceil(len(rows) / n_sheets / n_columns)
    for i in range(n_sheets):
        width = n_columns * (group_px + _MARGIN_PX) + _MARGIN_PX
        canvas = Image.new("RGB", (width, _HEADER_PX + n_lines * row_px + _MARGIN_PX), _PAPER)
        draw = ImageDraw.Draw(canvas)
        sheet = f"sheet {i + 1} of {n_sheets}"
        right = width - _MARGIN_PX - font(18).getlength(sheet)
        draw.text((_MARGIN_PX, 14), shortened(name, font(24), right - 2 * _MARGIN_PX), font=font(24), fill=_INK)
        draw.text((right, 19), sheet, font=font(18), fill=_FAINT)
        for j, row in enumerate(rows[i * n_lines * n_columns : (i + 1) * n_lines * n_columns]):
            left = _MARGIN_PX + j % n_columns * (group_px + _MARGIN_PX)
            for k, column in enumerate(COLUMNS if j < n_columns else ()):
                at = left + k * (box[0] + _GAP_PX), _HEADER_PX - 22
                draw.text(at, shortened(column, font(14), box[0]), font=font(14), fill=_FAINT)
            _draw_row(canvas, row, (left, _HEADER_PX + j // n_columns * row_px), box, largest, room_px)
        yield np.asarray(canvas)


def _scaled(side: int, largest: tuple[int, int], room_px: int) -> int:
    factor = room_px // max(largest)
    return side * factor if factor else math.ceil(side / math.ceil(max(largest) / room_px))


def _draw_row(
    canvas: Image.Image, row: ContactRow, corner: tuple[int, int], box: tuple[int, int], largest: tuple[int, int], room_px: int
) -> None:
    draw, (left, top) = ImageDraw.Draw(canvas), corner
    group_px = len(COLUMNS) * (box[0] + _GAP_PX)
    draw.line([left, top, left + group_px - _GAP_PX - 1, top], fill=_BOX)
    draw.text((left, top + 4), shortened(row.title, font(16), group_px), font=font(16), fill=_INK)
    top += _TITLE_PX
    for k, (image, words) in enumerate(zip(row.images, row.words, strict=True)):
        x = left + k * (box[0] + _GAP_PX)
        if image is None:
            draw.rectangle([x, top, x + box[0] - 1, top + box[1] - 1], fill=_BOX)
            for i, line in enumerate(lines := wrapped(words, font(15), box[0] - 12, 4)):
                y = top + box[1] / 2 + (i - len(lines) / 2) * 19
                draw.text((x + (box[0] - font(15).getlength(line)) / 2, y), line, font=font(15), fill=_INK)
            continue
        size = tuple(_scaled(side, largest, room_px) for side in image.shape[1::-1])
        shown = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST if size[0] >= image.shape[1] else cv2.INTER_AREA)
        canvas.paste(Image.fromarray(shown), (x + (box[0] - shown.shape[1]) // 2, top + (box[1] - shown.shape[0]) // 2))
        colour = _FAINT if k % 2 == 0 else _GREEN if words.startswith("ok") else _AMBER
        for i, line in enumerate(wrapped(words, font(13), box[0], 2, JOINT)):
            draw.text((x, top + box[1] + 2 + i * 16), line, font=font(13), fill=colour)
