"""Draws what only the calibration page has, on paper; and, for a twin of it that is never printed, straight into a raster."""

import math

import numpy as np

from pipeline.physical.printing.arrangement import MM_PER_INCH
from pipeline.physical.printing.chart import Chart, ScaleBar, SlantedSquare, Star
from pipeline.physical.printing.furniture import Box, furniture
from pipeline.physical.printing.pen import BLACK, GREY, INK, Pen

_TICK_MM, _BAR_MM, _TICKS_EVERY_MM = 2.6, 0.25, 10
_ADVICE = (
    "Print at 100 %, on one side. Lay the page flat, in even light and out of your own shadow.",
    "Photograph all of it from straight above, at 1x zoom, without flash or filter; better three times than once.",
    "Then type: inkproof calibrate PHOTO PHOTO PHOTO",
)


def draw_chart(pen: Pen, chart: Chart) -> None:
    """Draws the squares, the star, the bars and the advice; codes, tags, marks and patches are the printout's."""
    for square in chart.squares:
        _polygon(pen, square.corners_mm)
    if chart.star is not None:
        _draw_star(pen, chart.star)
    for bar in chart.bars:
        _draw_bar(pen, bar)
    header = furniture(chart.printout, 1).header
    for index, line in enumerate(_ADVICE):
        pen.text(header.x_mm + header.width_mm / 2, header.y_mm + 9.5 + 3.6 * index, line, 6.5, colour=INK, anchor="centre")


def chart_raster(chart: Chart, dpi: int) -> np.ndarray:
    """Returns the patches and slanted squares alone as a printer's raster, uint8 (H, W, 3), white elsewhere.

    Patches have their edges on whole dots, the sides of squares are smoothed as a PDF's are: each dot by the share covered.
    """
    scale = dpi / MM_PER_INCH
    width, height = (round(side * scale) for side in (chart.printout.page_width_mm, chart.printout.page_height_mm))
    raster = np.full((height, width, 3), 255, np.uint8)
    for p in chart.printout.patches:
        left, top, right, bottom = (round(v * scale) for v in (p.x_mm, p.y_mm, p.x_mm + p.width_mm, p.y_mm + p.height_mm))
        raster[top:bottom, left:right] = p.red, p.green, p.blue
    for square in chart.squares:
        _lay_square(raster, square, scale)
    return raster


def _polygon(pen: Pen, corners_mm: np.ndarray) -> None:
    path = pen.canvas.beginPath()
    for index, corner in enumerate(corners_mm):
        (path.lineTo if index else path.moveTo)(*pen.points(*map(float, corner)))
    path.close()
    pen.canvas.setFillColor(BLACK)
    pen.canvas.drawPath(path, stroke=0, fill=1)


def _draw_star(pen: Pen, star: Star) -> None:
    half = math.pi / star.n_spokes / 2
    for index in range(star.n_spokes):
        angle = 2 * math.pi * index / star.n_spokes
        # the arc by five points: off the circle by 1e-3 mm
        rim = [angle + share * half for share in (-1, -0.5, 0, 0.5, 1)]
        ring = [(star.x_mm + star.radius_mm * math.cos(a), star.y_mm + star.radius_mm * math.sin(a)) for a in rim]
        _polygon(pen, np.array([(star.x_mm, star.y_mm), *ring]))


def _draw_bar(pen: Pen, bar: ScaleBar) -> None:
    length, n_ticks = bar.length_mm, round(bar.length_mm) // _TICKS_EVERY_MM
    line = (_BAR_MM, length) if bar.is_vertical else (length, _BAR_MM)
    pen.rectangle(Box(bar.x_mm, bar.y_mm, *line))
    for index in range(n_ticks + 1):
        along = index * _TICKS_EVERY_MM - (_BAR_MM if index == n_ticks else 0)
        reach = _TICK_MM if index in (0, n_ticks // 2, n_ticks) else _TICK_MM / 2
        across = Box(bar.x_mm + along, bar.y_mm - reach + _BAR_MM, _BAR_MM, reach)
        pen.rectangle(Box(bar.x_mm, bar.y_mm + along, reach, _BAR_MM) if bar.is_vertical else across)
    words = f"{length:.0f} mm {'down' if bar.is_vertical else 'across'}"
    if not bar.is_vertical:
        pen.text(bar.x_mm + length / 2, bar.y_mm + 3.4, words, 6.5, colour=GREY, anchor="centre")
        return
    pen.canvas.saveState()
    x, y = pen.points(bar.x_mm - 1.4, bar.y_mm + length / 2)
    pen.canvas.translate(x, y)
    pen.canvas.rotate(90)
    pen.canvas.setFillColor(GREY)
    pen.canvas.setFont("Helvetica", 6.5)
    pen.canvas.drawCentredString(0, 0, words)
    pen.canvas.restoreState()


def _lay_square(raster: np.ndarray, square: SlantedSquare, scale: float) -> None:
    reach = square.side_mm * 0.75
    left, top = (max(0, int((v - reach) * scale)) for v in (square.x_mm, square.y_mm))
    right, bottom = (int((v + reach) * scale) + 1 for v in (square.x_mm, square.y_mm))
    part = raster[top:bottom, left:right]
    y, x = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]] + 0.5
    angle = math.radians(square.angle_deg)
    dx, dy = x - square.x_mm * scale, y - square.y_mm * scale
    across = np.abs(dx * math.cos(angle) + dy * math.sin(angle))
    down = np.abs(dy * math.cos(angle) - dx * math.sin(angle))
    half = square.side_mm * scale / 2
    covered = np.clip(half - across + 0.5, 0, 1) * np.clip(half - down + 0.5, 0, 1)
    part[:] = np.rint(part * (1 - covered[..., None]))
