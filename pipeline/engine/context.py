"""How a stage runs, as opposed to what it makes, and the one way in which it goes through many items."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pipeline.core.progress import Progress, silent
from pipeline.engine.backends import Backend, Local, Shared


def unannounced(stage: str, place: int, total: int) -> None:
    """Says nothing of a stage that begins."""


@dataclass(frozen=True)
class Context:
    """The device of networks, how many processes there may be, and who is told how far things are."""

    device: str = "cpu"
    workers: int = 1
    progress: Progress = silent
    begins: Callable[[str, int, int], None] = unannounced

    @cached_property
    def backend(self) -> Backend:
        """Where items are worked on; one for all stages, so that workers that hold a network can wait for the next one."""
        if self.workers <= 1:
            return Local()
        from pipeline.engine.processes import Processes

        return Processes(self.workers)


Item = TypeVar("Item")


def map(
    function: Callable[..., Any], items: Sequence[Item], context: Context, label: str, shared: Shared[Any] | None = None
) -> Iterator[tuple[Item, Any]]:
    """Yields each item with what `function(item)`, or `function(item, shared)`, returns, as soon as it is there.

    With one worker that is their order; with more it is not, and nothing that is made may depend on it. Whoever asks keeps and
    writes results as they come, so that an interruption, an error or a worker that is ended costs what was under way.

    Args:
        function: can be imported from its module, alone or in a `functools.partial`: worker processes are spawned.
        items: small enough to be sent to a worker, as is what is returned.
        shared: what is opened once for many items, as a network is; on a device that is not the CPU there is one for all, in this
            process.
    """
    backend = context.backend if shared is None or context.device == "cpu" else Local()
    for place, result in context.progress(backend.map(function, items, shared), len(items), label):
        yield items[place], result
