"""Attacks by name: each is one class in one file, listed here, and imported only when it is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pipeline.attacks import options as of
from pipeline.core.errors import InkproofError, WrongUse, near_match
from pipeline.settings import WITHOUT_EPSILON


@dataclass(frozen=True)
class Entry:
    """Where an attack's class is, one line for a person, and the record of its options, if it has any."""

    target: str
    summary: str
    options: type | None = None


ATTACKS = {
    "fgsm": Entry(
        "pipeline.attacks.gradient_sign:FastGradientSign",
        "fast gradient sign, one step of size epsilon (the paper's fast)",
        of.FastOptions,
    ),
    "bim": Entry(
        "pipeline.attacks.gradient_sign:BasicIterative",
        "basic iterative: many steps of one grey level inside the epsilon ball",
        of.IterativeOptions,
    ),
    "illc": Entry(
        "pipeline.attacks.gradient_sign:LeastLikelyClass", "iterative toward the least likely class of the clean image"
    ),
    "mi-fgsm": Entry(
        "pipeline.attacks.gradient_sign:MomentumIterative", "iterative with momentum on the gradient", of.MomentumOptions
    ),
    "pgd": Entry(
        "pipeline.attacks.projected:ProjectedGradient",
        "projected gradient descent from a random start, with restarts, in the L-infinity or L2 ball",
        of.ProjectedOptions,
    ),
    "cw-l2": Entry(
        "pipeline.attacks.carlini_l2:CarliniL2",
        "Carlini and Wagner: the smallest L2 distance that fools",
        of.CarliniL2Options,
    ),
    "cw-l0": Entry(
        "pipeline.attacks.carlini_l0:CarliniL0",
        "Carlini and Wagner: as few changed pixels as fool",
        of.CarliniL0Options,
    ),
    "cw-linf": Entry(
        "pipeline.attacks.carlini_linf:CarliniLinf",
        "Carlini and Wagner: the smallest largest change that fools",
        of.CarliniLinfOptions,
    ),
    "deepfool": Entry(
        "pipeline.attacks.deepfool:DeepFool", "step by step over the nearest decision boundary", of.DeepFoolOptions
    ),
    "jsma": Entry("pipeline.attacks.saliency:Saliency", "few values, each changed much, toward a target", of.SaliencyOptions),
    "lbfgs": Entry(
        "pipeline.attacks.szegedy:Szegedy", "box-constrained L-BFGS on distance and loss, toward a target", of.SzegedyOptions
    ),
    "eot": Entry(
        "pipeline.attacks.expectation:ExpectationOverTransformation",
        "iterative through simulated print and camera, or digital transforms, in the mean of many draws",
        of.ExpectationOptions,
    ),
    "patch": Entry(
        "pipeline.attacks.patch:AdversarialPatch",
        "one printable patch that leads every image it lies in to one class (Brown et al.)",
        of.PatchOptions,
    ),
}


# Other attack libraries, each an extra of its own name, with one attack for an example; `adapters` knows how to use them.
LIBRARIES = {"foolbox": "LinfPGD", "torchattacks": "PGD", "art": "ProjectedGradientDescent"}


def attack_named(name: str, where: str = "", options: Mapping[str, Any] | None = None):
    """Returns a new attack.

    Args:
        name: a key of ATTACKS, or another library's attack, such as "foolbox:LinfPGD".
        where: the place that asks, for the message.
        options: values that differ from the defaults of the attack's options, checked already.

    Raises:
        WrongUse: there is no attack of this name, or it has no options.
        Unavailable: it is of a library that is not installed.
    """
    if is_adapted(name):
        return _adapted(name, where, options)
    if name not in ATTACKS:
        raise WrongUse(f'{where + ": " if where else ""}unknown attack "{name}".', near_match(name, ATTACKS))
    entry = ATTACKS[name]
    if options and entry.options is None:
        raise WrongUse(f'{where + ": " if where else ""}attack "{name}" has no options.')
    module, _, attribute = entry.target.partition(":")
    make = getattr(import_module(module), attribute)
    return make(entry.options(**options or {})) if entry.options else make()


def takes_epsilons(name: str, options: Mapping[str, Any] | None = None) -> bool:
    """Returns whether an attack has a budget; the others look for the smallest change, and their epsilon is NO_EPSILON."""
    return _adapted(name, "", options).family.takes_epsilon if is_adapted(name) else name not in WITHOUT_EPSILON


def available_attacks() -> list[tuple[str, str]]:
    """Returns (name, one line) of every attack, and of every other library under the pattern of its attacks' names."""
    own = [(name, entry.summary) for name, entry in ATTACKS.items()]
    others = [
        (f"{name}:NAME", f"any attack of {name}, e.g. {name}:{example} (extra: {name})") for name, example in LIBRARIES.items()
    ]
    return [*own, *others]


def is_adapted(name: str) -> bool:
    """Returns whether a name is that of another library's attack: `library:Attack`."""
    return ":" in name


def _adapted(name: str, where: str, options: Mapping[str, Any] | None):
    from pipeline.attacks.adapters import adapted

    try:
        return adapted(name, options)
    except InkproofError as error:
        raise type(error)(f"{where}: {error.message}" if where else error.message, error.hint) from error
