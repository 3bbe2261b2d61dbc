"""The names of a model's classes: from a file, from the weights, or "class 17"."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import BadInput
from pipeline.images import shown
from pipeline.images.formats import reason

# The classes of ImageNet (ILSVRC 2012) in the usual order, by WordNet id, with the words of WordNet; the name that means them.
_IMAGENET_FILE = Path(__file__).with_name("imagenet-1k.txt")
IMAGENET = "imagenet-1k"
_WORDNET_ID = re.compile(r"n\d{8}")


def class_names_for(
    classes_file: str, n_classes: int, own_names: tuple[str, ...] = (), own_wordnet_ids: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns (names, WordNet ids): the file's where one is given, else the model's own if they fit, else "class 0", ….

    Raises:
        BadInput: the file cannot be read, or does not name exactly `n_classes` classes.
    """
    if classes_file:
        names, wordnet_ids = read_class_list(classes_file)
        if len(names) != n_classes:
            what = f"{shown(classes_file)} names {len(names)} classes, the model has {n_classes}."
            raise BadInput(what, "Set model.classes to its own list.")
        return names, wordnet_ids
    names = own_names if len(own_names) == n_classes else tuple(f"class {i}" for i in range(n_classes))
    return names, own_wordnet_ids if len(own_wordnet_ids) == n_classes else ()


def named_as_imagenet(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns names of classes with the WordNet ids of ImageNet, () where they are not those of its 1,000 classes in order."""
    known, wordnet_ids = read_class_list(_IMAGENET_FILE)
    agree = sum(name in synonyms.split(", ") for name, synonyms in zip(names, known))
    return tuple(names), wordnet_ids if len(names) == len(known) and agree > len(known) // 2 else ()


def n_classes_told(classes_file: str, n_classes: int) -> int:
    """Returns the number of classes as the settings have it, by itself or by the class list; 0 where they leave it open."""
    return n_classes or (len(read_class_list(classes_file)[0]) if classes_file else 0)


def read_class_list(path: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns (names, WordNet ids or ()) from a text file or JSON (index -> name or [WordNet id, name], or a list of those).

    A text file has one name a line, which may begin with a WordNet id; the order is the order of the logits. "imagenet-1k" is
    the list that comes with the package.

    Raises:
        BadInput: missing, not text, not such a list, or an index is left out.
    """
    where = f"The class list {shown(path)}"
    path = _IMAGENET_FILE if str(path) == IMAGENET else path
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"{where} cannot be opened: {reason(error)}.", "Check model.classes.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{where} is not UTF-8 text.") from error
    if text.lstrip()[:1] in ("{", "["):
        entries = [_json_entry(value, where) for value in _json_values(text, where)]
    else:
        entries = [_line_entry(line) for line in text.splitlines() if line.strip()]
    if not entries:
        raise BadInput(f"{where} is empty.")
    wordnet_ids = tuple(wordnet_id for wordnet_id, _ in entries)
    return tuple(name for _, name in entries), wordnet_ids if all(wordnet_ids) else ()


def _json_values(text: str, where: str) -> list[Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is not JSON: {error}.") from error
    if isinstance(document, list):
        return document
    try:
        by_index = {int(key): value for key, value in document.items()}
    except ValueError as error:
        raise BadInput(f"{where} has a key that is no index.", 'Write {"0": "name", "1": "name", …}.') from error
    missing = [i for i in range(len(document)) if i not in by_index]
    if missing:
        raise BadInput(f"{where} has {len(document)} entries, but none for index {missing[0]}.")
    return [by_index[i] for i in range(len(document))]


def _json_entry(value: Any, where: str) -> tuple[str, str]:
    if isinstance(value, str):
        return "", value.strip()
    if isinstance(value, list) and len(value) >= 2 and all(isinstance(v, str) for v in value) and _WORDNET_ID.fullmatch(value[0]):
        return value[0], ", ".join(v.strip() for v in value[1:])
    raise BadInput(f"{where} holds an entry that is neither a name nor [WordNet id, name]: {str(value)[:40]}")


def _line_entry(line: str) -> tuple[str, str]:
    first, _, rest = line.strip().partition(" ")
    return (first, rest.strip()) if _WORDNET_ID.fullmatch(first) and rest.strip() else ("", line.strip())
