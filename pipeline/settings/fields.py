"""What a setting is made of: its type, default, limits, unit and explanation, which error, page and commented file all read."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, Strict
from pydantic.fields import FieldInfo

# Of every table: an unknown key is refused, and so is a value of another type, such as true for 1.
TABLE = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

Item = TypeVar("Item")


def _each_once(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if len(set(items)) != len(items):
        raise ValueError("an entry is listed twice.")
    return items


def _lower_first(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("expected two values, the lower one first.")
    return ends


# Tuples that may be given as lists: each entry once; a lower and an upper end.
Once = Annotated[tuple[Item, ...], Strict(False), AfterValidator(_each_once)]
Ends = Annotated[tuple[Item, Item], Strict(False), AfterValidator(_lower_first)]


def setting(default: Any, doc: str, unit: str = "", **limits: Any) -> Any:
    """Returns a field: its default (`dict` for an empty table), what it means, its unit, and pydantic's limits (`ge`, `le`)."""
    given = {"default_factory": dict} if default is dict else {"default": default}
    return Field(**given, description=doc, json_schema_extra={"unit": unit}, **limits)


@dataclass(frozen=True)
class Described:
    """One setting for a person: its type, default (None where it has to be given), meaning, unit, and limits."""

    name: str
    kind: Any
    default: Any
    doc: str
    unit: str
    limits: tuple[float, float] | None

    @property
    def text(self) -> str:
        """The meaning, with the unit."""
        return self.doc + (f" Unit: {self.unit}." if self.unit else "")


def described(kind: type) -> list[Described]:
    """Returns the settings of a table in their order."""
    return [_described(name, item) for name, item in kind.__pydantic_fields__.items()]  # type: ignore[attr-defined]


def _described(name: str, item: FieldInfo) -> Described:
    extra: dict[str, Any] = item.json_schema_extra if isinstance(item.json_schema_extra, dict) else {}
    default = None if item.is_required() else item.get_default(call_default_factory=True, validated_data={})
    limits = tuple(extra["limits"]) if extra.get("limits") else None
    return Described(name, item.annotation, default, item.description or "", extra.get("unit", ""), limits)
