"""`inkproof check`: rules that are kept and broken, runs that are refused, and what is written for builds."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from sample_copy import answered, copy_sample

from pipeline.cli import main
from pipeline.store.artefacts import EXPERIMENT, PAIRS


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The sample: clean files 2/2, adversarial files 0/6, photographs of clean ones 6/6 and of adversarial ones 2/6."""
    monkeypatch.chdir(tmp_path)
    return copy_sample(Path("."))


def check(capsys, *arguments: str) -> tuple[int, list[str], str]:
    code = main(["check", "sample", *arguments])
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err


RATE = ("--on", "rate")
KEPT_OR_BROKEN = {
    "photo-kept": (["photo=0.3", *RATE], 0, "33.3 % (2/6 · 5–84); the rate is 33.3 %, at least 30 % is asked for"),
    "photo-broken": (["photo=0.4", *RATE], 1, "the rate is 33.3 %, at least 40 % is asked for"),
    "photo-equal": ([f"photo={1 / 3}", *RATE], 0, "adversarial accuracy, simulated photos, all cells, average case"),
    "bound-broken": (["photo=0.3"], 1, "the lower end is 4.5 %, at least 30 % is asked for (the rate itself keeps to it)"),
    "bound-kept": (["photo=0.04"], 0, "the lower end is 4.5 %, at least 4 %"),
    "clean": (["clean=0.3"], 0, "clean accuracy, files, all cells, average case: 100.0 % (2/2 · 34–100)"),
    "adversarial": (["adversarial=0.1", *RATE], 1, "adversarial accuracy, files, all cells, average case: 0.0 %"),
    "clean-photo": (["clean-photo:bim:8=1", *RATE], 0, "clean accuracy, simulated photos, basic iterative, ε 8"),
    "upper-end": (["--max-destruction", "0.5"], 1, "the upper end is 84.1 %, at most 50 % is asked for (the rate"),
    "one-cell": (["--max-destruction", "illc:8=0.5", *RATE], 1, "destruction rate, simulated photos, least-likely class, ε 8"),
    "least": (["--min-destruction", "average:fgsm=0.1", *RATE], 1, "fast, ε 16, average case: 0.0 % (0/2"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), KEPT_OR_BROKEN.values(), ids=KEPT_OR_BROKEN.keys())
def test_a_rule_is_one_line_with_the_numbers_of_the_report(run, capsys, arguments, code, words):
    found, lines, err = check(capsys, *(["--min-accuracy"] if "=" in arguments[0] else []), *arguments)
    assert found == code and err == ""
    assert lines[0].startswith("✓ " if code == 0 else "✗ ") and words in lines[0]
    assert lines[1].startswith("1 rule kept." if code == 0 else "1 of 1 rule broken.")


def test_every_cell_is_held_to_the_limit_of_cells(run, capsys):
    code, lines, _ = check(capsys, "--max-destruction", "cells=0.6", "--on", "rate", "-q")
    assert code == 1 and [line[0] for line in lines] == ["✓", "✓", "✗"]


def test_a_cell_in_which_nothing_was_counted_is_an_error_that_names_others(run, capsys, monkeypatch):
    from pipeline.store.artefacts import COUNTED

    tables = COUNTED.read(run)
    for row in tables["destruction_rates"]:
        if row["attack"] == "fgsm":
            row |= {"n_hit": 0, "n_eligible": 0, "rate": None, "low": None, "high": None}
    monkeypatch.setattr(type(COUNTED), "read", lambda *_: tables)
    code, lines, err = check(capsys, "--max-destruction", "cells=1")
    assert code == 3 and lines == [] and "average:fgsm:16" in err.split("Counted were:")[0]
    assert "average:bim:8" in err.split("Counted were:")[1]


