"""How a stage runs, as opposed to what it makes: nothing here changes a result."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pipeline.core.progress import Progress, silent
from pipeline.engine.backends import Backend


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
            from pipeline.engine.local import Local

            return Local()
        from pipeline.engine.processes import Processes

        return Processes(self.workers)
