"""Draws the printable PDF: an instruction sheet, the pages of pairs with their codes, and the calibration page."""

import io
import math
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import BinaryIO

import numpy as np
import pypdfium2
from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName, PDFStream, PDFString, PDFZCompress
from reportlab.pdfgen.canvas import Canvas

from pipeline.document.streams import binary_streams
from pipeline.images import read_png
from pipeline.images.colour_profiles import srgb_profile
from pipeline.physical.fiducials.codes import modules, tag_modules
from pipeline.physical.printing.arrangement import MM_PER_INCH, SCREEN
from pipeline.physical.printing.chart import Chart, ScaleBar, SlantedSquare
from pipeline.physical.printing.furniture import Box, Furniture, box_of, furniture
from pipeline.physical.printing.instructions import Instructions, draw_instructions, draw_scale_bar
from pipeline.physical.printing.pen import BLACK, GREY, INK, Pen, text_width_mm
from pipeline.records import Fiducial, Pair, Placement, Printout
from pipeline.store import artefacts

_CAPTION_PT, _SMALLEST_CAPTION_PT = 6.5, 5.0
_STAR_MM, _N_SPOKES = 16.0, 36
_TICK_MM, _BAR_MM, _TICKS_EVERY_MM = 2.6, 0.25, 10
_CHART_ADVICE = (
    "Print at 100 %, on one side. Lay the page flat, in even light and out of your own shadow.",
    "Photograph all of it from straight above, at 1x zoom, without flash or filter; better three times than once.",
    "Then type: inkproof calibrate PHOTO PHOTO PHOTO",
)


def build_pdf(
    printout: Printout,
    load_image: Callable[[str], np.ndarray],
    captions: Mapping[tuple[str, str], str],
    instructions: Instructions,
    chart: Chart | None = None,
) -> bytes:
    """Returns the PDF as `write_pdf` writes it."""
    file = io.BytesIO()
    write_pdf(file, printout, load_image, captions, instructions, chart)
    return file.getvalue()


@binary_streams()
def write_pdf(
    file: BinaryIO,
    printout: Printout,
    load_image: Callable[[str], np.ndarray],
    captions: Mapping[tuple[str, str], str],
    instructions: Instructions,
    chart: Chart | None = None,
) -> None:
    """Writes the PDF: the instruction sheet, `printout.n_pages` pages and a calibration page where a `chart` is given.

    The same input gives the same bytes. Images are embedded at their own pixels, losslessly and without an interpolation flag,
    each loaded when it is written; all else is vectors. Viewers are told not to scale and to print on one side
    (PDF 32000-1, 12.2), and that colours are sRGB.

    Args: `load_image` gives uint8 (H, W, 3) for a placement's path; `captions` maps (pair id, variant) to one line of text, whose
    part before the first " · " is set in bold; missing ones stay empty.
    Raises: ValueError when an image is not of the size that its placement names.
    """
    pen = _opened(printout, f"{printout.n_pages} pages to print at 100 % and to photograph")
    draw_instructions(pen, printout, instructions)
    pen.canvas.showPage()
    for page in range(1, printout.n_pages + 1):
        _draw_page(pen, printout, page, load_image, captions)
        pen.canvas.showPage()
    if chart is not None:
        _draw_chart_page(pen, chart)
    pen.write(file)


@binary_streams()
def build_chart_pdf(chart: Chart) -> bytes:
    """Returns the PDF of the calibration page alone."""
    pen, file = _opened(chart.printout, "a calibration page to print at 100 % and to photograph"), io.BytesIO()
    _draw_chart_page(pen, chart)
    pen.write(file)
    return file.getvalue()


def caption_text(pair: Pair, variant: str, true_name: str) -> str:
    """Returns the line under one image: what was done to it, its true label and its id."""
    done = "clean" if variant == "clean" else f"{pair.attack} ε {pair.epsilon_8bit}" if pair.epsilon_8bit else pair.attack
    return " · ".join(part for part in (done, true_name, pair.image_id) if part)


def page_file(folder: Path, printout: Printout, page: int) -> Path:
    """Returns the file that shows one page, in the printout's folder: the PDF, or the page's picture for a screen."""
    return folder / (screen_page_name(page) if printout.medium == SCREEN else artefacts.PDF.name)


def page_raster(file: Path, printout: Printout, page: int, dpi: int = 300) -> np.ndarray:
    """Returns one page as printed at `dpi`, or as a screen shows it, uint8 (H, W, 3), from its `page_file`."""
    if printout.medium == SCREEN:
        return read_png(file)
    dots = [p.width_mm * dpi / MM_PER_INCH / p.width_px for p in printout.placements if p.page == page]
    return render_page(file, page, dpi, sharp=all(abs(n - round(n)) < 1e-6 for n in dots))


def screen_page_name(page: int) -> str:
    """Returns the file of one page for the screen, relative to the printout's folder."""
    return artefacts.SCREEN.file(f"page-{page:03d}.png")


