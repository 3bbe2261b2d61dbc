"""The command line: what goes to stdout, what to stderr, and the exit code of each kind of trouble."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import COMMANDS, main
from pipeline.core.errors import Waiting
from pipeline.report.raised_flags import RUN_FLAGS

ROOT = Path(__file__).parents[2]


def run_command(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def at_work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_a_process(*arguments: str, cwd: Path, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, **options)


def test_help_is_there_within_half_a_second(tmp_path):
    """In time of the processor, which is that of the clock where nothing else is at work; other tests are."""
    in_a_process("--help", cwd=tmp_path)
    seconds = []
    for _ in range(3):
        before = os.times()
        found = in_a_process("--help", cwd=tmp_path)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert found.returncode == 0 and all(command in found.stdout for command in COMMANDS)
    assert min(seconds) < 0.5


def test_every_command_has_help_with_an_example(capsys, subtests):
    for command in COMMANDS:
        with subtests.test(command=command):
            with pytest.raises(SystemExit) as stopped:
                main([command, "--help"])
            text = capsys.readouterr().out
            assert stopped.value.code == 0 and f"inkproof {command}" in text.split("example:")[1]
            for flag in ("--json", "--dry-run", "--force", "--seed", "--device", "--workers", "--set", "-q", "-v"):
                assert flag in text


def test_init_writes_a_file_that_runs_and_never_writes_over_one(at_work, capsys):
    code, out, _ = run_command(capsys, "init", "my.toml")
    assert code == 0 and "inkproof run my.toml" in out
    assert 'name = "my"' in Path("my.toml").read_text(encoding="utf-8")
    assert run_command(capsys, "status", "my.toml")[0] == 0
    code, _, err = run_command(capsys, "init", "my.toml")
    assert code == 3 and "--force" in err
    assert run_command(capsys, "init", "my.toml", "--force", "--template", "kurakin2016")[0] == 0
    assert run_command(capsys, "init", "x.toml", "--template", "kurakn2016")[0] == 2


@pytest.mark.parametrize(
    "arguments", [["list"], ["doctor"], ["status", "small.toml"], ["run", "small.toml", "--dry-run"], ["rate", "small.toml"]]
)
def test_json_is_one_document_on_stdout_and_nothing_else(at_work, small_file, capsys, arguments):
    _, out, _ = run_command(capsys, *arguments, "--json")
    assert isinstance(json.loads(out), dict)


def test_a_dry_run_makes_nothing(at_work, small_file, capsys):
    code, out, _ = run_command(capsys, "run", "small.toml", "--dry-run")
    assert code == 0 and "would run select" in out
    assert sorted(path.name for path in at_work.iterdir()) == ["small.toml"]


def test_a_finished_run_names_its_report_and_can_be_called_by_its_name(finished, capsys):
    code, out, err = run_command(capsys, "run", "small", "--workspace", str(finished), "-q")
    assert code == 0 and str(finished / "reports/small/report.pdf") in out and err == ""
    code, out, _ = run_command(capsys, "status", "small", "--workspace", str(finished), "--json")
    assert {stage["state"] for stage in json.loads(out)["stages"]} == {"done"}


@pytest.mark.parametrize("command", ["run", "report"])
def test_a_finished_run_ends_with_one_screen_that_says_what_matters(command, finished, capsys):
    code, out, _ = run_command(capsys, command, "small", "--workspace", str(finished))
    lines = [line for line in out.splitlines() if not line.startswith("✓")]
    record = json.loads((finished / "reports/small/.stages/report.json").read_text(encoding="utf-8"))
    assert code == 0 and len(lines) <= 24
    assert max(len(line) for line in lines if str(finished) not in line) <= 100
    assert len(record["summary"]["headline"]) == 3 == sum(line.startswith("- ") for line in lines)
    for words in (
        "! simulated photographs: ",
        "! few eligible attacks: ",
        "report.pdf",
        "report.html",
        "Next: open ",
        "It took ",
    ):
        assert words in out
    assert RUN_FLAGS["simulated"].what_to_do in out


def test_rate_prints_the_destruction_rates_with_their_counts(finished, capsys):
    code, out, _ = run_command(capsys, "rate", "small", "--workspace", str(finished))
    assert code == 0 and "Adversarial destruction rate" in out and "least-likely class" in out and "/" in out


@pytest.mark.slow
def test_force_does_it_again(tiny, tmp_path, capsys):
    shutil.copytree(tiny, tmp_path / "copy")
    report = tmp_path / "copy/reports/small/report.pdf"
    before, content = report.stat().st_mtime_ns, report.read_bytes()
    assert run_command(capsys, "report", "small", "--workspace", str(tmp_path / "copy"))[0] == 0
    assert report.stat().st_mtime_ns == before
    assert run_command(capsys, "report", "small", "--workspace", str(tmp_path / "copy"), "--force")[0] == 0
    assert report.stat().st_mtime_ns > before and report.read_bytes() == content
    photo = tmp_path / "copy/captures/small/photos/simulated-page-001.jpg"
    before, content = photo.stat().st_mtime_ns, photo.read_bytes()
    assert run_command(capsys, "photograph", "small", "--workspace", str(tmp_path / "copy"), "--force")[0] == 0
    assert photo.stat().st_mtime_ns > before and photo.read_bytes() == content


def test_a_run_that_waits_says_what_to_do(tiny, tmp_path, capsys):
    shutil.copytree(tiny, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/captures/small/photos")
    code, out, _ = run_command(
        capsys, "run", "small", "--workspace", str(tmp_path / "copy"), "--set", "photograph.by=camera", "-q"
    )
    assert code == Waiting.exit_code == 5
    for words in ("printout.pdf", "100 %", "captures/small/photos", "inkproof run"):
        assert words in out


def test_list_shows_every_registry(capsys):
    _, out, _ = run_command(capsys, "list")
    for word in ("builtin:signs", "timm:", "folder:", "fgsm", "illc", "jpeg", "office-phone"):
        assert word in out


def test_doctor_names_what_is_missing_and_what_to_install(capsys):
    code, out, _ = run_command(capsys, "doctor")
    assert code == 0 and "torch" in out and "disk" in out


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, small_file):
    """A file size limit makes writing fail as a full disk does: the run stops, and goes on when there is room."""

    resource = pytest.importorskip("resource")

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    found = in_a_process("run", "small.toml", "--workers", "1", cwd=tmp_path, preexec_fn=no_room)
    assert found.returncode in (3, 4) and "Traceback" not in found.stderr
    assert found.stderr.splitlines()[-1].startswith("inkproof: ")
    assert not list(tmp_path.rglob("*.partial"))
    assert in_a_process("layout", "small.toml", cwd=tmp_path).returncode in (0, 2)


def test_an_interruption_has_its_own_exit_code(monkeypatch, capsys, at_work, small_file):
    from pipeline.stages import graph

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(graph, "run_stage", interrupted)
    code, _, err = run_command(capsys, "select", "small.toml")
    assert code == 130 and "go on" in err
