"""The names of attacks, cases and transforms that a reader sees, the same in tables, figures and prose."""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from typing import NamedTuple

from pipeline.document.formats import DASH
from pipeline.records import CAMERA, SIMULATED
from pipeline.report.content import ReportContent
from pipeline.specs.attacks import ATTACKS, AttackSpec
from pipeline.specs.transforms import TRANSFORMS

TEXTS: dict[str, str] = tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))
ORIGIN_TITLES = {CAMERA: "real", SIMULATED: "simulated"}
CASE_TITLES = {"average": "average case", "prefiltered": "prefiltered case"}
# Okabe and Ito's palette: told apart with every common colour blindness; marker and lightness tell it in grey.
_SPARE_STYLES = (("#cc79a7", "D"), ("#56b4e9", "v"), ("#d55e00", "P"), ("#4d4d4d", "X"), ("#b8a900", "*"))


class Axis(NamedTuple):
    """How a digital transform is named and its parameter labelled; `neutral` is the value that changes nothing, if any."""

    name: str
    title: str
    label: str
    neutral: float | None = None


def attack_title(attack: str) -> str:
    """Returns what an attack's entry says that it is called; a label, or what has no entry, is its own title."""
    spec = ATTACKS.get(attack)
    return spec.title if spec else attack


def attack_style(attack: str, attacks: tuple[str, ...]) -> tuple[str, str]:
    """Returns (colour, marker) of an attack; those without a style of their own take spare ones in the order of `attacks`."""
    if (spec := styled_attacks().get(attack)) and spec.style:
        return spec.style
    others = [name for name in attacks if name not in styled_attacks()]
    return _SPARE_STYLES[others.index(attack) % len(_SPARE_STYLES)]


def styled_attacks() -> dict[str, AttackSpec]:
    """Returns the attacks that have a style of their own in figures, in the order of their registry."""
    return {name: spec for name, spec in ATTACKS.own.items() if spec.style}


def epsilon_title(epsilon_8bit: int) -> str:
    """Returns an epsilon as a table shows it: a dash for attacks that take none."""
    return str(epsilon_8bit) if epsilon_8bit else DASH


def cell_title(attack: str, epsilon_8bit: int) -> str:
    """Returns an attack with its epsilon, where it takes one."""
    return f"{attack_title(attack)}, ε {epsilon_8bit}" if epsilon_8bit else attack_title(attack)


def attack_order(attacks: Iterable[str]) -> list[str]:
    """Returns the attacks once each, first those with a style of their own, then the others by name."""
    first = list(styled_attacks())
    return sorted(set(attacks), key=lambda attack: (first.index(attack) if attack in first else len(first), attack))


def axis_of(transform: str) -> Axis:
    """Returns how a transform is shown; one that has no entry keeps its name, with underscores as spaces."""
    if spec := TRANSFORMS.get(transform):
        return Axis(spec.name, spec.title, spec.axis, spec.neutral)
    plain = transform.replace("_", " ").replace("-", " ")
    return Axis(transform, plain[:1].upper() + plain[1:], "parameter")


def tops(top_ks: Iterable[int], joint: str = " and ") -> str:
    """Returns "top-1 and top-5", or what stands in for it."""
    return joint.join(f"top-{k}" for k in top_ks)


def subject(content: ReportContent) -> str:
    """Returns the network and the images, as captions name them."""
    return f"{content.model.name} on images of {content.dataset.name}"
