"""Writes a document: as PDF and HTML, and its figures and tables as files of their own."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.document import figures
from pipeline.document.blocks import Figure, Head, Section
from pipeline.document.html import build_page
from pipeline.document.pdf import build_pdf
from pipeline.document.table_files import table_files
from pipeline.engine import Context
from pipeline.store import replace_folder, write_bytes
from pipeline.store.artefacts import FIGURES, REPORT_HTML, REPORT_PDF, TABLES

FIGURE_KINDS = (("png", figures.png), ("svg", figures.svg))


def write_document(top: Head, said: Sequence[Section], folder: Path, context: Context) -> list[str]:
    """Writes `report.pdf`, `report.html`, `figures/` and `tables/` into a folder and returns their names."""
    documents = {REPORT_PDF.name: build_pdf, REPORT_HTML.name: build_page}
    for name, build in context.progress(documents.items(), len(documents), "documents"):
        write_bytes(folder / name, build(top, said))
    drawn = [block for section in said for block in section.blocks if isinstance(block, Figure)]
    written = []
    for figure in context.progress(drawn, len(drawn), "figures"):
        for ending, made in FIGURE_KINDS:
            written.append(FIGURES.file(f"{figure.name}.{ending}"))
            write_bytes(folder / written[-1], made(figure.plot))
    for name, table in table_files(said):
        written.append(TABLES.file(name))
        write_bytes(folder / written[-1], table)
    for kind in (FIGURES.name, TABLES.name):
        replace_folder(folder / kind, {name.removeprefix(f"{kind}/") for name in written})
    return [*documents, *written]
