"""What is printed, and how: facts of stages, the summary of a run on one screen, results as text or JSON."""

import dataclasses
import json
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from pipeline.cli.parser import KINDS

MOST_NOTES, MOST_PHOTOS = 12, 40
SCREEN_LINES, SCREEN_COLUMNS = 24, 100
# Of a stage that is done with the photos that are there, while others are missing.
PARTLY = "partly"


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


def logged(result: dict[str, Any]) -> list[str]:
    """Returns what a log keeps of a command's result: what its stages told, and each text; no tables of names."""
    lines = [stage_line(told) for told in result.get("stages", ())]
    return lines + [f"{key}: {value}" for key, value in result.items() if isinstance(value, str)]


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
    """Returns the end of a run: what was found, what to beware of, and where everything is; nothing is cut.

    A flag is shown with what was measured and what to do where `n_lines` lines have room for it, else with what to do, else it is
    named.

    Args:
        flags: (title, the worst that was measured, what to do) of each that is raised.
        ending: lines that are shown as they are.
    """
    lines = [line for sentence in sentences for line in _wrapped(sentence)]
    room = n_lines - len(lines) - len(ending) - 3
    shown = [line for name, measured, advice in flags for line in (*_told(name, measured), *_wrapped(advice, "  → ", "    "))]
    n_told = len(flags)
    while len(shown) > room and n_told >= 0:
        rest = ", ".join(name for name, _, _ in flags[n_told:])
        more = _told(rest, "see Flags in the report") if rest else []
        shown = [line for name, _, advice in flags[:n_told] for line in _told(name, advice)] + more
        n_told -= 1
    return "\n".join(["", *lines, *([""] if shown else []), *shown, *([""] if ending else []), *ending])


def _told(name: str, words: str) -> list[str]:
    return _wrapped(f"{name}: {words}", "! ", "  ")


def _wrapped(sentence: str, first: str = "- ", rest: str = "  ") -> list[str]:
    return textwrap.wrap(
        sentence, SCREEN_COLUMNS, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def stage_facts(state: Any, run: Any, pages: Any = None) -> dict[str, Any]:
    """Returns what there is to say about a stage; `pages` are those that a person photographs (`PagesIn`), if one does.

    A stage that is done with the photos that are there is PARTLY done while pages are missing; with crops come a line about the
    pages and one about each photo.
    """
    from pipeline.stages.graph import STAGES
    from pipeline.store.stage import DONE

    notes = state.summary.get("notes", [])
    counts = {key: value for key, value in state.summary.items() if key not in ("notes", "headline", "failed")}
    told = {"stage": state.stage, "state": state.state, "reason": state.reason, "counts": counts, "notes": notes}
    of_photos = state.stage in ("photograph", "crop") or "crop" in STAGES[state.stage].uses
    if pages is not None and not pages.are_all_in and of_photos and state.state == DONE:
        told["state"] = PARTLY
    if state.stage == "crop" and state.state == DONE:
        told |= {"pages": pages.told} if pages is not None else {}
        told["photos"] = _photo_lines(run, by_person=pages is not None)
    return told


def _photo_lines(run: Any, by_person: bool) -> list[str]:
    """Returns a line for each photo; of simulated ones, where no person photographs, only for those with something wrong."""
    from pipeline.physical.registration.photo_lines import NOTHING_WRONG, photo_lines
    from pipeline.store import SIMULATED_PHOTOS
    from pipeline.store.artefacts import CAPTURED, DISCARDS, QUALITY

    found = photo_lines(CAPTURED.read(run), DISCARDS.read(run), QUALITY.read(run))
    if by_person:
        found = [(name, words) for name, words in found if not name.startswith(SIMULATED_PHOTOS)]
    wrong = [(name, words) for name, words in found if not words.endswith(NOTHING_WRONG)]
    shown = found if by_person and len(found) <= MOST_PHOTOS else wrong
    lines = [f"{name}: {words}" for name, words in shown]
    n_rest = len(found) - len(shown)
    return [*lines, f"{n_rest} photos with nothing wrong"] if by_person and n_rest else lines


def stage_line(told: dict[str, Any]) -> str:
    """Returns a stage as a line, with its photos and notes below."""
    mark, stage, state, (said, *notes) = _stage_words(told)
    return "\n".join([f"{mark} {stage:<10} {state:<8} {said}".rstrip(), *(f"             {note}" for note in notes)])


def _stage_words(told: dict[str, Any]) -> tuple[str, str, str, list[str]]:
    """Returns a mark, the stage, its state, and what there is to say of it."""
    mark = {"done": "✓", PARTLY: "◐", "waiting": "…", "stale": "!", "missing": "·"}[told["state"]]
    counts = ", ".join(f"{_shown(value)} {_noun(key, value)}" for key, value in told["counts"].items() if key.startswith("n_"))
    notes = told["notes"] if len(told["notes"]) <= MOST_NOTES else [*told["notes"][:MOST_NOTES], _more(told)]
    said = told["reason"] or "; ".join(filter(None, [told.get("pages", ""), counts]))
    return mark, told["stage"], told["state"], [said, *told.get("photos", ()), *notes]


def _more(told: dict[str, Any]) -> str:
    return f"and {len(told['notes']) - MOST_NOTES} more: all of them with inkproof status EXPERIMENT --json"


def _noun(key: str, value: Any) -> str:
    """Returns what is counted, in the singular where there is one: `n_pages_found` is "page found"."""
    words = key.removeprefix("n_").replace("_", " ")
    return re.sub(r"(?<=ss)es\b|(?<!s)s\b", "", words, count=1) if value == 1 else words


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
