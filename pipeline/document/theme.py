"""Colours, type and paragraph styles of the report; the figures take the same colours."""

from functools import cache
from pathlib import Path

import matplotlib
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

SANS, BOLD, ITALIC, MONO = "InkproofSans", "InkproofSans-Bold", "InkproofSans-Italic", "InkproofMono"
FONT_FILES = {SANS: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf", ITALIC: "DejaVuSans-Oblique.ttf", MONO: "DejaVuSansMono.ttf"}

INK = "#1d2733"
QUIET = "#5d6875"
RULE = "#c9d0d8"
PALE_RULE = "#eef1f4"
PALE = "#f3f5f7"
ACCENT = "#0072b2"
RIGHT = "#00795a"
WRONG = "#c4500a"
BAND = "#f6e3b4"
BAND_INK = "#5c4300"

PAGE_MARGIN_MM = 20.0


@cache
def register_fonts() -> None:
    """Registers the DejaVu fonts that come with matplotlib: they have ε, σ, ×, ≥ and −, and are the same everywhere."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name, file in FONT_FILES.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily(SANS, normal=SANS, bold=BOLD, italic=ITALIC, boldItalic=BOLD)


@cache
def styles() -> dict[str, ParagraphStyle]:
    """Returns the paragraph styles by name: title, lead, h1, h2, body, caption, small, tiny, evidence, code, tile_*."""
    register_fonts()
    body = ParagraphStyle(
        "body", fontName=SANS, bulletFontName=SANS, fontSize=8.6, leading=13.2, textColor=HexColor(INK), spaceAfter=6
    )

    def style(name: str, **changes: object) -> ParagraphStyle:
        return ParagraphStyle(name, parent=body, **changes)

    quiet = HexColor(QUIET)
    return {
        "body": body,
        "title": style("title", fontName=BOLD, fontSize=20, leading=26, spaceAfter=3),
        "subtitle": style("subtitle", textColor=quiet, fontSize=9.5, leading=14, spaceAfter=14),
        "lead": style("lead", fontSize=10, leading=16, spaceAfter=10),
        "h1": style("h1", fontName=BOLD, fontSize=14, leading=19, spaceBefore=18, spaceAfter=8, keepWithNext=1),
        "h2": style("h2", fontName=BOLD, fontSize=10, leading=14, spaceBefore=10, spaceAfter=4, keepWithNext=1),
        "caption": style("caption", fontSize=7.6, leading=11, spaceBefore=0, spaceAfter=5),
        "note": style("note", fontSize=6.8, leading=9.8, textColor=quiet, spaceBefore=3, spaceAfter=14),
        "cell": style("cell", fontSize=7.4, leading=10.2, spaceAfter=0),
        "evidence": style("evidence", fontSize=6.6, leading=9.4, textColor=quiet, spaceAfter=0),
        "statement": style("statement", leading=12.4, spaceAfter=0),
        "code": style("code", fontName=MONO, fontSize=6.9, leading=9.6, spaceAfter=0),
        "bullet": style("bullet", leftIndent=11, bulletIndent=1, spaceAfter=4),
        "tile_value": style("tile_value", fontName=BOLD, fontSize=14, leading=18, alignment=TA_CENTER, spaceAfter=0),
        "tile_label": style("tile_label", fontSize=6.8, leading=9.4, alignment=TA_CENTER, textColor=quiet, spaceAfter=0),
    }
