"""What Papernot et al. (2016, arXiv 1511.07528) print of their attack on a network for MNIST."""

import tomllib
from importlib.resources import files
from typing import Any

TEXTS: dict[str, Any] = tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))
SAYS: dict[str, str] = TEXTS["statements"]

# From the abstract: share of targets reached, and share of the values that are changed on the way.
SUCCESS, CHANGED = 0.97, 0.0402
# Largest share of values that may be changed.
GAMMA = 0.145
