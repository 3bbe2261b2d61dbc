"""One experiment file (TOML) becomes validated settings; unknown keys and bad values are refused with file, line and near match."""

import dataclasses
import difflib
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pipeline.errors import BadInput, WrongUse


def _setting(default: Any, doc: str, **limits: Any) -> Any:
    metadata = {"doc": doc, **limits}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class DatasetSettings:
    """Images with true labels."""

    name: str = _setting("builtin:signs", 'Where the images come from: "builtin:signs", "folder:DIR", "csv:FILE" or "torchvision:NAME".')
    n_images: int = _setting(0, "Look at no more than this many images (0: all; the built-in set then has 500).", minimum=0)
    root: str = _setting("", "Folder that a CSV's paths or a torchvision data set start from.")
    path_column: str = _setting("", "CSV column with the image's path (empty: found by its name).")
    label_column: str = _setting("", "CSV column with the true label: index, name or WordNet id (empty: found by its name).")
    split: str = _setting("test", "Which part of a data set that has parts.")


@dataclass(frozen=True)
class ModelSettings:
    """The classifier under test; its preprocessing is part of it."""

    name: str = _setting(
        "builtin:signs", '"builtin:signs", "torchvision:NAME", "timm:NAME", "python:MODULE:FACTORY" or "onnx:FILE" (predictions only).'
    )
    weights: str = _setting("DEFAULT", '"DEFAULT", "none" or a local .pth or .safetensors file.')
    input_px: int = _setting(0, "Side of the square model input (0: the model's own).", minimum=0, unit="px")
    resize_px: int = _setting(0, "Shorter side before the centre crop (0: the model's own).", minimum=0, unit="px")
    mean: tuple[float, ...] = _setting((), "Mean per channel, of pixels in [0, 1] (empty: the model's own).")
    std: tuple[float, ...] = _setting((), "Standard deviation per channel (empty: the model's own).")
    classes: str = _setting("", "File with the class names: JSON index -> name or [WordNet id, name], or one name a line.")
    n_classes: int = _setting(0, "Number of classes, where the model does not tell (0: as the weights say).", minimum=0)
    python_path: str = _setting("", "Folder put first on the import path for a python: model.")
    arguments: dict[str, Any] = _setting({}, "Keyword arguments for a python: factory; values that start with ./ or ../ or $ are paths.")


@dataclass(frozen=True)
class SelectionSettings:
    """Which images are drawn for each cell: an attack at one epsilon."""

    cases: tuple[str, ...] = _setting(
        ("average", "prefiltered"),
        'The paper\'s two cases: "average" (random images) and "prefiltered" (clean right, adversarial wrong, both confident).',
        choices=("average", "prefiltered"),
    )
    n_images: int = _setting(24, "Images per cell and case (the paper: 102).", minimum=1)
    draw: str = _setting(
        "shared",
        '"shared": every cell walks one random order of the images; "per-cell": a fresh order for each cell, as in the paper.',
        choices=("shared", "per-cell"),
    )
    min_confidence: float = _setting(0.8, "Least top-1 probability, clean and adversarial, in the prefiltered case.", minimum=0, maximum=1)


@dataclass(frozen=True)
class AttackSettings:
    """One attack and its strengths."""

    name: str = _setting("fgsm", "Name of the attack: see `inkproof list attacks`.")
    epsilons_8bit: tuple[int, ...] = _setting((4, 16), "Largest change of a pixel, in 8-bit units.", minimum=1, maximum=255, unit="8-bit")


@dataclass(frozen=True)
class LayoutSettings:
    """The printable pages."""

    paper: str = _setting("A4", "Paper size.", choices=("A4", "Letter"))
    orientation: str = _setting("portrait", "Orientation of the sheet.", choices=("portrait", "landscape"))
    pairs_per_page: int = _setting(3, "Clean/adversarial pairs on a page (the paper: 3).", minimum=1, maximum=24)
    image_mm: float = _setting(0.0, "Side of a printed image (0: as large as fits).", minimum=0, unit="mm")
    dpi: int = _setting(600, "Printer dots per inch that pixels are aligned to.", choices=(300, 600, 1200), unit="dots per inch")


@dataclass(frozen=True)
class PhotographSettings:
    """Who takes the photographs."""

    by: str = _setting("simulator", '"camera": you print and photograph; "simulator": a simulated printer and phone.', choices=("camera", "simulator"))
    profile: str = _setting("office-phone", "Simulated printer and camera: see `inkproof list profiles`.")


