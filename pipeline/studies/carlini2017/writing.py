"""The rows of a table as CSV, as LaTeX and as text."""

import csv
import io
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, fields

from pipeline.document.formats import DASH
from pipeline.document.tables import Cell, Column, Table, as_text
from pipeline.report.words import attack_title
from pipeline.studies.carlini2017.rows import NORMS, TABLES, TableRow

_CASES = {
    "best": "best case",
    "average": "average case",
    "worst": "worst case",
    "untargeted": "untargeted",
    "least-likely": "least likely",
}
_WIDTH = 100
_ESCAPES = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "–": "--"})
_LATEX_NORMS = {"l0": "$L_0$", "l2": "$L_2$", "linf": r"$L_\infty$"}


def as_csv(rows: Sequence[TableRow]) -> str:
    """Returns one line a row, with a header; what is None is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(TableRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def as_plain_text(rows: Sequence[TableRow], title: str, note: str) -> str:
    """Returns the table as aligned text."""
    table, cases = rows[0].table, TABLES[rows[0].table]
    columns = [Column("Attack", is_number=False, is_stub=True), Column("norm", is_number=False, is_stub=True)]
    for case in cases:
        columns += [Column(header, _CASES[case]) for header in ("mean", "8-bit", "success")]
    body = []
    for lines in _by_attack(rows):
        cells = [Cell(attack_title(lines[0].attack)), Cell(NORMS[lines[0].norm])]
        for row in lines:
            cells += [Cell(mean(row)), Cell(mean_8bit(row)), Cell(success(row))]
        body.append(tuple(cells))
    return as_text(Table(table, title, tuple(columns), tuple(body), note))


def as_latex(rows: Sequence[TableRow], title: str, note: str) -> str:
    """Returns a `table` environment that needs no package; the note stands in a comment above it."""
    cases = TABLES[rows[0].table]
    heads = " & ".join(rf"\multicolumn{{3}}{{c}}{{{_CASES[case].capitalize()}}}" for case in cases)
    lines = [f"% {line}" for line in textwrap.wrap(note, _WIDTH)]
    lines += [
        r"\begin{table}",
        rf"\caption{{{title.translate(_ESCAPES)}}}",
        rf"\begin{{tabular}}{{ll{'rrr' * len(cases)}}}",
        r"\hline",
        rf" & & {heads} \\",
        rf"Attack & norm{' & mean & 8-bit & success' * len(cases)} \\",
        r"\hline",
    ]
    for found in _by_attack(rows):
        cells = [attack_title(found[0].attack).replace("∞", "inf").translate(_ESCAPES), _LATEX_NORMS[found[0].norm]]
        for row in found:
            cells += [text.translate(_ESCAPES) for text in (mean(row), mean_8bit(row), success(row))]
        lines.append(rf"{' & '.join(cells)} \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", r"\end{table}", ""])


def mean(row: TableRow) -> str:
    """Returns the mean distance in the paper's units, a dash without a success."""
    if row.mean_distance is None:
        return DASH
    return f"{row.mean_distance:.1f}" if row.norm == "l0" else f"{row.mean_distance:.3g}"


def mean_8bit(row: TableRow) -> str:
    """Returns the mean distance in 8-bit units, a dash without a success and for L0, which counts pixels."""
    return DASH if row.mean_distance_8bit is None else f"{row.mean_distance_8bit:.1f}"


def success(row: TableRow) -> str:
    """Returns successes of images; a dash where the attack cannot be asked for the case."""
    return f"{row.n_success}/{row.n_images}" if row.n_images else DASH


def _by_attack(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    return [[row for row in rows if row.attack == attack] for attack in dict.fromkeys(row.attack for row in rows)]
