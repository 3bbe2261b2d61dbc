"""Which class of the attacked model a judge means: by WordNet id, by name or synonym, or by place where names are unknown."""

import difflib
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.core.errors import WrongUse
from pipeline.datasets.labels import Labels, plain_name

NO_CLASS = -1
N_NEAR = 3


def class_map(
    judge_names: Sequence[str], judge_ids: Sequence[str], names: Sequence[str], wordnet_ids: Sequence[str] = ()
) -> np.ndarray:
    """Returns int64 (n_judge_classes,): the attacked model's class of each class of the judge, NO_CLASS where there is none.

    WordNet ids decide where both sides know them, names and synonyms otherwise (case, spaces, underscores and hyphens make no
    difference). A name of two classes, as ImageNet's two cranes, goes to the one at the same place. Where one side's names are
    unknown, places decide, provided that both have as many classes.

    Args:
        judge_names, names: the class names of the judge and of the attacked model, in the order of their logits.
        judge_ids, wordnet_ids: their WordNet ids, or () where unknown.
    """
    own, labels = Labels(judge_names, judge_ids), Labels(names, wordnet_ids)
    if own.are_anonymous or labels.are_anonymous:
        is_alike = len(judge_names) == len(names)
        return np.arange(len(names)) if is_alike else np.full(len(judge_names), NO_CLASS)
    if judge_ids and wordnet_ids:
        by_id = {wordnet_id: index for index, wordnet_id in enumerate(wordnet_ids)}
        return np.array([by_id.get(wordnet_id, NO_CLASS) for wordnet_id in judge_ids])
    return np.array([_class_of(name, place, labels) for place, name in enumerate(judge_names)])


def check_every_class(
    mapping: np.ndarray, true_labels: Iterable[int], names: Sequence[str], judge_names: Sequence[str], who: str
) -> None:
    """Refuses a judge that cannot be right about some image.

    Args:
        mapping: of `class_map`.
        true_labels: of the run's images, as classes of the attacked model.
        who: the judge and where it is set, for the message.

    Raises:
        WrongUse: a true label is none of the judge's classes.
    """
    missing = sorted(set(true_labels) - set(mapping.tolist()))
    if not missing:
        return
    first, *others = (names[label] for label in missing)
    also = f" and {len(others)} more true labels of this run" if others else ""
    near = near_names(first, judge_names, 1)
    hint = f'Is it "{near[0]}"? ' if near else ""
    hint += 'Give its names in the run\'s words with classes = "FILE", one a line in the order of its outputs.'
    raise WrongUse(f'{who} has no class for "{first}"{also}.', hint)


class Answers:
    """The attacked model's classes, `names`, looked up by what a person or an app says."""

    def __init__(self, names: Sequence[str]) -> None:
        self._labels = Labels(names)
        self.names = tuple(names)
        self._words = {plain_name(word) for name in names for word in (name, *name.split(","))}

    def class_of(self, answer: str) -> int:
        """Returns the class that an answer (name, synonym or index) means, NO_CLASS for words that are no class.

        Raises:
            ValueError: the answer could mean several classes, or is an index beyond the last.
        """
        index = self._labels.index_of(answer)
        if index is not None:
            return index
        is_known = any(plain_name(word) in self._words for word in (answer, *answer.split(",")))
        if is_known or not answer.strip() or answer.strip().lstrip("+-").isdigit():
            raise ValueError(self._labels.why_not(answer))
        return NO_CLASS

    def near(self, answer: str) -> list[str]:
        """Returns the names that look most like an answer."""
        return near_names(answer, self.names, N_NEAR)


def near_names(word: str, names: Sequence[str], n: int) -> list[str]:
    """Returns up to `n` of the names, or of their synonyms, that look most like a word."""
    synonyms = {plain_name(part): part.strip() for name in names for part in name.split(",")}
    return [synonyms[found] for found in difflib.get_close_matches(plain_name(word), list(synonyms), n=n, cutoff=0.6)]


def _class_of(name: str, place: int, labels: Labels) -> int:
    if name.strip().isdigit() and plain_name(name) not in map(plain_name, labels.class_names):
        return NO_CLASS  # a name such as "7" is no place in another model's list
    index = labels.index_of(name)
    if index is None and place < len(labels.class_names) and plain_name(labels.class_names[place]) == plain_name(name):
        index = place
    return NO_CLASS if index is None else index
