"""Whether a model's answers are right in another order of the classes: that of sorted folders, one place on, or any other."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

LEAST_GAIN, MANY = 3, 0.25
_LEVEL = 1e-3
# An order that is known is named if it explains so much of what any order could.
_MOST = 0.75
_N_SHOWN = 6
_NUMBERS = re.compile(r"\d+")


class Answers(NamedTuple):
    """What a model says first of some images, and what they show: int64 (N,), indices of its classes."""

    given: np.ndarray
    labels: np.ndarray


def other_order(answers: Answers, class_names: Sequence[str], wordnet_ids: Sequence[str] = ()) -> str:
    """Returns which order of the classes explains the answers better by far than the one in force, "" where none does.

    Better by far: a quarter of the images more are right, and at least 3, where chance would hardly make so many right. Orders
    that models are trained with are tried first, then whether each class gets an answer of its own, whichever that is.
    """
    given, labels = answers
    n, n_classes = len(labels), len(class_names)
    n_right = int((given == labels).sum())
    # One class, or one answer, for most of the images fits many orders.
    chance = max(int(np.bincount(values).max()) for values in answers) / n
    is_anonymous = all(name == f"class {index}" for index, name in enumerate(class_names))
    shown = [str(index) if is_anonymous else name.split(",")[0] for index, name in enumerate(class_names)]
    orders = dict(_orders(shown, wordnet_ids))
    found = {words: int((order[given] == labels).sum()) for words, order in orders.items()}
    best = max(found, key=lambda words: found[words], default="")
    n_own, own = _own_order(answers)
    if best and found[best] >= _MOST * n_own and _is_better(found[best], n_right, n, chance, len(orders)):
        first = ", ".join(shown[index] for index in orders[best][:_N_SHOWN])
        more = ", …" if n_classes > _N_SHOWN else ""
        return f"{n_right} of {n} images right as they are, {found[best]} with the outputs {best}: {first}{more}"
    if not _is_better(n_own, n_right, n, chance, 1):
        return ""
    pairs = [f"{shown[label]} is answered {shown[answer]}" for label, answer in sorted(own.items()) if label != answer]
    more = f" and {len(pairs) - _N_SHOWN} more" if len(pairs) > _N_SHOWN else ""
    return f"{n_right} of {n} images right as they are, {n_own} by one answer for each class: {', '.join(pairs[:_N_SHOWN])}{more}"


def _is_better(n_hit: int, n_right: int, n: int, chance: float, n_tried: int) -> bool:
    from scipy.special import bdtrc

    is_much = n_hit - n_right >= max(LEAST_GAIN, MANY * n)
    return is_much and float(bdtrc(n_hit - 1, n, chance)) * n_tried < _LEVEL


def _orders(names: Sequence[str], wordnet_ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields orders in words with the class that each output would stand for, those that are not the one in force."""
    n = len(names)
    numbers = np.arange(n)
    keys: dict[str, Sequence[str]] = {
        "in the order of the indices as text (0, 1, 10, 11, …)": [str(index) for index in numbers],
        "in alphabetical order of the names": names,
        "in alphabetical order of the names, small and capital letters alike": [name.casefold() for name in names],
        "in the order of the names with their numbers as numbers (a1, a2, a10)": [
            _NUMBERS.sub(lambda found: found[0].zfill(12), name) for name in names
        ],
        "in the order of the WordNet ids": wordnet_ids,
    }
    found = {}
    for words, key in keys.items():
        if len(key) == n:
            order = np.array(sorted(range(n), key=key.__getitem__))
            found[words] = order
            found[f"put back from where they stand {words}"] = np.argsort(order)
    found["one place later"], found["one place earlier"] = (numbers - 1) % n, (numbers + 1) % n
    found["in reverse order"] = numbers[::-1]
    known = {tuple(numbers)}
    for words, order in found.items():
        if tuple(order) not in known:
            known.add(tuple(order))
            yield words, order


def _own_order(answers: Answers) -> tuple[int, dict[int, int]]:
    """Returns how many images get the answer that the others of their class get and no other class does, and these answers."""
    counts = Counter(zip(answers.labels.tolist(), answers.given.tolist(), strict=True))
    own: dict[int, int] = {}
    for (label, answer), _ in counts.most_common():
        if label not in own and answer not in own.values():
            own[label] = answer
    n_hit = sum(count for (label, answer), count in counts.items() if own.get(label) == answer and count > 1)
    return n_hit, own
