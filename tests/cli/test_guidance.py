"""What a person beside the printer is told: what is missing, what each photo is worth, and one thing to do next."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.core.errors import Waiting, WrongUse
from pipeline.document.formats import ranges
from pipeline.engine import Context
from pipeline.planning.human_step import PagesIn
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import STAGES, run_stage
from pipeline.store import Run, write_bytes

LEAVES_OFF = 12


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def the_next(out: str) -> str:
    """The one thing to do next that a command ends with; what a person does before stands in brackets."""
    found = re.findall(r"^Next: (.*)$", out, re.MULTILINE)
    assert len(found) == 1, out
    assert out.strip().splitlines()[-1] == f"Next: {found[0]}", out
    return str(found[0])


@pytest.fixture
def by_camera(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, dict[str, bytes]]:
    """A run whose file says that a person photographs, and the photos that are still to be brought."""
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    file = copy / "small.toml"
    text = file.read_text(encoding="utf-8").replace("[photograph]\n", '[photograph]\nby = "camera"\n')
    file.write_text(text, encoding="utf-8")
    run = Run(copy, "small")
    photos = {f"IMG_{n}.jpg": path.read_bytes() for n, path in enumerate(sorted(run.photos.glob("*.jpg")), start=1)}
    shutil.rmtree(run.photos)
    monkeypatch.chdir(copy)
    return Run(Path("."), "small"), photos


def test_following_next_leads_from_the_first_file_to_the_report_and_never_in_a_circle(by_camera, capsys, short_report):
    run, photos = by_camera
    bring = list(photos.items())
    command, seen = "inkproof run small.toml", []
    for _ in range(LEAVES_OFF):
        code, out, _ = typed(capsys, *shlex.split(command.partition(" (")[0])[1:], "--workers", "1")
        following = the_next(out)
        pages = f"{len(photos) - len(bring)} of {len(photos)} pages; missing"
        assert code == (Waiting.exit_code if pages in out or (bring and len(bring) == len(photos)) else 0)
        seen.append((command, code, len(bring)))
        if following.startswith("open "):
            break
        if "(when" in following:
            assert str(run.photos) in following and bring
            name, content = bring.pop(0)
            write_bytes(run.photos / name, content)
        command = following
    assert seen == [("inkproof run small.toml", 5, 2), (seen[1][0], 5, 1), (seen[2][0], 0, 0)]
    assert Path(following.removeprefix("open ")).is_file()


@pytest.mark.parametrize("command", ["status", "plan", "run", *STAGES])
def test_of_a_finished_run_every_command_says_to_open_its_report(tiny, command, capsys):
    code, out, _ = typed(capsys, command, "small", "--workspace", str(tiny))
    assert code == 0 and the_next(out) == f"open {tiny / 'reports/small/report.html'}"


def test_before_the_first_stage_every_command_leads_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert the_next(typed(capsys, "init", "my.toml", "--camera")[1]) == "inkproof run my.toml"
    for command in (["status", "my.toml"], ["plan", "my.toml"], ["run", "my.toml", "--dry-run"]):
        code, out, _ = typed(capsys, *command)
        assert (code, the_next(out)) == (0, "inkproof run my.toml")


@pytest.mark.parametrize(
    "command", [["list"], ["list", "attacks"], ["doctor"], ["reproduce"], ["calibrate", "--page", "page.pdf"]]
)
def test_commands_beside_the_flow_end_with_one_next_too(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "inkproof " in the_next(typed(capsys, *command)[1])


def test_quiet_prints_the_result_and_nothing_else(tiny, capsys):
    out, err = typed(capsys, "run", "small", "--workspace", str(tiny), "-q")[1:]
    assert err == "" and "Next:" not in out and "It took" not in out and "report.pdf" in out


def test_pages_that_are_missing_are_told_and_nothing_is_ticked_off_before_all_are_in(by_camera, capsys):
    run, photos = by_camera
    (name, content), (later, rest) = photos.items()
    write_bytes(run.photos / name, content)
    code, out, _ = typed(capsys, "crop", "small.toml")
    assert code == Waiting.exit_code and "✓" not in out
    assert "1 of 2 pages; missing 2" in out and "IMG_1.jpg: page 1, nothing wrong" in out
    assert "Photograph page 2 with all four codes in the frame" in out
    code, out, _ = typed(capsys, "status", "small.toml")
    stages = {words[1]: words[0] for line in out.splitlines() if len(words := line.split()) > 2}
    assert code == Waiting.exit_code and stages["photograph"] == stages["crop"] == "◐"
    assert "1 of 2 pages; missing 2" in out and "IMG_1.jpg: page 1, nothing wrong" in out
    write_bytes(run.photos / later, rest)
    code, out, _ = typed(capsys, "status", "small.toml")
    assert code == 0 and the_next(out) == "inkproof run small.toml" and "missing 2" not in out  # not read yet
    assert "◐ photograph" in out
    code, out, _ = typed(capsys, "crop", "small.toml")
    assert code == 0 and "all 2 pages" in out and "Waiting for you" not in out and out.startswith("✓ crop")
    out = typed(capsys, "status", "small.toml")[1]
    assert "✓ photograph" in out and "✓ crop" in out and "Waiting for you" not in out


def test_a_complete_run_remembers_nothing_of_when_pages_were_missing(by_camera):
    run, photos = by_camera
    experiment = load_experiment(Path("small.toml"))
    stages = ("crop", "classify", "rate")
    for name, content in photos.items():
        write_bytes(run.photos / name, content)
        for stage in stages:
            run_stage(stage, experiment, run, Context())
    kept = {path: path.read_bytes() for path in (run.reports / "rates.json", run.captures / "discards.parquet")}
    for stage in stages:
        run_stage(stage, experiment, run, Context(), force=True)
    assert {path: path.read_bytes() for path in kept} == kept


def test_what_is_wrong_with_a_photo_is_told_in_the_terminal_as_on_its_overlay(by_camera, capsys):
    from pipeline.images import jpeg_bytes
    from pipeline.images.pictures import pictures

    run, photos = by_camera
    for name, content in photos.items():
        write_bytes(run.photos / name, content)
    picture = next(iter(pictures(run.photos / "IMG_2.jpg"))).pixels
    write_bytes(run.photos / "IMG_2.jpg", jpeg_bytes(picture[: len(picture) * 4 // 5].copy(), 90))
    (run.photos / "letter.jpg").write_text("Dear reader,")
    out = typed(capsys, "crop", "small.toml")[1]
    assert re.search(r"IMG_2.jpg: page 2, the page is cut off .*: step back so that all four codes are in the picture", out)
    assert "letter.jpg: not used, the file is not an image that can be read" in out and "…" not in out


@pytest.mark.parametrize(
    ("pages", "words"),
    [((5, 8, 11, 12, 13, 14, 15, 16), "5, 8, 11–16"), ((1, 2), "1, 2"), ((3,), "3"), ((1, 2, 3, 9, 10), "1–3, 9, 10")],
)
def test_pages_are_numbered_as_a_person_would(pages, words):
    assert ranges(pages) == words
    assert PagesIn(18, 9, pages).told == f"{18 - len(pages)} of 18 pages; missing {words}"


def test_init_for_a_camera_writes_it_into_the_file_whatever_the_template(tmp_path, monkeypatch, capsys):
    from pipeline.cli.commands import templates
    from pipeline.studies import experiments

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INKPROOF_DATA", str(tmp_path))
    for name in sorted({path.stem for path in templates().glob("[!t]*.toml")} | set(experiments())):
        assert typed(capsys, "init", f"{name}-mine.toml", "--template", name, "--camera")[0] == 0
        experiment = load_experiment(Path(f"{name}-mine.toml"))
        assert experiment.photograph.by == "camera", name
        assert "camera" in (text := Path(f"{name}-mine.toml").read_text(encoding="utf-8")) and 'by = "simulator"' not in text


@pytest.mark.parametrize("arguments", [["run"], ["crop"], ["photograph", "--force"], ["run", "--dry-run"]])
def test_no_simulated_photo_ever_lands_beside_a_persons(by_camera, capsys, monkeypatch, arguments):
    """Those of the fixture bear the simulator's mark: as a phone's they would not."""
    from pipeline.images import jpeg_bytes
    from pipeline.images.pictures import pictures

    run, photos = by_camera
    write_bytes(run.photos / "marked.jpg", next(iter(photos.values())))
    picture = next(iter(pictures(run.photos / "marked.jpg"))).pixels
    (run.photos / "marked.jpg").unlink()
    write_bytes(run.photos / "mine.jpg", jpeg_bytes(picture, 90))
    simulated = ["small.toml", "--set", "photograph.by=simulator"]
    code, out, err = typed(capsys, arguments[0], *simulated, *arguments[1:])
    assert code == WrongUse.exit_code and out == "" and err.count("\n") == 1
    assert "mine.jpg" in err and 'photograph.by = "camera"' in err and "predict" in err and "another name" in err
    assert [path.name for path in run.photos.iterdir()] == ["mine.jpg"]
    out = typed(capsys, "status", *simulated)[1]
    assert "mine.jpg" in out and the_next(out).endswith("--set photograph.by=camera")
