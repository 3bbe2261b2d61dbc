"""The run that a person means, however it is written."""

import shutil
from pathlib import Path

import pytest
from sample_copy import ROOT, copy_sample

from pipeline.cli.finding import found_run
from pipeline.core.errors import BadInput


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two workspaces, each with a run of the same name; the second has a name of its own for its folder."""
    monkeypatch.chdir(tmp_path)
    for workspace in ("here", "there"):
        (tmp_path / workspace / "printouts/sample").mkdir(parents=True)
        shutil.copy(ROOT / "printouts/sample/experiment.toml", tmp_path / workspace / "printouts/sample")
        (tmp_path / workspace / "reports/sample").mkdir(parents=True)
    return tmp_path


WAYS = {
    "name": ("sample", "here"),
    "printouts": ("there/printouts/sample", "there"),
    "reports": ("there/reports/sample/", "there"),
    "kept-file": ("there/printouts/sample/experiment.toml", "there"),
    "workspace": ("there", "there"),
    "file-beside": ("there/my.toml", "there"),
}


@pytest.mark.parametrize(("text", "workspace"), WAYS.values(), ids=WAYS.keys())
def test_any_file_folder_or_name_leads_to_the_run(two, text, workspace):
    shutil.copy(two / "there/printouts/sample/experiment.toml", two / "there/my.toml")
    if text.endswith("my.toml"):
        shutil.rmtree(two / "here/printouts/sample")
    _, run = found_run(text, Path("here"))
    assert run.name == "sample" and run.reports.resolve() == two / workspace / "reports/sample"


def test_of_several_runs_the_one_of_the_same_name_is_meant(two):
    shutil.copytree(two / "there/printouts/sample", two / "there/printouts/other")
    assert found_run("there", Path("here"), like="sample")[1].name == "sample"
    assert found_run("there/printouts/other", Path("here"))[1].name == "other"  # a folder that was renamed
    with pytest.raises(BadInput, match="holds 2 runs: other, sample"):
        found_run("there", Path("here"), like="third")


def test_nobody_is_named_with_the_nearest(two):
    with pytest.raises(BadInput, match=r'no run "smaple".*Did you mean "sample"'):
        found_run("smaple", Path("here"))
    with pytest.raises(BadInput, match=r"Did you mean \"there/my.toml\"|inkproof init there/mine.toml"):
        found_run("there/mine.toml", Path("here"))


@pytest.mark.slow
def test_runs_of_one_name_are_compared_in_a_folder_that_names_the_workspace(tmp_path, monkeypatch, capsys):
    from pipeline.cli import main

    monkeypatch.chdir(tmp_path)
    copy_sample(Path("."))
    copy_sample(Path("there"))
    assert main(["report", "sample", "--compare", "there/captures/sample"]) == 0
    assert (tmp_path / "reports/sample/against-there-sample/report.pdf").is_file()
    assert "sample (" in capsys.readouterr().out
