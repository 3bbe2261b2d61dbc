"""What Szegedy et al. (2014, arXiv 1312.6199) print; distortions are root mean squares on pixels in [0, 1]."""

import tomllib
from importlib.resources import files
from typing import Any

TEXTS: dict[str, Any] = tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))
SAYS: dict[str, str] = TEXTS["statements"]

# By the networks of studies/networks.toml: their names there, and of Table 1 test error and average minimum distortion.
TITLES = {
    "fc10-weak": "FC10(10⁻⁴)",
    "fc10-middle": "FC10(10⁻²)",
    "fc10-strong": "FC10(1)",
    "fc100-100-10": "FC100-100-10",
    "fc200-200-10": "FC200-200-10",
    "ae400-10": "AE400-10",
}
TABLE_1 = {
    "fc10-weak": (0.074, 0.062),
    "fc10-middle": (0.094, 0.1),
    "fc10-strong": (0.2, 0.14),
    "fc100-100-10": (0.0164, 0.058),
    "fc200-200-10": (0.0154, 0.065),
    "ae400-10": (0.019, 0.086),
}
# Table 2: error of the column's network on images made for the row's. Columns and the row that only memory gives are left out.
TABLE_2 = {
    "fc10-weak": {"fc10-weak": 1.0, "fc100-100-10": 0.02, "ae400-10": 0.027},
    "fc10-middle": {"fc10-weak": 0.871, "fc100-100-10": 0.359, "ae400-10": 0.098},
    "fc10-strong": {"fc10-weak": 0.719, "fc100-100-10": 0.481, "ae400-10": 0.344},
    "fc100-100-10": {"fc10-weak": 0.289, "fc100-100-10": 1.0, "ae400-10": 0.02},
    "fc200-200-10": {"fc10-weak": 0.382, "fc100-100-10": 0.203, "ae400-10": 0.027},
    "noise 0.1": {"fc10-weak": 0.05, "fc100-100-10": 0.0, "ae400-10": 0.008},
    "noise 0.3": {"fc10-weak": 0.156, "fc100-100-10": 0.05, "ae400-10": 0.031},
}
# Made on one half of MNIST, asked of networks of the other: as they are, and with a standard deviation of 0.1.
HALVES = {"fc100-100-10-second": (0.059, 0.43), "fc123-456-10-second": (0.262, 0.98)}
