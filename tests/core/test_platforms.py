"""Nothing asks for a module that only some systems have: all of it is imported, and a run made, where they are hidden."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.memory import maxrss_bytes, peak_bytes

ROOT = Path(__file__).parents[2]
# Read by every Python process that is started, so that workers lack the modules too.
HIDING = "import sys; sys.modules['fcntl'] = sys.modules['resource'] = None\n"
EVERYTHING = """
import importlib, pkgutil
import pipeline
for found in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
"""


def without_modules(folder: Path, *words: str) -> subprocess.CompletedProcess:
    (folder / "hiding").mkdir()
    (folder / "hiding/sitecustomize.py").write_text(HIDING, encoding="utf-8")
    path = os.pathsep.join([str(folder / "hiding"), str(ROOT)])
    # where there is no lock of the system's, filelock says that it makes a file instead
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**kept, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore:only soft file lock"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=1500
    )


@pytest.mark.slow
def test_everything_is_imported_where_fcntl_and_resource_are_not_there(tmp_path):
    found = without_modules(tmp_path, "-c", EVERYTHING)
    assert found.returncode == 0, found.stderr[-2000:]


@pytest.mark.slow
def test_every_test_is_collected_where_fcntl_and_resource_are_not_there(tmp_path):
    words = ("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), str(ROOT / "tests"))
    found = without_modules(tmp_path, *words)
    assert found.returncode == 0, found.stdout[-2000:]


@pytest.mark.slow
def test_a_demo_ends_where_fcntl_and_resource_are_not_there(tmp_path):
    changed = ['attacks=[{name="fgsm", epsilons_8bit=[16]}]', "selection.n_images=2", 'selection.cases=["average"]']
    changed += ["thresholds.n_images=0", "report.n_gallery=1"]
    changed += ["explain.n_images=0", "dataset.n_images=12", "photograph.profile=office-phone-3mp", "transforms.blur=[1]"]
    words = [word for change in changed for word in ("--set", change)]
    found = without_modules(tmp_path, "-m", "pipeline", "demo", "--workers", "2", *words)
    assert found.returncode == 0, found.stderr[-2000:]
    assert (tmp_path / "reports/demo/report.pdf").is_file()
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_what_a_process_held_is_told_in_the_systems_own_unit(platform, unit):
    assert maxrss_bytes(platform) == unit


def test_what_this_process_held_is_of_its_own_size():
    import psutil

    assert 0.5 < peak_bytes() / psutil.Process().memory_info().rss < 50
    assert peak_bytes(with_children=True) >= peak_bytes()


def test_a_photo_is_read_alike_where_no_process_can_be_limited(tmp_path, monkeypatch):
    import numpy as np

    from pipeline.core.errors import BadInput
    from pipeline.images import limits, png_bytes
    from pipeline.images.pictures import pictures

    (tmp_path / "a.png").write_bytes(png_bytes(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:3000])
    (limited,) = pictures(tmp_path / "a.png")
    monkeypatch.setattr(limits, "_CAN_LIMIT", False)
    monkeypatch.setattr(limits, "_child", None)  # none is asked
    (found,) = pictures(tmp_path / "a.png")
    assert np.array_equal(found.pixels, limited.pixels) and found.notes == limited.notes
    with pytest.raises(BadInput, match=r"cut\.png"):
        list(pictures(tmp_path / "cut.png"))
