"""Finds the model's class for a label as people write it: an index, a name or one of its synonyms, or a WordNet id."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence

from pipeline.core.errors import BadInput

_WORDNET_ID = re.compile(r"n\d{8}(?!\d)")
_MOST_DIGITS = 9
_WHOLE_NUMBER = re.compile(r"(\d+)\.0*")  # as a table writes indices beside an empty cell
_LOOK_ALIKE = str.maketrans("‘’‛ʼ“”„", "''''\"\"\"")
_ANONYMOUS = re.compile(r"class \d+")


class Labels:
    """The classes of one model, looked up by label.

    A label is tried as a whole name, as a WordNet id (also one that a name follows, "n01440764_tench"), as an index, and as one
    of the synonyms in a name such as "great white shark, man-eater". Case, spaces, underscores, hyphens, the kind of
    quotation mark and the Unicode form make a difference only where two classes differ in nothing else. A label that fits two
    classes fits none.
    """

    def __init__(self, class_names: Sequence[str], wordnet_ids: Sequence[str] = ()) -> None:
        self.class_names = tuple(class_names)
        self._by_name, self._by_synonym = _Index(), _Index()
        for i, name in enumerate(self.class_names):
            self._by_name.add(name, i)
            for synonym in _synonyms(name):
                self._by_synonym.add(synonym, i)
        self._by_wordnet_id = {wordnet_id: i for i, wordnet_id in enumerate(wordnet_ids)}
        self.are_anonymous = all(_ANONYMOUS.fullmatch(name) for name in self.class_names)

    def index_of(self, label: str) -> int | None:
        """Returns the class of that label, None where `why_not` has the reason."""
        return self._found(label)[0]

    def why_not(self, label: str) -> str:
        """Returns why a label has no class, "" where it has one."""
        return self._found(label)[1]

    def with_ranked_wordnet_ids(self, labels: Sequence[str]) -> "Labels":
        """Returns these labels with WordNet ids by rank, as ImageNet orders classes, where `labels` are all of the model's ids.

        Without them a model that does not know its ids could not read the usual folders of a whole ImageNet.
        """
        ids = sorted({m.group() for label in labels if (m := _WORDNET_ID.match(label))})
        if self._by_wordnet_id or len(ids) != len(self.class_names):
            return self
        return Labels(self.class_names, ids)

    def _found(self, label: str) -> tuple[int | None, str]:
        label = label.strip()
        if not label:
            return None, "the label is empty"
        named = self._by_name.find(label)
        if len(named) == 1:
            return next(iter(named)), ""
        if not named and (whole := _WHOLE_NUMBER.fullmatch(label)):
            return self._found(whole[1])
        wordnet_id = _WORDNET_ID.match(label)
        if wordnet_id:
            index = self._by_wordnet_id.get(wordnet_id.group())
            if index is not None:
                return index, ""
            unknown = "the model's WordNet ids are not known: set model.classes (\"imagenet-1k\" for ImageNet's)"
            return None, f"WordNet id {wordnet_id.group()}: {'the model has no such class' if self._by_wordnet_id else unknown}"
        if re.fullmatch(r"\d+", label) and not named:
            index = int(label[-_MOST_DIGITS:]) if len(label.lstrip("0")) <= _MOST_DIGITS else len(self.class_names)
            known = index < len(self.class_names)
            return (index, "") if known else (None, f"index {label[:20]} is beyond the model's {len(self.class_names)} classes")
        return self._by_any_synonym(label, named)

    def _by_any_synonym(self, label: str, named: set[int]) -> tuple[int | None, str]:
        candidates = set(named)
        if not candidates:
            per_word = [found for word in _synonyms(label) if (found := self._by_synonym.find(word))]
            candidates = set.intersection(*per_word) if per_word else set()
            if per_word and not candidates:
                return None, f"{label!r} mixes synonyms of several classes"
        if len(candidates) == 1:
            return candidates.pop(), ""
        if candidates:
            indices = ", ".join(map(str, sorted(candidates)))
            return None, f"{label!r} is the name of {len(candidates)} classes ({indices}): use the index"
        if self.are_anonymous:
            return None, f"{label!r}: the model's class names are not known: set model.classes, or use indices"
        return None, f"the model has no class {label!r}"


def model_classes(own_names: dict[int, str], labels: Labels, name: str) -> tuple[dict[int, int | None], dict[int, str]]:
    """Returns (the model's class of each class of a data set, why it has none).

    Names decide. Where the model's names are not known, or the data set has none, the index does, provided that the model has as
    many classes at least.

    Raises:
        BadInput: the names are unknown and the model has too few classes for indices to mean the same.
    """
    by_name = {own: labels.index_of(text) for own, text in own_names.items() if text}
    if any(index is not None for index in by_name.values()) and not labels.are_anonymous:
        return by_name, {own: labels.why_not(text) for own, text in own_names.items() if by_name.get(own) is None}
    if not labels.are_anonymous and any(own_names.values()):
        return {}, {own: labels.why_not(text) for own, text in own_names.items()}
    if max(own_names, default=0) >= len(labels.class_names):
        what = f"{name} has class {max(own_names)}, the model has {len(labels.class_names)} classes."
        raise BadInput(what, "Set model.classes to the model's names.")
    return {own: own for own in own_names}, {}


def plain_name(name: str) -> str:
    """Returns a name without what a reader does not see: case, kinds of space and quotation mark, Unicode form, joiners."""
    composed = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(_LOOK_ALIKE)
    return _spaced("".join(c for c in composed if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f"))


def _spaced(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFC", name)).strip()


class _Index:
    """Classes by name: of the ways to compare names, the strictest that finds any decides."""

    _WAYS: tuple[Callable[[str], str], ...] = (str.strip, _spaced, lambda name: _spaced(name).casefold(), plain_name)

    def __init__(self) -> None:
        self._classes: list[dict[str, set[int]]] = [defaultdict(set) for _ in self._WAYS]

    def add(self, name: str, index: int) -> None:
        for way, classes in zip(self._WAYS, self._classes, strict=True):
            classes[way(name)].add(index)

    def find(self, name: str) -> set[int]:
        return next((found for way, classes in zip(self._WAYS, self._classes) if (found := classes.get(way(name)))), set())


def _synonyms(name: str) -> list[str]:
    return [word for word in (part.strip() for part in re.split("[,，、]", name)) if plain_name(word)]
