"""The sheet in front of the pages: how to print and to photograph them, and what is on them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from xml.sax.saxutils import escape

from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import Paragraph

from pipeline.physical.fiducials.codes import N_MODULES
from pipeline.physical.printing.furniture import Box, Furniture, box_of, furniture
from pipeline.physical.printing.pen import ACCENT, GREY, INK, PALE, POINTS_PER_MM, Pen, font_for
from pipeline.records import Fiducial, Placement, Printout

_SHEET_MARGIN_MM, _MAX_TABLE_ROWS, _MAX_TABLE_COLUMNS = 16.0, 10, 7


@dataclass(frozen=True, slots=True)
class Instructions:
    """What the sheet says beyond the printout: where photos go, what to type, how many pairs an (attack, epsilon) has."""

    photos_folder: str
    experiment: str
    n_pairs: Mapping[tuple[str, int], int] = field(default_factory=dict)


def draw_instructions(pen: Pen, printout: Printout, instructions: Instructions) -> None:
    """Draws the sheet; its type grows and shrinks with the paper, the scale bar does not."""
    landscape = printout.page_width_mm > printout.page_height_mm
    across, down = (297, 210) if landscape else (210, 297)
    scale = min(printout.page_width_mm / across, printout.page_height_mm / down)
    left = top = max(10.5, _SHEET_MARGIN_MM * scale)
    width = printout.page_width_mm - 2 * left
    pen.panel(Box(left, top, width, 1.6 * scale), ACCENT, radius_mm=0)
    pen.text(left, top + 13 * scale, "Print, photograph, hand in.", 23 * scale, font="Helvetica-Bold")
    run = f"inkproof · run {printout.run} · code {printout.run_code}"
    pen.text(left, top + 19.5 * scale, run, 10.5 * scale, colour=GREY)
    y = _draw_facts(pen, scale, printout, left, top + 19.5 * scale + 5 * scale, width)
    gap = 8 * scale
    steps_width = width * (0.6 if landscape else 0.58)
    _draw_steps(pen, scale, printout, instructions, left, y + 8 * scale, steps_width)
    side_x, side_width = left + steps_width + gap, width - steps_width - gap
    y = _draw_sketch(pen, scale, printout, side_x, y + 8 * scale, side_width)
    _draw_table(pen, scale, instructions.n_pairs, side_x, y + 8 * scale, side_width)
    draw_scale_bar(pen, furniture(printout, 1))


def draw_scale_bar(pen: Pen, places: Furniture) -> None:
    """Draws a bar of black and white centimetres with longer ticks at both ends, and what it is for."""
    box, length_mm, tick = places.scale_bar, int(places.scale_bar.width_mm), 2.4
    for centimetre in range(length_mm // 10):
        x = box.x_mm + 10 * centimetre
        if centimetre % 2 == 0:
            pen.rectangle(Box(x, box.y_mm + 1.0, 10, 1.4))
        else:
            pen.rectangle(Box(x, box.y_mm + 1.0, 10, 0.1))
            pen.rectangle(Box(x, box.y_mm + tick - 0.1, 10, 0.1))
    for x in (box.x_mm, box.x_mm + length_mm - 0.1):
        pen.rectangle(Box(x, box.y_mm, 0.1, tick))
    words = f"print at 100 % (no fit to page): this bar is {length_mm} mm"
    pen.text(box.x_mm + box.width_mm / 2, box.y_mm + 5.3, words, 6.5, anchor="centre")


def _paragraph(pen: Pen, x_mm: float, y_mm: float, width_mm: float, markup: str, size_pt: float, colour: str = INK) -> float:
    """Writes wrapped text from `y_mm` down; returns where it ends."""
    style = ParagraphStyle(
        "sheet", fontName=font_for(markup, "Helvetica"), fontSize=size_pt, leading=1.32 * size_pt, textColor=colour
    )
    block = Paragraph(markup, style)
    _, height = block.wrap(width_mm * POINTS_PER_MM, 10_000)
    x, y = pen.points(x_mm, y_mm)
    block.drawOn(pen.canvas, x, y - height)
    return y_mm + float(height) / POINTS_PER_MM


def _draw_facts(pen: Pen, s: float, printout: Printout, x: float, y: float, width: float) -> float:
    longest = sorted({round(max(p.width_mm, p.height_mm), 1) for p in printout.placements}) or [0.0]
    image = f"{longest[0]:g} mm" if len(longest) == 1 else f"{longest[0]:g}–{longest[-1]:g} mm"
    n_pairs = len({p.pair_id for p in printout.placements})
    facts = (
        (str(printout.n_pages), "page" if printout.n_pages == 1 else "pages"),
        (str(n_pairs), "pair of images" if n_pairs == 1 else "pairs of images"),
        (printout.paper, f"{printout.orientation} paper"),
        (image, "side of an image"),
    )
    gap, height = 4 * s, 17 * s
    box_width = (width - gap * (len(facts) - 1)) / len(facts)
    for index, (figure, label) in enumerate(facts):
        left = x + index * (box_width + gap)
        pen.panel(Box(left, y, box_width, height), PALE, radius_mm=1.5 * s)
        pen.text(left + 4 * s, y + 8.2 * s, figure, 16 * s, font="Helvetica-Bold", colour=ACCENT)
        pen.text(left + 4 * s, y + 13.4 * s, label, 8.5 * s, colour=GREY)
    return y + height


def _draw_steps(pen: Pen, s: float, printout: Printout, instructions: Instructions, x: float, y: float, width: float) -> None:
    landscape = printout.page_width_mm > printout.page_height_mm
    size, gap = (9.2, 2.2) if landscape else (11.0, 3.8)
    number = 0
    words = {
        "bar_mm": int(furniture(printout, 1).scale_bar.width_mm),
        "photos_folder": escape(instructions.photos_folder),
        "experiment": escape(instructions.experiment),
    }
    parts = tomllib.loads((files("pipeline.physical.printing") / "steps.toml").read_text(encoding="utf-8"))
    for heading, steps in parts.items():
        pen.text(x, y + 3.2 * s, heading.upper(), 9 * s, font="Helvetica-Bold", colour=ACCENT)
        y += 6.2 * s
        for step in steps:
            number += 1
            radius, style = 2.7 * s, {"font": "Helvetica-Bold", "colour": "#ffffff", "anchor": "centre"}
            pen.panel(Box(x, y, 2 * radius, 2 * radius), ACCENT, radius_mm=radius)
            pen.text(x + radius, y + radius + 1.15 * s, str(number), 8.5 * s, **style)
            foot = _paragraph(pen, x + 9 * s, y + 0.4 * s, width - 9 * s, step.format(**words), size * s)
            y = max(foot, y + 2 * radius) + gap * s
        y += (1.0 if landscape else 2.6) * s


def _draw_sketch(pen: Pen, s: float, printout: Printout, x: float, y: float, width: float) -> float:
    """Draws a phone that sees a whole page, from the printout's own geometry."""
    ratio = printout.page_height_mm / printout.page_width_mm
    phone_width = min(width, 58 * s) if ratio > 1 else width
    page_width = phone_width - 16 * s if ratio > 1 else phone_width - 22 * s
    phone_height = page_width * ratio + (22 if ratio > 1 else 14) * s
    left = x + (width - phone_width) / 2
    pen.panel(Box(left, y, phone_width, phone_height), INK, radius_mm=4 * s)
    pen.panel(Box(left + 2 * s, y + 2 * s, phone_width - 4 * s, phone_height - 4 * s), "#b9a184", radius_mm=2.5 * s)
    page_x, page_y = left + (phone_width - page_width) / 2, y + (phone_height - page_width * ratio) / 2
    shrink, first = page_width / printout.page_width_mm, printout.of_page(1)
    pen.panel(Box(page_x, page_y, page_width, page_width * ratio), "#ffffff", radius_mm=0)

    def shrunk(one: Placement | Fiducial) -> Box:
        box = box_of(one)
        return Box(page_x + box.x_mm * shrink, page_y + box.y_mm * shrink, box.width_mm * shrink, box.height_mm * shrink)

    for image in first.placements:
        pen.panel(shrunk(image), "#cfd8dc" if image.variant == "clean" else "#9fc3c7", radius_mm=0)
    for code in first.fiducials:
        box = shrunk(code)
        pen.panel(box.grown(0.8 * s), None, ACCENT, 0.6 * s, 0.4 * s)
        # the three finder patterns only: a whole code in the picture of a page could be read as one
        size = box.width_mm / N_MODULES
        for row, column in ((0, 0), (0, 14), (14, 0)):
            pen.panel(Box(box.x_mm + column * size, box.y_mm + row * size, 7 * size, 7 * size), INK, radius_mm=0)
    words = "The whole page, all four codes, nothing on top of it."
    return _paragraph(pen, x, y + phone_height + 2.2 * s, width, words, 8 * s, GREY)


