"""What is optional and fails is left out by a run, and the report says so; asked for by itself, it fails."""

import shutil
from pathlib import Path

import pytest

from pipeline.core.errors import WrongUse
from pipeline.engine import Context
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_all, run_stage, status
from pipeline.stages.report import report_content
from pipeline.store import Run
from pipeline.store.artefacts import COUNTED, EXPLAINED, JUDGED, THRESHOLDS

CONTEXT = Context()
TWIN = '\n[[judges]]\nname = "builtin:signs"\nlabel = "twin"\n'


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def ran(folder: Path, *settings: str) -> tuple[Run, dict[str, str], dict[str, str]]:
    """Returns the run, the state of each stage, and what the report says is missing."""
    experiment, run = load_experiment(folder / "small.toml", settings), Run(folder, "small")
    states = list(run_all(experiment, run, CONTEXT))
    assert [state.state for state in status(experiment, run)] == ["done"] * len(states)
    return run, {state.stage: state.state for state in states}, dict(report_content(experiment, run).left_out)


def fails(*_: object, **__: object) -> None:
    raise ZeroDivisionError("an unlucky number\nwith a second line")


@pytest.mark.parametrize(
    ("stage", "inside", "setting"),
    [
        ("explain", "pipeline.stages.explain.how_for", "explain.stride_px=3"),
        ("thresholds", "pipeline.stages.thresholds._searched", "thresholds.n_images=2"),
    ],
)
@pytest.mark.slow
def test_a_run_goes_on_without_it_and_the_report_says_so(copy, monkeypatch, stage, inside, setting):
    monkeypatch.setattr(inside, fails)
    run, states, missing = ran(copy, setting)
    assert states["report"] == "done" and missing == {stage: "ZeroDivisionError: an unlucky number"}
    assert "an unlucky number" in (run.reports / "report.html").read_text(encoding="utf-8")
    assert (EXPLAINED.read(run)["views"] if stage == "explain" else THRESHOLDS.read(run)) == []
    with pytest.raises(ZeroDivisionError):
        run_stage(stage, load_experiment(copy / "small.toml", (setting,)), run, CONTEXT, force=True)
    monkeypatch.undo()
    assert ran(copy, setting)[2] == {}


def test_a_stage_that_is_not_optional_stops_the_run(copy, monkeypatch):
    monkeypatch.setattr("pipeline.stages.rate.run_flags", fails)
    with pytest.raises(ZeroDivisionError):
        ran(copy, "report.reproduces=kurakin2016")


def test_a_judge_that_fails_is_left_out_and_the_others_judge(copy, short_report):
    (copy / "small.toml").write_text(
        (copy / "small.toml").read_text(encoding="utf-8")
        + TWIN
        + '\n[[judges]]\nname = "builtin:signs"\nlabel = "other"\nclasses = "names.txt"\n',
        encoding="utf-8",
    )
    (copy / "names.txt").write_text("\n".join(f"thing {i}" for i in range(32)), encoding="utf-8")
    run, _, missing = ran(copy)
    assert {row.judge for row in JUDGED.read(run)} == {"twin"}
    assert 'judge "other"' in missing["classify"] and "has no class for" in missing["classify"]
    assert {row["judge"] for row in COUNTED.read(run)["transfer"]} == {"attacked model", "twin"}
    with pytest.raises(WrongUse, match="has no class for"):
        run_stage("classify", load_experiment(copy / "small.toml"), run, CONTEXT, force=True)


def test_predictions_that_fail_cost_no_real_photograph(copy, monkeypatch, short_report):
    run = Run(copy, "small")
    for number, photo in enumerate(sorted(run.photos.glob("simulated-*.jpg"))):
        shutil.copy(photo, run.photos / f"mine-{number}.jpg")
    monkeypatch.setattr("pipeline.stages.photograph._photographed", fails)
    _, states, missing = ran(copy, "photograph.by=camera", "photograph.predict=true", "photograph.profile=ideal")
    assert states["report"] == "done" and missing == {"photograph": "ZeroDivisionError: an unlucky number"}
    assert "predicted" not in COUNTED.read(run) or not COUNTED.read(run)["predicted"]
