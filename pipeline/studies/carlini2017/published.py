"""What Carlini and Wagner (2017, arXiv 1608.04644v2) print, and the words of this study."""

import tomllib
from importlib.resources import files
from typing import Any

TEXTS: dict[str, Any] = tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))
SAYS: dict[str, str] = TEXTS["statements"]

# Mean distance, None where nothing succeeds, and share of successes, in the order of a table's cases.
Row = tuple[tuple[float | None, float] | None, ...]

MNIST, CIFAR, IMAGENET = "carlini-mnist", "carlini-cifar", "mobilenet-v2"
DISTILLED = "carlini-mnist-distilled"
FIRST, SECOND = "carlini-mnist-first", "carlini-mnist-second"

# Table IV: best, average, worst.
TABLE_4: dict[str, dict[str, Row]] = {
    MNIST: {
        "l0": ((8.5, 1.0), (16, 1.0), (33, 1.0)),
        "jsma-z": ((20, 1.0), (56, 1.0), (180, 0.98)),
        "jsma-f": ((17, 1.0), (45, 1.0), (100, 1.0)),
        "l2": ((1.36, 1.0), (1.76, 1.0), (2.60, 1.0)),
        "deepfool": ((2.11, 1.0), None, None),
        "linf": ((0.13, 1.0), (0.16, 1.0), (0.23, 1.0)),
        "fgs": ((0.22, 1.0), (0.26, 0.42), (None, 0.0)),
        "igs": ((0.14, 1.0), (0.19, 1.0), (0.26, 1.0)),
    },
    CIFAR: {
        "l0": ((5.9, 1.0), (13, 1.0), (24, 1.0)),
        "jsma-z": ((20, 1.0), (58, 1.0), (150, 1.0)),
        "jsma-f": ((25, 1.0), (110, 1.0), (240, 1.0)),
        "l2": ((0.17, 1.0), (0.33, 1.0), (0.51, 1.0)),
        "deepfool": ((0.85, 1.0), None, None),
        "linf": ((0.0092, 1.0), (0.013, 1.0), (0.019, 1.0)),
        "fgs": ((0.015, 0.99), (0.029, 0.51), (0.34, 0.01)),
        "igs": ((0.0078, 1.0), (0.014, 1.0), (0.023, 1.0)),
    },
}
# Table V: untargeted, average, least likely.
TABLE_5: dict[str, Row] = {
    "l0": ((48, 1.0), (410, 1.0), (5200, 1.0)),
    "l2": ((0.32, 1.0), (0.96, 1.0), (2.22, 1.0)),
    "deepfool": ((0.91, 1.0), None, None),
    "linf": ((0.004, 1.0), (0.006, 1.0), (0.01, 1.0)),
    "fgs": ((0.004, 1.0), (0.064, 0.02), (None, 0.0)),
    "igs": ((0.004, 1.0), (0.01, 0.99), (0.03, 0.98)),
}
# Table VI, MNIST: best, average, worst.
TABLE_6: dict[str, Row] = {
    "l0": ((10, 1.0), (19, 1.0), (36, 1.0)),
    "l2": ((1.7, 1.0), (2.2, 1.0), (2.9, 1.0)),
    "linf": ((0.14, 1.0), (0.18, 1.0), (0.25, 1.0)),
}
# Mean L1 norm of the logits, plain and distilled, with the standard deviation.
LOGITS = {MNIST: (5.8, 6.4), DISTILLED: (482.0, 457.0)}
# JSMA on a distilled network at T = 100, as it quotes Papernot et al.
JSMA_DISTILLED = 0.005
# Table III with change of variable, average case: mean L2 and share of successes, where they are known.
TABLE_3: dict[str, tuple[float | None, float | None]] = {"f1": (4.35, None), "f4": (None, 0.55), "f6": (3.47, 1.0)}
# Fig. 10: the confidence from which nearly all transfer to another plain network, and the one that a distilled one takes.
NEARLY_ALL, DISTILLED_NEEDS = 20, 40
