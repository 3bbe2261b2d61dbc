"""How far a command is, on a terminal: what is being done, and a bar for whatever is counted; drawn by rich."""

from collections.abc import Callable, Iterable
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

_BAR_COLUMNS = 24


class Bars(Progress):
    """Drawn below what is printed, a few times a second, and gone when it is stopped.

    `stage` says what is being done now; a bar's field `told` is a function that says its count, rate and time left.
    """

    def __init__(self, stream: TextIO, stage: Callable[[], str]) -> None:
        self._stage = stage
        columns = TextColumn("  {task.description}", markup=False), BarColumn(_BAR_COLUMNS), _Told()
        console = Console(file=stream, highlight=False)
        # what is printed meanwhile is the result, which nothing may pass through
        super().__init__(
            *columns, console=console, refresh_per_second=4, transient=True, redirect_stdout=False, redirect_stderr=False
        )

    def start(self) -> None:
        """Begins to draw; the cursor stays, for a command may be killed."""
        super().start()
        self.console.show_cursor(True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yields what is being done and the bars."""
        yield Text(self._stage(), no_wrap=True, overflow="ellipsis")
        yield self.make_tasks_table(self.tasks)


class _Told(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields["told"](), no_wrap=True, overflow="ellipsis")
