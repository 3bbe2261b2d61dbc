"""The printable pages: where everything goes, and the PDF that puts it there."""

from pipeline.printing.arrangement import DEFAULT_MODULE_MM, ORIENTATIONS, PAPERS, PrintPair, arrange, grid_dpi
from pipeline.printing.document import build_pdf, caption_text, page_raster, render_page, screen_page_name
from pipeline.printing.furniture import furniture
from pipeline.printing.instructions import Cell, Instructions
from pipeline.printing.screen import screen_html

__all__ = [
    "DEFAULT_MODULE_MM",
    "ORIENTATIONS",
    "PAPERS",
    "Cell",
    "Instructions",
    "PrintPair",
    "arrange",
    "build_pdf",
    "caption_text",
    "furniture",
    "grid_dpi",
    "page_raster",
    "render_page",
    "screen_html",
    "screen_page_name",
]
