"""The numbers that Kurakin, Goodfellow and Bengio printed, to compare a run with and to test the mathematics against.

Source: "Adversarial examples in the physical world", arXiv 1607.02533v4 (2017), Tables 1, 2 and 3: Inception v3, ImageNet,
Ricoh MP C5503 at 600 dpi, Nexus 5x, 102 images per cell. Percentages are as printed, with one digit.
"""

import csv
import tomllib
from collections import namedtuple
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

N_SELECTED = 102
# Of its photographs, by cell: from the n that Tables 1 and 2 let infer.
LOST_PHOTOS = "3 to 6 %, at most about 12 %"
METHOD_TITLES = {"fgsm": "fast", "bim": "basic iterative", "illc": "least-likely class"}
METHODS = tuple(METHOD_TITLES)
ITERATIVE = METHODS[1:]
# Sec. 4, at epsilon 16: brightness and contrast destroy less than this of each method's attacks.
PHOTOMETRIC_BOUNDS = {"fgsm": 0.05, "bim": 0.05, "illc": 0.20}
# The transforms of Fig. 6. Its curves are drawn, not tabulated: of their heights the paper's text says only this.
FIGURE_6 = ("brightness", "contrast", "blur", "noise", "jpeg")
TEXTS: dict[str, str] = tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))


def _printed(name: str) -> tuple[Any, ...]:
    """Returns a table's rows, named tuples of what its header says, in per cent.

    `n_photographed` of Tables 1 and 2 is inferred: the one n in 84..102 that fits all four columns of photographs.
    """
    header, *lines = csv.reader(files(__package__).joinpath(name).read_text(encoding="utf-8").splitlines())
    make: Any = namedtuple
    kind = make("Row", header)
    return tuple(kind(attack, *(float(text) if "." in text else int(text) for text in numbers)) for attack, *numbers in lines)


PAPER_TABLE_1 = _printed("table-1.csv")
PAPER_TABLE_2 = _printed("table-2.csv")
PAPER_TABLE_3 = _printed("table-3.csv")


def published_rates() -> tuple[tuple[str, str, int, int, float], ...]:
    """Returns Table 3 one rate at a time: (case, attack, epsilon_8bit, top_k, destruction rate in [0, 1])."""
    return tuple(
        (case, row.attack, row.epsilon_8bit, top_k, round(getattr(row, f"{case}_top{top_k}") / 100, 3))
        for row in PAPER_TABLE_3
        for case in ("average", "prefiltered")
        for top_k in (1, 5)
    )


def published_accuracies() -> tuple[tuple[str, str, int, str, int, float, int], ...]:
    """Returns Tables 1 and 2 one number at a time: (case, attack, epsilon_8bit, quantity, top_k, accuracy in [0, 1], images).

    A quantity is "photo" or "source", and "clean" or "adversarial", joined by an underscore.
    """
    return tuple(
        (
            *(case, row.attack, row.epsilon_8bit, f"{where}_{variant}", top_k),
            round(getattr(row, f"{where}_{variant}_top{top_k}") / 100, 3),
            row.n_photographed if where == "photo" else N_SELECTED,
        )
        for case, table in (("average", PAPER_TABLE_1), ("prefiltered", PAPER_TABLE_2))
        for row in table
        for where in ("photo", "source")
        for variant in ("clean", "adversarial")
        for top_k in (1, 5)
    )


def in_figure_6(cells: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Returns the cells (case, attack, epsilon_8bit) that are like those of Fig. 6: random images at epsilon 16.

    Of a run without the average case, or without epsilon 16, those of all its cases or epsilons.
    """
    kept = list(cells)
    kept = [cell for cell in kept if cell[0] == "average"] or kept
    return [cell for cell in kept if cell[2] == 16] or kept
