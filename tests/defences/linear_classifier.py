"""A classifier small enough to be known by heart: what tests put behind defences."""

import numpy as np
import torch

from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import whole_picture

SIDE = 24


class Linear(Classifier):
    """Fixed random weights on the pixels; it keeps what it was shown last."""

    def __init__(self, scale=1.0):
        self.name, self.preprocessing, self.device = "linear", whole_picture((SIDE, SIDE)), torch.device("cpu")
        self.n_classes, self.differentiable = 4, True
        self.class_names, self.wordnet_ids, self.fingerprint = tuple("abcd"), (), "linear"
        self.weights = scale * torch.randn(4, 3 * SIDE**2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def logits(self, x):
        self.shown = x.detach()
        return x.flatten(1).double() @ self.weights.T


def pictures(n=3):
    """Smooth pictures with an edge and a little noise, uint8 (n, SIDE, SIDE, 3)."""
    draw, (y, x) = np.random.default_rng(3), np.mgrid[:SIDE, :SIDE] / SIDE
    waves = [[np.sin(draw.uniform(2, 9) * x + draw.uniform(2, 9) * y) for _ in range(3)] for _ in range(n)]
    tones = 127 + 90 * np.array(waves) + draw.normal(0, 6, (n, 3, SIDE, SIDE)) + 30 * (x > 0.5)
    return np.clip(tones, 0, 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
