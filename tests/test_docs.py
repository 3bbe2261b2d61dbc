"""The documents are true: README commands run, links lead somewhere, and generated pages are current."""

import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from make_settings_page import settings_page

from pipeline.cli import main
from pipeline.core.errors import Waiting
from pipeline.records import DISCARD_REASONS
from pipeline.settings import SECTIONS, AttackSettings, DefenceSettings, JudgeSettings
from pipeline.specs.attacks import ATTACKS
from pipeline.specs.defences import DEFENCES
from pipeline.specs.transforms import TRANSFORMS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *(ROOT / name / "README.md" for name in ("printouts", "captures", "reports"))]
)
# The README's experiment, small enough for a test.
SMALL = (
    "selection.n_images=1",
    'selection.cases=["average"]',
    "dataset.n_images=4",
    "attacks.fgsm.epsilons_8bit=[16]",
    "transforms.blur=[1]",
)


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = {line.split()[1] for line in commands() if line.startswith("make ")}
    assert wanted and wanted <= targets


def test_the_gate_runs_the_readmes_test_command():
    assert "make test" in commands() and "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_readmes_commands_are_understood(tmp_path, monkeypatch, capsys):
    """Types them in order; a `run` only says what it would do, and the experiment is the one that `init` wrote before."""
    monkeypatch.chdir(tmp_path)
    typed = [line.split()[1:] for line in commands() if line.startswith("inkproof ")]
    for arguments in typed:
        assert main([*arguments, "--dry-run"] if arguments[0] == "run" else arguments) == 0, arguments
    assert {arguments[0] for arguments in typed} >= {"init", "run", "status", "list", "doctor", "calibrate"}
    assert "would run select" in capsys.readouterr().out and (tmp_path / "calibration.pdf").is_file()


@pytest.mark.slow
def test_the_readmes_commands_run_from_the_first_to_the_report(tmp_path, monkeypatch, capsys):
    """Runs them in order, made small; before the second `run` the photos arrive, as a person would bring them."""
    monkeypatch.chdir(tmp_path)
    n_runs = 0
    for line in commands():
        program, *arguments = line.split()
        if program != "inkproof":
            continue
        if arguments[0] in ("run", "status"):
            arguments += [word for setting in SMALL for word in ("--set", setting)]
        if arguments[0] == "run":
            n_runs += 1
            if n_runs == 2:
                assert main(["photograph", *arguments[1:], "--set", "photograph.by=simulator"]) == 0
                for number, path in enumerate(sorted((tmp_path / "captures/my/photos").glob("*.jpg"))):
                    path.rename(path.with_name(f"IMG_{number}.jpg"))
        waits = (arguments[0], n_runs) == ("run", 1)
        assert main(arguments) == (Waiting.exit_code if waits else 0), line
    out = capsys.readouterr().out
    assert n_runs == 2 and "Waiting for you" in out
    assert (tmp_path / "reports/my/report.pdf").is_file()
    assert "1 simulated photograph" in out or "simulated photographs were used" in out


def test_every_attack_is_documented():
    text = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    assert [name for name in ATTACKS.own if f"`{name}`" not in text] == []


def test_every_defence_is_documented():
    text = (ROOT / "docs" / "defences.md").read_text(encoding="utf-8")
    assert [name for name in DEFENCES.own if f"### `{name}`" not in text] == []


def test_every_link_to_a_file_leads_somewhere(subtests):
    for path in DOCUMENTS:
        with subtests.test(path=path):
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
                assert (path.parent / target).exists(), target


def test_the_page_of_settings_is_current():
    assert (ROOT / "docs" / "experiment-file.md").read_text(encoding="utf-8") == settings_page()


def test_the_page_of_settings_names_every_key():
    text = settings_page()
    kinds = (*SECTIONS.values(), AttackSettings, DefenceSettings, JudgeSettings)
    assert not [(kind.__name__, item.name) for kind in kinds for item in fields(kind) if f"| `{item.name}` |" not in text]


def test_every_discard_reason_is_explained_in_its_own_words():
    text = (ROOT / "docs" / "captures.md").read_text(encoding="utf-8")
    assert all(f"| `{reason}` | {words} |" in text for reason, words in DISCARD_REASONS.items())


def test_every_transform_is_documented(subtests):
    for name in TRANSFORMS.own:
        with subtests.test(name=name):
            assert f"| `{name}` |" in (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")


def test_no_document_names_a_place_of_one_machine(subtests):
    for path in DOCUMENTS:
        with subtests.test(path=path):
            assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users)/", path.read_text(encoding="utf-8"))


def test_the_sample_run_is_complete_and_small():
    for name in (
        "printouts/sample/printout.pdf",
        "printouts/sample/layout.json",
        "reports/sample/report.pdf",
        "reports/sample/rates.csv",
    ):
        assert (ROOT / name).is_file()
    photos = sorted((ROOT / "captures/sample/photos").glob("*.jpg"))
    assert len(photos) == 2 and all(photo.stat().st_size <= 300_000 for photo in photos)


def test_the_sample_run_can_be_cropped_again_to_the_same_rates(tmp_path, monkeypatch):
    """The committed photos go through today's code: same pages, same pixels or the difference is seen here."""
    for folder in ("printouts", "captures", "reports"):
        shutil.copytree(ROOT / folder / "sample", tmp_path / folder / "sample")
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "reports/sample/rates.csv").read_text(encoding="utf-8")
    for stage in ("crop", "classify", "rate"):
        assert main([stage, "sample", "--force", "--workers", "1"]) == 0
    assert (tmp_path / "reports/sample/rates.csv").read_text(encoding="utf-8") == before
