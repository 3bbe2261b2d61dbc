"""Which flags a run raised, the worst case of each first; it draws nothing, so that a finished run is summed up at once."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.document.formats import count
from pipeline.records import RUN_FLAGS, FlagRow


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
