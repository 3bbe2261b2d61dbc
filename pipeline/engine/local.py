"""The back end that works in this process, one item after the other."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline.engine.backends import Shared


class Local:
    """Works on the items in their order; what is shared is opened when there is a first item."""

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Shared[Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yields (place, result): see `Backend`."""
        beside = () if shared is None or not items else (shared.opened(),)
        for place, item in enumerate(items):
            yield place, function(item, *beside)
