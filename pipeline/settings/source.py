"""Where each key of an experiment file stands, for messages about it."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """Where each key of an experiment file stands."""

    path: Path
    lines: dict[str, int]
    flags: tuple[str, ...] = ()

    def where(self, key: str) -> str:
        """Returns `file:line` of the dotted key, or of its nearest parent in the file; `--set` for an override."""
        while key and key not in self.lines:
            if f"{key}.0" in self.lines:  # written as [[key]]
                return self.where(f"{key}.0")
            key = key.rpartition(".")[0]
        if key and not self.lines[key]:
            return "--set"
        return f"{self.path}:{self.lines[key]}" if key else str(self.path)


def line_numbers(text: str) -> dict[str, int]:
    """Returns the line of every key and table of a TOML file, by its dotted place."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\s*\[\[\s*([\w.-]+)\s*\]\]", line):
            name = match[1]
            counts[name] = counts.get(name, -1) + 1
            table = f"{name}.{counts[name]}"
            lines[table] = number
        elif match := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            parent, dot, rest = match[1].partition(".")
            table = f"{parent}.{counts[parent]}.{rest}" if dot and parent in counts else match[1]
            lines[table] = number
        elif match := re.match(r"\s*\"?([\w.-]+)\"?\s*=", line):
            lines[f"{table}.{match[1]}" if table else match[1]] = number
    return lines
