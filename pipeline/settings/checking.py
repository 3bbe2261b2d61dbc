"""Checks a table of a TOML file by its pydantic model, and says in plain English what is refused and what to write instead."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.core.errors import near_match
from pipeline.core.file_names import FOLDER_HINT
from pipeline.settings.writing import toml_value

Table = TypeVar("Table")

_EXPECTED = {
    "string_type": "text in quotes",
    "path_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
}
MOST_QUOTED = 60
_OF_LENGTH = {2: "two values, the lower one first", 3: "three values"}


class Refused(Exception):
    """A table is not as its model wants it: the dotted key in it, a sentence that names the key, and advice (or "")."""

    def __init__(self, key: str, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.key, self.sentence, self.hint = key, sentence, hint


def checked(kind: type[Table], entries: Mapping[str, Any], prefix: str = "", shown: str = "") -> Table:
    """Returns the record of a table as TOML has it; `prefix` is the table's dotted place, and `shown` what a sentence calls it.

    Raises:
        Refused: a key is unknown or missing, or a value is not allowed.
    """
    try:
        # as JSON, because there pydantic's strict types take a list for a tuple and a table for a record
        return TypeAdapter(kind).validate_json(json.dumps(entries, default=str))
    except ValidationError as error:
        raise _refused(kind, error, entries, prefix, shown or prefix) from None


def shortened(text: str) -> str:
    """Returns what a message quotes of a text."""
    text = "".join(char if char.isprintable() else "�" for char in text[: MOST_QUOTED + 1])
    return text if len(text) <= MOST_QUOTED else f"{text[: MOST_QUOTED - 1]}…"


def _named(entries: Any, place: Sequence[int | str]) -> list[str]:
    """Returns a place with the entries of a list called by their label or name, as --set calls them, where they have one."""
    names = []
    for part in place:
        try:
            entries = entries[part]
        except (KeyError, IndexError, TypeError):
            entries = None
        told = entries if isinstance(part, int) and isinstance(entries, dict) else {}
        names.append(str(next((name for name in (told.get("label"), told.get("name")) if name and isinstance(name, str)), part)))
    return names


def _refused(kind: type, error: ValidationError, entries: Mapping[str, Any], prefix: str, shown: str) -> Refused:
    """Returns the first thing that pydantic refuses."""
    found = error.errors(include_url=False)[0]
    allowed = _schema(kind, found["loc"])
    place = found["loc"]
    while place and isinstance(place[-1], int):  # a list is blamed as a whole
        place = place[:-1]
    # the values of each transform stand in [transforms] itself
    key = _dotted(prefix, map(str, place))
    told = _dotted(shown, _named(entries, place))
    given = f"{told} = {shortened(toml_value(found['input']))}"
    match found["type"]:
        case "unexpected_keyword_argument":
            name, table, known = str(place[-1]), _dotted(shown, _named(entries, place[:-1])), _schema(kind, place[:-1])
            inside = f" in [{table}]" if table else ""
            return Refused(key, f'unknown key "{shortened(name)}"{inside}.', near_match(name, known["properties"]))
        case "missing" if place == found["loc"]:
            return Refused(key, f"{told} is missing.")
        case "missing" | "too_long":
            return Refused(key, f"{given}: expected {_OF_LENGTH[len(_schema(kind, place)['prefixItems'])]}.")
        case "dataclass_type" if place == found["loc"]:
            return Refused(key, f"{told} must be a table, written as [{told}].")
        case "dataclass_type":
            return Refused(key, f"{told} must be written as [[{told}]] tables.")
        case "tuple_type" if "$ref" in allowed.get("items", ()):
            return Refused(key, f"{told} must be written as [[{told}]] tables.")
        case "too_short":
            choices = allowed["items"].get("enum", ())
            return Refused(key, f"{told} is empty.", f"Choose from: {', '.join(choices)}." if choices else "Give it a value.")
        case "literal_error":
            return Refused(key, f"{given} is not allowed.", near_match(shortened(str(found["input"])), allowed["enum"]))
        case "string_pattern_mismatch":
            return Refused(key, f"{given} cannot name a folder.", FOLDER_HINT)
        case "greater_than_equal" | "less_than_equal":
            return Refused(key, f"{given} is out of range: expected {_range(allowed)}.")
        case "value_error":
            return Refused(key, f"{given}: {found['ctx']['error']}")
    return Refused(key, f"{given}: expected {_EXPECTED.get(found['type'], 'another value')}.")


def _dotted(prefix: str, place: Iterable[str]) -> str:
    return ".".join(filter(None, (prefix, *(part for part in place if part != "grids"))))


def _range(allowed: dict[str, Any]) -> str:
    low, high = allowed.get("minimum"), allowed.get("maximum")
    if high is None:
        return f"{low} or more"
    return f"{high} or less" if low is None else f"{low} to {high}"


def _schema(kind: type, place: tuple[int | str, ...]) -> dict[str, Any]:
    """Returns what a model allows at a place, as JSON Schema: `properties`, `items`, `enum`, `minimum` and `maximum`."""
    root = TypeAdapter(kind).json_schema()
    node: dict[str, Any] = root
    for part in place:
        if isinstance(part, int):
            inner = node["items"] if "items" in node else node["prefixItems"][part]
        else:
            inner = node.get("properties", {}).get(part, node.get("additionalProperties"))
        node = inner if isinstance(inner, dict) else {}
        node = root["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return node
