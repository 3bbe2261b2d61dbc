"""Setting up says what it does, and the image of it is built from fixed parts and runs without rights."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from pipeline.cli.doctor import documents

ROOT = Path(__file__).parents[1]
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "ENTRYPOINT", "CMD"}


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their words, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_dockerfile_has_known_instructions_fixed_images_and_a_user_without_rights():
    found = dockerfile()
    assert {name for name, _ in found} <= INSTRUCTIONS
    images = [words.split()[0] for name, words in found if name == "FROM"]
    assert images and all(re.fullmatch(r"[a-z/]+:[\w.-]*\d[\w.-]*", image) and "latest" not in image for image in images)
    last = max(place for place, (name, _) in enumerate(found) if name == "FROM")
    users = [words for name, words in found[last:] if name == "USER"]
    assert users and users[-1] not in ("root", "0")
    assert [name for name, _ in found[last:]].index("USER") < [name for name, _ in found[last:]].index("ENTRYPOINT")
    for name, words in found:
        if name == "RUN" and "apt-get install" in words:
            assert "--no-install-recommends" in words and "rm -rf /var/lib/apt/lists" in words
        if name == "RUN" and "pip install" in words:
            assert "--no-cache-dir" in words and "-c constraints.txt" in words
        assert "sudo" not in words and "curl" not in words


def test_what_the_dockerfile_copies_is_there_and_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name, words in dockerfile():
        if name == "COPY" and not words.startswith("--from"):
            for source in words.split()[:-1]:
                assert (ROOT / source).exists() and source not in ignored


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"INKPROOF_NO_SYSTEM": "1"}, "not installed, as INKPROOF_NO_SYSTEM asks: libzbar0 libgl1 libglib2.0-0"),
        ({}, "installing them on this system: apt-get install libzbar0 libgl1 libglib2.0-0"),
    ],
)
def test_which_system_libraries_are_wanted_and_why_is_said_before_any_is_installed(tmp_path, variables, said):
    """With programs in place of the system's: no library is there, whoever asks is root, and apt-get notes what it is asked."""
    for name, does in {
        "ldconfig": "exit 0",
        "id": "echo 0",
        "apt-get": 'echo "apt-get $*" >> "$NOTED"',
        "env": 'shift; "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    noted = tmp_path / "noted"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTED": str(noted), **variables}
    command = ["sh", str(ROOT / "setup-system.sh")]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "libzbar0 (a second reader of QR codes" in out and "libgl1 (OpenCV" in out and said in out
    assert noted.exists() == ("INKPROOF_NO_SYSTEM" not in variables)


def test_the_documents_are_installed_and_found():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    (patterns,) = tools["data-files"].values()
    installed = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert set((ROOT / "docs").glob("*.md")) <= installed
    assert documents() == ROOT / "docs"