def _draw_table(pen: Pen, s: float, n_pairs: Mapping[tuple[str, int], int], x: float, y: float, width: float) -> None:
    """Draws how many pairs each attack and epsilon has: a row per attack, a column per epsilon."""
    if not n_pairs:
        return
    attacks, epsilons = list(dict.fromkeys(attack for attack, _ in n_pairs)), sorted({epsilon for _, epsilon in n_pairs})
    pen.text(x, y + 3.2 * s, "ON THESE PAGES", 9 * s, font="Helvetica-Bold", colour=ACCENT)
    pen.text(x, y + 7.6 * s, "pairs for each attack and ε (of 255)", 8 * s, colour=GREY)
    y += 13 * s
    shown = epsilons[:_MAX_TABLE_COLUMNS]
    columns = [x + width - (len(shown) - 1 - index) * min(11 * s, 0.62 * width / len(shown)) for index in range(len(shown))]
    for epsilon, column in zip(shown, columns, strict=True):
        pen.text(column, y, f"ε {epsilon}" if epsilon else "no ε", 8.5 * s, font="Helvetica-Bold", anchor="right")
    pen.line(x, y + 1.6 * s, x + width, y + 1.6 * s, INK, 0.2)
    for attack in attacks[:_MAX_TABLE_ROWS]:
        y += 5.6 * s
        pen.text(x, y, attack, 9 * s)
        for epsilon, column in zip(shown, columns, strict=True):
            pen.text(column, y, str(n_pairs.get((attack, epsilon), "–")), 9 * s, anchor="right")
        pen.line(x, y + 1.6 * s, x + width, y + 1.6 * s, "#d5dce0")
    left_out = max(0, len(attacks) - _MAX_TABLE_ROWS), max(0, len(epsilons) - _MAX_TABLE_COLUMNS)
    if any(left_out):
        pen.text(x, y + 5.6 * s, f"and {left_out[0]} more attacks, {left_out[1]} more ε", 8 * s, colour=GREY)