REFUSED = {
    "no-such-cell": (["--max-destruction", "fgsm:61=1"], 2, 'no such cell in sample. Did you mean "fgsm:16"?'),
    "no-such-attack": (["--min-accuracy", "photo:fgms:16=0"], 2, 'Did you mean "photo:fgsm:16"?'),
    "no-such-case": (["--min-accuracy", "photo:prefiltered:fgsm:16=0"], 2, "no such cell"),
    "no-such-kind": (["--min-accuracy", "photos=0"], 2, 'Did you mean "photo"?'),
    "kind-forgotten": (["--min-accuracy", "0.8"], 2, "clean, adversarial, clean-photo or photo"),
    "no-number": (["--min-destruction", "fgsm:16=high"], 2, "a number was expected"),
    "per-cent": (["--min-accuracy", "photo=80"], 2, "out of range: expected 0 to 1"),
    "not-finite": (["--min-accuracy", "photo=nan"], 2, "expected a number"),
    "nothing": ([], 2, "no limit to check"),
    "drop-of-nothing": (["--max-drop", "5"], 2, "--against"),
    "against-nothing": (["--against", "sample"], 2, "--max-drop 5"),
    "against-itself": (["--against", "sample", "--max-drop", "5"], 2, "cannot be compared with itself"),
    "against-nobody": (["--against", "smaple", "--max-drop", "5"], 3, 'Did you mean "sample"?'),
}


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_limit_that_means_nothing_is_refused_in_one_line(run, capsys, arguments, code, words):
    found, lines, err = check(capsys, *arguments, "--junit", "check.xml")
    assert (found, lines) == (code, []) and words in err and err.count("\n") == 1
    assert ET.parse("check.xml").getroot().get("errors") == "1"  # never the passes of an earlier build


