"""What a back end of the engine is, and the heavy state that it opens once wherever it works."""

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
