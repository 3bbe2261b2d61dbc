"""Every table of a report as files to paste elsewhere: CSV for a spreadsheet, LaTeX with booktabs for a paper."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from pipeline.core.csv_cells import csv_text
from pipeline.document.blocks import Section, TableBlock, TextTable
from pipeline.document.tables import Cell, Column, group_spans

_LATEX: dict[str, str] = tomllib.loads(files(__package__).joinpath("latex.toml").read_text(encoding="utf-8"))
# Grave, acute, circumflex, tilde, macron, breve, dot, diaeresis, ring, double acute, caron, cedilla.
_ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"


def table_files(sections: Iterable[Section]) -> Iterator[tuple[str, bytes]]:
    """Yields each table's files as (name, content) in UTF-8; LaTeX reads them with the packages booktabs and graphicx."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, TableBlock):
                yield f"{block.name}.csv", _csv(block.table.columns, block.table.rows)
                yield f"{block.name}.tex", _tex(block).encode()
            elif isinstance(block, TextTable):
                columns = [Column(header, is_number=False) for header in block.header or ("",) * len(block.widths)]
                yield f"{block.name}.csv", _csv(columns, [[Cell(text) for text in row] for row in block.rows])
                head = [_row(map(latex, block.header)), "\\midrule"] if block.header else []
                widths = "".join(f"p{{{0.86 * share:.3f}\\linewidth}}" for share in block.widths)
                text = _float(block.name, "", widths, [*head, *(_row(map(latex, row)) for row in block.rows)], "")
                yield f"{block.name}.tex", text.encode()


def latex(text: str) -> str:
    """Returns plain text as pdfLaTeX can set it; a letter that its fonts lack stands as its code point, [U+4E2D]."""
    set_ = "".join(_LATEX.get(char) or (char if _is_set(char) else f"{{[}}U+{ord(char):04X}]") for char in text)
    return re.sub(r"([-,])(?=\1)", r"\1{}", set_)  # two of a kind would become a dash, or a quotation mark


def _is_set(char: str) -> bool:
    """LaTeX reads ASCII as it is, and Latin letters with the accents of its oldest fonts."""
    if " " <= char < "\x7f" or char in "ßæøœÆØŒ":
        return True
    letter, *accents = list(unicodedata.normalize("NFD", char))
    return letter.isascii() and letter.isalpha() and len(accents) == 1 and accents[0] in _ACCENTS and char < "\u0180"


def _csv(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> bytes:
    """A header of group and column, a column of its own for notes where there are any, a row's method in every row."""
    has_note = [any(row[i].note for row in rows) for i in range(len(columns))]
    header = [_plain(f"{column.group} {column.header}").strip() for column in columns]
    lines = []
    if any(header):
        lines.append([text for i, name in enumerate(header) for text in ([name, f"{name} (note)"] if has_note[i] else [name])])
    above = [""] * len(columns)
    for row in rows:
        # A stub is left empty where it is the same as above.
        texts = [above[i] if columns[i].is_stub and not cell.text else _plain(cell.text) for i, cell in enumerate(row)]
        above = texts
        written = ([text, _plain(cell.note)] if noted else [text] for text, cell, noted in zip(texts, row, has_note, strict=True))
        lines.append([text for texts in written for text in texts])
    return csv_text(lines).encode()


def _plain(text: str) -> str:
    """Text that a program reads: the minus and the space that keep type together are those of a keyboard."""
    return text.replace("−", "-").replace("\u00a0", " ")


def _tex(block: TableBlock) -> str:
    table = block.table
    rows = []
    if any(column.group for column in table.columns):
        spans = group_spans(table.columns)
        rows.append(_row(f"\\multicolumn{{{stop - start}}}{{c}}{{{latex(group)}}}" for start, stop, group in spans))
        rows += [f"\\cmidrule(lr){{{start + 1}-{stop}}}" for start, stop, group in spans if group]
    rows += [_row(latex(column.header) for column in table.columns), "\\midrule"]
    for place, row in enumerate(table.rows):
        rows += ["\\midrule"] if place in table.rules else []
        rows.append(_row(latex(cell.text) for cell in row))
        if any(cell.note for cell in row):
            rows.append(_row(f"{{\\scriptsize {latex(cell.note)}}}" if cell.note else "" for cell in row))
    caption = f"{table.title}.{' ' + block.remark if block.remark else ''}"
    return _float(block.name, caption, "".join("r" if c.is_number else "l" for c in table.columns), rows, table.note)


def _float(name: str, caption: str, columns: str, rows: Sequence[str], note: str) -> str:
    """A table that is as wide as it needs, and made smaller where that is wider than the text."""
    lines = [
        *("\\begin{table}", "\\centering", "\\small", "\\setlength{\\tabcolsep}{4pt}"),
        *([f"\\caption{{{latex(caption)}}}"] if caption else []),
        f"\\label{{tab:{re.sub(r'[^a-z0-9-]', '-', name.lower())}}}",
        f"\\setbox0=\\hbox{{\\begin{{tabular}}{{{columns}}}",
        *("\\toprule", *rows, "\\bottomrule"),
        "\\end{tabular}}",
        "\\ifdim\\wd0>\\linewidth\\resizebox{\\linewidth}{!}{\\box0}\\else\\box0\\fi",
        *([f"\\par\\smallskip\\parbox{{\\linewidth}}{{\\footnotesize {latex(note)}}}"] if note else []),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
