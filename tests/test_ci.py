"""The build script of docs/ci.md is one that GitHub understands, and its commands stop a build when the model gets worse."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from sample_copy import ROOT, answered, copy_sample

from pipeline.cli import main

yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install 'inkproof[test]'")
PAGE = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
SCRIPT = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])
LIMITS = re.search(r"```toml\n(\[check\].*?)```", PAGE, re.DOTALL)[1]
STEPS = {step["name"]: step for step in SCRIPT["jobs"]["print-and-photograph"]["steps"] if "run" in step}
RUN, CHECK, AGAINST, KEEP = (
    "Attack, print and photograph (simulated)",
    "Hold the model to its limits",
    "No worse than the main branch",
    "Keep the run for later pull requests",
)


def step(name: str) -> int:
    """Runs the lines of a step as a shell with -e does, `inkproof` in this process; returns the exit code."""
    for line in STEPS[name]["run"].splitlines():
        words = shlex.split(line)
        code = main(words[1:]) if words[0] == "inkproof" else subprocess.run(words, check=False).returncode
        if code:
            return code
    return 0


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """What is checked out: the experiment with the page's limits. Its run is there already, as after the step before."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "examples/sample.toml").read_text(encoding="utf-8")
    Path("robustness.toml").write_text(f"{text}\n{LIMITS}", encoding="utf-8")
    return copy_sample(Path("."))


def test_the_script_has_the_steps_in_their_order():
    assert list(STEPS) == ["Install", RUN, CHECK, AGAINST, KEEP]
    assert set(SCRIPT["jobs"]["print-and-photograph"]["steps"][0]) == {"uses"}
    assert all(("run" in step) != ("uses" in step) for step in SCRIPT["jobs"]["print-and-photograph"]["steps"])


def test_what_is_installed_is_what_the_program_needs():
    packages = STEPS["Install"]["run"]
    needed = re.findall(r"^missing \S+ (\S+)", (ROOT / "setup-system.sh").read_text(encoding="utf-8"), re.MULTILINE)
    assert needed and all(package in packages for package in needed) and "whl/cpu" in packages


def test_a_build_passes_and_fails_once_photographs_are_recognised_less(checkout, capsys):
    """The sample's photographed adversarial images: 2 of 6 are right, at least 30 % are asked for; then none."""
    assert step(RUN) == 0 and step(CHECK) == 0
    assert 'failures="0"' in Path("check.xml").read_text(encoding="utf-8")
    assert step(KEEP) == 0 and step(AGAINST) == 0
    answered(checkout, is_right=False)
    capsys.readouterr()
    assert step(CHECK) == 1
    told = capsys.readouterr().out
    assert "✗ adversarial accuracy, simulated photos, all cells, average case: 0.0 % (0/6 · 0–66)" in told and "✓ clean" in told
    assert 'failures="2"' in Path("check.xml").read_text(encoding="utf-8")
    assert step(AGAINST) == 1
    assert "0.0 % against 33.3 % of sample (baseline)" in capsys.readouterr().out
    assert 'failures="3"' in Path("drop.xml").read_text(encoding="utf-8")


def test_a_build_fails_where_there_is_no_run(checkout, capsys):
    shutil.rmtree("reports/sample")
    assert step(CHECK) == 6 and 'errors="1"' in Path("check.xml").read_text(encoding="utf-8")
