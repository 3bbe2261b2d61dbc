"""What a back end of the engine is, the heavy state that it opens once wherever it works, and the back end that works here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

# NumPy's threads: its matrices here are small, and threads in every worker would only wait for each other.
BLAS_THREADS = "OPENBLAS_NUM_THREADS"


@dataclass(frozen=True)
class Shared(Generic[T]):
    """What a function needs beside its items and is heavy to make, as a network is.

    `make(*arguments)` makes it, anywhere: both can be pickled and are small. `here` is what this process has made already; it
    goes nowhere else.
    """

    make: Callable[..., T]
    arguments: tuple[Any, ...] = ()
    here: T | None = field(default=None, compare=False, repr=False)

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
