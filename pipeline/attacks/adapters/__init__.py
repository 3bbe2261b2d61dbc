"""Attacks of other libraries by name: `foolbox:LinfPGD`, `torchattacks:CW`, `art:DeepFool`; same records, same 8-bit judgement.

Options of an experiment file go to the library's own constructor, in the library's own units; what they may be called is read
off it. Three are ours: `target`, `seed` and `images_at_once`.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pipeline.attacks.adapters.adapted_attack import LibraryAttack, OwnOptions
from pipeline.attacks.adapters.libraries import Library, parameters_of
from pipeline.core.errors import InkproofError, Unavailable, WrongUse, near_match
from pipeline.core.registry import load
from pipeline.specs.attacks import LIBRARIES

_OWN = {item.name: item.default for item in fields(OwnOptions)}


def adapted(name: str, options: Mapping[str, Any] | None = None) -> LibraryAttack:
    """Returns another library's attack, `library:Attack`, with options for its constructor and our own: see `attack_spec`."""
    library, kind = library_and_class(name)
    own = {key: value for key, value in (options or {}).items() if key in _OWN}
    passed = {key: value for key, value in (options or {}).items() if key not in _OWN}
    _check_own(name, own)
    parameters = parameters_of(kind)
    if "seed" in parameters:  # some draw from the clock where they are given none
        passed["seed"] = own.get("seed", _OWN["seed"])
    allowed = [*(key for key in parameters if key not in library.given), *_OWN]
    for key in passed:
        if key in library.given and key in parameters:
            place = library.given[key]
            hint = f"It is set by {place}." if place else "Leave it out."
            raise WrongUse(f'attack "{name}": {key} is not an option here.', hint)
        if key not in allowed:
            raise WrongUse(f'attack "{name}": unknown option "{key}".', near_match(key, allowed))
    try:
        attack = LibraryAttack(name, library, kind, passed, OwnOptions(**own))
    except InkproofError:
        raise
    except ImportError as error:  # an attack with a package of its own, such as numba
        advice = f"Install it: pip install {error.name}" if error.name else ""
        raise Unavailable(f'attack "{name}" cannot be used here: {_first_line(error)}.', advice) from error
    except Exception as error:  # what a constructor says of its arguments, as whatever exception
        what = f'attack "{name}" refuses its options: {_first_line(error)}.'
        raise WrongUse(what, f"Options: {', '.join(allowed)}.") from error
    if attack.targeted and not attack.accepts_targets:
        raise WrongUse(f'attack "{name}" cannot be led to a target.', "Leave options.target out.")
    return attack


def library_and_class(name: str) -> tuple[Library, type]:
    """Returns the library of an attack, ready to run it, and the attack's class in it."""
    scheme, word = LIBRARIES.find_scheme(name)
    library: Library = load(scheme.target)()
    attacks = library.attacks()
    if word not in attacks:
        raise WrongUse(f'unknown attack "{name}".', near_match(word, attacks))
    return library, attacks[word]


def _check_own(name: str, own: Mapping[str, Any]) -> None:
    for key, value in own.items():
        kind = type(_OWN[key])
        if not isinstance(value, kind) or isinstance(value, bool):
            expected = "text in quotes" if kind is str else "a whole number"
            raise WrongUse(f'attack "{name}": {key} = {value!r}: expected {expected}.')
        if isinstance(value, int) and value < (1 if key == "images_at_once" else 0):
            raise WrongUse(f'attack "{name}": {key} = {value} is out of range.')


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
