"""How ReportLab writes the streams of a PDF."""

from collections.abc import Iterator
from contextlib import contextmanager

from reportlab import rl_config


@contextmanager
def binary_streams() -> Iterator[None]:
    """ReportLab writes streams as ASCII, a quarter larger and slowly, and takes the choice from a module setting only."""
    before, rl_config.useA85 = rl_config.useA85, 0
    try:
        yield
    finally:
        rl_config.useA85 = before
