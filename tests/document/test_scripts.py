"""Text of any script: each letter by a font that has it, from left to right as it is drawn, the rest written out."""

import io
import warnings

import pypdfium2
import pytest
from matplotlib.figure import Figure
from reportlab.pdfgen.canvas import Canvas

from pipeline.document import figures, theme
from pipeline.document.scripts import AnyScriptFont, drawable, fallback_font
from pipeline.document.vector import draw_figure
from pipeline.physical.printing.pen import font_for, text_width_mm

RUNE, HIEROGLYPH = "\u16a0", "\U00013000"


def pdf_of(text: str, font: str = theme.SANS) -> bytes:
    theme.register_fonts()
    canvas = Canvas(buffer := io.BytesIO(), pagesize=(400, 50), invariant=1)
    canvas.setFont(font, 12)
    canvas.drawString(20, 20, text)
    canvas.save()
    return buffer.getvalue()


def said(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return document[0].get_textpage().get_text_bounded()


def raster(pdf: bytes):
    with pypdfium2.PdfDocument(pdf) as document:
        return document[0].render(scale=2).to_numpy().copy()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("stop", "stop"), ("Za\u017c\u00f3\u0142\u0107", "Za\u017c\u00f3\u0142\u0107"), ("cafe\u0301", "caf\u00e9"),
        ("a\nb\u00e9", "a\nb\u00e9"),
        (HIEROGLYPH, "U+13000 EGYPTIAN HIEROGLYPH A001"), (f"x {HIEROGLYPH}", "x (U+13000 EGYPTIAN HIEROGLYPH A001)"),
        (f"{HIEROGLYPH}{HIEROGLYPH}", "U+13000 U+13000"), ("\U0001f600\ufe0f", "\U0001f600"),
        ("\U0001f600\U0001f3fd", "\U0001f600"),
    ],
)  # fmt: skip
def test_what_no_font_has_is_written_out(text: str, shown: str) -> None:
    if HIEROGLYPH in text and fallback_font(HIEROGLYPH):
        pytest.skip("this machine has a font of hieroglyphs")
    assert drawable(text) == shown


def test_arabic_is_joined_and_runs_from_right_to_left() -> None:
    assert set(said(pdf_of("\u0643\u0644\u0628"))) == set("\u0643\u0644\u0628")
    joined, reversed_ = raster(pdf_of("\u0643\u0644\u0628")), raster(pdf_of("\ufe91\ufee0\ufedb"))
    assert (joined < 255).any() and not (joined == reversed_).all()
    assert (joined == raster(pdf_of("\u202d\ufe90\ufee0\ufedb"))).all(), "b final, l medial, k initial, from left to right"


def test_a_text_is_as_wide_as_its_letters_in_their_fonts() -> None:
    theme.register_fonts()
    dog = "\u0643\u0644\u0628"
    assert text_width_mm(dog, "Helvetica", 10) == pytest.approx(text_width_mm("\ufe90\ufee0\ufedb", "Helvetica", 10))
    assert text_width_mm("a" + dog, "Helvetica", 10) > text_width_mm(dog, "Helvetica", 10)


def test_fonts_that_every_reader_has_stay_where_they_have_all_letters() -> None:
    assert [font_for(text, "Helvetica") for text in ("dog", "fgsm \u03b5 16", "\u00e9", "\u2212")] == ["Helvetica"] * 4
    assert font_for("\u0142", "Helvetica") == theme.SANS and font_for("\u0643", "Helvetica-Bold") == theme.BOLD


def test_plain_text_gives_the_bytes_that_the_font_alone_gives() -> None:
    own = AnyScriptFont.splitString
    plain = pdf_of("dog \u03b5 \u2265 \u2212 \u00e9")
    AnyScriptFont.splitString = AnyScriptFont.__mro__[1].splitString
    try:
        assert pdf_of("dog \u03b5 \u2265 \u2212 \u00e9") == plain
    finally:
        AnyScriptFont.splitString = own


def test_figures_write_out_too_and_warn_of_nothing(recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture) -> None:
    @figures.styled
    def plot() -> Figure:
        figure = Figure(figsize=(6, 2))
        panel = figure.subplots()
        panel.bar([0, 1], [1, 2], label=f"{HIEROGLYPH} one")
        panel.set_xticks([0, 1], [HIEROGLYPH, "\u0643\u0644\u0628"])
        panel.set_title("\u4e2d\u6587 \U0001f600", weight="bold")
        panel.legend()
        return figure

    if fallback_font(HIEROGLYPH):
        pytest.skip("this machine has a font of hieroglyphs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot()
        figures.png(figure)
        svg = figures.svg(figure).decode()
        canvas = Canvas(buffer := io.BytesIO(), pagesize=(432, 144), invariant=1)
        draw_figure(figure, canvas)
        canvas.save()
    assert "(U+13000 EGYPTIAN HIEROGLYPH A001) one" in svg and HIEROGLYPH not in svg
    assert "U+13000" in said(buffer.getvalue()) and not caplog.records


@pytest.mark.parametrize("letter", ["\u4e2d", "\u3042", "\ud55c", "\U0001f431"])
def test_letters_of_the_systems_fonts_are_embedded(letter: str) -> None:
    font = fallback_font(letter)
    if font is None:
        pytest.skip("this machine has no font for it: apt-get install fonts-noto-cjk fonts-symbola")
    pdf = pdf_of(f"a{letter}b")
    assert "a" in said(pdf) and letter in said(pdf) and font.face.name.removesuffix(b"-Fallback") in pdf and b"/FontFile2" in pdf
    assert (raster(pdf) != raster(pdf_of("ab"))).any() and len(pdf) < 60_000
    assert pdf == pdf_of(f"a{letter}b")