@dataclass(frozen=True)
class CaptureSettings:
    """How photographs are read."""

    strict: bool = _setting(False, "Discard every photo in which one of the four codes is missing, as the paper did.")


@dataclass(frozen=True)
class ReportSettings:
    """The report."""

    title: str = _setting("", "Title on the first page (empty: made from the run's name).")
    n_gallery: int = _setting(6, "Rows in the gallery.", minimum=0, maximum=60)


@dataclass(frozen=True)
class TransformSettings:
    """Digital transforms, each with the values of its parameter."""

    grids: dict[str, tuple[float, ...]] = field(default_factory=dict)
    save_images: bool = False


@dataclass(frozen=True)
class Experiment:
    """A whole experiment as its file states it; `base` is the folder that relative paths start from."""

    name: str
    seed: int
    dataset: DatasetSettings
    model: ModelSettings
    selection: SelectionSettings
    attacks: tuple[AttackSettings, ...]
    layout: LayoutSettings
    photograph: PhotographSettings
    capture: CaptureSettings
    transforms: TransformSettings
    report: ReportSettings
    base: Path = Path(".")
    source: "Source | None" = field(default=None, compare=False, repr=False)

    def where(self, key: str) -> str:
        """Returns `file:line` of a dotted key, for messages about it."""
        return self.source.where(key) if self.source else key

    def path(self, text: str) -> Path:
        """Returns a path of the file with variables filled in, relative to the experiment file's folder."""
        return resolve_path(text, self.base)

    def resolved_model(self) -> ModelSettings:
        """Returns the model's settings with every path filled in."""
        arguments = {key: self._filled(value) for key, value in self.model.arguments.items()}
        local = {key: str(self.path(value)) if (value := getattr(self.model, key)) else "" for key in ("classes", "python_path")}
        weights = self.model.weights if self.model.weights in ("DEFAULT", "none") else str(self.path(self.model.weights))
        return dataclasses.replace(self.model, name=self._filled_name(self.model.name), weights=weights, arguments=arguments, **local)

    def resolved_dataset(self) -> DatasetSettings:
        """Returns the data set's settings with every path filled in."""
        root = str(self.path(self.dataset.root)) if self.dataset.root else ""
        return dataclasses.replace(self.dataset, name=self._filled_name(self.dataset.name), root=root)

    def _filled_name(self, name: str) -> str:
        scheme, _, rest = name.partition(":")
        return f"{scheme}:{self.path(rest)}" if scheme in ("folder", "csv", "onnx") and rest else name

    def _filled(self, value: Any) -> Any:
        return str(self.path(value)) if isinstance(value, str) and value.startswith(("./", "../", "$", "~")) else value

    def cells(self) -> list[tuple[str, int]]:
        """Returns every (attack, epsilon) in the file's order."""
        return [(attack.name, epsilon) for attack in self.attacks for epsilon in attack.epsilons_8bit]


SECTIONS: dict[str, type] = {
    "dataset": DatasetSettings,
    "model": ModelSettings,
    "selection": SelectionSettings,
    "layout": LayoutSettings,
    "photograph": PhotographSettings,
    "capture": CaptureSettings,
    "report": ReportSettings,
}
_TOP_KEYS = ("name", "seed", "base", "attacks", "transforms", *SECTIONS)
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def load_experiment(path: Path, overrides: tuple[str, ...] = (), seed: int | None = None) -> Experiment:
    """Returns the validated experiment of a TOML file, with `key=value` overrides and a seed on top.

    Raises:
        BadInput: the file cannot be read or is not TOML.
        WrongUse: a key is unknown or a value is not allowed; the message names file, line and the nearest valid key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such experiment file.", f"Make one with: inkproof init {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}).") from None
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise BadInput(f"{path}{':' + line[1] if line else ''}: not valid TOML: {error}.") from None
    source = Source(path, _line_numbers(text))
    for override in overrides:
        _apply_override(tree, override, source)
    if seed is not None:
        tree["seed"] = seed
    return _experiment(tree, source, default_name=path.stem)


def resolve_path(text: str, base: Path) -> Path:
    """Returns a path with `~`, `$NAME` and `${NAME:-default}` filled in, relative to `base`.

    Raises:
        WrongUse: a variable without a default is not set.
    """

    def fill(match: re.Match[str]) -> str:
        name, default = match["name"] or match["bare"], match["default"]
        if name in os.environ:
            return os.path.abspath(os.environ[name])
        if default is None:
            raise WrongUse(f"{text}: the environment variable {name} is not set.", f"Set it, for example: export {name}=DIR")
        return default

    filled = re.sub(r"\$(?:\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}|(?P<bare>\w+))", fill, text)
    return base / Path(filled).expanduser()


def near_match(word: str, choices: Any) -> str:
    """Returns a hint that names the nearest choice, or all of them where none is near."""
    choices = sorted(map(str, choices))
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f'Did you mean "{close[0]}"?' if close else f"Known: {', '.join(choices)}."


@dataclass(frozen=True)
class Source:
    """Where each key of an experiment file stands."""

    path: Path
    lines: dict[str, int]

    def where(self, key: str) -> str:
        """Returns `file:line` of the dotted key, or of its nearest parent that is written in the file."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines[key]}" if key else str(self.path)


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
            table = match[1]
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
    for part in parents:
        node = _child(node, part, key)
    if not isinstance(node, dict):
        raise WrongUse(f"--set {override}: {'.'.join(parents)} is not a table.")
    node[last] = value
    source.lines.pop(key, None)


