"""Everything that is chosen by name: the project's own entries, and those that other installed packages bring."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar

from pipeline.core.errors import InkproofError, Unavailable, WrongUse, in_a_line, near_match, nearest

_THIS_PACKAGE = __name__.partition(".")[0]


class Listed(Protocol):
    """What an entry says of itself in a list: a name or the pattern of names, and one line for a person."""

    @property
    def shown(self) -> str: ...
    @property
    def summary(self) -> str: ...


Entry = TypeVar("Entry", bound=Listed)


@dataclass(frozen=True)
class Scheme:
    """A family of names such as "torchvision:NAME", which `shown` is, and what opens one, `target`, as "module:attribute"."""

    shown: str
    summary: str
    target: str


class Registry(Generic[Entry]):
    """Entries by name. Another package brings one by an entry point of the group: its name and `module:ENTRY`.

    Nothing of theirs is looked for before a name is asked for that the project does not have; where both have it, ours is taken.
    """

    def __init__(self, noun: str, kind: type[Entry], own: Mapping[str, Entry], group: str = "") -> None:
        """Args:
        noun: what an entry is called in messages, such as "attack".
        group: of the entry points, such as "inkproof.attacks"; "" where other packages can bring none.
        """
        self._noun, self._kind, self.own, self._group = noun, kind, dict(own), group
        self._loaded: dict[str, Entry] = {}
        self._unknown: set[str] = set()

    def names(self) -> tuple[str, ...]:
        """Returns every name, the project's own first."""
        return tuple(dict.fromkeys([*self.own, *self._brought()]))

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._brought()

    def find(self, name: str) -> Entry:
        """Returns an entry.

        Raises:
            WrongUse: there is no such name.
            Unavailable: the package that brings it cannot be loaded.
        """
        found = self.own.get(name) or self._loaded.get(name)
        if found is None:
            brought = self._brought()
            if name not in brought:
                raise WrongUse(f'unknown {self._noun} "{name}".', near_match(name, self.names()))
            found = self._loaded[name] = self._taken(brought[name])
        return found

    def get(self, name: str) -> Entry | None:
        """Returns an entry, None where there is none that can be used; a name that is none is looked for once."""
        if name not in self._unknown:
            try:
                return self.find(name)
            except InkproofError:
                self._unknown.add(name)
        return None

    def find_scheme(self, name: str, usual: str = "") -> tuple[Entry, str]:
        """Returns the entry of a name such as "torchvision:resnet50", and what comes after the colon.

        Args:
            usual: the scheme that is most likely meant where there is no colon.

        Raises:
            WrongUse: the scheme is unknown, or nothing comes after it.
            Unavailable: the package that brings it cannot be loaded.
        """
        scheme, colon, rest = name.partition(":")
        if rest and scheme in self:
            return self.find(scheme), rest
        patterns = {pattern.partition(":")[0]: pattern for pattern, _ in self.listed()}
        of_usual = f"{usual}:{name}" if usual and name and not colon else ""
        near = patterns.get(nearest(scheme, patterns, 0.8 if of_usual else 0.5), of_usual)
        hint = f"Did you mean {near}?" if near else f"Known: {', '.join(patterns.values())}."
        raise WrongUse(f'there is no {self._noun} "{name}".', hint)

    def listed(self) -> list[tuple[str, str]]:
        """Returns (name, one line) of every entry; the line says so where one cannot be loaded or its name is taken."""
        found, brought = [(entry.shown, entry.summary) for entry in self.own.values()], self._brought()
        for point in self._points():
            if point.name in self.own or point != brought[point.name]:
                found.append((point.name, f"not used: package {_package(point)} brings it, but the name is taken"))
                continue
            try:
                entry = self.find(point.name)
                found.append((entry.shown, f"{entry.summary} (package {_package(point)})"))
            except Unavailable as error:
                found.append((point.name, f"cannot be used: {error.message}"))
        return found

    def _brought(self) -> dict[str, EntryPoint]:
        """Returns what each name stands for: the first package that brings it, in the order of their names."""
        return {point.name: point for point in reversed(self._points())}

    def _points(self) -> list[EntryPoint]:
        points = entry_points(group=self._group) if self._group else ()
        return sorted(points, key=lambda point: (point.name, _package(point), point.value))

    def _taken(self, point: EntryPoint) -> Entry:
        what = f'{self._noun} "{point.name}" of the package {_package(point)}'
        try:
            found = point.load()
        except Exception as error:  # another package's code may raise anything
            raise Unavailable(f"{what} cannot be loaded: {in_a_line(error)}.", "Update or reinstall that package.") from error
        if not isinstance(found, self._kind):
            raise Unavailable(f"{what} is not usable: {point.value} is no {self._kind.__name__}.", "Ask that package's authors.")
        return found


def load(target: str) -> Any:
    """Returns what "module:attribute" names; its module is imported now.

    Raises:
        Unavailable: a module of another package cannot be imported, or lacks it.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except InkproofError:
        raise
    except Exception as error:  # another package's code may raise anything
        if module.partition(".")[0] == _THIS_PACKAGE:
            raise
        raise Unavailable(f"{target} cannot be loaded: {in_a_line(error)}.", "Update or reinstall that package.") from error


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.module.partition(".")[0]
