"""What Goodfellow, Shlens and Szegedy (2015, arXiv 1412.6572v3) print, as shares; ε and pixels are in [0, 1]."""

import tomllib
from importlib.resources import files
from typing import Any

TEXTS: dict[str, Any] = tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))
SAYS: dict[str, str] = TEXTS["statements"]

EPSILON = 0.25
# Of a network of studies/networks.toml: clean error, error under FGSM, mean confidence of the wrong answers (Secs. 4 to 6).
FGSM: dict[str, tuple[float | None, float | None, float | None]] = {
    "softmax": (None, 0.999, 0.793),
    "logistic": (0.016, 0.99, None),
    "maxout": (0.0094, 0.894, 0.976),
    "maxout-adversarial": (0.00782, 0.179, 0.814),
}
# Gaussian noise: share of samples with a class above one half, and mean confidence of these (appendix).
RUBBISH = {"maxout": (0.9835, 0.928), "fc100-100-10": (0.68, 0.879), "softmax": (0.598, 0.708)}
# One step toward a class from noise on a convolutional maxout network for CIFAR-10, mean over classes.
RUBBISH_STEP = 0.753
# Twelve maxout networks: attacked as a whole, and through one member (Sec. 8).
ENSEMBLE, MEMBER = 0.911, 0.879
# Where both are wrong, how often softmax regression names the class that maxout names (Sec. 8).
AGREEMENT = 0.846
# Least training error of maxout with an L1 weight decay of 0.0025 in its first layer (Sec. 5).
L1_TRAINING_ERROR = 0.05
