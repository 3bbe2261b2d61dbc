"""Which flags a run raised, the worst case of each first; it draws nothing, so that a finished run is summed up at once."""

from collections.abc import Iterable, Sequence

from pipeline.document.formats import count
from pipeline.records import RUN_FLAGS, FlagRow


def raised_flags(rows: Iterable[FlagRow]) -> dict[str, list[FlagRow]]:
    """Returns what each raised flag concerns, in the order of RUN_FLAGS."""
    kept = list(rows)
    found = {name: [row for row in kept if row.flag == name] for name in RUN_FLAGS}
    return {name: concerned for name, concerned in found.items() if concerned}


def told_flag(rows: Sequence[FlagRow]) -> str:
    """Returns the worst case of one flag, and how many others there are."""
    return rows[0].message + (f"; and {count(len(rows) - 1, 'other')}" if len(rows) > 1 else "")
