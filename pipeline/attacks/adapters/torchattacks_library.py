"""Attacks of torchattacks 3 (https://github.com/Harry24k/adversarial-attacks-pytorch): `torchattacks:PGD`, `torchattacks:CW`."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pipeline.attacks.adapters.contract import Example, Family, Task, imported, parameters_of
from pipeline.core.errors import WrongUse
from pipeline.specs.attacks import ALWAYS, NONE, OPTIONAL

# No attacks, or attacks on several networks.
_LEFT_OUT = {"VANILA", "GN", "MultiAttack", "LGV"}
_BUDGETS = ("eps", "max_epsilon")
# What an attack without a budget makes small, and the budgets that are no largest change of a value.
_NORMS = {"CW": "l2", "DeepFool": "l2", "EADEN": "l1", "EADL1": "l1", "SparseFool": "l0", "OnePixel": "l0", "Pixle": "l0",
          "JSMA": "l0", "PGDL2": "l2", "PGDRSL2": "l2"}  # fmt: skip
_BYTES_A_PAIR = 16  # JSMA keeps several tables with an entry for each pair of values
_MOST_BYTES = 8e9


class Torchattacks:
    """One that has an `eps` takes the budget of each cell; its step `alpha` keeps its proportion to it, unless it is given."""

    given: Mapping[str, str] = {"model": "", "eps": "epsilons_8bit", "max_epsilon": "epsilons_8bit", "verbose": ""}

    def attacks(self) -> dict[str, type]:
        module = imported("torchattacks")
        return {name: kind for name in module.__all__ if inspect.isclass(kind := getattr(module, name)) and name not in _LEFT_OUT}

    def family(self, kind: type, options: Mapping[str, Any]) -> Family:
        parameters = parameters_of(kind)
        attack = kind(Example(), **options)
        norm = options.get("norm", parameters.get("norm", _NORMS.get(kind.__name__, "linf")))
        return Family(
            norm.lower(),
            any(name in parameters for name in _BUDGETS),
            ALWAYS if kind.__name__ == "JSMA" else OPTIONAL if "targeted" in attack.supported_mode else NONE,
        )

    def run(self, kind: type, options: Mapping[str, Any], task: Task) -> Tensor:
        if kind.__name__ == "JSMA":
            _refuse_too_many_pairs(task.images[0].numel())
        attack = kind(task.module, **_completed(kind, options, task))
        aims = task.labels
        if task.targets is not None:
            attack.set_mode_targeted_by_label(quiet=True)
            aims = task.targets
        return attack(task.images, aims)


def _completed(kind: type, options: Mapping[str, Any], task: Task) -> dict[str, Any]:
    parameters, completed = parameters_of(kind), dict(options)
    for name in _BUDGETS:
        if name in parameters and task.radius is not None:
            completed[name] = task.radius
            if "alpha" in parameters and "alpha" not in options:
                completed["alpha"] = parameters["alpha"] * task.radius / parameters[name]
    if "n_classes" in parameters and "n_classes" not in options:  # how many it looks at
        completed["n_classes"] = min(parameters["n_classes"], task.n_classes)
    return completed


def _refuse_too_many_pairs(n_values: int) -> None:
    n_bytes = _BYTES_A_PAIR * n_values**2
    if n_bytes > _MOST_BYTES:
        raise WrongUse(
            f"torchattacks:JSMA compares each of an image's {n_values} values with each other: about {n_bytes / 1e9:.0f} GB.",
            'Use the attack "jsma".',
        )
