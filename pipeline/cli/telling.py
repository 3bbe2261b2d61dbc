"""What is printed, and how: facts of stages, the summary of a run on one screen, results as text or JSON."""

import dataclasses
import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from pipeline.cli.parser import KINDS

MOST_NOTES = 12
SCREEN_LINES, SCREEN_COLUMNS = 24, 100
_SENTENCE_LINES = 3


def print_json(value: Any) -> None:
    """Prints one JSON document."""
    print(json.dumps(value, ensure_ascii=False, indent=1, default=dataclasses.asdict))


def print_text(result: dict[str, Any], quiet: bool) -> None:
    """Prints a command's result for a person."""
    for key, value in result.items():
        if quiet and key == "next":
            continue
        if sys.stdout.isatty() and (rows := _rows(key, value)):
            from pipeline.cli.tables import print_rows

            print_rows(rows, key if key in (*KINDS, "studies") else "")
        elif key == "stages":
            print("\n".join(stage_line(told) for told in value))
        elif key == "checks":
            print("\n".join(check.line for check in value))
        elif key in ("todo", "report", "next", "wrote"):
            words = {"todo": "\nWaiting for you:\n", "report": "\nReport: ", "next": "Next: ", "wrote": "Wrote "}
            print(words[key] + str(value))
        elif key in ("table", "screen", "refused"):
            print(value)
        elif key == "would_run":
            print("\n".join(f"would run {step['stage']}: {step['because']}" for step in value) or "nothing to do")
        elif key in (*KINDS, "studies"):
            width = max(len(name) for name, _ in value)
            print(f"{key}\n" + "\n".join(f"  {name:<{width}}  {summary}" for name, summary in value))


def _rows(key: str, value: Any) -> list[tuple[str, ...]]:
    """Returns what is shown as a table where there is a terminal; nothing for what is shown as it is."""
    if key == "stages":
        return [(mark, *words, "\n".join(told)) for mark, *words, told in map(_stage_words, value)]
    if key == "checks":
        return [(check.mark, check.name, check.told) for check in value]
    return list(value) if key in (*KINDS, "studies") else []


def one_screen(
    sentences: Sequence[str], flags: Sequence[tuple[str, str, str]], ending: Sequence[str], n_lines: int = SCREEN_LINES
) -> str:
    """Returns the end of a run in at most `n_lines` lines: what was found, what to beware of, and where everything is.

    A flag is shown with what was measured and what to do where there is room, else with what to do; what does not fit is named.

    Args:
        flags: (name, the worst that was measured, what to do) of each that is raised.
        ending: lines that are shown as they are.
    """
    lines = [line for sentence in sentences for line in _wrapped(sentence)]
    room = n_lines - len(lines) - len(ending) - 3
    shown = [line for name, measured, advice in flags for line in (_cut(f"! {name}: {measured}"), _cut(f"  → {advice}"))]
    n_told = len(flags)
    while len(shown) > room and n_told >= 0:
        rest = ", ".join(name for name, _, _ in flags[n_told:])
        more = textwrap.wrap(f"! {rest}: see Flags in the report", SCREEN_COLUMNS, subsequent_indent="  ") if rest else []
        shown = [*(_cut(f"! {name}: {advice}") for name, _, advice in flags[:n_told]), *more]
        n_told -= 1
    return "\n".join(["", *lines, *([""] if shown else []), *shown, *([""] if ending else []), *ending])


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(
        sentence, SCREEN_COLUMNS, initial_indent="- ", subsequent_indent="  ", max_lines=_SENTENCE_LINES, placeholder=" …"
    )


def _cut(line: str) -> str:
    return line if len(line) <= SCREEN_COLUMNS else f"{line[: SCREEN_COLUMNS - 2].rsplit(' ', 1)[0]} …"


def stage_facts(state: Any, run: Any) -> dict[str, Any]:
    """Returns what there is to say about a stage."""
    notes = state.summary.get("notes", [])
    counts = {key: value for key, value in state.summary.items() if key not in ("notes", "headline", "failed")}
    return {"stage": state.stage, "state": state.state, "reason": state.reason, "counts": counts, "notes": notes}


def stage_line(told: dict[str, Any]) -> str:
    """Returns a stage as a line, with its notes below."""
    mark, stage, state, (said, *notes) = _stage_words(told)
    return "\n".join([f"{mark} {stage:<10} {state:<8} {said}".rstrip(), *(f"             {note}" for note in notes)])


def _stage_words(told: dict[str, Any]) -> tuple[str, str, str, list[str]]:
    """Returns a mark, the stage, its state, and what there is to say of it."""
    mark = {"done": "✓", "waiting": "…", "stale": "!", "missing": "·"}[told["state"]]
    counts = ", ".join(
        f"{_shown(value)} {key.removeprefix('n_').replace('_', ' ')}"
        for key, value in told["counts"].items()
        if key.startswith("n_")
    )
    notes = told["notes"] if len(told["notes"]) <= MOST_NOTES else [*told["notes"][:MOST_NOTES], _more(told)]
    return mark, told["stage"], told["state"], [told["reason"] or counts, *notes]


def _more(told: dict[str, Any]) -> str:
    return f"… and {len(told['notes']) - MOST_NOTES} more: all of them with inkproof status EXPERIMENT --json"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
