"""On a terminal rows fold in their own column; where the output is piped, lines stay plain and whole."""

import re
import sys

import pytest

from pipeline.cli.doctor import Check
from pipeline.cli.telling import print_text

LONG = "Measures [what] it is made of, " * 8
RESULTS = {
    "list": ({"attacks": [("fgsm", LONG), ("eot", "short")]}, ["fgsm", "eot", "short"]),
    "doctor": ({"checks": [Check("GPU", False, False, LONG, "runs use the CPU")]}, ["–", "GPU", "runs use the CPU"]),
    "status": (
        {"stages": [{"stage": "crop", "state": "stale", "reason": LONG, "counts": {"n_photos": 3}, "notes": ["a note"]}]},
        ["!", "crop", "stale", "a note"],
    ),
}


@pytest.mark.parametrize(("result", "words"), RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_every_word_is_printed_and_only_a_terminal_folds_it(result, words, is_terminal, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    print_text(result, quiet=False)
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()  # without colours
    assert (max(map(len, lines)) <= 80) == is_terminal
    assert all(any(word in line for line in lines) for word in [*words, "[what]"])
    assert is_terminal or any(LONG.strip() in line for line in lines)
