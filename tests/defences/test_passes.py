"""What a defence says that it costs is what it asks of the network, and attacks count it."""

import numpy as np
import pytest
import torch
from linear_classifier import Linear, pictures

from pipeline.attacks.gradient_sign import BasicIterative
from pipeline.core.registry import load
from pipeline.images import to_model
from pipeline.specs.defences import DEFENCES

CHANGED = {"n_expected": 3}


class Counted(Linear):
    """Counts the images that it is asked about, and those that a gradient is followed back from."""

    def __init__(self):
        super().__init__()
        self.n_asked = self.n_followed = 0

    def logits(self, x):
        logits = super().logits(x)
        self.n_asked += len(x)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self._followed(len(gradient)))
        return logits

    def _followed(self, n):
        self.n_followed += n


def behind(name):
    spec, inner = DEFENCES.find(name), Counted()
    kind = load(spec.options)
    options = kind(**{key: value for key, value in CHANGED.items() if hasattr(kind(), key)})
    return spec.n_passes(options), load(spec.make)(inner, options), inner


@pytest.mark.parametrize("name", DEFENCES.names())
def test_a_prediction_and_an_answer_to_an_attack_cost_what_the_entry_says(name):
    (prediction, attack), classifier, inner = behind(name)
    x = to_model(pictures(3), torch.device("cpu"))
    classifier.logits(x)
    assert inner.n_asked == 3 * prediction
    inner.n_asked = 0
    classifier.for_attacks()(x)
    assert inner.n_asked == 3 * attack == 3 * classifier.n_passes


@pytest.mark.parametrize("name", ["jpeg", "random-padding", "feature-squeezing"])
def test_an_attack_counts_every_pass_of_the_network_behind_a_defence(name):
    (_, attack), classifier, inner = behind(name)
    images = pictures(4)
    found = BasicIterative().perturb(classifier, images, np.zeros(4, dtype=np.int64), [4])[4]
    assert found.n_forward.sum() == inner.n_asked and found.n_backward.sum() == inner.n_followed
    assert found.n_backward.tolist() == [attack * int(found.n_backward[0] / attack)] * 4 and found.n_backward[0] >= attack
