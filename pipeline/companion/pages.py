"""The page's words and looks: templates, one style sheet and one script, all of them files of this room."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def page(template: str, **given: Any) -> str:
    """Returns a template filled in; whatever is given is text, never markup."""
    return _templates().get_template(template).render(**given)


@cache
def part(name: str) -> bytes:
    """Returns a file that goes with the page as it is: style, script or icon."""
    return files(__package__).joinpath(name).read_bytes()


@cache
def _templates() -> Environment:
    loader = PackageLoader(__package__, "")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