def _child(node: Any, part: str, key: str) -> Any:
    if isinstance(node, list):
        named = [item for item in node if item.get("name") == part]
        if named:
            return named[0]
        if part.isdigit() and int(part) < len(node):
            return node[int(part)]
        known = [item.get("name", "") for item in node] + [str(index) for index in range(len(node))]
        raise WrongUse(f'--set {key}: there is no entry "{part}".', near_match(part, known))
    if isinstance(node, dict):
        return node.setdefault(part, {})
    raise WrongUse(f'--set {key}: "{part}" is not a table.')


def _experiment(tree: dict[str, Any], source: Source, default_name: str) -> Experiment:
    _refuse_unknown(tree, _TOP_KEYS, "", source)
    name = tree.get("name", default_name)
    if not isinstance(name, str) or not _RUN_NAME.fullmatch(name):
        raise WrongUse(f"{source.where('name')}: name = {name!r} cannot name a folder.", "Use letters, digits, '.', '_' and '-'.")
    seed = tree.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise WrongUse(f"{source.where('seed')}: seed = {seed!r}: expected a whole number of 0 or more.")
    sections = {key: _section(kind, tree.get(key, {}), key, source) for key, kind in SECTIONS.items()}
    base = source.path.parent / str(tree.get("base", "."))
    return Experiment(
        name=name,
        seed=seed,
        attacks=_attacks(tree, source),
        transforms=_transforms(tree.get("transforms", {}), source),
        base=base,
        source=source,
        **sections,
    )


def _attacks(tree: dict[str, Any], source: Source) -> tuple[AttackSettings, ...]:
    entries = tree.get("attacks", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise WrongUse(f"{source.where('attacks')}: attacks must be written as [[attacks]] tables.")
    attacks = tuple(_section(AttackSettings, entry, f"attacks.{index}", source) for index, entry in enumerate(entries))
    names = [attack.name for attack in attacks]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise WrongUse(f'{source.where(f"attacks.{index}.name")}: attack "{name}" is listed twice.', "Put all its epsilons in one entry.")
        if not attacks[index].epsilons_8bit:
            raise WrongUse(f'{source.where(f"attacks.{index}.epsilons_8bit")}: attack "{name}" has no epsilon.')
    if not attacks:
        raise WrongUse(f"{source.path}: no [[attacks]] entry.", 'Add for example: [[attacks]] name = "fgsm", epsilons_8bit = [4, 16]')
    return attacks


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
    return TransformSettings(grids, save)


def _section(kind: type, entries: Any, prefix: str, source: Source) -> Any:
    if not isinstance(entries, dict):
        raise WrongUse(f"{source.where(prefix)}: {prefix} must be a table.")
    hints = get_type_hints(kind)
    settings = {item.name: item for item in dataclasses.fields(kind)}
    _refuse_unknown(entries, settings, prefix, source)
    values = {key: _value(value, hints[key], settings[key].metadata, f"{prefix}.{key}", source) for key, value in entries.items()}
    return kind(**values)


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
        if len(set(items)) != len(items) and "choices" in limits:
            raise WrongUse(f"{source.where(key)}: {key} = {value!r}: an entry is listed twice.")
        return items
    if get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise WrongUse(f"{source.where(key)}: {key} = {value!r}: expected a table.")
        return value
    if hint is float and _is_number(value):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
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
    return isinstance(value, (int, float)) and not isinstance(value, bool)
