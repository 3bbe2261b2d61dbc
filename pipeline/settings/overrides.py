"""What `--set section.key=value` on the command line changes in an experiment's tables before they are checked."""

import tomllib
from typing import Any

from pipeline.core.errors import WrongUse, near_match
from pipeline.settings.checking import shortened
from pipeline.settings.source import Source
from pipeline.settings.toml_files import MOST_LEVELS, checked_tree, toml_tree


def apply_override(tree: dict[str, Any], override: str, source: Source) -> None:
    """Puts an override into the tables, and notes in `source` that it is not of the file.

    Raises:
        WrongUse: it is not of the form key=value, or names no table.
    """
    key, equals, raw = override.partition("=")
    key, shown = key.strip(), f"--set {shortened(override)}"
    if not equals or not all(key.split(".")) or key.count(".") > MOST_LEVELS:
        raise WrongUse(f'{shown}: expected key=value, for example "selection.n_images=12".')
    value = _value(raw.strip(), shown)
    node: Any = tree
    *parents, last = key.split(".")
    place: list[str] = []
    for part in parents:
        is_new = isinstance(node, dict) and part not in node
        node, part = _child(node, part, shown)
        place.append(part)
        if is_new:
            source.lines[".".join(place)] = 0
    if isinstance(node, list):
        hint = f"Name one of its entries and a key, for example {key}.name or {'.'.join(parents)}.0.name."
        raise WrongUse(f"{shown}: {'.'.join(parents)} is a list of tables.", hint)
    if not isinstance(node, dict):
        raise WrongUse(f"{shown}: {'.'.join(parents)} is not a table.")
    node[last] = value
    source.lines[".".join([*place, last])] = 0


def _value(raw: str, shown: str) -> Any:
    """Returns what is given, as TOML where it is TOML; anything else is text."""
    try:
        tree = tomllib.loads(f"value = {raw}")
    except tomllib.TOMLDecodeError:
        tree = {"value": raw}
    except (RecursionError, ValueError):  # too deep, or a number of too many digits: told as that of a file would be
        tree = toml_tree(f"value = {raw}", shown)
    if len(tree) > 1:
        raise WrongUse(f"{shown}: one value was expected.", "Give --set once for each key.")
    checked_tree(tree, shown)
    return tree["value"]


def _child(node: Any, part: str, shown: str) -> tuple[Any, str]:
    """Returns a table below `node`, and what its part of a dotted key is: the place in a list, also where it was named."""
    if isinstance(node, list):
        tables = {index: item for index, item in enumerate(node) if isinstance(item, dict)}
        named = [index for index, item in tables.items() if part in (item.get("label"), item.get("name"))]
        if named or part in map(str, tables):
            index = named[0] if named else int(part)
            return node[index], str(index)
        known = [item.get("label") or item.get("name", "") for item in tables.values()] + [str(index) for index in tables]
        raise WrongUse(f'{shown}: there is no entry "{part}".', near_match(part, known) if known else "The list has no tables.")
    if isinstance(node, dict):
        return node.setdefault(part, {}), part
    raise WrongUse(f'{shown}: "{part}" would stand in what is not a table.')
