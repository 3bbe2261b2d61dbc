"""The PDF document: figures as lines and type, fonts, contents, and the tables as files."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pypdfium2
import pytest
from made_up_run import make_content, pages, pdf_of
from matplotlib.figure import Figure
from matplotlib.patches import Circle, PathPatch, Rectangle
from matplotlib.path import Path
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from pipeline.document import figures
from pipeline.document.blocks import Code, Figure as Block, Prose, Section, Subheading, TableBlock, TextTable
from pipeline.document.pages import MIXED_BAND, SIMULATED_BAND
from pipeline.document.table_files import latex, table_files
from pipeline.document.tables import Cell, Column, Table
from pipeline.document.vector import draw_figure
from pipeline.records import Transfer
from pipeline.report import rate_figures
from pipeline.report.sections import band, sections


@pytest.fixture(scope="module")
def content():
    return make_content(epsilons=(16,), grids={"jpeg": (10, 50, 90), "blur": (1, 2)}, n_gallery=2)


@pytest.fixture(scope="module")
def said(content):
    return sections(content)


@pytest.fixture(scope="module")
def pdf(content, said):
    return pdf_of(content, said)


@figures.styled
def everything():
    """Pictures, hatches, see-through bars on a logarithmic axis, clipped points, dashes, turned text and a formula."""
    figure = Figure(figsize=(figures.WIDTH_IN, 2.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    grid = np.random.default_rng(0).random((8, 8))
    grid[0, 0] = 3
    left.imshow(grid, cmap="viridis")
    middle.bar([1, 2, 3], [3, 5, 2], hatch="//", color="#0072b2", edgecolor="white", alpha=0.6)
    middle.bar([4], [4], hatch="..", facecolor="none", edgecolor="black")
    middle.set_yscale("log")
    right.scatter(*np.random.default_rng(1).random((2, 30)), s=40, alpha=0.5)
    right.set_xlim(0.3, 0.9)
    right.plot([0, 1], [0, 1], "--", color="#d55e00")
    right.text(0.5, 0.5, "turned", rotation=40)
    right.set_title(r"$\sum_k x_k^2$")
    return figure


FIGURES = {
    "every kind of artist": everything,
    "curves": lambda: rate_figures.transform_curves(make_content().rates, "average", 16),
    "photographs": lambda: rate_figures.photo_rates(make_content().rates, make_content().study.rates),
}

ARTISTS = ("picture", "see-through mesh", "uneven mesh", "hatch", "dashes", "see-through", "clipped", "curved")


def drawn(figure):
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=tuple(72 * figure.get_size_inches()), invariant=1)
    draw_figure(figure, canvas)
    canvas.save()
    return buffer.getvalue()


def coarse(picture):
    """Greys an eighth as large: lines that lie half a pixel apart are the same."""
    small = picture.convert("RGB").resize((picture.width // 8, picture.height // 8), Image.Resampling.BOX)
    return np.asarray(small, float)


class TestVectorFigures:
    @pytest.mark.parametrize("build", FIGURES.values(), ids=FIGURES)
    def test_a_figure_looks_as_matplotlib_draws_it(self, build):
        figure = build()
        page = coarse(pypdfium2.PdfDocument(drawn(figure))[0].render(scale=figures.DPI / 72).to_pil())
        png = coarse(Image.open(io.BytesIO(figures.png(figure))))
        rows, columns = np.minimum(page.shape, png.shape)[:2]
        page, png = page[:rows, :columns], png[:rows, :columns]
        assert np.abs(page - png).mean() < 3.5
        assert np.abs(page[::-1] - png).mean() > 10

    @pytest.mark.parametrize("kind", ARTISTS)
    def test_each_kind_of_artist_lies_where_matplotlib_draws_it(self, kind):
        figure = Figure(figsize=(2, 2))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        if kind == "picture":
            axes.imshow(np.arange(16).reshape(4, 4), extent=(0, 1, 0, 1), interpolation="nearest")
        elif "mesh" in kind:
            edges = np.array([0, 0.25, 0.5, 1]) if kind == "uneven mesh" else np.linspace(0, 1, 4)
            axes.pcolormesh(edges, np.linspace(0, 1, 5), np.arange(12).reshape(4, 3), alpha=0.5 if "see" in kind else None)
        elif kind == "clipped":
            axes.add_patch(Rectangle((0, 0), 1, 1, color="k", clip_path=Circle((0.3, 0.3), 0.2, transform=axes.transData)))
        elif kind == "dashes":
            axes.plot([0.1, 0.9], [0.1, 0.9], "--", linewidth=20, color="k")
        elif kind == "curved":
            axes.add_patch(PathPatch(Path([(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.1)], [1, 3, 3, 79])))
        else:
            look = {"hatch": {"hatch": "x", "facecolor": "none"}, "see-through": {"facecolor": "k", "alpha": 0.3}}[kind]
            axes.add_patch(Rectangle((0.2, 0.1), 0.6, 0.7, **look))
        page = coarse(pypdfium2.PdfDocument(drawn(figure))[0].render(scale=figures.DPI / 72).to_pil())
        assert np.abs(page - coarse(Image.open(io.BytesIO(figures.png(figure))))).mean() < 1.8

    def test_its_text_is_text_and_its_pictures_are_one_object_each(self):
        made = drawn(everything())
        text = pypdfium2.PdfDocument(made)[0].get_textpage().get_text_range()
        assert "turned" in text and "∑" in text
        assert made.count(b"/Subtype /Image") == 1

    def test_drawing_leaves_the_figure_its_canvas_and_resolution(self):
        figure = everything()
        before = figure.canvas, figure.dpi
        drawn(figure)
        assert (figure.canvas, figure.dpi) == before

    def test_a_bar_that_reaches_far_below_the_page_costs_no_more(self):
        assert len(drawn(everything())) < 200_000


class TestDocument:
    def test_every_font_is_an_embedded_truetype_subset(self, pdf):
        names = set(re.findall(rb"/BaseFont\s*/(\S+)", pdf))
        assert len(names) >= 4 and all(re.match(rb"[A-Z]{6}\+DejaVu", name) for name in names)
        assert pdf.count(b"/FontFile2") == len(names) and b"/Type3" not in pdf

    def test_the_contents_name_the_page_of_every_section(self, pdf, said):
        found = pages(pdf)
        titles = [f"{place} {section.title}" for place, section in enumerate(said, 1)]
        lines = " ".join(found[1].split())
        for place, title in enumerate(titles):
            number = int(re.search(rf"{re.escape(title)} (\d+)", lines)[1])
            assert place == 0 or title in " ".join(found[number - 1].split())
        outline = {entry.get_title(): entry.get_dest().get_index() + 1 for entry in pypdfium2.PdfDocument(pdf).get_toc()}
        for title in titles[1:]:
            page = next(page for name, page in outline.items() if " ".join(name.split()) == title)
            assert f"{title} {page}" in lines

    def test_the_contents_are_links(self, pdf, said):
        assert pdf.count(b"/Subtype /Link") >= len(said)

    @pytest.mark.skipif(not shutil.which("pdftotext"), reason="poppler's pdftotext is not installed")
    def test_another_reader_finds_the_same_pages_and_text(self, pdf, tmp_path):
        (tmp_path / "report.pdf").write_bytes(pdf)
        done = subprocess.run(["pdftotext", "-layout", tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True)
        assert not done.stderr
        assert done.stdout.count("\f") == len(pages(pdf))
        for words in ("Contents", "destruction rate", "Table 3.", "Figure 1.", "least-likely class"):
            assert words in done.stdout

    @pytest.mark.parametrize("n_bullets", [5, 50])
    def test_the_front_page_is_one_page_however_much_it_has_to_say(self, content, n_bullets):
        said = tuple(Prose(f"Word {number} of the front page.", "bullet") for number in range(n_bullets))
        made = pages(pdf_of(content, [Section("summary", "Summary", said)]))
        assert all(f"Word {number} of" in made[0] for number in range(n_bullets)) and "Contents" in made[1]

    @pytest.mark.parametrize("kind", ["table", "figure", "code"])
    def test_a_heading_stands_on_the_page_of_what_it_heads(self, content, kind):
        table = Table("9", "Nine", (Column("n"),), ((Cell("1"),),) * 12)
        figure = Figure(figsize=(4, 3))
        figure.text(0.5, 0.5, "Nine")
        blocks = {"table": TableBlock("t", table), "figure": Block("f", figure, "One."), "code": Code("Nine = 9\n\n" * 90)}
        for n_before in range(12, 40, 3):
            said = (*(Prose("Words."),) * n_before, Subheading("Heading"), blocks[kind])
            made = pages(pdf_of(content, [Section("summary", "Summary", said)]))
            (page,) = (page for page in made if re.search(r"^Heading\r?$", page, re.M) and "Contents" not in page)
            assert "Nine" in page

    def test_the_band_says_mixed_where_imported_answers_are_about_real_prints(self, content):
        real = Transfer(
            **{
                **dict.fromkeys(Transfer.__dataclass_fields__, 0),
                "case": "average",
                "attack": "fgsm",
                "transform": "photo",
                "origin": "camera",
                "judge": "other",
            }
        )
        assert band(content) == SIMULATED_BAND
        assert band(replace(content, transfer=(replace(real, origin="simulated"),))) == SIMULATED_BAND
        assert band(replace(content, transfer=(real,))).startswith(MIXED_BAND)
        assert band(make_content(simulated=False)) == ""


NASTY = r"""a\b & 50 % of $x_1^2$ #3 {~} <i> | "q" 'q' `q` -- ,, [x] *y* ε≥σ – é 中"""


