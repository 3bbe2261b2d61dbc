"""CSV as every table of a run is written: text that a spreadsheet would run as a formula begins with an apostrophe there."""

import csv
import io
import re
from collections.abc import Iterable

# What a spreadsheet takes for a formula, the full-width signs of East Asian keyboards among them; a tab or a line's end is
# passed over before it. An apostrophe before one of them gets a further one, so that reading takes back what was written.
_FORMULA = re.compile(r"'*\s*([=+\-@＝＋－＠].|[\t\r\n])", re.DOTALL)
_NUMBER = r"[+-]?[\d.,]+(e[+-]?\d+)?( ?%)?"
_NUMBERS = re.compile(f"{_NUMBER}( to {_NUMBER})?", re.IGNORECASE)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Returns rows as CSV; numbers are written as they are."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([_quoted(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def unquoted(cell: str) -> str:
    """Returns the text of a cell as it was before `csv_text` wrote it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _quoted(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n")  # a lone \r would end the row
    return f"'{text}" if _FORMULA.match(text) and not _NUMBERS.fullmatch(text) else text
