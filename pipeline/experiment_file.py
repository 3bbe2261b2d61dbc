"""Writes an experiment as a commented TOML file: what `init` gives a person, and what a run keeps of its settings."""

import dataclasses
import json
import os
import textwrap
from pathlib import Path
from typing import Any

from pipeline.settings import SECTIONS, AttackSettings, Experiment

WIDTH = 110


def experiment_text(experiment: Experiment, folder: Path, comments: bool = True) -> str:
    """Returns the experiment as TOML, each setting under its comment; relative paths still start from the same place.

    Args:
        experiment: the settings.
        folder: where the file will lie.
        comments: whether each setting is explained.
    """
    lines = [f"name = {_toml(experiment.name)}", f"seed = {experiment.seed}"]
    base = Path(os.path.relpath(experiment.base, folder)).as_posix()
    if base != "." and _has_relative_paths(experiment):
        lines += ["", "# Where relative paths below start from.", f"base = {_toml(base)}"]
    for name in ("dataset", "model", "selection"):
        lines += _section(f"[{name}]", SECTIONS[name], getattr(experiment, name))
    for number, attack in enumerate(experiment.attacks):
        lines += _section("[[attacks]]", AttackSettings, attack, comments=number == 0)
    for name in ("layout", "photograph", "capture"):
        lines += _section(f"[{name}]", SECTIONS[name], getattr(experiment, name))
    lines += _transforms(experiment)
    lines += _section("[report]", SECTIONS["report"], experiment.report)
    kept = [line for line in lines if comments or not line.startswith("#")]
    return "\n".join(kept) + "\n"


def settings_page() -> str:
    """Returns the documentation of every setting as Markdown, from the settings themselves."""
    lines = [
        "# The experiment file",
        "",
        "An experiment is one TOML file; `inkproof init` writes one with comments. Unknown keys and bad values are refused with",
        "file, line and the nearest valid key. `--set section.key=value` overrides a setting on the command line,",
        "`--set attacks.fgsm.epsilons_8bit=[8]` one of an attack. Paths start from the file's own folder; `$NAME` and",
        "`${NAME:-default}` are filled in from the environment.",
        "",
        "| key | default | meaning |",
        "|---|---|---|",
        "| `name` | the file's name | The run's name, and that of its folders. |",
        "| `seed` | `0` | Seed of every random draw. |",
    ]
    for name, kind in [*SECTIONS.items(), ("[attacks]", AttackSettings)]:
        lines += ["", f"## [{name}]", "", kind.__doc__ or "", "", "| key | default | meaning |", "|---|---|---|"]
        for item in dataclasses.fields(kind):
            lines.append(f"| `{item.name}` | `{_toml(_default(item))}` | {_with_unit(item.metadata)} |")
    lines += [
        "",
        "## [transforms]",
        "",
        "One key for each digital transform, with the list of its parameter's values: see [transforms.md](transforms.md).",
        "`save_images = true` keeps every transformed image as a file.",
    ]
    return "\n".join(lines) + "\n"


def _default(item: dataclasses.Field) -> Any:
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default


def _has_relative_paths(experiment: Experiment) -> bool:
    model, dataset = experiment.model, experiment.dataset
    texts = [name.partition(":")[2] for name in (model.name, dataset.name) if name.startswith(("folder:", "csv:", "onnx:"))]
    texts += [dataset.root, model.classes, model.python_path, model.weights if model.weights not in ("DEFAULT", "none") else ""]
    texts += [value for value in model.arguments.values() if isinstance(value, str) and value.startswith(".")]
    return any(text and not text.startswith(("/", "$", "~")) for text in texts)


def _section(header: str, kind: type, settings: Any, comments: bool = True) -> list[str]:
    lines = ["", header] if not comments else ["", *_comment(kind.__doc__ or ""), header]
    for item in dataclasses.fields(kind):
        if comments:
            lines += _comment(_with_unit(item.metadata))
        lines.append(f"{item.name} = {_toml(getattr(settings, item.name))}")
    return lines


def _transforms(experiment: Experiment) -> list[str]:
    lines = [
        "",
        *_comment("Digital transforms, each with the values of its parameter: see `inkproof list transforms`."),
        "[transforms]",
    ]
    lines += [f"{name} = {_toml(values)}" for name, values in experiment.transforms.grids.items()]
    lines += _comment("Keep every transformed image as a file (many); without, they are made again when they are judged.")
    return [*lines, f"save_images = {_toml(experiment.transforms.save_images)}"]


def _with_unit(metadata: Any) -> str:
    return metadata["doc"] + (f" Unit: {metadata['unit']}." if "unit" in metadata else "")


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH)]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    return json.dumps(value, ensure_ascii=False)
