"""Attacks, each a class in a file of its family; what they say of themselves is in `specs`, and here they are made by name."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.attacks.options import check_target
from pipeline.core.errors import WrongUse, placed
from pipeline.core.registry import load
from pipeline.specs.attacks import ATTACKS, LIBRARIES, OPTIONAL, AttackSpec

if TYPE_CHECKING:
    from pipeline.attacks.adapters.adapted_attack import LibraryAttack
    from pipeline.attacks.attack import Attack
    from pipeline.settings import AttackSettings


def attack_spec(name: str, where: str = "", options: Mapping[str, Any] | None = None) -> AttackSpec:
    """Returns what an attack is with these options.

    Args:
        name: one of ATTACKS, or another library's attack, such as "foolbox:LinfPGD".
        where: the place that asks, for the message.
        options: values that differ from the defaults of the attack's options, each within its limits.

    Raises:
        WrongUse: there is no attack of this name, it has no options, or they contradict each other.
        Unavailable: it is of a package or library that is not installed, or cannot be loaded.
    """
    with placed(where):
        if is_adapted(name):
            return _adapted(name, options).spec
        spec = ATTACKS.find(name)
        checked_options(spec, options)
        return replace(spec, norm=(options or {}).get("norm", spec.norm))


def attack_named(name: str, where: str = "", options: Mapping[str, Any] | None = None) -> "Attack":
    """Returns a new attack; arguments and errors are those of `attack_spec`."""
    with placed(where):
        if is_adapted(name):
            return _adapted(name, options)
        spec = ATTACKS.find(name)
        return load(spec.make)(checked_options(spec, options))


def _adapted(name: str, options: Mapping[str, Any] | None) -> "LibraryAttack":
    from pipeline.attacks.adapters.adapted_attack import adapted

    return adapted(name, options)


def check_predictions_are_enough(model: str, attacks: Iterable["AttackSettings"], where: str = "") -> None:
    """Refuses attacks that need gradients, for a model that gives predictions only.

    Raises:
        WrongUse: one of them needs gradients.
    """
    refused = [attack.key for attack in attacks if attack_spec(attack.name, options=attack.options).needs_gradient]
    if refused:
        with placed(where):
            enough = ", ".join(spec.name for spec in ATTACKS.own.values() if not spec.needs_gradient)
            what = (
                f"{model} gives predictions only, and {', '.join(refused)} {'needs' if len(refused) == 1 else 'need'} gradients."
            )
            raise WrongUse(what, f"Attack a torch model, or use attacks that ask for predictions alone: {enough}.")


def attacks_listed() -> list[tuple[str, str]]:
    """Returns (name, one line) of every attack, and of every other library under the pattern of its attacks' names."""
    return [*ATTACKS.listed(), *LIBRARIES.listed()]


def is_adapted(name: str) -> bool:
    """Returns whether a name is that of another library's attack: `library:Attack`."""
    return ":" in name


def checked_options(spec: AttackSpec, options: Mapping[str, Any] | None) -> Any:
    """Returns the record of an attack's options, None where it has none; what it is made of is not imported.

    Raises:
        WrongUse: it has no options, or they contradict each other.
    """
    if not spec.options:
        if options:
            raise WrongUse(f'attack "{spec.name}" has no options.', "Leave options out.")
        return None
    record = load(spec.options)(**options or {})
    if spec.accepts_targets and options and "target" in options:
        check_target(options["target"], spec.name, may_be_away=spec.targets == OPTIONAL)
    if spec.check:
        load(spec.check)(record)
    return record
