"""The papers that runs are set beside: a folder each, with published figures, experiment, findings and tables.

A new study is its folder and one line here.
"""

from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from pipeline.core.errors import WrongUse, near_match

if TYPE_CHECKING:
    from pipeline.studies.study import Study

# The first is the paper that a run is read against where it names no other.
STUDIES = {
    "kurakin2016": "pipeline.studies.kurakin2016:Kurakin2016",
    "carlini2017": "pipeline.studies.carlini2017:Carlini2017",
    "szegedy2014": "pipeline.studies.szegedy2014:Szegedy2014",
}


def study_named(name: str) -> "Study":
    """Returns a study; "" is the one that runs are read against.

    Raises:
        WrongUse: there is none of this name.
    """
    if name and name not in STUDIES:
        raise WrongUse(f'there is no study "{name}".', near_match(name, STUDIES))
    module, _, attribute = STUDIES[name or next(iter(STUDIES))].partition(":")
    study: Study = getattr(import_module(module), attribute)()
    return study


def experiments() -> dict[str, Traversable]:
    """Returns the experiment files of all studies, and their small variants as NAME-small."""
    found = {
        f"{name}{size}": files(f"{__name__}.{name}") / f"experiment{size}.toml" for name in STUDIES for size in ("", "-small")
    }
    return {name: file for name, file in found.items() if file.is_file()}
