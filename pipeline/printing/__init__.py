"""The printable pages: where everything goes, and the PDF that puts it there."""

from pipeline.printing.arrangement import DEFAULT_MODULE_MM, ORIENTATIONS, PAPERS, PrintPair, arrange, furniture, grid_dpi
from pipeline.printing.document import build_pdf, caption_text, render_page
from pipeline.printing.instructions import Cell, Instructions

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
    "render_page",
]
