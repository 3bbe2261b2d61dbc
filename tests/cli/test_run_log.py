"""The log of a run holds what was typed, done and told, stays small, and never stands in the way."""

import re
import shutil
import warnings

import pytest

from pipeline.cli import main
from pipeline.cli.run_log import MOST_BYTES, RunLog
from pipeline.stages import graph
from pipeline.store import Run


@pytest.fixture
def run(tiny, tmp_path, monkeypatch) -> Run:
    shutil.copytree(tiny, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    Run(tmp_path / "copy", "small").log.unlink(missing_ok=True)
    return Run(tmp_path / "copy", "small")


def test_every_line_has_the_time_and_what_was_typed_done_and_told_is_there(run, capsys):
    assert main(["select", "small.toml", "-q", "--set", "report.title=My title"]) == 0
    lines = run.log.read_text(encoding="utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)
    text = run.log.read_text(encoding="utf-8")
    for words in ("inkproof select small.toml -q --set 'report.title=My title'", "stage 1 of", "✓ select", "exit code 0"):
        assert words in text


def test_tracebacks_and_warnings_are_there_and_a_fault_of_ours_is_raised(run, monkeypatch, capsys):
    def broken(*_):
        warnings.warn("this is odd", stacklevel=1)
        raise ValueError("nobody expected this")

    monkeypatch.setattr(graph, "run_stage", broken)
    with pytest.raises(ValueError, match="nobody"), pytest.warns(UserWarning, match="odd"):
        main(["select", "small.toml"])
    text = run.log.read_text(encoding="utf-8")
    assert "Traceback" in text and "nobody expected this" in text
    assert main(["run", "small.toml", "--set", "photograph.profile=none.toml"]) != 0
    assert "none.toml" in run.log.read_text(encoding="utf-8")


def test_a_warning_is_kept(run, capsys):
    log = RunLog(["run"])
    log.belongs_to(run)
    with warnings.catch_warnings(), pytest.warns(UserWarning, match="odd"):
        log.catch_warnings()
        warnings.showwarning(UserWarning("this is odd"), UserWarning, "a.py", 3)
        warnings.warn("this is odd", stacklevel=1)
    assert "warning: UserWarning: this is odd (a.py:3)" in run.log.read_text(encoding="utf-8")


def test_a_long_log_keeps_its_end(run):
    run.log.write_text("".join(f"line {n}\n" for n in range(200_000)), encoding="utf-8")
    log = RunLog(["status"])
    log.belongs_to(run)
    log.add("now")
    lines = run.log.read_text(encoding="utf-8").splitlines()
    assert run.log.stat().st_size < MOST_BYTES and lines[-1].endswith("  now") and "line 199999" in lines
    assert re.fullmatch(r"line \d+", lines[0])


def test_nothing_is_written_where_there_is_no_run_where_it_is_dry_and_where_it_cannot_be(tmp_path, run):
    for arguments, about in ((["run"], Run(tmp_path / "none", "r")), (["run", "--dry-run"], run)):
        log = RunLog(arguments)
        log.belongs_to(about)
        log.add("words")
        assert not about.log.exists()
    run.log.mkdir()
    log = RunLog(["run"])
    log.belongs_to(run)
    log.add("words")
