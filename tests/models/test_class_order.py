"""The order of the classes: what is told of models that are right in another one, and what is not taken for one."""

import re

import numpy as np
import pytest

from pipeline.datasets.labels import Labels
from pipeline.models.class_order import Answers, other_order

N_CLASSES = 32
NAMES = tuple(f"class {index}" for index in range(N_CLASSES))
WORDS = ("kiwi", "Bee", "Zebra", "ant", "jay", "Cat", "fox", "gnu", "Eel", "ibis", "dog", "Hen")
NUMBERED = tuple(sorted(f"sign {index}" for index in range(1, 31)))


def labels_of(n, n_classes=N_CLASSES, seed=1):
    return np.random.default_rng(seed).integers(0, n_classes, n)


def answers_of(order, labels, n_wrong=2):
    """A network whose output j is class order[j], wrong about its first images."""
    given = np.argsort(order)[labels]
    given[:n_wrong] = (given[:n_wrong] + 7) % len(order)
    return Answers(given, labels)


@pytest.mark.parametrize(
    ("order", "names", "words"),
    [
        (
            sorted(range(N_CLASSES), key=str),
            NAMES,
            r"22 with .* indices as text .*: 0, 1, 10, 11, 12",
        ),
        (np.argsort(sorted(range(N_CLASSES), key=str)), NAMES, r"22 with .* put back from"),
        (np.roll(np.arange(N_CLASSES), 1), NAMES, "22 with .* one place later"),
        (np.roll(np.arange(N_CLASSES), -1), NAMES, "22 with .* one place earlier"),
        (
            sorted(range(12), key=lambda i: WORDS[i]),
            WORDS,
            "22 with .* alphabetical order of the names: Bee, Cat, Eel, Hen, Zebra, ant",
        ),
        (sorted(range(12), key=lambda i: WORDS[i].lower()), WORDS, "22 with .* capital letters alike: ant, Bee, Cat, dog"),
        (
            sorted(range(30), key=lambda i: int(NUMBERED[i].split()[1])),
            NUMBERED,
            "22 with .* numbers as numbers .*: sign 1, sign 2, sign 3",
        ),
        ((1, 0), ("a", "b"), "22 with .*: b, a"),
    ],
    ids=["folders as text", "labels as text", "later", "earlier", "names", "names without case", "numbers", "two swapped"],
)
def test_the_order_that_fits_is_named(order, names, words):
    told = other_order(answers_of(order, labels_of(24, len(order))), names)
    assert re.search(words, told) and told.endswith(", …" if len(names) > 6 else "b, a")


def test_any_order_is_told_where_classes_come_several_times():
    order = np.random.default_rng(0).permutation(6)
    told = other_order(answers_of(order, labels_of(40, 6)), WORDS[:6])
    label = int(order[0]) if order[0] else int(order[1])
    answer = int(np.argsort(order)[label])
    assert "by one answer for each class" in told and (label == answer or f"{WORDS[label]} is answered {WORDS[answer]}" in told)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 32, 1000])
@pytest.mark.parametrize("n", [1, 3, 16, 24, 200])
def test_nothing_is_told_of_networks_that_are_right_weak_or_stuck(n, n_classes):
    names = tuple(f"class {index}" for index in range(n_classes))
    for seed in range(20):
        labels = labels_of(n, n_classes, seed)
        noise = labels_of(n, n_classes, 1000 + seed)
        half = np.where(np.arange(n) % 2 == 0, labels, noise)
        for given in (labels, noise, half, np.full(n, seed % n_classes)):
            assert other_order(Answers(given, labels), names) == ""
    one_class = np.zeros(n, np.int64)
    assert other_order(Answers(one_class + 1, one_class), names) == "", "of one class any order can be made up"


def test_a_class_file_in_the_order_that_is_told_puts_the_labels_right():
    """Folders "0" to "31" are names in such a file, and no longer places."""
    order = sorted(range(N_CLASSES), key=str)
    named = Labels([str(index) for index in order])
    assert [order[named.index_of(str(label))] for label in range(N_CLASSES)] == list(range(N_CLASSES))
