"""What flags mean, and which a run raised, the worst case of each first; it draws nothing, so that a run is summed up at once."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.records import FlagRow, flags

_LIMITS = {
    "few": flags.FEW_ELIGIBLE,
    "discards": 100 * flags.MANY_DISCARDS,
    "drop": 100 * flags.CLEAN_DROP,
    "aspect": 100 * flags.PRINT_ASPECT,
    "scale": 100 * flags.PRINT_SCALE,
    "resolution": flags.LOW_RESOLUTION_PX,
    "alike": flags.ALIKE_RMS_8BIT,
    "boundless": flags.BOUNDLESS_EPSILON,
}


@dataclass(frozen=True, slots=True)
class FlagText:
    """What a flag means to a person, in a title and three sentences; one that `needs_gradient` is never raised on predictions."""

    title: str
    raised_if: str
    why: str
    what_to_do: str
    needs_gradient: bool = False


def _texts(group: str) -> dict[str, FlagText]:
    entries = tomllib.loads((Path(__file__).parent / "flags.toml").read_text(encoding="utf-8").format(**_LIMITS))[group]
    return {name: FlagText(**entry) for name, entry in entries.items()}


RUN_FLAGS, MODEL_FLAGS = _texts("run"), _texts("model")


def raised_flags(rows: Iterable[FlagRow]) -> dict[str, list[FlagRow]]:
    """Returns what each raised flag concerns, in the order of RUN_FLAGS."""
    kept = list(rows)
    found = {name: [row for row in kept if row.flag == name] for name in RUN_FLAGS}
    return {name: concerned for name, concerned in found.items() if concerned}


def told_flag(rows: Sequence[FlagRow]) -> str:
    """Returns the worst case of one flag, and how often it is raised."""
    return rows[0].message + (f" (the worst of {len(rows)} cases)" if len(rows) > 1 else "")
