"""Maps a function over many items, in this process, in worker processes or on a Ray cluster, and shows how far it is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pipeline.core.cores import n_cores
from pipeline.core.progress import Progress, silent

T = TypeVar("T")


@dataclass(frozen=True)
class Shared(Generic[T]):
    """What a function needs beside its items and is heavy to make, as a network is.

    `make(*arguments)` makes it, anywhere: both can be pickled and are small. `here` is what this process has made already; it
    goes nowhere else. `files` are those that it is made from, which the arguments name: on another machine they name copies.
    """

    make: Callable[..., T]
    arguments: tuple[Any, ...] = ()
    here: T | None = field(default=None, compare=False, repr=False)
    files: tuple[Path, ...] = field(default=(), compare=False, repr=False)

    def opened(self) -> T:
        """Returns what there is here, or else makes it."""
        return self.make(*self.arguments) if self.here is None else self.here

    def __reduce__(self) -> tuple[Any, ...]:
        return Shared, (self.make, self.arguments)


class Backend(Protocol):
    """A place where items are worked on: this process, others, or another machine's."""

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Shared[Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yields the place of each item and what `function(item)`, or `function(item, shared.opened())`, returns, as they end.

        Where an item raises, those that began before it are ended and yielded first, then the error of the first of them is
        raised: the same one, whichever ends first.
        """


class Local:
    """Works on the items in their order; what is shared is opened when there is a first item."""

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Shared[Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yields (place, result): see `Backend`."""
        beside = () if shared is None or not items else (shared.opened(),)
        for place, item in enumerate(items):
            yield place, function(item, *beside)


ENGINES = ("processes", "local", "ray")


@dataclass(frozen=True)
class Context:
    """The device of networks, how many workers there may be and where, and who is told how far things are.

    `engine` is one of ENGINES; `workers` 0 takes all processors of a Ray cluster, whose head is at `ray_address` (see `Cluster`).
    """

    device: str = "cpu"
    workers: int = 1
    progress: Progress = silent
    begins: Callable[[str, int, int], None] = lambda stage, place, total: None
    engine: str = "processes"
    ray_address: str = ""

    @cached_property
    def backend(self) -> Backend:
        """Where items are worked on; one for all stages, so that workers that hold a network can wait for the next one."""
        if self.engine == "ray":
            from pipeline.engine.cluster import Cluster

            return Cluster(self.ray_address, self.workers)
        if self.engine == "local" or self.workers <= 1:
            return Local()
        from pipeline.engine.processes import Processes

        return Processes(self.workers)

    def nearby(self) -> "Context":
        """Returns the same with its workers on this machine, for what reads or writes many files here."""
        return replace(self, engine="processes", workers=self.workers or n_cores()) if self.engine == "ray" else self


Item = TypeVar("Item")


@dataclass(frozen=True)
class _Loaded(Sequence[Any]):
    """Items as they are sent to a worker: each is loaded when its turn comes, so that few are held at a time."""

    items: Sequence[Any]
    load: Callable[[Any], Any]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: Any) -> Any:
        return self.load(self.items[place])


def map(
    function: Callable[..., Any],
    items: Sequence[Item],
    context: Context,
    label: str,
    shared: Shared[Any] | None = None,
    load: Callable[[Item], Any] | None = None,
) -> Iterator[tuple[Item, Any]]:
    """Yields each item with what `function(item)`, or `function(item, shared)`, returns, as soon as it is there.

    With one worker that is their order; with more it is not, and nothing that is made may depend on it. Whoever asks keeps and
    writes results as they come, so that an interruption, an error or a worker that is ended costs what was under way.

    Args:
        function: can be imported from its module, alone or in a `functools.partial`: worker processes are spawned.
        items: small enough to be sent to a worker, as is what is returned. A `Path` of a file in them, or in the function, is on
            another machine that of a copy; what is to be written is returned.
        shared: what is opened once for many items, as a network is; on a device that is not the CPU there is one for all, in this
            process.
        load: makes what the function is given of an item, in this process and when its turn comes, as one reads a file.
    """
    sent = items if load is None else _Loaded(items, load)
    backend = context.backend if shared is None or context.device == "cpu" else Local()
    for place, result in context.progress(backend.map(function, sent, shared), len(items), label):
        yield items[place], result


def in_order(mapped: Iterable[tuple[Item, Any]], items: Iterable[Item]) -> Iterator[tuple[Item, Any]]:
    """Yields what `map` yields, in the order of the items; what came early, which is little, waits.

    Args:
        items: can be hashed, and each is there once.
    """
    early: dict[Item, Any] = {}
    found = iter(mapped)
    for item in items:
        while item not in early:
            done, result = next(found)
            early[done] = result
        yield item, early.pop(item)
    for _ in found:  # nothing is left but to end what shows progress
        pass
