"""Where a command works: in a folder, or in the working copy of one that lies in an object store."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def place(text: str) -> Path | str:
    """Returns a folder, or the URL of one in an object store as it is."""
    return text if "://" in text else Path(text)


@contextmanager
def workspace_here(options: argparse.Namespace) -> Iterator[None]:
    """Makes `options.workspace` a folder of this machine; what becomes of it is sent back to the store where it stands for one.

    `options.sends` sends now; `options.workspace_words` is what a person types after --workspace.

    Raises:
        Unavailable, BadInput, WrongUse: see `mirrored`.
    """
    given = options.workspace
    options.workspace_words, options.sends = str(given), lambda: None
    if isinstance(given, Path):
        yield
    elif options.uses_workspace == "not":
        options.workspace = Path(".")
        yield
    else:
        from pipeline.store.mirror import workspace_at

        options.display.waits(f"fetching {given}")
        with workspace_at(given, writes=options.uses_workspace == "writes" and not options.dry_run) as found:
            options.workspace, options.sends = found
            yield
