"""Draws the printable PDF: an instruction sheet, then the pages of pairs with their codes."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pypdfium2
from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName, PDFStream, PDFString, PDFZCompress
from reportlab.pdfgen.canvas import Canvas

from pipeline.images import read_png
from pipeline.images.colour_profiles import srgb_profile
from pipeline.physical.fiducials import modules, tag_modules
from pipeline.physical.printing.arrangement import MM_PER_INCH, SCREEN
from pipeline.physical.printing.chart import Chart
from pipeline.physical.printing.chart_drawing import draw_chart
from pipeline.physical.printing.furniture import Box, Furniture, furniture
from pipeline.physical.printing.instructions import Instructions, draw_instructions, draw_scale_bar
from pipeline.physical.printing.pen import GREY, INK, Pen, text_width_mm
from pipeline.records import Fiducial, Pair, Printout
from pipeline.store import artefacts

_CAPTION_PT, _SMALLEST_CAPTION_PT = 6.5, 5.0


def build_pdf(
    printout: Printout,
    load_image: Callable[[str], np.ndarray],
    captions: Mapping[tuple[str, str], str],
    instructions: Instructions,
    chart: Chart | None = None,
) -> bytes:
    """Returns the PDF: the instruction sheet, `printout.n_pages` pages and a calibration page where a `chart` is given.

    The same input gives the same bytes.

    Images are embedded at their own pixels, losslessly and without an interpolation flag; all else is vectors. Viewers are told
    not to scale and to print on one side (PDF 32000-1, 12.2), and that colours are sRGB.

    Args: `load_image` gives uint8 (H, W, 3) for a placement's path; `captions` maps (pair id, variant) to one line of text, whose
    part before the first " · " is set in bold; missing ones stay empty.
    Raises: ValueError when an image is not of the size that its placement names.
    """
    buffer = io.BytesIO()
    pen = _opened(buffer, printout, f"{printout.n_pages} pages to print at 100 % and to photograph")
    draw_instructions(pen, printout, instructions)
    pen.canvas.showPage()
    for page in range(1, printout.n_pages + 1):
        _draw_page(pen, printout, page, load_image, captions)
        pen.canvas.showPage()
    if chart is not None:
        _draw_chart_page(pen, chart)
    pen.canvas.save()
    return buffer.getvalue()


def build_chart_pdf(chart: Chart) -> bytes:
    """Returns the PDF of the calibration page alone."""
    buffer = io.BytesIO()
    pen = _opened(buffer, chart.printout, "a calibration page to print at 100 % and to photograph")
    _draw_chart_page(pen, chart)
    pen.canvas.save()
    return buffer.getvalue()


def caption_text(pair: Pair, variant: str, true_name: str) -> str:
    """Returns the line under one image: what was done to it, its true label and its id."""
    done = "clean" if variant == "clean" else f"{pair.attack} ε {pair.epsilon_8bit}" if pair.epsilon_8bit else pair.attack
    return " · ".join(part for part in (done, true_name, pair.image_id) if part)


def page_raster(folder: Path, printout: Printout, page: int, dpi: int = 300) -> np.ndarray:
    """Returns one page as it is printed, or shown on the screen pixel by pixel, uint8 (H, W, 3).

    Args: `folder` of the printout's files; `dpi` of a printed page, of no meaning for a screen.
    """
    if printout.medium == SCREEN:
        return read_png(folder / screen_page_name(page))
    dots = [p.width_mm * dpi / MM_PER_INCH / p.width_px for p in printout.placements if p.page == page]
    return render_page(folder / artefacts.PDF.name, page, dpi, sharp=all(abs(n - round(n)) < 1e-6 for n in dots))


def screen_page_name(page: int) -> str:
    """Returns the file of one page for the screen, relative to the printout's folder."""
    return artefacts.SCREEN.file(f"page-{page:03d}.png")


def render_page(pdf: bytes | Path | str, page_index: int, dpi: int = 300, *, sharp: bool = False) -> np.ndarray:
    """Returns one page as a printer's raster, uint8 (H, W, 3). Index 0 is the instruction sheet, n is page n.

    Args: `sharp` where every image pixel is a whole number of dots at `dpi`: it then covers exactly those dots. Else images are
    averaged where they shrink and smoothed where they grow to less than eight times their pixels, as pdfium does.
    """
    with pypdfium2.PdfDocument(pdf) as document:
        # pdfium rounds a page up to whole dots; without the last factor floating-point dust would add a row.
        bitmap = document[page_index].render(scale=dpi / 72 * (1 - 1e-6), rev_byteorder=True, no_smoothimage=sharp)
        return np.array(bitmap.to_numpy()[..., :3])


