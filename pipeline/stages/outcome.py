"""What a stage hands back when it is done."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """The files a stage made, relative to its folder, its counts, and what a person should know."""

    outputs: tuple[str, ...]
    summary: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
