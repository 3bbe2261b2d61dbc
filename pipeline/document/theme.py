"""Colours, type and paragraph styles of the report; the figures take the same colours."""

import tomllib
from functools import cache
from pathlib import Path

import matplotlib
from reportlab.lib.colors import HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics

from pipeline.document.scripts import AnyScriptFont

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
    """Registers the DejaVu fonts that come with matplotlib: they have ε, σ, ×, ≥ and −, and are the same everywhere.

    Letters that they lack are taken from the system's fonts, or written out.
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name, file in FONT_FILES.items():
        pdfmetrics.registerFont(AnyScriptFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily(SANS, normal=SANS, bold=BOLD, italic=ITALIC, boldItalic=BOLD)


@cache
def styles() -> dict[str, ParagraphStyle]:
    """Returns the paragraph styles by name: the body, and those of styles.toml."""
    register_fonts()
    body = ParagraphStyle(
        "body", fontName=SANS, bulletFontName=SANS, fontSize=8.6, leading=13.2, textColor=HexColor(INK), spaceAfter=6
    )
    named = {"BOLD": BOLD, "MONO": MONO, "QUIET": HexColor(QUIET)}
    changes = tomllib.loads(Path(__file__).with_name("styles.toml").read_text(encoding="utf-8"))
    made = {name: {key: named.get(value, value) for key, value in looks.items()} for name, looks in changes.items()}
    return {"body": body} | {name: ParagraphStyle(name, parent=body, **looks) for name, looks in made.items()}
