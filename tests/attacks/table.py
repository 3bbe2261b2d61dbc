"""One row for each attack: what the tests that hold for all attacks tell it, and in which forms they try it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from pipeline.attacks import attack_named
from pipeline.attacks.expectation import ExpectationOverTransformation
from pipeline.attacks.options import ExpectationOptions
from pipeline.specs.attacks import ATTACKS

Options = dict[str, Any]


class ToyChannel:
    """Each draw darkens the image by its own factor and adds noise: what a real channel is to an attack, in two lines."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def draw(self, n, rng):
        return torch.as_tensor(rng.uniform(0.7, 1.0, (n, 1, 1, 1)), dtype=torch.float32)

    def __call__(self, images, draws, generator):
        seen = images * draws
        return seen + 0.02 * torch.randn(seen.shape, generator=generator)


@dataclass(frozen=True)
class Row:
    """Options with which an attack does something and is quick, further forms of it, and how it is made if not by its name."""

    quick: Options = field(default_factory=dict)
    forms: tuple[Options, ...] = ()
    make: Any = None


ROWS: Mapping[str, Row] = {
    "fgsm": Row(forms=({"target": "next"},)),
    "bim": Row(forms=({"target": "random"}, {"n_steps": 3})),
    "illc": Row(),
    "mi-fgsm": Row({"n_steps": 5}, ({"target": "second", "decay": 0.5},)),
    "pgd": Row({"n_steps": 7, "n_restarts": 2}, ({"norm": "l2"}, {"stop_early": True, "n_steps": 12})),
    "apgd-ce": Row({"n_steps": 10}, ({"n_restarts": 2, "stop_early": True},)),
    "apgd-dlr": Row({"n_steps": 10}, ({"n_targets": 3},)),
    "square": Row({"n_queries": 60}),
    "autoattack": Row({"n_steps": 8, "n_targets": 2, "n_queries": 30}),
    "cw-l2": Row({"n_steps": 30, "n_searches": 3}),
    "cw-l0": Row({"n_steps": 12, "n_doublings": 1}),
    "cw-linf": Row({"n_steps": 15, "n_doublings": 1}),
    "deepfool": Row(),
    "fab": Row({"n_steps": 8, "n_targets": 3}, ({"norm": "l2"}, {"n_targets": 0})),
    "hopskipjump": Row({"n_steps": 3, "n_first": 20}, ({"norm": "linf"},)),
    "jsma": Row(),
    "lbfgs": Row({"n_searches": 4, "n_steps": 25}),
    # a toy stands in for the simulator
    "eot": Row(
        {"n_steps": 8, "n_samples": 2}, make=lambda told: ExpectationOverTransformation(ExpectationOptions(**told), ToyChannel)
    ),
    "patch": Row({"n_steps": 30, "n_images": 8}, ({"target": "4", "shape": "square"},)),
}

# Every attack as it is, every one that can be led led to the least likely class, and the further forms.
FORMS: list[tuple[str, Options]] = [
    *((name, {}) for name in ROWS),
    *((name, {"target": "least-likely"}) for name in ROWS if ATTACKS.find(name).accepts_targets and ATTACKS.find(name).options),
    *((name, options) for name, row in ROWS.items() for options in row.forms),
]

# Led so, these take seconds: what holds for every form is asked of them by the slow tests alone.
LONG = [(name, {"target": "least-likely"}) for name in ("autoattack", "cw-l0", "cw-l2", "cw-linf", "fab", "lbfgs")]


def attack_of(name: str, options: Options):
    """Returns the attack with few steps."""
    row = ROWS[name]
    told = row.quick | options
    return row.make(told) if row.make else attack_named(name, options=told)


def form_id(form: tuple[str, Options]) -> str:
    return " ".join([form[0], *(f"{key}={value}" for key, value in form[1].items())])


def each_form(without: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    """Every form of every attack; with `without`, of all but these attacks."""
    told = [pytest.param(*form, id=form_id(form), marks=[pytest.mark.slow] * (form in LONG)) for form in FORMS]
    return pytest.mark.parametrize(("name", "options"), [one for one in told if one.values[0] not in without])