def test_limits_of_the_file_are_checked_and_flags_replace_them(run, capsys):
    file = Path("limits.toml")
    text = (
        EXPERIMENT.read(run).decode()
        + '\n[check]\non = "rate"\nmin_accuracy = { photo = 0.3, clean = 1 }\nmax_destruction = 0.5\n'
    )
    file.write_text(text, encoding="utf-8")
    assert main(["check", "limits.toml", "-q"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["check", "limits.toml", "-q", "--min-accuracy", "photo=0.4"]) == 1
    assert [line[0] for line in capsys.readouterr().out.splitlines()] == ["✗", "✓", "✓"]
    assert main(["status", "limits.toml", "--json"]) == 0  # a limit makes no stage stale
    assert {stage["state"] for stage in json.loads(capsys.readouterr().out)["stages"]} == {"done"}


def test_a_wrong_limit_in_the_file_is_named_with_its_line(run, capsys):
    Path("limits.toml").write_text(EXPERIMENT.read(run).decode() + "\n[check]\nmin_accuracy = { photo = 8 }\n", encoding="utf-8")
    assert main(["check", "limits.toml"]) == 2
    err = capsys.readouterr().err
    assert "limits.toml:" in err and "check.min_accuracy.photo = 8 is out of range" in err


def test_an_unfinished_or_stale_run_has_an_exit_code_of_its_own(run, capsys):
    code, lines, err = check(capsys, "--min-accuracy", "photo=0", "--set", "transforms.blur=[9]")
    assert code == 6 and lines == [] and "transform is stale (" in err and "Type: inkproof run" in err
    PAIRS.path(run).unlink()
    code, lines, err = check(capsys, "--min-accuracy", "photo=0")
    assert code == 6 and "generate is stale (pairs.parquet is missing)" in err


def test_pages_that_are_not_photographed_yet_stop_limits_of_photographs_alone(run, capsys):
    by_hand = ("--set", "photograph.by=camera")
    for stage in ("classify", "rate"):
        assert main([stage, "sample", *by_hand, "-q"]) == 0
    capsys.readouterr()
    assert check(capsys, "--min-accuracy", "clean=0", *by_hand)[0] == 0
    code, _, err = check(capsys, "--min-accuracy", "photo=0", *by_hand)
    assert code == 6 and "0 of 2 pages; missing 1, 2" in err


class TestDrops:
    @pytest.fixture
    def baseline(self, run):
        """The same run of a model that is right about all photographed adversarial images: 6/6 where the sample has 2/6."""
        better = copy_sample(Path("main"))
        answered(better, is_right=True)
        return better

    @pytest.mark.parametrize(("limit", "code"), [("photo=66", 1), ("photo=67", 0), ("clean=0", 0)])
    def test_a_drop_is_measured_image_by_image(self, baseline, capsys, limit, code):
        capsys.readouterr()
        found, lines, _ = check(capsys, "--against", "main", "--max-drop", limit, "--on", "rate")
        assert found == code
        if limit.startswith("photo"):
            assert "33.3 % against 100.0 % of sample (main) (the 6 that both have, from 2 images): −66.7 points (" in lines[0]

    def test_without_a_kind_all_four_accuracies_are_meant(self, baseline, capsys):
        capsys.readouterr()
        code, lines, _ = check(capsys, "--against", "main/reports/sample", "--max-drop", "5", "--on", "rate", "-q")
        assert code == 1 and [line[0] for line in lines] == ["✓", "✓", "✓", "✗"]

    def test_on_the_bound_a_drop_has_to_be_ruled_out(self, baseline, capsys):
        capsys.readouterr()
        code, lines, _ = check(capsys, "--against", "main", "--max-drop", "clean-photo=5")
        assert code == 1 and "0.0 points" in lines[0] and "(the drop itself keeps to it)" in lines[0]

    def test_a_file_names_the_other_run_from_where_it_lies(self, baseline, run, capsys):
        Path("deep").mkdir()
        limits = '[check]\nagainst = "../main"\nmax_drop = { photo = 5 }\non = "rate"\n'
        Path("deep/limits.toml").write_text(f"{EXPERIMENT.read(run).decode()}\n{limits}", encoding="utf-8")
        capsys.readouterr()
        assert main(["check", "deep/limits.toml", "-q"]) == 1 and "of sample (main)" in capsys.readouterr().out

    def test_a_better_model_is_no_drop(self, baseline, capsys):
        capsys.readouterr()
        assert main(["check", "main", "--against", "sample", "--max-drop", "photo=0", "--on", "rate"]) == 0

    def test_a_baseline_is_taken_as_it_was_made_but_not_when_it_was_changed_by_hand(self, baseline, capsys):
        """Its photos, and whatever lay outside it, may be gone; what the run itself made may not."""
        PAIRS.path(baseline).write_bytes(PAIRS.path(baseline).read_bytes() + b" ")
        capsys.readouterr()
        code, _, err = check(capsys, "--against", "main", "--max-drop", "5")
        assert code == 6 and "pairs.parquet was changed by hand" in err


def test_json_and_junit_have_each_rule_with_its_numbers(run, capsys):
    rules = ["--min-accuracy", "photo=0.3", "--max-destruction", "illc:8=0.5", "--on", "rate"]
    code, lines, _ = check(capsys, *rules, "--json", "--junit", "check.xml")
    told = json.loads("\n".join(lines))
    assert code == 1 and (told["n_rules"], told["n_broken"], told["is_kept"]) == (2, 1, False)
    kept, broken = told["rules"]
    assert (kept["is_kept"], kept["found"]["n_hit"], kept["found"]["n_eligible"]) == (True, 2, 6)
    assert (broken["attack"], broken["epsilon_8bit"], broken["measured"], broken["limit"]) == ("illc", 8, 1.0, 0.5)
    suites = ET.parse("check.xml").getroot()
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("2", "1", "0")
    assert [case.find("failure") is not None for case in suites.iter("testcase")] == [False, True]
    assert "least-likely class, ε 8" in suites.find(".//failure").get("message")


def test_junit_takes_letters_that_xml_has_not(tmp_path):
    from pipeline.report.verdicts import junit_xml

    assert "a�b" in ET.fromstring(junit_xml("a\x00b", (), "no \x1b & <this>")).find("testsuite").get("name")


@pytest.mark.parametrize("command", ["run", "rate"])
def test_json_of_a_run_carries_its_rates_with_n_and_interval(run, capsys, command):
    assert main([command, "sample", "--json"]) == 0
    rates = json.loads(capsys.readouterr().out)["rates"]
    row = next(row for row in rates["destruction_rates"] if row["attack"] == "illc" and row["top_k"] == 1)
    assert (row["n_hit"], row["n_eligible"], row["transform"], row["origin"]) == (2, 2, "photo", "simulated")
    assert 0 < row["low"] < row["rate"] == 1.0 and Path(rates["file"]).is_file()
    assert {row["quantity"] for row in rates["overall"]} == {"clean_accuracy", "adversarial_accuracy", "destruction_rate"}


def test_missing_pages_refuse_limits_on_photographs_alone(tiny, tmp_path, monkeypatch, capsys):
    shutil.copytree(tiny, tmp_path / "w", symlinks=True)
    monkeypatch.chdir(tmp_path / "w")
    taken, other = sorted(Path("captures/small/photos").glob("*.jpg"))
    taken.rename(taken.with_name("IMG_1.jpg"))
    other.unlink()
    by_camera = ("--set", "photograph.by=camera")
    for stage in ("crop", "classify", "rate"):
        main([stage, "small.toml", *by_camera, "-q"])
    capsys.readouterr()
    assert main(["check", "small.toml", *by_camera, "--min-accuracy", "photo=0"]) == 6
    assert "1 of 2 pages; missing 2" in capsys.readouterr().err
    assert main(["check", "small.toml", *by_camera, "--min-accuracy", "clean=0"]) == 0
