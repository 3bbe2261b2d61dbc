"""One experiment file becomes validated settings; unknown keys and bad values are refused with file, line and near match."""

import dataclasses
import re
import tomllib
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pipeline.core.errors import BadInput, WrongUse, near_match
from pipeline.records import ATTACKED_MODEL
from pipeline.settings import SECTIONS, WITHOUT_EPSILON, AttackSettings, Experiment, JudgeSettings, Source, TransformSettings

Table = TypeVar("Table")
_TOP_KEYS = ("name", "seed", "base", "attacks", "judges", "transforms", *SECTIONS)
_DEFAULT_EPSILONS = (4, 16)
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def load_experiment(
    path: Path, overrides: tuple[str, ...] = (), seed: int | None = None, flags: tuple[str, ...] = ()
) -> Experiment:
    """Returns the validated experiment of a TOML file, with `key=value` overrides and a seed on top.

    `flags` are the other words of the command line that advice has to repeat.

    Raises:
        BadInput: the file cannot be read or is not TOML.
        WrongUse: a key is unknown or a value is not allowed; the message names file, line and the nearest valid key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such experiment file.", f"Make one with: inkproof init {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}).") from None
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise BadInput(f"{path}{':' + line[1] if line else ''}: not valid TOML: {error}.") from None
    repeated = [word for override in overrides for word in ("--set", override)]
    source = Source(path, _line_numbers(text), (*repeated, *flags))
    for override in overrides:
        _apply_override(tree, override, source)
    if seed is not None:
        tree["seed"] = seed
    return _experiment(tree, source, default_name=path.stem)


def section(kind: type, entries: Any, prefix: str, source: Source) -> Any:
    """Returns a settings record with these entries checked; `prefix` is their dotted place in the file, for messages.

    Raises:
        WrongUse: a key is unknown or a value is not allowed.
    """
    if not isinstance(entries, dict):
        raise WrongUse(f"{source.where(prefix)}: {prefix} must be a table.")
    hints = get_type_hints(kind)
    settings = {item.name: item for item in dataclasses.fields(kind)}
    _refuse_unknown(entries, settings, prefix, source)
    values = {key: _value(value, hints[key], settings[key].metadata, f"{prefix}.{key}", source) for key, value in entries.items()}
    return kind(**values)


def _line_numbers(text: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    table, counts = "", {}
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\s*\[\[\s*([\w.-]+)\s*\]\]", line):
            name = match[1]
            counts[name] = counts.get(name, -1) + 1
            table = f"{name}.{counts[name]}"
            lines[table] = number
        elif match := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            parent, dot, rest = match[1].partition(".")
            table = f"{parent}.{counts[parent]}.{rest}" if dot and parent in counts else match[1]
            lines[table] = number
        elif match := re.match(r"\s*\"?([\w.-]+)\"?\s*=", line):
            lines[f"{table}.{match[1]}" if table else match[1]] = number
    return lines


def _apply_override(tree: dict[str, Any], override: str, source: Source) -> None:
    key, equals, raw = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise WrongUse(f'--set {override}: expected key=value, for example "selection.n_images=12".')
    try:
        value = tomllib.loads(f"value = {raw.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    node: Any = tree
    *parents, last = key.split(".")
    place: list[str] = []
    for part in parents:
        node, part = _child(node, part, key)
        place.append(part)
    if not isinstance(node, dict):
        raise WrongUse(f"--set {override}: {'.'.join(parents)} is not a table.")
    node[last] = value
    source.lines[".".join([*place, last])] = 0


def _child(node: Any, part: str, key: str) -> tuple[Any, str]:
    """Returns a table below `node`, and what its part of a dotted key is: the place in a list, also where it was named."""
    if isinstance(node, list):
        named = [index for index, item in enumerate(node) if part in (item.get("label"), item.get("name"))]
        if named or (part.isdigit() and int(part) < len(node)):
            index = named[0] if named else int(part)
            return node[index], str(index)
        known = [item.get("label") or item.get("name", "") for item in node] + [str(index) for index in range(len(node))]
        raise WrongUse(f'--set {key}: there is no entry "{part}".', near_match(part, known))
    if isinstance(node, dict):
        return node.setdefault(part, {}), part
    raise WrongUse(f'--set {key}: "{part}" is not a table.')


def _experiment(tree: dict[str, Any], source: Source, default_name: str) -> Experiment:
    _refuse_unknown(tree, _TOP_KEYS, "", source)
    name = tree.get("name", default_name)
    if not isinstance(name, str) or not _RUN_NAME.fullmatch(name):
        raise WrongUse(
            f"{source.where('name')}: name = {name!r} cannot name a folder.", "Use a to z, A to Z, digits, '.', '_' and '-'."
        )
    seed = tree.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise WrongUse(f"{source.where('seed')}: seed = {seed!r}: expected a whole number of 0 or more.")
    sections = {key: section(kind, tree.get(key, {}), key, source) for key, kind in SECTIONS.items()}
    base = source.path.parent / str(tree.get("base", "."))
    return Experiment(
        name=name,
        seed=seed,
        attacks=_attacks(tree, source),
        transforms=_transforms(tree.get("transforms", {}), source),
        base=base,
        judges=_judges(tree, source),
        source=source,
        **sections,
    )


def _judges(tree: dict[str, Any], source: Source) -> tuple[JudgeSettings, ...]:
    judges = _tables(tree, "judges", JudgeSettings, source)
    labels = [judge.shown_label for judge in judges]
    for index, label in enumerate(labels):
        where = source.where(f"judges.{index}.{'label' if judges[index].label else 'name'}")
        if label in labels[:index]:
            raise WrongUse(f'{where}: judge "{label}" is listed twice.', "Give each a label of its own.")
        if label == ATTACKED_MODEL:
            raise WrongUse(f'{where}: "{label}" is what the model of [model] is called.', "Choose another label.")
    return judges


def _tables(tree: dict[str, Any], name: str, kind: type[Table], source: Source) -> tuple[Table, ...]:
    """Returns the records of a list of tables."""
    entries = tree.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise WrongUse(f"{source.where(name)}: {name} must be written as [[{name}]] tables.")
    return tuple(section(kind, entry, f"{name}.{index}", source) for index, entry in enumerate(entries))


def _attacks(tree: dict[str, Any], source: Source) -> tuple[AttackSettings, ...]:
    attacks = _tables(tree, "attacks", AttackSettings, source)
    attacks = tuple(_with_epsilons(attack, index, tree["attacks"][index], source) for index, attack in enumerate(attacks))
    keys = [attack.key for attack in attacks]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            hint = "Put all its epsilons in one entry, or give one a label, if their options differ."
            raise WrongUse(f'{source.where(f"attacks.{index}.name")}: attack "{key}" is listed twice.', hint)
        if not _RUN_NAME.fullmatch(key) or key == "clean" or re.search(r"-eps\d+$", key):
            where, hint = source.where(f"attacks.{index}.label"), "Use a to z, A to Z, digits, '.', '_' and '-'."
            raise WrongUse(f"{where}: an attack called {key!r} cannot name a folder.", hint)
    if not attacks:
        raise WrongUse(
            f"{source.path}: no [[attacks]] entry.", 'Add for example: [[attacks]] name = "fgsm", epsilons_8bit = [4, 16]'
        )
    return attacks


def _with_epsilons(attack: AttackSettings, index: int, entry: dict[str, Any], source: Source) -> AttackSettings:
    """Fills in the default epsilons; which attacks of other libraries take some is checked where those are known."""
    where = source.where(f"attacks.{index}.epsilons_8bit")
    if attack.name in WITHOUT_EPSILON:
        if attack.epsilons_8bit:
            hint = (
                "Leave epsilons_8bit out."
                if attack.name == "patch"
                else "Leave epsilons_8bit out: it looks for the smallest change."
            )
            raise WrongUse(f'{where}: attack "{attack.name}" takes no epsilon.', hint)
        return attack
    if "epsilons_8bit" not in entry and ":" not in attack.name:
        return dataclasses.replace(attack, epsilons_8bit=_DEFAULT_EPSILONS)
    if not attack.epsilons_8bit and ":" not in attack.name:
        raise WrongUse(f'{where}: attack "{attack.name}" has no epsilon.')
    return attack


def _transforms(entries: Any, source: Source) -> TransformSettings:
    if not isinstance(entries, dict):
        raise WrongUse(f"{source.where('transforms')}: transforms must be a table.")
    save = entries.get("save_images", False)
    if not isinstance(save, bool):
        raise WrongUse(f"{source.where('transforms.save_images')}: save_images = {save!r}: expected true or false.")
    grids = {}
    for name, values in entries.items():
        if name == "save_images":
            continue
        if not isinstance(values, list) or not values or not all(_is_number(value) for value in values):
            raise WrongUse(f"{source.where(f'transforms.{name}')}: {name} = {values!r}: expected a list of numbers.")
        grids[name] = tuple(float(value) for value in values)
        if len({f"{value:g}" for value in values}) != len(values):
            raise WrongUse(f"{source.where(f'transforms.{name}')}: {name} = {values!r}: a value is listed twice.")
    return TransformSettings(grids, save)


def _refuse_unknown(entries: dict[str, Any], known: Any, prefix: str, source: Source) -> None:
    for key in entries:
        if key not in known:
            place = f" in [{prefix}]" if prefix else ""
            raise WrongUse(f'{source.where(f"{prefix}.{key}".strip("."))}: unknown key "{key}"{place}.', near_match(key, known))


def _value(value: Any, hint: Any, limits: Any, key: str, source: Source) -> Any:
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise WrongUse(f"{source.where(key)}: {key} = {value!r}: expected a list.")
        items = tuple(_value(item, get_args(hint)[0], limits, key, source) for item in value)
        if not items and "choices" in limits:
            raise WrongUse(f"{source.where(key)}: {key} is empty.", f"Choose from: {', '.join(limits['choices'])}.")
        if limits.get("is_range") and (len(items) != 2 or items[0] > items[1]):
            raise WrongUse(f"{source.where(key)}: {key} = {value!r}: expected two values, the lower one first.")
        if len(set(items)) != len(items) and get_args(hint)[0] is not float:
            raise WrongUse(f"{source.where(key)}: {key} = {value!r}: an entry is listed twice.")
        return items
    if get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise WrongUse(f"{source.where(key)}: {key} = {value!r}: expected a table.")
        return value
    if hint is float and _is_number(value):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool) or (hint is float and not _is_number(value)):
        raise WrongUse(f"{source.where(key)}: {key} = {value!r}: expected {_WORDS[hint]}.")
    if "choices" in limits and value not in limits["choices"]:
        raise WrongUse(f"{source.where(key)}: {key} = {value!r} is not allowed.", near_match(str(value), limits["choices"]))
    low, high = limits.get("minimum"), limits.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        wanted = f"{low} or more" if high is None else f"{low} to {high}"
        raise WrongUse(f"{source.where(key)}: {key} = {value!r} is out of range: expected {wanted}.")
    return value


_WORDS = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
