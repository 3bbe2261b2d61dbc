"""What Ilyas et al. (2019, arXiv 1905.02175) print, for CIFAR-10 and ResNet-50."""

import tomllib
from importlib.resources import files
from typing import Any

TEXTS: dict[str, Any] = tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))
SAYS: dict[str, str] = TEXTS["statements"]

# Of pixels in [0, 1], Euclidean over the whole image.
EPSILONS = (0.25, 0.5)
TITLES = {
    "cifar": "standard, on D",
    "cifar-robust": "robust, on D",
    "cifar-d-nr": "standard, on D_NR",
    "cifar-d-r": "standard, on D_R",
    "cifar-d-rand": "standard, on D_rand",
    "cifar-d-det": "standard, on D_det",
}
# Tables 1 and 7: accuracy on the test images of D (95.3 in Table 1, 95.25 in Table 7), and under attack with each ε.
ACCURACY: dict[str, tuple[float | None, float | None, float | None]] = {
    "cifar": (0.953, 0.0449, 0.0),
    "cifar-robust": (0.9083, 0.8248, 0.709),
    "cifar-d-nr": (0.8768, 0.0082, 0.0),
    "cifar-d-r": (0.854, 0.482, 0.2185),
    "cifar-d-rand": (0.633, None, None),
    "cifar-d-det": (0.437, None, None),
}
# Table 10: the network on D_det, on test images with each label y + 1.
RELABELLED = 0.162
# Table 8: the network on D_R under attack with ε = 0.25, on the images it was trained on and on the test images of D.
ON_TRAINING, ON_TEST = 0.7733, 0.4827