def screen_html(printout: Printout) -> str:
    """Returns the HTML page that shows the pages on a screen, a picture pixel on a screen pixel; it lies beside them."""
    scale = printout.dpi / MM_PER_INCH
    page = Template((files("pipeline.physical.printing") / "screen.html").read_text(encoding="utf-8"))
    return page.substitute(
        run=escape(printout.run),
        code=printout.run_code,
        n_pages=printout.n_pages,
        pages=[screen_page_name(page).rpartition("/")[2] for page in range(1, printout.n_pages + 1)],
        width=round(printout.page_width_mm * scale),
        height=round(printout.page_height_mm * scale),
    )


def render_page(pdf: bytes | Path | str, page_index: int, dpi: int = 300, *, sharp: bool = False) -> np.ndarray:
    """Returns one page as a printer's raster, uint8 (H, W, 3). Index 0 is the instruction sheet, n is page n.

    Args: `sharp` where every image pixel is a whole number of dots at `dpi`: it then covers exactly those dots. Else images are
    averaged where they shrink and smoothed where they grow to less than eight times their pixels, as pdfium does.
    """
    with pypdfium2.PdfDocument(pdf) as document:
        # pdfium rounds a page up to whole dots; without the last factor floating-point dust would add a row.
        bitmap = document[page_index].render(scale=dpi / 72 * (1 - 1e-6), rev_byteorder=True, no_smoothimage=sharp)
        return np.array(bitmap.to_numpy()[..., :3])


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


def _opened(printout: Printout, subject: str) -> Pen:
    """Returns the pen of a new document that tells viewers not to scale and to print on one side."""
    dot = 72 / printout.dpi
    size = tuple(round(side * printout.dpi / 25.4) * dot for side in (printout.page_width_mm, printout.page_height_mm))
    canvas = Canvas("", pagesize=size, invariant=1, pageCompression=1)
    canvas.setTitle(f"inkproof printout {printout.run} ({printout.run_code})")
    canvas.setAuthor("inkproof")
    canvas.setCreator("inkproof")
    canvas.setSubject(subject)
    canvas.setViewerPreference("PrintScaling", "None")
    canvas.setViewerPreference("Duplex", "Simplex")
    _name_colours(canvas)
    return Pen(canvas, printout.page_height_mm, printout.dpi)


def _name_colours(canvas: Canvas) -> None:
    """Says that the document's RGB is sRGB: an output intent (PDF 32000-1, 14.11.5), which reportlab does not write by itself."""
    profile = PDFStream(PDFDictionary({"N": 3}), srgb_profile())
    profile.filters = [PDFZCompress]
    words = {"OutputConditionIdentifier": PDFString("sRGB"), "Info": PDFString("sRGB IEC61966-2.1")}
    intent = {"Type": PDFName("OutputIntent"), "S": PDFName("GTS_PDFA1"), **words}
    document, catalog = canvas._doc, canvas._doc.Catalog
    intent["DestOutputProfile"] = document.Reference(profile, "colours")
    catalog.OutputIntents = PDFArray([PDFDictionary(intent)])
    catalog.__NoDefault__ = [*catalog.__NoDefault__, "OutputIntents"]


def _draw_chart_page(pen: Pen, chart: Chart) -> None:
    _draw_page(pen, chart.printout, 1, dict[str, np.ndarray]().__getitem__, {})
    for square in chart.squares:
        _polygon(pen, square.corners_mm)
    if chart.star_mm is not None:
        _draw_star(pen, *chart.star_mm)
    for bar in chart.bars:
        _draw_bar(pen, bar)
    header = furniture(chart.printout, 1).header
    for index, line in enumerate(_CHART_ADVICE):
        pen.text(header.x_mm + header.width_mm / 2, header.y_mm + 9.5 + 3.6 * index, line, 6.5, anchor="centre")
    pen.canvas.showPage()


def _draw_page(
    pen: Pen, printout: Printout, page: int, load_image: Callable[[str], np.ndarray], captions: Mapping[tuple[str, str], str]
) -> None:
    sheet, places = printout.of_page(page), furniture(printout, page)
    _draw_header(pen, printout, page, places.header)
    for code in sheet.fiducials:
        pen.modules(modules(code.payload), box_of(code))
        _draw_payload(pen, code, places)
    for placement in sheet.placements:
        pen.image(box_of(placement), placement.path, partial(_pixels_of, placement, load_image))
        key = placement.pair_id, placement.variant
        _draw_caption(pen, captions.get(key, ""), places.captions[key])
    _draw_aids(pen, sheet)
    if printout.medium == SCREEN:
        middle = places.scale_bar.x_mm + places.scale_bar.width_mm / 2
        pen.text(middle, places.scale_bar.y_mm + 5.3, "one picture pixel on one screen pixel", 6.5, colour=INK, anchor="centre")
    else:
        draw_scale_bar(pen, places)


