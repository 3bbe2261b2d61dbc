"""Writes an experiment as a commented TOML file: what `init` gives a person, and what a run keeps of its settings."""

import dataclasses
import json
import os
import textwrap
from pathlib import Path
from typing import Any

from pipeline.settings import IMAGES_OPTION, SECTIONS, AttackSettings, Experiment, JudgeSettings

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
    for name in ("dataset", "model", "selection"):
        lines += _section(f"[{name}]", SECTIONS[name], getattr(experiment, name))
    for number, judge in enumerate(experiment.judges):
        lines += _section("[[judges]]", JudgeSettings, judge, comments=number == 0)
    for number, attack in enumerate(experiment.attacks):
        lines += _section("[[attacks]]", AttackSettings, attack, comments=number == 0)
    for name in ("layout", "photograph", "capture"):
        lines += _section(f"[{name}]", SECTIONS[name], getattr(experiment, name))
    lines += _transforms(experiment)
    for name in ("thresholds", "explain", "report"):
        lines += _section(f"[{name}]", SECTIONS[name], getattr(experiment, name))
    kept = [line for line in lines if comments or not line.startswith("#")]
    return "\n".join(kept) + "\n"


def _has_relative_paths(experiment: Experiment) -> bool:
    dataset, models = experiment.dataset, (experiment.model, *experiment.judges)
    names = (dataset.name, *(model.name for model in models))
    texts = [name.partition(":")[2] for name in names if name.startswith(("folder:", "csv:", "onnx:"))]
    texts += [dataset.root, experiment.photograph.background]
    for model in models:
        texts += [model.classes, model.python_path, model.weights if model.weights not in ("DEFAULT", "none") else ""]
        texts += [value for value in model.arguments.values() if isinstance(value, str) and value.startswith(".")]
    options = (value for attack in experiment.attacks for value in attack.options.values())
    texts += [text for text in (experiment.photograph.profile, *options) if isinstance(text, str) and text.endswith(".toml")]
    texts += [str(attack.options.get(IMAGES_OPTION, "")) for attack in experiment.attacks]
    return any(text and not text.startswith(("/", "$", "~")) for text in texts)


def _section(header: str, kind: type, settings: Any, comments: bool = True) -> list[str]:
    lines = ["", header] if not comments else ["", *_comment(kind.__doc__ or ""), header]
    for item in dataclasses.fields(kind):
        if comments:
            lines += _comment(with_unit(item.metadata))
        lines.append(f"{item.name} = {toml_value(getattr(settings, item.name))}")
    return lines


def _transforms(experiment: Experiment) -> list[str]:
    lines = [
        "",
        *_comment("Digital transforms, each with the values of its parameter: see `inkproof list transforms`."),
        "[transforms]",
    ]
    lines += [f"{name} = {toml_value(values)}" for name, values in experiment.transforms.grids.items()]
    lines += _comment("Keep every transformed image as a file (many); without, they are made again when they are judged.")
    return [*lines, f"save_images = {toml_value(experiment.transforms.save_images)}"]


def with_unit(metadata: Any) -> str:
    """Returns the explanation of a setting, with its unit."""
    return metadata["doc"] + (f" Unit: {metadata['unit']}." if "unit" in metadata else "")


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
