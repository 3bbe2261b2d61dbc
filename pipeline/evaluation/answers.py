"""Rates of answers that lie in arrays, outside any run."""

from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.criteria import TopK
from pipeline.evaluation.estimates import estimate
from pipeline.records import Estimate


def destruction_of(
    labels: Sequence[int],
    answers: tuple[np.ndarray, np.ndarray, np.ndarray],
    top_k: int,
    pages: Sequence[int | str] | None = None,
) -> Estimate:
    """Returns the adversarial destruction rate (Kurakin et al. 2016, Eq. 1) with its 95 % interval.

    Args:
        labels: (N,) true classes.
        answers: on the clean images, the adversarial ones, and these after a transformation: probabilities (N, n_classes), or
            labels (N,) or (N, k), best first.
        pages: the page that each image was printed on.
    """
    criterion = TopK(top_k)
    rights = [[criterion.holds(row, int(label)) for row, label in zip(_ranked(each), labels, strict=True)] for each in answers]
    works = [i for i, (is_clean, is_adversarial, _) in enumerate(zip(*rights, strict=True)) if is_clean and not is_adversarial]
    return estimate([rights[2][i] for i in works], [] if pages is None else [[pages[i] for i in works]])


def _ranked(answers: np.ndarray) -> list[list[int]]:
    told = np.asarray(answers)
    if told.dtype.kind == "f":
        told = np.argsort(-told, axis=1, kind="stable")
    return [[int(label) for label in row] for row in told.reshape(len(told), -1)]