def nasty_sections():
    columns = (
        Column("Method", is_number=False, is_stub=True),
        Column("n & m", "of_all"),
        Column("rate", "of_all"),
    )
    rows = ((Cell("fast"), Cell("3"), Cell("−1.5", "1/2 · 9–91")), (Cell(""), Cell("4"), Cell(NASTY)))
    table = Table("1", "What, if 100 %", columns, rows, NASTY, frozenset({1}))
    return [
        Section(
            "s",
            "S",
            (
                TableBlock("table-1", table, "Simulated."),
                TextTable("discards", ("Photo", "Why"), (("a,b\n.jpg", NASTY),), (0.5, 0.5)),
            ),
        )
    ]


class TestTableFiles:
    def test_csv_holds_the_plain_text_with_a_column_for_the_notes(self):
        files = dict(table_files(nasty_sections()))
        rows = list(csv.reader(io.StringIO(files["table-1.csv"].decode())))
        assert rows == [
            ["Method", "of_all n & m", "of_all rate", "of_all rate (note)"],
            ["fast", "3", "-1.5", "1/2 · 9–91"],
            ["fast", "4", NASTY, ""],
        ]
        rows = list(csv.reader(io.StringIO(files["discards.csv"].decode())))
        assert rows == [["Photo", "Why"], ["a,b\n.jpg", NASTY]]

    def test_latex_leaves_no_character_that_means_something_to_it(self):
        escaped = latex(NASTY)
        for harmless in (r"\\textbackslash\{\}", r"\\[&%$#_{}]", r"\\[a-z]+\{\}", r"\$\\[a-z]+\$", r"\{\[\}", r"\{\*\}", "-{}"):
            escaped = re.sub(harmless.replace("-{}", r"-\{\}").replace(",{}", r",\{\}"), "", escaped)
        escaped = escaped.replace(r"{\ttfamily\char34}", "").replace(",{}", ",")
        assert not set(escaped) & set("\\&%$#_{}~^<>|\"'`[*"), escaped
        assert "U+4E2D" in escaped and "é" in escaped

    @pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX on this machine; the test above checks the escaping")
    def test_latex_sets_every_table(self, said, tmp_path):
        names = []
        for name, text in (*table_files(said), *((f"nasty-{name}", text) for name, text in table_files(nasty_sections()))):
            (tmp_path / name).write_bytes(text)
            names += [name] if name.endswith(".tex") else []
        body = "\n".join(f"\\input{{{name}}}\\clearpage" for name in names)
        (tmp_path / "all.txt").write_text(
            f"\\documentclass{{article}}\\usepackage{{booktabs,graphicx}}\\begin{{document}}\n{body}\n\\end{{document}}"
        )
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.txt"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-2000:]
        assert len(pypdfium2.PdfDocument(tmp_path / "all.pdf")) == len(names)

    def test_every_table_of_a_report_has_a_name_of_its_own(self, said):
        names = [name for name, _ in table_files(said)]
        assert len(names) == len(set(names)) and {"table-1-simulated.csv", "table-3-simulated.tex", "versions.csv"} <= set(names)