def _opened(buffer: io.BytesIO, printout: Printout, subject: str) -> Pen:
    """Returns the pen of a new document that tells viewers not to scale and to print on one side."""
    dot = 72 / printout.dpi
    size = tuple(round(side * printout.dpi / 25.4) * dot for side in (printout.page_width_mm, printout.page_height_mm))
    canvas = Canvas(buffer, pagesize=size, invariant=1, pageCompression=1)
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
    _draw_page(pen, chart.printout, 1, _no_image, {})
    draw_chart(pen, chart)
    pen.canvas.showPage()


def _no_image(path: str) -> np.ndarray:
    raise ValueError(f"expected no image on a calibration page, got {path!r}")


def _draw_page(
    pen: Pen, printout: Printout, page: int, load_image: Callable[[str], np.ndarray], captions: Mapping[tuple[str, str], str]
) -> None:
    places = furniture(printout, page)
    _draw_header(pen, printout, page, places.header)
    for code in printout.fiducials:
        if code.page == page:
            pen.modules(modules(code.payload), Box(code.x_mm, code.y_mm, code.size_mm, code.size_mm))
            _draw_payload(pen, code, places)
    for placement in printout.placements:
        if placement.page == page:
            pixels, shape = load_image(placement.path), (placement.height_px, placement.width_px, 3)
            if pixels.dtype != np.uint8 or pixels.shape != shape:
                raise ValueError(f"{placement.path}: expected uint8 {shape}, got {pixels.dtype} {pixels.shape}")
            pen.image(Box(placement.x_mm, placement.y_mm, placement.width_mm, placement.height_mm), pixels)
            key = placement.pair_id, placement.variant
            _draw_caption(pen, captions.get(key, ""), places.captions[key])
    _draw_aids(pen, printout, page)
    if printout.medium == SCREEN:
        middle = places.scale_bar.x_mm + places.scale_bar.width_mm / 2
        pen.text(middle, places.scale_bar.y_mm + 5.3, "one picture pixel on one screen pixel", 6.5, colour=INK, anchor="centre")
    else:
        draw_scale_bar(pen, places.scale_bar, places.scale_bar_mm)


def _draw_aids(pen: Pen, printout: Printout, page: int) -> None:
    for tag in printout.tags:
        if tag.page == page:
            pen.modules(tag_modules(tag.tag_id), Box(tag.x_mm, tag.y_mm, tag.size_mm, tag.size_mm))
    for mark in printout.marks:
        if mark.page == page:
            half = mark.size_mm / 2
            pen.rectangle(Box(mark.x_mm - half, mark.y_mm - half, half, half))
            pen.rectangle(Box(mark.x_mm, mark.y_mm, half, half))
    for patch in printout.patches:
        if patch.page == page:
            box = Box(patch.x_mm, patch.y_mm, patch.width_mm, patch.height_mm)
            pen.rectangle(box, f"#{patch.red:02x}{patch.green:02x}{patch.blue:02x}")
            if (patch.red, patch.green, patch.blue) == (255, 255, 255):
                pen.frame(box)


def _draw_header(pen: Pen, printout: Printout, page: int, box: Box) -> None:
    baseline = box.y_mm + 2.6
    name = pen.text(box.x_mm, baseline, "inkproof", 8, font="Helvetica-Bold")
    count = f"page {page} of {printout.n_pages}"
    number = pen.text(box.x_mm + box.width_mm, baseline, count, 8, font="Helvetica-Bold", anchor="right")
    room = box.width_mm - name - number - 6
    run = fitted(f"{printout.run} · {printout.run_code}", "Helvetica", 8, room, smallest_pt=8)[0]
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
    lead, _ = fitted(lead, "Helvetica-Bold", size, box.width_mm, smallest_pt=size)
    used = pen.text(box.x_mm, baseline, lead, size, font="Helvetica-Bold", colour=INK) + text_width_mm("  ", "Helvetica", size)
    if rest:
        rest, _ = fitted(rest, "Helvetica", size, box.width_mm - used, smallest_pt=size)
        pen.text(box.x_mm + used, baseline, rest, size, colour=GREY)


def fitted(text: str, font: str, size_pt: float, width_mm: float, smallest_pt: float) -> tuple[str, float]:
    """Returns the text and size that fit into `width_mm`: smaller first, then shortened with an ellipsis, at worst empty."""
    while size_pt > smallest_pt and text_width_mm(text, font, size_pt) > width_mm:
        size_pt -= 0.25
    if text_width_mm(text, font, size_pt) <= width_mm:
        return text, size_pt
    while text and text_width_mm(text + "…", font, size_pt) > width_mm:
        text = text[:-1]
    return (text.rstrip(" ·") + "…" if text else ""), size_pt
