"""The numbers that Kurakin, Goodfellow and Bengio printed, to compare a run with and to test the mathematics against.

Source: "Adversarial examples in the physical world", arXiv 1607.02533v4 (2017), Tables 1, 2 and 3: Inception v3, ImageNet,
Ricoh MP C5503 at 600 dpi, Nexus 5x, 102 images per cell. Percentages are as printed, with one digit.
"""

from collections.abc import Iterable
from typing import NamedTuple

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
FIGURE_6_TEXT = {
    "brightness and contrast": "below 5 % for fast and basic iterative, below 20 % for the least-likely class",
    "blur, noise and JPEG": "more; for the iterative methods up to 80 to 90 %, for none 100 %",
}


class PaperAccuracy(NamedTuple):
    """One row of Table 1 or 2, in per cent; `n_photographed` is inferred, the one n in 84..102 that fits all four columns."""

    attack: str
    epsilon_8bit: int
    photo_clean_top1: float
    photo_clean_top5: float
    photo_adversarial_top1: float
    photo_adversarial_top5: float
    source_clean_top1: float
    source_clean_top5: float
    source_adversarial_top1: float
    source_adversarial_top5: float
    n_photographed: int


class PaperRates(NamedTuple):
    """One row of Table 3, in per cent."""

    attack: str
    epsilon_8bit: int
    average_top1: float
    average_top5: float
    prefiltered_top1: float
    prefiltered_top5: float


PAPER_TABLE_1 = (
    PaperAccuracy("fgsm", 16, 79.8, 91.9, 36.4, 67.7, 85.3, 94.1, 36.3, 58.8, 99),
    PaperAccuracy("fgsm", 8, 70.6, 93.1, 49.0, 73.5, 77.5, 97.1, 30.4, 57.8, 102),
    PaperAccuracy("fgsm", 4, 72.5, 90.2, 52.9, 79.4, 77.5, 94.1, 33.3, 51.0, 102),
    PaperAccuracy("fgsm", 2, 65.7, 85.9, 54.5, 78.8, 71.6, 93.1, 35.3, 53.9, 99),
    PaperAccuracy("bim", 16, 72.9, 89.6, 49.0, 75.0, 81.4, 95.1, 28.4, 31.4, 96),
    PaperAccuracy("bim", 8, 72.5, 93.1, 51.0, 87.3, 73.5, 93.1, 26.5, 31.4, 102),
    PaperAccuracy("bim", 4, 63.7, 87.3, 48.0, 80.4, 74.5, 92.2, 12.7, 24.5, 102),
    PaperAccuracy("bim", 2, 70.7, 87.9, 62.6, 86.9, 74.5, 96.1, 28.4, 41.2, 99),
    PaperAccuracy("illc", 16, 71.1, 90.0, 60.0, 83.3, 79.4, 96.1, 1.0, 1.0, 90),
    PaperAccuracy("illc", 8, 76.5, 94.1, 69.6, 92.2, 78.4, 98.0, 0.0, 6.9, 102),
    PaperAccuracy("illc", 4, 76.8, 86.9, 75.8, 85.9, 80.4, 90.2, 9.8, 24.5, 99),
    PaperAccuracy("illc", 2, 71.6, 87.3, 68.6, 89.2, 75.5, 92.2, 20.6, 44.1, 102),
)

PAPER_TABLE_2 = (
    PaperAccuracy("fgsm", 16, 81.8, 97.0, 5.1, 39.4, 100.0, 100.0, 0.0, 0.0, 99),
    PaperAccuracy("fgsm", 8, 77.1, 95.8, 14.6, 70.8, 100.0, 100.0, 0.0, 0.0, 96),
    PaperAccuracy("fgsm", 4, 81.4, 100.0, 32.4, 91.2, 100.0, 100.0, 0.0, 0.0, 102),
    PaperAccuracy("fgsm", 2, 88.9, 99.0, 49.5, 91.9, 100.0, 100.0, 0.0, 0.0, 99),
    PaperAccuracy("bim", 16, 93.3, 97.8, 60.0, 87.8, 100.0, 100.0, 0.0, 0.0, 90),
    PaperAccuracy("bim", 8, 89.2, 98.0, 64.7, 91.2, 100.0, 100.0, 0.0, 0.0, 102),
    PaperAccuracy("bim", 4, 92.2, 97.1, 77.5, 94.1, 100.0, 100.0, 0.0, 0.0, 102),
    PaperAccuracy("bim", 2, 93.9, 97.0, 80.8, 97.0, 100.0, 100.0, 0.0, 1.0, 99),
    PaperAccuracy("illc", 16, 95.8, 100.0, 87.5, 97.9, 100.0, 100.0, 0.0, 0.0, 96),
    PaperAccuracy("illc", 8, 96.0, 100.0, 88.9, 97.0, 100.0, 100.0, 0.0, 0.0, 99),
    PaperAccuracy("illc", 4, 93.9, 100.0, 91.9, 98.0, 100.0, 100.0, 0.0, 0.0, 99),
    PaperAccuracy("illc", 2, 92.2, 99.0, 93.1, 98.0, 100.0, 100.0, 0.0, 0.0, 102),
)

PAPER_TABLE_3 = (
    PaperRates("fgsm", 16, 12.5, 40.0, 5.1, 39.4),
    PaperRates("fgsm", 8, 33.3, 40.0, 14.6, 70.8),
    PaperRates("fgsm", 4, 46.7, 65.9, 32.4, 91.2),
    PaperRates("fgsm", 2, 61.1, 63.2, 49.5, 91.9),
    PaperRates("bim", 16, 40.4, 69.4, 60.0, 87.8),
    PaperRates("bim", 8, 52.1, 90.5, 64.7, 91.2),
    PaperRates("bim", 4, 52.4, 82.6, 77.5, 94.1),
    PaperRates("bim", 2, 71.7, 81.5, 80.8, 96.9),
    PaperRates("illc", 16, 72.2, 85.1, 87.5, 97.9),
    PaperRates("illc", 8, 86.3, 94.6, 88.9, 97.0),
    PaperRates("illc", 4, 90.3, 93.9, 91.9, 98.0),
    PaperRates("illc", 2, 82.1, 93.9, 93.1, 98.0),
)


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
