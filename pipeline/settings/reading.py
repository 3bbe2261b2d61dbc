"""One experiment file becomes validated settings; unknown keys and bad values are refused with file, line and near match."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pipeline.core.errors import BadInput, WrongUse, near_match, nearest
from pipeline.core.file_names import FOLDER_HINT, FOLDER_NAME, is_device
from pipeline.records import ATTACKED_MODEL
from pipeline.settings.checking import Refused, checked, shortened
from pipeline.settings.experiment import Experiment
from pipeline.settings.overrides import apply_override
from pipeline.settings.source import Source, line_numbers
from pipeline.settings.tables import ALL, MODEL_ALONE, AttackSettings
from pipeline.settings.toml_files import checked_tree, toml_text, toml_tree
from pipeline.specs.attacks import ATTACKS
from pipeline.specs.defences import DEFENCES

Table = TypeVar("Table")
_DEFAULT_EPSILONS = (4, 16)


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
        text = toml_text(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such experiment file.", _near_file(path)) from None
    tree = toml_tree(text, str(path))
    repeated = [word for override in overrides for word in ("--set", override)]
    source = Source(path, line_numbers(text), (*repeated, *flags))
    for override in overrides:
        apply_override(tree, override, source)
    if seed is not None:
        tree |= checked_tree({"seed": seed}, "--seed")
    return _experiment(tree, source)


def _near_file(path: Path) -> str:
    """Returns which file was most likely meant, or how to make one."""
    try:
        near = nearest(path.name, [other.name for other in path.parent.glob("*.toml")], cutoff=0.7)
    except OSError:
        near = ""
    return f"Did you mean {path.with_name(near)}?" if near else f"Make one with: inkproof init {path}"


def section(kind: type[Table], entries: dict[str, Any], prefix: str, source: Source, shown: str = "") -> Table:
    """Returns a table's record with these entries checked; `prefix` is their dotted place in the file, `shown` in messages.

    Raises:
        WrongUse: a key is unknown or a value is not allowed.
    """
    try:
        return checked(kind, entries, prefix, shown or prefix)
    except Refused as error:
        raise WrongUse(f"{source.where(error.key)}: {error.sentence}", error.hint) from None


def _experiment(tree: dict[str, Any], source: Source) -> Experiment:
    if "source" in tree:
        raise WrongUse(f'{source.where("source")}: unknown key "source".')
    told = {"name": source.path.stem} | tree
    if isinstance(tree.get("base", ""), str):
        told["base"] = str(source.path.parent / tree.get("base", "."))
    if isinstance(transforms := tree.get("transforms"), dict):
        grids = {name: values for name, values in transforms.items() if name != "save_images"}
        told["transforms"] = {"save_images": transforms.get("save_images", False), "grids": grids}
    experiment = section(Experiment, told, "", source)
    _check_defences(experiment, source)
    _check_judges(experiment, source)
    attacks = tuple(_with_epsilons(attack, index, tree, source) for index, attack in enumerate(experiment.attacks))
    attacks = _on_defences(attacks, [defence.key for defence in experiment.defences], source)
    _check_attacks(attacks, source)
    return replace(experiment, attacks=attacks, source=source)


def _check_defences(experiment: Experiment, source: Source) -> None:
    places = [("model", experiment.model), *((f"judges.{i}", judge) for i, judge in enumerate(experiment.judges))]
    asked = [(f"{place}.defence", model.defence) for place, model in places if model.defence]
    asked += [(f"defences.{i}.name", defence.name) for i, defence in enumerate(experiment.defences)]
    for place, name in asked:
        if name not in DEFENCES:
            raise WrongUse(f'{source.where(place)}: unknown defence "{name}".', near_match(name, DEFENCES.names()))
    if experiment.model.defence and DEFENCES.find(experiment.model.defence).refuses:
        what = (
            f'{source.where("model.defence")}: the model under test has to answer, and "{experiment.model.defence}" may refuse.'
        )
        raise WrongUse(what, "Write it as a [[defences]] entry.")
    keys = [defence.key for defence in experiment.defences]
    for index, key in enumerate(keys):
        where = source.where(f"defences.{index}.{'label' if experiment.defences[index].label else 'name'}")
        if key in keys[:index]:
            raise WrongUse(f'{where}: defence "{key}" is listed twice.', "Give each a label of its own.")
        if key in (ALL, MODEL_ALONE, ATTACKED_MODEL):
            raise WrongUse(f'{where}: a defence cannot be called "{key}".', "Choose another label.")
        if not re.fullmatch(FOLDER_NAME, key):
            raise WrongUse(f'{where}: a defence called "{shortened(key)}" cannot name a folder.', FOLDER_HINT)


def _on_defences(attacks: tuple[AttackSettings, ...], defences: list[str], source: Source) -> tuple[AttackSettings, ...]:
    """Returns the attacks with those on "all" written out: on the model alone in their place, on each defence at the end."""
    for index, attack in enumerate(attacks):
        if attack.defence and attack.defence not in defences:
            what = f'{source.where(f"attacks.{index}.against")}: there is no defence "{attack.against}".'
            raise WrongUse(what, near_match(attack.against, [ALL, MODEL_ALONE, *defences]))
    if not defences:
        return attacks
    alone = tuple(replace(attack, against=MODEL_ALONE) if attack.against == ALL else attack for attack in attacks)
    apart = (
        replace(attack, label=f"{attack.key}-vs-{defence}", against=defence)
        for defence in defences
        for attack in attacks
        if attack.against == ALL
    )
    return (*alone, *apart)


def _check_judges(experiment: Experiment, source: Source) -> None:
    judges, taken = experiment.judges, [defence.key for defence in experiment.defences]
    labels = [judge.key for judge in judges]
    for index, label in enumerate(labels):
        where = source.where(f"judges.{index}.{'label' if judges[index].label else 'name'}")
        if label in labels[:index] + taken:
            raise WrongUse(f'{where}: judge "{label}" is listed twice.', "Give each a label of its own.")
        if label == ATTACKED_MODEL:
            raise WrongUse(f'{where}: "{label}" is what the model of [model] is called.', "Choose another label.")


def _with_epsilons(attack: AttackSettings, index: int, tree: dict[str, Any], source: Source) -> AttackSettings:
    """Fills in the default epsilons; which attacks of other libraries take some is checked where those are known."""
    where, spec = source.where(f"attacks.{index}.epsilons_8bit"), ATTACKS.get(attack.name)
    if spec and not spec.takes_epsilon:
        if attack.epsilons_8bit:
            raise WrongUse(f'{where}: attack "{attack.name}" takes no epsilon.', "Leave epsilons_8bit out.")
        return attack
    if attack.epsilons_8bit or ":" in attack.name:
        return attack
    if "epsilons_8bit" in tree["attacks"][index]:
        raise WrongUse(f'{where}: attack "{attack.name}" has no epsilon.')
    return replace(attack, epsilons_8bit=_DEFAULT_EPSILONS)


def _check_attacks(attacks: tuple[AttackSettings, ...], source: Source) -> None:
    keys = [attack.key for attack in attacks]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            hint = "Put all its epsilons in one entry, or give one a label, if their options differ."
            raise WrongUse(f'{source.where(f"attacks.{index}.name")}: attack "{key}" is listed twice.', hint)
        if not attacks[index].label and ":" not in attacks[index].name and key not in ATTACKS:
            hint = near_match(key, ATTACKS.names())
            raise WrongUse(f'{source.where(f"attacks.{index}.name")}: unknown attack "{key}".', hint)
        if not re.fullmatch(FOLDER_NAME, key) or is_device(key) or key == "clean" or re.search(r"-eps\d+$", key):
            where = source.where(f"attacks.{index}.label")
            raise WrongUse(f'{where}: an attack called "{shortened(key)}" cannot name a folder.', FOLDER_HINT)
    if not attacks:
        hint = 'Add for example: [[attacks]] name = "fgsm", epsilons_8bit = [4, 16]'
        raise WrongUse(f"{source.path}: no [[attacks]] entry.", hint)
