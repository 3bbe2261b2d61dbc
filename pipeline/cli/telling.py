"""What is printed, and how: facts of stages, progress bars, results as text or JSON."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

KINDS = ("models", "datasets", "attacks", "transforms", "profiles")
MOST_NOTES = 12


def print_json(value: Any) -> None:
    """Prints one JSON document."""
    print(json.dumps(value, ensure_ascii=False, indent=1, default=dataclasses.asdict))


def print_text(result: dict[str, Any], quiet: bool) -> None:
    """Prints a command's result for a person."""
    for key, value in result.items():
        if quiet and key == "next":
            continue
        if key == "stages":
            print("\n".join(stage_line(told) for told in value))
        elif key == "checks":
            print("\n".join(check.line for check in value))
        elif key in ("todo", "report", "next", "wrote"):
            words = {"todo": "\nWaiting for you:\n", "report": "\nReport: ", "next": "Next: ", "wrote": "Wrote "}
            print(words[key] + str(value))
        elif key == "table":
            print(value)
        elif key == "headline":
            print("\n" + "\n".join(f"- {line}" for line in value))
        elif key == "would_run":
            print("\n".join(f"would run {step['stage']}: {step['because']}" for step in value) or "nothing to do")
        elif key in KINDS:
            width = max(len(name) for name, _ in value)
            print(f"{key}\n" + "\n".join(f"  {name:<{width}}  {summary}" for name, summary in value))


def stage_facts(state: Any, run: Any) -> dict[str, Any]:
    """Returns what there is to say about a stage."""
    notes = state.summary.get("notes", [])
    counts = {key: value for key, value in state.summary.items() if key not in ("notes", "headline")}
    return {"stage": state.stage, "state": state.state, "reason": state.reason, "counts": counts, "notes": notes}


def stage_line(told: dict[str, Any]) -> str:
    """Returns a stage as a line, with its notes below."""
    mark = {"done": "✓", "waiting": "…", "stale": "!", "missing": "·"}[told["state"]]
    counts = ", ".join(
        f"{_shown(value)} {key.removeprefix('n_').replace('_', ' ')}"
        for key, value in told["counts"].items()
        if key.startswith("n_")
    )
    text = f"{mark} {told['stage']:<10} {told['state']:<8} {told['reason'] or counts}".rstrip()
    notes = told["notes"] if len(told["notes"]) <= MOST_NOTES else [*told["notes"][:MOST_NOTES], _more(told)]
    return "\n".join([text, *(f"             {note}" for note in notes)])


def _more(told: dict[str, Any]) -> str:
    return f"… and {len(told['notes']) - MOST_NOTES} more: all of them with inkproof status EXPERIMENT --json"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def bars(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
    """Returns the items, with a progress bar on stderr: done, rate and time left."""
    from tqdm import tqdm

    return iter(tqdm(items, total=total, desc=label, leave=False, file=sys.stderr, dynamic_ncols=True))
