"""Processors that may be used: never more than the machine has, and no more than the quota of a container."""

import os
import subprocess
import sys

import pytest

from pipeline.core import cores
from pipeline.core.cores import THREADS, WAITING, n_cores, n_threads, settle_threads


@pytest.mark.parametrize(
    "told, expected", [("150000 100000", 2), ("100000 100000", 1), ("20000 100000", 1), ("max 100000", None)]
)
def test_a_quota_is_rounded_up_and_holds_for_the_groups_below(told, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    (tmp_path / "job" / "step").mkdir(parents=True)
    (tmp_path / "job" / "cpu.max").write_text(told)
    (tmp_path / "own").write_text("0::/job/step\n")
    assert n_cores(tmp_path, tmp_path / "own") == (expected or 64)


def test_the_older_files_are_read_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "own").write_text("4:cpu:/docker\n")
    assert n_cores(tmp_path, tmp_path / "own") == 3


def test_a_process_that_is_bound_has_fewer(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert n_cores(tmp_path, tmp_path / "none") == 2


@pytest.fixture
def unsaid(monkeypatch):
    for name in (THREADS, WAITING, "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_threads_sleep_and_are_as_many_as_the_quota_unless_the_user_says_otherwise(unsaid, monkeypatch):
    monkeypatch.setattr(cores, "n_cores", lambda: 3)
    monkeypatch.setattr(cores, "_n_bound", lambda: 3)
    settle_threads()
    assert (os.environ[WAITING], THREADS in os.environ, n_threads()) == ("passive", False, 3)
    monkeypatch.setattr(cores, "_n_bound", lambda: 64)
    settle_threads()
    assert os.environ[THREADS] == "3"
    monkeypatch.setenv(THREADS, "5,2")
    monkeypatch.setenv(WAITING, "active")
    settle_threads()
    assert (os.environ[WAITING], n_threads()) == ("active", 5)


def test_the_command_line_settles_threads_before_pytorch_is_there():
    asked = "import sys, pipeline.cli; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
