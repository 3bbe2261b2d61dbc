"""How far a command is: what the line says, when it is written, and that nothing stays silent for long on a terminal."""

import io
import os
import pty
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.cli.telling import SCREEN_COLUMNS, SCREEN_LINES, one_screen
from pipeline.core.progress import Display, duration
from pipeline.report.raised_flags import RUN_FLAGS

ROOT = Path(__file__).parents[2]


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_tells_stage_count_rate_and_time_left():
    clock = Clock()
    display = Display(io.StringIO(), clock=clock)
    assert display.line() == "starting, 0 s"
    display.begins("generate", 2, 9)
    clock.now_s += 3
    assert display.line() == "stage 2 of 9, generate, 3 s"
    items = display.progress(range(96), 96, "fgsm")
    next(items)
    clock.now_s += 2
    assert display.line() == "stage 2 of 9, generate: fgsm 0/96, 2 s"
    for _ in range(40):
        next(items)
    clock.now_s += 8
    assert display.line() == "stage 2 of 9, generate: fgsm 40/96, 4.0/s, 14 s left"
    items.close()
    display.begins("layout", 3, 9)
    assert display.line() == "stage 3 of 9, layout, 0 s"


def test_a_command_that_waits_for_a_person_says_nothing_of_itself():
    clock, stream = Clock(), io.StringIO()
    display = Display(stream, clock=clock)
    display.waits("serving")
    clock.now_s += 60
    display._tell()
    assert stream.getvalue() == "" and display.line() == "serving, 1 min 0 s"
    display.begins("crop")
    display._tell()
    assert stream.getvalue() == "crop, 0 s\n"


def test_work_within_work_is_told_with_the_time_left_of_the_outer_one():
    clock = Clock()
    display = Display(io.StringIO(), clock=clock)
    display.begins("table")
    outer = display.progress(range(4), 4, "images")
    next(outer), next(outer)
    clock.now_s += 120
    inner = display.progress(range(9), 9, "fgsm")
    next(inner)
    assert display.line() == "table: images 1/4 · fgsm 0/9, 0.5/min, 6 min 0 s left"


def test_more_than_was_expected_is_not_more_than_all():
    display = Display(io.StringIO(), clock=Clock())
    items = display.progress(range(9), 2, "batches")
    for _ in range(5):
        next(items)
    assert "batches 4/4" in display.line()


def test_items_pass_through_and_an_error_leaves_nothing_behind():
    display = Display(Terminal(), clock=Clock())
    assert list(display.progress("abc", 3, "letters")) == ["a", "b", "c"]
    with pytest.raises(ZeroDivisionError):
        list(display.progress((1 / n for n in (1, 0)), 2, "numbers"))
    assert display.line() == "starting, 0 s"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")]
)
def test_durations_are_short(seconds, said):
    assert duration(seconds) == said


def written(stream: io.StringIO, seconds: float, shows: bool = True) -> str:
    with Display(stream, shows) as display:
        display.begins("crop", 5, 9)
        time.sleep(seconds)
        before = stream.getvalue()
        display.say("a line")
    return before


def test_a_terminal_is_written_to_while_nothing_moves_and_wiped_in_the_end():
    stream = Terminal()
    assert written(stream, 1.6).count("stage 5 of 9, crop, ") >= 3
    last_frame = stream.getvalue().rpartition("stage 5 of 9, crop, ")[2]
    assert "a line\n" in stream.getvalue() and re.search(r"\x1b\[2K", last_frame) and "stage" not in last_frame
    assert "\x1b[?25l" not in stream.getvalue().rpartition("\x1b[?25h")[2]


def test_a_terminal_shows_a_bar_with_count_rate_and_time_left_for_each_thing_that_is_counted():
    stream, clock = Terminal(), Clock()
    with Display(stream, clock=clock) as display:
        display.begins("generate", 2, 9)
        items = display.progress(range(8), 8, "fgsm [x]")
        for _ in range(3):
            next(items)
            clock.now_s += 1
        time.sleep(1.2)
    assert re.search(r"fgsm \[x\] ━+.*2/8, 40\.0/min, 9 s left", re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue()))


def test_a_short_command_draws_nothing_on_a_terminal():
    stream = Terminal()
    assert written(stream, 0.1) == ""
    assert re.sub(r"\x1b\[[\d;?]*\w", "", stream.getvalue()).strip() == "a line"


def test_elsewhere_a_plain_line_comes_at_most_every_ten_seconds(monkeypatch):
    stream, clock = io.StringIO(), Clock()
    display = Display(stream, clock=clock)
    for _ in range(35):
        clock.now_s += 1
        display._tell()
    assert stream.getvalue().splitlines() == [f"starting, {seconds} s" for seconds in (10, 20, 30)]
    assert "\r" not in stream.getvalue() and "\x1b" not in stream.getvalue()


def test_a_quiet_display_writes_nothing():
    stream = Terminal()
    assert written(stream, 1.3, shows=False) == "" and stream.getvalue() == ""


@pytest.mark.slow
def test_a_run_on_a_terminal_is_never_silent_for_two_seconds_and_tells_every_stage(tmp_path, small_file):
    head, tail = pty.openpty()
    command = [sys.executable, "-m", "pipeline", "run", str(small_file), "--workspace", str(tmp_path), "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=tail)
    os.close(tail)
    chunks, times = [], [time.monotonic()]
    while True:
        try:
            chunk = os.read(head, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
        times.append(time.monotonic())
    os.close(head)
    out, _ = process.communicate()
    text = b"".join(chunks).decode("utf-8", "replace")
    assert process.returncode == 0 and "Traceback" not in text
    assert set(re.findall(r"stage (\d+) of", text)) and re.search(r"\d+/\d+, [\d.]+/(s|min), .* left", text)
    longest_s = max(later - earlier for earlier, later in pairwise(times))
    assert longest_s < 2, f"{longest_s:.1f} s without a sign"
    print(f"{len(times)} writes in {times[-1] - times[0]:.0f} s, the longest pause {longest_s:.2f} s")
    assert "Report: " in out.decode()


FLAGS = [
    (flag.title, f"17 working attacks, basic iterative at ε = 16, {name} (the worst of 48 cases)", flag.what_to_do)
    for name, flag in RUN_FLAGS.items()
]
SENTENCES = ["As files, 65 of 72 adversarial images are misclassified, and 72 of 72 clean ones are right. " * 2] * 3


def test_the_summary_fits_one_screen_whatever_is_raised(subtests):
    for n_flags in range(len(FLAGS) + 1):
        for n_ending in [3, 9]:
            with subtests.test(n_flags=n_flags, n_ending=n_ending):
                ending = ["Report: reports/demo/report.pdf", *["more"] * (n_ending - 2), "It took 8 s."]
                lines = one_screen(SENTENCES, FLAGS[:n_flags], ending).splitlines()
                assert len(lines) <= SCREEN_LINES == 24 and max(map(len, lines)) <= SCREEN_COLUMNS == 100
                text = " ".join(" ".join(lines).split())
                assert all(title in text for title, _, _ in FLAGS[:n_flags]) and lines[-1] == ending[-1]
                assert sum(line.startswith("- ") for line in lines) == 3


def test_a_flag_is_told_with_its_number_and_what_to_do_where_there_is_room():
    text = one_screen(SENTENCES, [("simulated", "18 simulated photographs count", "Print the pages.")], ["end"])
    assert "! simulated: 18 simulated photographs count\n  → Print the pages." in text
