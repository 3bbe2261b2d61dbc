"""Attacks by name: each is one class in one file, listed here, and imported only when it is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pipeline.attacks.options import ExpectationOptions
from pipeline.errors import WrongUse, near_match


@dataclass(frozen=True)
class Entry:
    """Where an attack's class is, one line for a person, and the record of its options, if it has any."""

    target: str
    summary: str
    options: type | None = None


ATTACKS = {
    "fgsm": Entry(
        "pipeline.attacks.gradient_sign:FastGradientSign", "fast gradient sign, one step of size epsilon (the paper's fast)"
    ),
    "bim": Entry(
        "pipeline.attacks.gradient_sign:BasicIterative", "basic iterative: many steps of one grey level inside the epsilon ball"
    ),
    "illc": Entry(
        "pipeline.attacks.gradient_sign:LeastLikelyClass", "iterative toward the least likely class of the clean image"
    ),
    "eot": Entry(
        "pipeline.attacks.expectation:ExpectationOverTransformation",
        "iterative through simulated printing and photographing, in the mean of many draws",
        ExpectationOptions,
    ),
}


def attack_named(name: str, where: str = "", options: Mapping[str, Any] | None = None):
    """Returns a new attack.

    Args:
        name: a key of ATTACKS.
        where: the place that asks, for the message.
        options: values that differ from the defaults of the attack's options, checked already.

    Raises:
        WrongUse: there is no attack of this name, or it has no options.
    """
    if name not in ATTACKS:
        raise WrongUse(f'{where + ": " if where else ""}unknown attack "{name}".', near_match(name, ATTACKS))
    entry = ATTACKS[name]
    if options and entry.options is None:
        raise WrongUse(f'{where + ": " if where else ""}attack "{name}" has no options.')
    module, _, attribute = entry.target.partition(":")
    make = getattr(import_module(module), attribute)
    return make(entry.options(**options or {})) if entry.options else make()