def _pixels_of(placement: Placement, load_image: Callable[[str], np.ndarray]) -> np.ndarray:
    pixels, shape = load_image(placement.path), (placement.height_px, placement.width_px, 3)
    if pixels.dtype != np.uint8 or pixels.shape != shape:
        raise ValueError(f"{placement.path}: expected uint8 {shape}, got {pixels.dtype} {pixels.shape}")
    return pixels


def _draw_aids(pen: Pen, sheet: Printout) -> None:
    for tag in sheet.tags:
        pen.modules(tag_modules(tag.tag_id), box_of(tag))
    for mark in sheet.marks:
        half = mark.size_mm / 2
        pen.rectangle(Box(mark.x_mm - half, mark.y_mm - half, half, half))
        pen.rectangle(Box(mark.x_mm, mark.y_mm, half, half))
    for patch in sheet.patches:
        pen.rectangle(box_of(patch), f"#{patch.red:02x}{patch.green:02x}{patch.blue:02x}")
        if (patch.red, patch.green, patch.blue) == (255, 255, 255):
            pen.frame(box_of(patch))


def _draw_header(pen: Pen, printout: Printout, page: int, box: Box) -> None:
    baseline = box.y_mm + 2.6
    name = pen.text(box.x_mm, baseline, "inkproof", 8, font="Helvetica-Bold")
    count = f"page {page} of {printout.n_pages}"
    number = pen.text(box.x_mm + box.width_mm, baseline, count, 8, font="Helvetica-Bold", anchor="right")
    run = _shortened(f"{printout.run} · {printout.run_code}", "Helvetica", 8, box.width_mm - name - number - 6)
    pen.text(box.x_mm + name + 2.5, baseline, run, 8, colour=GREY)
    pen.line(box.x_mm, box.y_mm + box.height_mm, box.x_mm + box.width_mm, box.y_mm + box.height_mm, "#c3cbd1")


def _draw_payload(pen: Pen, code: Fiducial, places: Furniture) -> None:
    box = places.payloads[code.corner]
    leftmost = code.corner.endswith("L") == (abs(box.x_mm - code.x_mm) < 1e-6 or box.x_mm > code.x_mm)
    x, anchor = (box.x_mm, "left") if leftmost else (box.x_mm + box.width_mm, "right")
    for index, part in enumerate((code.payload[:8], code.payload[8:])):
        pen.text(x, box.y_mm + 2.0 + 2.4 * index, part, 6, font="Courier", colour=GREY, anchor=anchor)


def _draw_caption(pen: Pen, caption: str, box: Box) -> None:
    lead, _, rest = caption.partition(" · ")
    size = _CAPTION_PT
    while size > _SMALLEST_CAPTION_PT and (
        text_width_mm(lead, "Helvetica-Bold", size) + text_width_mm("  " + rest, "Helvetica", size) > box.width_mm
    ):
        size -= 0.25
    baseline = box.y_mm + 2.1
    lead = _shortened(lead, "Helvetica-Bold", size, box.width_mm)
    used = pen.text(box.x_mm, baseline, lead, size, font="Helvetica-Bold", colour=INK) + text_width_mm("  ", "Helvetica", size)
    if rest:
        pen.text(box.x_mm + used, baseline, _shortened(rest, "Helvetica", size, box.width_mm - used), size, colour=GREY)


def _shortened(text: str, font: str, size_pt: float, width_mm: float) -> str:
    """Returns the text, shortened with an ellipsis where it is wider than `width_mm`, at worst empty."""
    if text_width_mm(text, font, size_pt) <= width_mm:
        return text
    while text and text_width_mm(text + "…", font, size_pt) > width_mm:
        text = text[:-1]
    return text.rstrip(" ·") + "…" if text else ""


def _polygon(pen: Pen, corners_mm: np.ndarray) -> None:
    path = pen.canvas.beginPath()
    for index, corner in enumerate(corners_mm):
        (path.lineTo if index else path.moveTo)(*pen.points(*map(float, corner)))
    path.close()
    pen.canvas.setFillColor(BLACK)
    pen.canvas.drawPath(path, stroke=0, fill=1)


def _draw_star(pen: Pen, x_mm: float, y_mm: float) -> None:
    """Draws a Siemens star: as many black as white spokes."""
    half = math.pi / _N_SPOKES / 2
    for index in range(_N_SPOKES):
        angle = 2 * math.pi * index / _N_SPOKES
        # the arc by five points: off the circle by 1e-3 mm
        rim = [angle + share * half for share in (-1, -0.5, 0, 0.5, 1)]
        ring = [(x_mm + _STAR_MM * math.cos(a), y_mm + _STAR_MM * math.sin(a)) for a in rim]
        _polygon(pen, np.array([(x_mm, y_mm), *ring]))


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
