"""The crop stage among thousands of damaged and hostile files: nothing crashes or hangs, and each of them is listed."""

import shutil
import time
from pathlib import Path

import pytest
from hostile_files import hostile_files
from kept_files import read_table

from pipeline.engine import Context
from pipeline.records import DISCARD_REASONS, Capture, Discard
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_stage
from pipeline.store import Run, photo_files, photo_name


@pytest.mark.parametrize("n_files", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_every_hostile_file_is_listed_and_the_good_photo_is_cropped(tiny: Path, tmp_path: Path, n_files: int) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(tiny, workspace, symlinks=True)
    run = Run(workspace, "small")
    experiment = load_experiment(workspace / "small.toml", ("photograph.by=camera",))
    (good, *_) = sorted(run.photos.glob("*.jpg"))
    kept = tmp_path / "good.jpg"
    shutil.copy(good, kept)
    shutil.rmtree(run.photos)
    hostile_files(run.photos, n_files, seed=0)
    shutil.copy(kept, run.photos / "a page.jpg")
    started = time.monotonic()
    state = run_stage("crop", experiment, run, Context(workers=2))
    assert state.state == "done" and state.summary["n_pages_found"] == 1
    assert time.monotonic() - started < 600
    told = {row.photo for row in read_table(run.captures / "discards.parquet", Discard)}
    used = {row.photo for row in read_table(run.captures / "captures.parquet", Capture) if row.counts}
    assert used == {"a page.jpg"}
    assert told | used == {photo_name(run, path) for path in photo_files(run)}
    assert {row.reason for row in read_table(run.captures / "discards.parquet", Discard)} <= DISCARD_REASONS.keys()
