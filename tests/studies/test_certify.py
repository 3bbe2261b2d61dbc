"""`inkproof certify`: its files, what it goes on from, its rates and curves, and what the report sets beside them."""

import csv
import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.defences.randomised_smoothing import RandomisedSmoothing
from pipeline.document.tables import as_text
from pipeline.models import load_classifier
from pipeline.records import ATTACKED_MODEL, Certificate
from pipeline.report.certified import certified_curves, certified_rates, certified_table
from pipeline.settings.reading import load_experiment
from pipeline.store import Run
from pipeline.studies.cohen2019.certifying import read_certificates

FILE = """
name = "small"
[dataset]
name = "folder:images"
[model]
name = "network:softmax"
input_px = 8
n_classes = 2
[[attacks]]
name = "fgsm"
epsilons_8bit = [8]
[[defences]]
name = "randomised-smoothing"
options = { sigma_8bit = 60 }
[[defences]]
name = "jpeg"
[[defences]]
name = "randomised-smoothing"
label = "more"
options = { sigma_8bit = 120 }
"""
COMMAND = ("certify", "my.toml", "--n-samples", "80", "--n0", "20", "--workers", "1", "--quiet")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A workspace with an experiment of eight small pictures of two classes."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for number in range(8):
        folder = tmp_path / "images" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "my.toml").write_text(FILE, encoding="utf-8")
    return tmp_path


def certified(here, *options):
    """The rows of certified.csv after the command, by defence and image."""
    assert main([*COMMAND, *options]) == 0
    rows = list(csv.DictReader((here / "reports/small/certified.csv").read_text(encoding="utf-8").splitlines()))
    return {(row["defence"], row["image_id"]): row for row in rows}


def test_it_writes_a_row_for_each_smoothing_and_image_curves_and_a_summary(here, capsys):
    rows = certified(here, "--n-images", "4")
    assert len(rows) == 8 and {defence for defence, _ in rows} == {"randomised-smoothing", "more"}
    for row in rows.values():
        assert float(row["radius_8bit"]) == pytest.approx(255 * float(row["radius"]))
        assert (row["is_abstained"] == "True") == (float(row["radius"]) == 0)
        assert {"60.0": "randomised-smoothing", "120.0": "more"}[row["sigma_8bit"]] == row["defence"]
    summary = json.loads((here / "reports/small/certified.json").read_text(encoding="utf-8"))
    assert len(summary["certificates"]) == 8 and summary["n_choosing"] == 20
    assert {rate["certified"]["n_eligible"] for rate in summary["rates"]} == {4}
    assert (here / "reports/small/certified.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (here / "reports/small/certified.svg").read_bytes()
    assert "Certified accuracy within an L2 distance" in capsys.readouterr().out


def test_what_was_counted_is_not_counted_again_and_more_images_change_none(here, monkeypatch):
    few = certified(here, "--n-images", "3")
    bytes_before = (here / "reports/small/certified.json").read_bytes()
    (file,) = (here / "printouts/small").rglob("*certify*/items.sqlite")
    with closing(sqlite3.connect(file, isolation_level=None)) as kept:
        names = kept.execute("SELECT name FROM items").fetchall()
        assert len(names) == 6
        kept.execute("DELETE FROM items WHERE name = ?", names[0])
    assert certified(here, "--n-images", "3") == few and (here / "reports/small/certified.json").read_bytes() == bytes_before
    all_of_them = certified(here, "--n-images", "8")
    assert len(all_of_them) == 16 and {key: all_of_them[key] for key in few} == few
    monkeypatch.setattr(RandomisedSmoothing, "votes", None)
    surer = certified(here, "--n-images", "8", "--alpha", "1e-6")
    assert {key: row["n_hit"] for key, row in surer.items()} == {key: row["n_hit"] for key, row in all_of_them.items()}
    assert all(float(surer[key]["radius"]) <= float(row["radius"]) for key, row in all_of_them.items())
    assert surer != all_of_them


def test_the_model_itself_is_certified_where_it_is_behind_one(here):
    options = ("--set", "model.defence=randomised-smoothing", "--set", "model.defence_options={n_samples=4}")
    (here / "my.toml").write_text(FILE[: FILE.index("[[defences]]")], encoding="utf-8")
    rows = certified(here, *options, "--n-images", "2")
    assert {defence for defence, _ in rows} == {ATTACKED_MODEL}


def test_a_dry_run_writes_nothing(here, capsys):
    assert main([*COMMAND, "--dry-run"]) == 0
    assert "100 noisy copies" in capsys.readouterr().out and not (here / "reports").exists()


def certificate(place, radius, at_most, is_right=True, defence="judge"):
    return Certificate(
        defence, f"i{place}", 0, "a", int(not is_right), "", radius == 0, radius, 255 * radius, at_most, 9, 10, 0.01, 64.0
    )


FOUR = [certificate(0, 0.6, None), certificate(1, 0.25, 0.4), certificate(2, 0.9, 1.2, is_right=False), certificate(3, 0.0, 0.3)]


def test_certified_at_a_distance_are_right_answers_that_did_not_abstain_and_reach_it():
    rates = {rate.radius: (rate.certified.n_hit, rate.at_most.n_hit) for rate in certified_rates(FOUR)}
    assert rates == {0.0: (2, 3), 0.25: (2, 3), 0.5: (1, 1), 0.75: (0, 1), 1.0: (0, 1)}
    near = certified_rates([certificate(0, 0.12, 0.13)])
    assert [rate.radius for rate in near] == [0.0, 0.05, 0.1, 0.15]
    assert [rate.radius_8bit for rate in near] == pytest.approx([0, 12.75, 25.5, 38.25])


def test_the_curve_falls_at_the_radii():
    panel = certified_curves(FOUR).axes[0]
    at, share = panel.lines[0].get_data()
    assert list(zip(at, share, strict=True))[:4] == [(0.0, 50.0), (0.25, 50.0), (0.6, 25.0), (0.9, 0.0)]
    assert panel.lines[0].get_drawstyle() == "steps-pre"


def test_the_table_names_each_defence_once_and_how_sure_it_is():
    text = as_text(certified_table([*FOUR, certificate(0, 0.3, None, defence="other")])).replace("\n", " ")
    assert text.count("judge") == 1 and text.count("other") == 1
    assert "2/4" in text and "by 10 noisy copies" in text and "a chance of 0.01" in text


def test_what_was_certified_of_another_model_noise_or_images_is_not_shown(here):
    certified(here, "--n-images", "2")
    read = partial(read_certificates, run=Run(here, "small"))
    fingerprint = load_classifier(load_experiment(Path("my.toml")).resolved_model()).fingerprint
    assert len(read(load_experiment(Path("my.toml")), fingerprint=fingerprint)) == 4
    assert read(load_experiment(Path("my.toml")), fingerprint="another") == []
    for changed in ("defences.more.options={sigma_8bit=99}", "dataset.n_images=3", "seed=1"):
        assert read(load_experiment(Path("my.toml"), (changed,)), fingerprint=fingerprint) == []
    assert len(read(load_experiment(Path("my.toml"), ("defences.jpeg.options={quality=9}",)), fingerprint=fingerprint)) == 4
    (here / "reports/small/certified.json").unlink()
    assert read(load_experiment(Path("my.toml")), fingerprint=fingerprint) == []
