"""The steps of CONTRIBUTING.md for an attack and a transform are followed to the letter in a copy, and the rules hold there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def blocks_of(heading: str) -> dict[str, str]:
    """Returns the code under a heading, by the file that its first line names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    part = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"```(?:python|text)\n# (\S+)\n(.*?)```", part, re.DOTALL))


def followed(heading: str, copy: Path) -> None:
    """Writes new files, and puts entries first into the table of a file that is there."""
    for name, code in blocks_of(heading).items():
        file = copy / name
        if not file.exists():
            file.write_text(code, encoding="utf-8")
            continue
        text = file.read_text(encoding="utf-8")
        table = re.search(r"^(_OWN = \(|ROWS: .* = \{)\n", text, re.MULTILINE)
        file.write_text(text[: table.end()] + code + text[table.end() :], encoding="utf-8")


@pytest.mark.parametrize(
    ("heading", "name", "tests"),
    [
        ("Add an attack", "darkening", ["tests/attacks/test_attack_invariants.py", "-k", "darkening and ball"]),
        ("Add a transform", "posterise", ["tests/transforms/test_transforms.py", "-k", "posterise"]),
    ],
)
@pytest.mark.slow
def test_whoever_follows_the_steps_has_added_it(heading, name, tests, tmp_path):
    for folder in ("pipeline", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    followed(heading, tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("PYTEST_XDIST_WORKER", None)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert done.returncode == 0 and re.search(r"\d+ passed", done.stdout), done.stdout[-2000:]
    assert name in run("-m", "pipeline", "list").stdout


def test_every_place_that_the_steps_name_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:pipeline|tests|docs)/[\w./-]*)`", text))
    assert named and not [name for name in named if not (ROOT / name).exists()]


def test_each_recipe_has_five_steps():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [recipe.splitlines()[0] for recipe in recipes if len(re.findall(r"^\d\. ", recipe, re.MULTILINE)) != 5] == []
