"""The papers that runs are set beside: a folder each, with published figures, experiment, findings and tables.

A new study is its folder and one entry here.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable

from pipeline.core.registry import Registry
from pipeline.studies.carlini2017 import Carlini2017
from pipeline.studies.cohen2019 import Cohen2019
from pipeline.studies.explain import Explain
from pipeline.studies.goodfellow2015 import Goodfellow2015
from pipeline.studies.ilyas2019 import Ilyas2019
from pipeline.studies.kurakin2016 import Kurakin2016
from pipeline.studies.papernot2016jsma import Papernot2016JSMA
from pipeline.studies.study import Study
from pipeline.studies.szegedy2014 import Szegedy2014

# The first is the paper that a run is read against where it names no other.
_OWN = (
    *(Kurakin2016(), Goodfellow2015(), Carlini2017(), Szegedy2014(), Papernot2016JSMA(), Cohen2019(), Explain()),
    Ilyas2019(),
)
STUDIES: Registry[Study] = Registry("study", Study, {study.name: study for study in _OWN})


def study_named(name: str) -> Study:
    """Returns a study; "" is the one that runs are read against.

    Raises:
        WrongUse: there is none of this name.
    """
    return STUDIES.find(name or _OWN[0].name)


def experiments() -> dict[str, Traversable]:
    """Returns the experiment files of all studies, and their small variants as NAME-small."""
    names = [(name, size) for name in STUDIES.names() for size in ("", "-small")]
    found = {f"{name}{size}": files(f"{__name__}.{name}") / f"experiment{size}.toml" for name, size in names}
    return {name: file for name, file in found.items() if file.is_file()}
