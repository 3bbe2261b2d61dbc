"""Attacks by name: each is one class in one file, listed here, and imported only when it is used."""

from dataclasses import dataclass
from importlib import import_module

from pipeline.errors import WrongUse, near_match


@dataclass(frozen=True)
class Entry:
    """Where an attack's class is, and one line for a person."""

    target: str
    summary: str


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
}


def attack_named(name: str, where: str = ""):
    """Returns a new attack.

    Args:
        name: a key of ATTACKS.
        where: the place that asks, for the message.

    Raises:
        WrongUse: there is no attack of this name.
    """
    if name not in ATTACKS:
        raise WrongUse(f'{where + ": " if where else ""}unknown attack "{name}".', near_match(name, ATTACKS))
    module, _, attribute = ATTACKS[name].target.partition(":")
    return getattr(import_module(module), attribute)()
