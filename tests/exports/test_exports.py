"""Exports: every number and answer of a run in files, and in the trackers that are installed."""

import csv
import json
import os
import sys
from dataclasses import fields, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sample_copy import copy_sample

from pipeline.cli import main
from pipeline.cli.finding import found_run
from pipeline.exports import DESTINATIONS
from pipeline.exports.tables import PredictionRow, RateRow, exported
from pipeline.exports.trackers import metric_name, metrics, parameters
from pipeline.records import PHOTO, Rate
from pipeline.store.artefacts import COUNTED, PREDICTIONS


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # what a tracker is asked for ends with the test
    return copy_sample(Path("."))


@pytest.fixture
def found(run):
    return exported(*found_run("sample", Path(".")))


def export(capsys, *arguments: str) -> tuple[int, dict]:
    code = main(["export", "sample", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_row_of_rates_is_a_rate_with_its_run():
    assert {item.name for item in fields(RateRow)} == {item.name for item in fields(Rate)} | {"run"}


def test_every_rate_and_every_answer_is_exported_with_its_counts(run, found):
    counted = COUNTED.read(run)
    assert len(found.rates) == sum(len(counted[name]) for name in ("overall", "accuracies", "destruction_rates"))
    assert len(found.predictions) == len(PREDICTIONS.read(run))
    photos = [row for row in found.predictions if (row.transform, row.variant) == (PHOTO, "adversarial")]
    assert (sum(row.is_right for row in photos), len(photos)) == (2, 6)  # as in overall.csv
    assert {row.page for row in photos} == {1, 2} and {row.cases for row in photos} == {("average",)}
    assert all(row.names[0] == row.true_name for row in photos if row.is_right)


def test_csv_and_parquet_hold_the_same_rows(run, capsys):
    for kind in ("csv", "parquet"):
        code, told = export(capsys, "--to", kind, "--output", kind)
        assert code == 0 and [Path(file).stem for file in told["wrote"]] == ["rates", "predictions", "settings"]
    for name in ("rates", "predictions", "settings"):
        with Path(f"csv/{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        table = pq.read_table(f"parquet/{name}.parquet")
        assert list(rows[0]) == table.column_names and len(rows) == table.num_rows > 0
        assert {row["run"] for row in rows} == {"sample"} == set(table["run"].to_pylist())
    settings = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert (settings["attacks.fgsm.epsilons_8bit"], settings["selection.n_images"]) == ("16", "2")


def test_csv_is_read_by_pandas_with_what_is_unknown_missing(run, capsys):
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    export(capsys, "--to", "csv")
    frame = pandas.read_csv("reports/sample/export/rates.csv")
    row = frame[(frame["quantity"] == "adversarial_accuracy") & (frame["transform"] == "photo") & frame["attack"].isna()].iloc[0]
    assert (row.n_hit, row.n_eligible) == (2, 6) and 0 < row.low < row.rate < row.high < 1
    assert frame.n_effective.isna().any()


def test_json_is_one_document(run, capsys):
    assert export(capsys, "--to", "json", "--output", "all.json")[0] == 0
    told = json.loads(Path("all.json").read_text(encoding="utf-8"))
    assert told["photographs"] == "simulated" and told["settings"]["seed"] == "12" and len(told["model_fingerprint"]) == 64
    assert set(told["predictions"][0]) == {item.name for item in fields(PredictionRow)} and len(told["rates"]) == 149


def test_metrics_are_the_top_1_rates_with_interval_and_n(found):
    told = metrics(found)
    name = "adversarial_accuracy/photo-simulated/average/all-cells"
    assert told[f"{name}/rate"] == pytest.approx(2 / 6) and told[f"{name}/n"] == 6
    assert told[f"{name}/low"] < told[f"{name}/rate"] < told[f"{name}/high"]
    assert told["destruction_rate/photo-simulated/average/illc-eps8/rate"] == 1.0
    assert "destruction_rate/blur-0.5/average/all-cells/rate" in told and not any("blur" in key and "fgsm" in key for key in told)
    n_rates = sum(row.top_k == 1 and (not row.attack or row.transform in ("source", "photo")) for row in found.rates)
    assert len(told) == 4 * n_rates  # no two rates share a name
    row = next(row for row in found.rates if row.attack and row.transform == PHOTO)
    both = replace(found, rates=[replace(row, top_k=1, n_eligible=6), replace(row, top_k=5, n_eligible=7)])
    assert metrics(both)[f"{metric_name(row)}/n"] == 6
    assert parameters(found)["photograph.profile"] == "office-phone-3mp"


def test_a_stale_run_is_not_exported(run, capsys):
    assert main(["export", "sample", "--to", "csv", "--set", "transforms.blur=[9]"]) == 6
    assert main(["export", "sample", "--to", "csv", "--dry-run"]) == 0 and not Path("reports/sample/export").exists()


def test_wrong_places_and_kinds_are_refused(run, capsys):
    Path("file").write_text("", encoding="utf-8")
    assert main(["export", "sample", "--to", "csv", "--output", "file"]) == 3
    assert main(["export", "sample", "--to", "cvs"]) == 2 and 'Did you mean "csv"' in capsys.readouterr().err
    assert main(["export", "smaple", "--to", "csv"]) == 3


def test_help_names_every_destination():
    from pipeline.cli.parser import _ENTRIES

    assert _ENTRIES["export"]["options"]["--to"]["choices"] == list(DESTINATIONS)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_named_with_what_to_type(run, capsys, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    code, told = export(capsys, "--to", name)
    assert code == 4 and told["hint"] == f"Install it: pip install 'inkproof[{name}]'"


class TestMlflow:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("mlflow", reason="needs MLflow: pip install 'inkproof[mlflow]'")

    def logged(self, uri: str):
        """The one run that a store has, and the names of its artefacts."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        (run,) = client.search_runs([client.get_experiment_by_name("inkproof").experiment_id])
        return run, {file.path for file in client.list_artifacts(run.info.run_id)}

    def check(self, run, files, found):
        assert run.info.status == "FINISHED" and run.info.run_name == "sample"
        assert run.data.params == parameters(found)
        assert run.data.metrics == pytest.approx(metrics(found))
        assert run.data.tags["inkproof.photographs"] == "simulated"
        assert {"report.pdf", "report.html", "rates.csv", "overall.csv", "predictions.csv"} <= files

    def test_a_folder_gets_settings_rates_and_report(self, run, found, capsys):
        code, told = export(capsys, "--to", "mlflow", "--output", "store")
        assert code == 0 and told["next"].startswith("mlflow ui --backend-store-uri file:")
        self.check(*self.logged(Path("store").resolve().as_uri()), found)

    @pytest.mark.slow
    def test_a_database_gets_the_same_and_its_files_lie_beside_it(self, run, found, capsys):
        pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy: pip install 'inkproof[mlflow]'")
        Path("deep").mkdir()
        assert export(capsys, "--to", "mlflow", "--output", "deep/mlflow.db")[0] == 0
        self.check(*self.logged(f"sqlite:///{Path('deep/mlflow.db').resolve()}"), found)
        assert sorted(path.name for path in Path("deep").iterdir()) == ["mlartifacts", "mlflow.db"]
        assert not Path("mlruns").exists()

    def test_a_store_that_cannot_be_is_told_in_one_line(self, run, capsys):
        Path("file").write_text("", encoding="utf-8")
        code = main(["export", "sample", "--to", "mlflow", "--output", "file/store"])
        err = capsys.readouterr().err
        assert code == 4 and err.startswith("inkproof: MLflow at file:") and "--output" in err and err.count("\n") == 1


class TestWandb:
    def test_a_folder_gets_settings_rates_and_report_and_nothing_is_sent(self, run, found, capsys):
        pytest.importorskip("wandb", reason="needs wandb: pip install 'inkproof[wandb]'")
        for name in ("WANDB_MODE", "WANDB_DATA_DIR", "WANDB_PROJECT"):
            os.environ.pop(name, None)
        code, told = export(capsys, "--to", "wandb", "--output", "there")
        (folder,) = told["wrote"]
        assert code == 0 and told["next"] == f"wandb sync {folder}" and Path(folder).name.startswith("offline-run-")
        (file,) = Path(folder).glob("run-*.wandb")
        kept = file.read_bytes()
        for words in (*list(metrics(found))[:8], "attacks.fgsm.epsilons_8bit", "inkproof.model_fingerprint", "report.pdf"):
            assert words.encode() in kept, words
        assert sum(path.is_file() for path in Path("there/wandb/artifacts/staging").iterdir()) == len(found.files) + 1
