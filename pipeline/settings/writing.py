"""Writes an experiment as a commented TOML file: what `init` gives a person, and what a run keeps of its settings."""

import json
import os
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pipeline.settings.experiment import Experiment
from pipeline.settings.fields import described
from pipeline.settings.tables import SECTIONS, CheckSettings, TransformSettings

WIDTH = 110


def experiment_text(experiment: Experiment, folder: Path, comments: bool = True) -> str:
    """Returns the experiment as TOML, each setting under its comment; relative paths still start from the same place.

    Args:
        experiment: the settings.
        folder: where the file will lie.
        comments: whether each setting is explained.
    """
    lines = [f"name = {toml_value(experiment.name)}", f"seed = {experiment.seed}"]
    base = Path(os.path.relpath(experiment.base, folder)).as_posix()
    if base != "." and _has_relative_paths(experiment):
        lines += ["", "# Where relative paths below start from.", f"base = {toml_value(base)}"]
    for item in fields(experiment):
        value = getattr(experiment, item.name)
        if isinstance(value, TransformSettings):
            lines += _transforms(value)
        elif isinstance(value, tuple):
            for number, table in enumerate(value):
                lines += _section(f"[[{item.name}]]", table, comments=number == 0)
        elif item.name in SECTIONS and value != CheckSettings():  # without a limit nothing is checked
            lines += _section(f"[{item.name}]", value)
    kept = [line for line in lines if comments or not line.startswith("#")]
    return "\n".join(kept) + "\n"


def flat_settings(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Returns every setting in force under its dotted name, an attack's under its name in the run."""
    told = tomllib.loads(experiment_text(experiment, folder, comments=False))
    for kind in ("attacks", "defences", "judges"):
        told[kind] = {entry.get("label") or entry["name"]: entry for entry in told.get(kind, ())}
    return dict(_flat(told))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else value


def _has_relative_paths(experiment: Experiment) -> bool:
    return _places(replace(experiment, base=Path("/a"))) != _places(replace(experiment, base=Path("/b")))


def _places(experiment: Experiment) -> list[object]:
    models = [experiment.resolved_model(), *experiment.resolved_judges()]
    profile = experiment.profile_place(experiment.photograph.profile)
    places = [profile, experiment.background_place(), experiment.against_place()]
    return [experiment.resolved_dataset(), *models, *experiment.resolved_attacks(), *places]


def _section(header: str, table: Any, comments: bool = True) -> list[str]:
    lines = ["", header] if not comments else ["", *_comment(type(table).__doc__ or ""), header]
    for item in described(type(table)):
        if comments:
            lines += _comment(item.text)
        lines.append(f"{item.name} = {toml_value(getattr(table, item.name))}")
    return lines


def _transforms(transforms: TransformSettings) -> list[str]:
    opening = f"{TransformSettings.__doc__} See `inkproof list transforms`."
    lines = ["", *_comment(opening), "[transforms]"]
    lines += [f"{name} = {toml_value(values)}" for name, values in transforms.grids.items()]
    saved = {item.name: item for item in described(TransformSettings)}["save_images"]
    return [*lines, *_comment(saved.text), f"save_images = {toml_value(transforms.save_images)}"]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH)]


def toml_value(value: Any) -> str:
    """Returns a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    return json.dumps(value, ensure_ascii=False)
