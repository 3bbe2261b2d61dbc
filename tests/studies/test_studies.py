"""The studies: their list, their experiments, and the command that runs one."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import pipeline.studies
from pipeline.cli import main
from pipeline.cli.reproduce import study_experiment
from pipeline.core.errors import Waiting, WrongUse
from pipeline.records import VERDICTS
from pipeline.report.content import StudyPart
from pipeline.report.sections import sections
from pipeline.settings.reading import load_experiment
from pipeline.stages.report import report_content
from pipeline.store import Run
from pipeline.studies import STUDIES, experiments, study_named

PACKAGE = Path(pipeline.studies.__file__).parents[1]


@pytest.mark.parametrize("name", STUDIES.names())
def test_a_study_is_named_as_its_folder(name):
    study = study_named(name)
    assert study.name == name and (PACKAGE / "studies" / name / "__init__.py").is_file()
    assert study.title and study.reference and study.command.startswith("inkproof ")


@pytest.mark.parametrize("name", sorted(experiments()))
def test_a_study_s_experiment_is_valid_and_reproduces_it(name, monkeypatch, tmp_path):
    monkeypatch.setenv("INKPROOF_DATA", str(tmp_path))
    (tmp_path / "mine.toml").write_text(experiments()[name].read_text(encoding="utf-8"), encoding="utf-8")
    experiment = load_experiment(tmp_path / "mine.toml")
    assert experiment.name == name and experiment.report.reproduces == name.removesuffix("-small")


def test_a_run_that_names_an_unknown_study_is_refused(at_work, small_file, capsys):
    assert main(["status", str(small_file), "--set", "report.reproduces=kurakin2017"]) == WrongUse.exit_code
    assert 'unknown study "kurakin2017". Did you mean "kurakin2016"?' in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_without_findings_leaves_a_report_without_them(finished):
    experiment = load_experiment(finished / "small.toml", ("report.reproduces=carlini2017",))
    content = report_content(experiment, Run(finished, "small"))
    assert content.study == StudyPart() and study_named("carlini2017").findings(None) == []
    assert "observed" not in str([block for section in sections(content) for block in section.blocks])


def test_no_study_is_named_outside_its_folder():
    """What is known of a paper stands in its study: others import from one, and only the registry lists them all.

    A study with a year in its name, that is: "explain" is a stage too.
    """
    wrong, names = [], [name for name in STUDIES.names() if re.search(r"\d{4}", name)]
    assert len(names) > 5
    for file in PACKAGE.rglob("*.py"):
        if PACKAGE / "studies" not in file.parents:
            lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "from pipeline.studies." not in line]
            wrong += [f"{file}: {line}" for line in lines for name in names if name in line]
    assert not wrong


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


TINY = ("--set", "selection.n_images=2", "--set", "dataset.n_images=24", "--workers", "1", "-q")
FAST = ("--set", "transforms.blur=[1]", "--set", "thresholds.n_images=0", "--set", "explain.n_images=0")


class TestCommand:
    @pytest.mark.parametrize("small", [True, False])
    def test_the_file_is_the_study_s_or_with_built_in_images_the_same_experiment(self, small, tmp_path):
        name, text = study_experiment("kurakin2016", small, has_data=True)
        stand_in, other = study_experiment("kurakin2016", small, has_data=False)
        assert stand_in == f"{name}-signs" and "INKPROOF_DATA" in text
        first, second = tomllib.loads(text), tomllib.loads(other)
        assert second["dataset"] == second["model"] == {"name": "builtin:signs"}
        for told in (first, second):
            del told["dataset"], told["model"], told["name"]
        assert first == second and first["report"]["reproduces"] == "kurakin2016" and first["selection"]["n_images"] == 102
        (tmp_path / "mine.toml").write_text(other, encoding="utf-8")
        assert load_experiment(tmp_path / "mine.toml").name == stand_in

    def test_without_a_name_the_studies_are_listed_each_with_what_to_type(self, at_work, capsys):
        assert main(["reproduce"]) == 0
        _, *lines, following = capsys.readouterr().out.splitlines()
        assert following.startswith("Next: inkproof reproduce ")
        assert [line.split()[0] for line in lines] == list(STUDIES.names())
        assert all(": inkproof " in line for line in lines) and not list(at_work.iterdir())

    @pytest.mark.parametrize(
        ("name", "hint"), [("kurakn2016", 'Did you mean "kurakin2016"?'), ("cohen2019", "inkproof certify EXPERIMENT")]
    )
    def test_what_has_no_experiment_says_what_to_type_instead(self, at_work, capsys, name, hint):
        assert main(["reproduce", name]) == WrongUse.exit_code
        assert hint in capsys.readouterr().err and not list(at_work.iterdir())

    def test_a_dry_run_writes_nothing(self, at_work, capsys, monkeypatch):
        monkeypatch.delenv("INKPROOF_DATA", raising=False)
        assert main(["reproduce", "kurakin2016", "--small", "--dry-run"]) == 0
        assert "kurakin2016-small-signs.toml would be written" in capsys.readouterr().out
        assert list(at_work.iterdir()) == []

    def test_with_photographs_to_come_it_stops_where_they_are_to_be_taken_and_keeps_an_edited_file(
        self, at_work, capsys, monkeypatch
    ):
        monkeypatch.delenv("INKPROOF_DATA", raising=False)
        file = at_work / "kurakin2016-small-signs.toml"
        edited = study_experiment("kurakin2016", True, False)[1].replace("[4, 16]", "[16]  # mine").partition("[transforms]")[0]
        file.write_text(edited, encoding="utf-8")
        assert main(["reproduce", "kurakin2016", "--small", "--photos", "me", *TINY, *FAST]) == Waiting.exit_code
        assert "Waiting for you" in capsys.readouterr().out
        assert file.read_text(encoding="utf-8") == edited
        assert not list(at_work.glob("captures/*/photos/simulated*"))

    @pytest.mark.slow
    def test_without_photographs_they_are_simulated_and_a_second_run_does_nothing(self, at_work, capsys, monkeypatch):
        monkeypatch.delenv("INKPROOF_DATA", raising=False)
        assert main(["reproduce", "kurakin2016", "--small", *TINY, *FAST]) == 0
        reports = at_work / "reports/kurakin2016-small-signs"
        told = json.loads((reports / "reproduction.json").read_text(encoding="utf-8"))
        assert told["photographs"] == "simulated" and len(told["tables"]) == 2 * 6 * 8 + 6 * 4
        assert {row["verdict"] for row in told["findings"]} <= set(VERDICTS)
        header, *rows = (reports / "reproduction.csv").read_text(encoding="utf-8").splitlines()
        assert header.startswith("table,case,attack,epsilon_8bit,quantity") and len(rows) == len(told["tables"])
        before = {path: path.read_bytes() for path in reports.glob("reproduction.*")}
        capsys.readouterr()
        assert main(["reproduce", "kurakin2016", "--small", *TINY, *FAST]) == 0
        assert {path: path.read_bytes() for path in before} == before and len(before) == 3
