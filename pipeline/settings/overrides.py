"""What `--set section.key=value` on the command line changes in an experiment's tables before they are checked."""

import tomllib
from typing import Any

from pipeline.core.errors import WrongUse, near_match
from pipeline.settings.source import Source


def apply_override(tree: dict[str, Any], override: str, source: Source) -> None:
    """Puts an override into the tables, and notes in `source` that it is not of the file.

    Raises:
        WrongUse: it is not of the form key=value, or names no table.
    """
    key, equals, raw = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise WrongUse(f'--set {override}: expected key=value, for example "selection.n_images=12".')
    try:
        value = tomllib.loads(f"value = {raw.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    node: Any = tree
    *parents, last = key.split(".")
    place: list[str] = []
    for part in parents:
        node, part = _child(node, part, key)
        place.append(part)
    if not isinstance(node, dict):
        raise WrongUse(f"--set {override}: {'.'.join(parents)} is not a table.")
    node[last] = value
    source.lines[".".join([*place, last])] = 0


def _child(node: Any, part: str, key: str) -> tuple[Any, str]:
    """Returns a table below `node`, and what its part of a dotted key is: the place in a list, also where it was named."""
    if isinstance(node, list):
        tables = {index: item for index, item in enumerate(node) if isinstance(item, dict)}
        named = [index for index, item in tables.items() if part in (item.get("label"), item.get("name"))]
        if named or (part.isdigit() and int(part) < len(node)):
            index = named[0] if named else int(part)
            return node[index], str(index)
        known = [item.get("label") or item.get("name", "") for item in tables.values()] + [
            str(index) for index in range(len(node))
        ]
        raise WrongUse(f'--set {key}: there is no entry "{part}".', near_match(part, known))
    if isinstance(node, dict):
        return node.setdefault(part, {}), part
    raise WrongUse(f'--set {key}: "{part}" is not a table.')
