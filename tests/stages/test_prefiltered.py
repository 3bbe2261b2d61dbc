"""The prefiltered case asks of a model with few classes what it can give."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.stages.select import _Draw


@pytest.mark.parametrize(("n_classes", "place", "is_fooled"), [
    (2, 1, True), (3, 1, False), (3, 2, True), (5, 3, False), (5, 4, True), (6, 4, False), (6, 5, True), (1000, 5, True),
])  # fmt: skip
def test_an_attack_fools_where_the_true_class_is_behind_the_largest_k_that_says_something(n_classes, place, is_fooled):
    """`place` is that of the true class among the answers, counted from 0."""
    answer = np.full((1, n_classes), 0.01 / n_classes, np.float32) - 1e-6 * np.arange(n_classes, dtype=np.float32) / n_classes
    answer[0, 0] = 0.99
    candidate, pixels = SimpleNamespace(image_id="a", true_label=place), np.zeros((2, 2, 3), np.uint8)
    draw = object.__new__(_Draw)
    draw._settings = SimpleNamespace(min_confidence=0.8)
    draw._pool = SimpleNamespace(pixels=lambda candidate: pixels)
    draw._classifier = SimpleNamespace(n_ranked=n_classes, refuses=False, predict=lambda images: answer)
    draw._crafter = SimpleNamespace(
        craft=lambda attack, epsilons, items: {(16, "a"): SimpleNamespace(pixels=pixels)},
        classifier_of=lambda attack: draw._classifier,
    )
    assert draw._fooled("fgsm", [16], [candidate]) == ({(16, "a")} if is_fooled else set())
