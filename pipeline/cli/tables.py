"""Rows of words as a table on a terminal, as wide as it is; drawn by rich."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {"✓": "green", "!": "yellow", "◐": "yellow", "✗": "red", "…": "yellow", "·": "dim", "–": "dim"}


def print_rows(rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Prints rows of equally many cells; words that do not fit go on beneath in their own column."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    for place in range(len(rows[0]) if rows else 0):
        is_last = place == len(rows[0]) - 1
        table.add_column(no_wrap=not is_last, overflow="fold" if is_last else "ellipsis")
    for row in rows:
        table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
    console = Console(highlight=False)
    if title:
        console.print(Text(title, "bold"))
    console.print(table)
