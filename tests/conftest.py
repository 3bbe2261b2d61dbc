"""What tests share: where real photographs and weights lie, a small and a tiny experiment, and a finished run of each."""

import os
import shutil
from pathlib import Path

# Test processes share the cores; several threads in each would only wait for each other. Before torch is imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import cv2  # noqa: E402
import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402

cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder named by INKPROOF_DATA, by default `../shared/data` beside the repository; without it the tests skip."""
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    root = Path(os.environ.get("INKPROOF_DATA") or default)
    if not root.is_dir():
        pytest.skip(f"needs the real data pack: there is no folder {root} (set INKPROOF_DATA)")
    return root


SMALL = """
name = "small"
seed = 5

[dataset]
n_images = 40

[selection]
n_images = 3

[[attacks]]
name = "fgsm"
epsilons_8bit = [4, 16]

[[attacks]]
name = "illc"
epsilons_8bit = [8]

[layout]
pairs_per_page = 6

[photograph]
profile = "office-phone-3mp"

[transforms]
blur = [0.5, 2]
noise = [10]
jpeg = [50]

[explain]
stride_px = 16
"""

# One of everything, on two pages: what a whole run of it costs is next to nothing.
TINY = """
name = "small"
seed = 5

[dataset]
n_images = 12

[selection]
n_images = 3
cases = ["average"]

[[attacks]]
name = "fgsm"
epsilons_8bit = [16]

[layout]
pairs_per_page = 2

[photograph]
profile = "office-phone-3mp"

[transforms]
blur = [1]

[thresholds]
n_images = 1
transforms = ["blur"]

[explain]
n_images = 1
methods = ["gradcam"]

[report]
n_gallery = 1
"""


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """An experiment on built-in signs that runs in seconds."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The workspace of one whole run of the small experiment, for tests that only read it."""
    return _run_once(tmp_path_factory.getbasetemp(), worker_id == "master", "finished", SMALL)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The workspace of one whole run of the tiny experiment, for tests that run much of it again, in a copy."""
    return _run_once(tmp_path_factory.getbasetemp(), worker_id == "master", "tiny", TINY)


@pytest.fixture
def short_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of runs list their settings alone, for tests that ask nothing of what a report shows."""
    from pipeline.report import sections

    monkeypatch.setattr(sections, "_SECTIONS", sections._SECTIONS[-1:])


def _run_once(base: Path, is_alone: bool, name: str, text: str) -> Path:
    """Runs an experiment in the test process that comes first; each of several works on its own copy."""
    workspace = (base if is_alone else base.parent) / name
    with FileLock(workspace.with_suffix(".lock")):
        if not workspace.with_suffix(".made").exists():
            workspace.mkdir(exist_ok=True)
            _run_whole(workspace, text)
            workspace.with_suffix(".made").touch()
    return workspace if is_alone else Path(shutil.copytree(workspace, base / name))


def _run_whole(workspace: Path, text: str) -> None:
    from pipeline.engine import Context
    from pipeline.settings.reading import load_experiment
    from pipeline.stages.graph import run_all
    from pipeline.store import Run

    (workspace / "small.toml").write_text(text, encoding="utf-8")
    experiment = load_experiment(workspace / "small.toml")
    states = list(run_all(experiment, Run(workspace, "small"), Context()))
    assert [state.state for state in states] == ["done"] * len(states)
