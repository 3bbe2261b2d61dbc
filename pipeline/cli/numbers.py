"""The numbers of a run as --json gives them: rates with n and interval, of files and photographs, and of rules."""

from dataclasses import asdict
from typing import Any


def run_numbers(run: Any) -> dict[str, Any]:
    """Returns the rates of files and photographs with their counts and intervals, and what is right behind defences.

    The rates of digital transforms lie in `file`.
    """
    from pipeline.records import PHOTO, SOURCE
    from pipeline.store.artefacts import COUNTED

    tables = COUNTED.read(run)
    shown = {
        name: [row for row in tables[name] if row["transform"] in (PHOTO, SOURCE)]
        for name in ("overall", "destruction_rates", "accuracies")
    }
    behind = {"defences": tables["defences"]} if "defences" in tables else {}
    return {**shown, **behind, "file": str(COUNTED.path(run))}


def verdict_facts(verdict: Any) -> dict[str, Any]:
    """Returns a rule, whether it is kept, and what it was held against: a rate, or two and their difference."""
    rule, found = verdict.rule, verdict.found
    case, attack, epsilon = rule.cell
    return {
        "rule": rule.key,
        "place": rule.place,
        "on": rule.on,
        "limit": rule.limit,
        "measured": verdict.measured,
        "is_kept": verdict.is_kept,
        "quantity": rule.counted[0],
        "transform": rule.counted[1],
        "case": case,
        "attack": attack,
        "epsilon_8bit": epsilon,
        "found": asdict(found),
    }
