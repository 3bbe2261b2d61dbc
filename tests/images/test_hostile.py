"""Whatever lies in the photos folder becomes pictures or is told in one line, quickly and in little memory."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hostile_files import hostile_files

from pipeline.core.errors import BadInput
from pipeline.core.memory import peak_bytes
from pipeline.images.photo_tags import photo_tags
from pipeline.images.pictures import pictures
from pipeline.store import Run, photo_digest, photo_files, photo_name, photo_trouble

REPOSITORY = Path(__file__).resolve().parents[2]
N_FILES = 2000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Path]]:
    run = Run(tmp_path_factory.mktemp("hostile"), "r")
    return run, hostile_files(run.photos, N_FILES, seed=0)


@pytest.mark.slow
def test_every_file_becomes_pictures_or_is_told_in_one_line(
    crowd: tuple[Run, list[Path]], recwarn: pytest.WarningsRecorder
) -> None:
    run, _ = crowd
    slowest_s, n_pictures, n_told = 0.0, 0, 0
    bytes_before = peak_bytes()
    for path in photo_files(run):
        started = time.monotonic()
        if photo_trouble(run, path):
            n_told += 1
            continue
        photo_tags(path)
        try:
            for picture in pictures(path):
                assert picture.pixels.dtype == np.uint8 and picture.pixels.ndim == 3 and picture.pixels.shape[2] == 3
                n_pictures += 1
        except BadInput as error:
            assert "\n" not in str(error) and len(str(error)) > 15
            n_told += 1
        slowest_s = max(slowest_s, time.monotonic() - started)
    assert n_pictures > 0.3 * N_FILES and n_told > 0.2 * N_FILES
    assert slowest_s < 10 and not recwarn.list
    assert peak_bytes() - bytes_before < 500 * 2**20


def test_every_file_is_listed_once_with_a_digest_and_a_name_of_one_line(crowd: tuple[Run, list[Path]]) -> None:
    run, made = crowd
    listed = photo_files(run)
    assert set(listed) == set(made) and len(listed) == len(made)
    for path in listed:
        name, digest = photo_name(run, path), photo_digest(run, path)
        assert name.isprintable() and len(digest) == 64 and digest == photo_digest(run, path)
        assert name.encode()


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    first, second = (hostile_files(tmp_path / name, 150, seed=3) for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.is_symlink() or not one.is_file() or len(one.read_bytes()) == len(other.read_bytes())


def test_no_decoder_fills_the_terminal(tmp_path: Path) -> None:
    """FFmpeg and pdfium write to the file descriptor, past Python, so a process of its own is watched."""
    hostile_files(tmp_path / "photos", 150, seed=1)
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.images.pictures import pictures\n"
        "from pipeline.core.errors import BadInput\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    if path.suffix in ('.mp4', '.mov', '.mkv', '.webm', '.avi', '.pdf', '.heic'):\n"
        "        try: list(pictures(path))\n"
        "        except BadInput: pass\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "photos")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == ""
