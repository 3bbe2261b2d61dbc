"""What flags mean, and which a run raised, the worst case of each first; it draws nothing, so that a run is summed up at once."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.document.formats import count
from pipeline.records import FlagRow, flags

_LIMITS = {
    "few": flags.FEW_ELIGIBLE,
    "discards": 100 * flags.MANY_DISCARDS,
    "drop": 100 * flags.CLEAN_DROP,
    "aspect": 100 * flags.PRINT_ASPECT,
    "scale": 100 * flags.PRINT_SCALE,
    "resolution": flags.LOW_RESOLUTION_PX,
    "alike": flags.ALIKE_RMS_8BIT,
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


@dataclass(frozen=True, slots=True)
class RaisedFlag:
    """One raised flag, with all that it concerns; the first is the worst."""

    name: str
    rows: tuple[FlagRow, ...]

    @property
    def words(self) -> str:
        """The worst case, and how many others there are."""
        more = len(self.rows) - 1
        return self.rows[0].message + (f"; and {count(more, 'other')}" if more else "")


def raised_flags(rows: Iterable[FlagRow]) -> list[RaisedFlag]:
    """Returns the flags that are raised, in the order of RUN_FLAGS."""
    by_flag: dict[str, list[FlagRow]] = {}
    for row in rows:
        by_flag.setdefault(row.flag, []).append(row)
    return [RaisedFlag(name, tuple(by_flag[name])) for name in RUN_FLAGS if name in by_flag]
