"""A spreadsheet runs nothing of what a run writes, whatever a label says, and reading takes it back as it was."""

import csv
import io
from pathlib import Path

import pytest

from pipeline.core.csv_cells import csv_text, unquoted

ROOT = Path(__file__).parents[2]
RUN = [
    '=HYPERLINK("http://x.example","y")',
    "+1+1",
    "-2+3",
    "-1-A1",
    "@SUM(A1)",
    "\t=1",
    "\n=1",
    " =1",
    "＝1+1",
    "-1 to @A1",
    "'=1",
]
KEPT = ["stop", "no-entry", "-3", "+0.5", "-1.5e-07", "-2 to +3", "-3 %", "-", "", "'s-Hertogenbosch", "a=b", "中文"]


@pytest.mark.parametrize("cell", RUN)
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(cell):
    written = next(csv.reader(io.StringIO(csv_text([[cell]]), newline="")))[0]
    assert written == f"'{cell}" and unquoted(written) == cell


@pytest.mark.parametrize("cell", KEPT)
def test_other_text_and_numbers_are_written_as_they_are(cell):
    assert csv_text([[cell, 1]]) == f"{cell},1\n" and unquoted(cell) == cell
    assert csv_text([[-3, -1.5, float("-inf"), None]]) == "-3,-1.5,-inf,\n"


def test_the_end_of_a_line_in_a_cell_ends_no_row():
    assert list(csv.reader(io.StringIO(csv_text([["a\rb", "c"], ["d\r\ne", "f"]]), newline=""))) == [["a\nb", "c"], ["d\ne", "f"]]


def test_csv_is_written_in_one_place():
    writing = [path.name for path in (ROOT / "pipeline").rglob("*.py") if "csv.writer" in path.read_text(encoding="utf-8")]
    writing += [path.name for path in (ROOT / "pipeline").rglob("*.py") if "DictWriter" in path.read_text(encoding="utf-8")]
    assert writing == ["csv_cells.py"]


def test_tables_of_a_run_and_of_a_report_are_quoted_and_read_back(tmp_path):
    from pipeline.document.blocks import Section, TextTable
    from pipeline.document.table_files import table_files
    from pipeline.records import CellFill
    from pipeline.store import csv_bytes
    from pipeline.store.results import columns_of

    (tmp_path / "t.csv").write_bytes(csv_bytes(CellFill, [CellFill("average", "=1+1", 4, 1, 1, 1)]))
    assert b"'=1+1" in (tmp_path / "t.csv").read_bytes()
    assert columns_of(tmp_path / "t.csv")["attack"] == ["=1+1"]
    block = TextTable("names", ("label",), (("=1+1",), ("-3.5",)), (1.0,))
    assert dict(table_files([Section("a", "b", (block,))]))["names.csv"] == b"label\n'=1+1\n-3.5\n"
