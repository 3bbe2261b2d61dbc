"""Attacks of Foolbox 3 (https://github.com/bethgelab/foolbox): `foolbox:LinfPGD`, `foolbox:L2CarliniWagnerAttack` and so on."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pipeline.attacks.adapters.contract import Family, Task, imported
from pipeline.specs.attacks import ALWAYS, NONE, OPTIONAL

# Attacks that need more than options: a data set to draw from, or adversarial images to start with.
_NEED_MORE = {"DatasetAttack", "BinarizationRefinementAttack"}
# They take no criterion but misclassification, or do the same whatever the criterion is.
_UNTARGETED = {"DeepFoolAttack", "NewtonFoolAttack", "VirtualAdversarialAttack", "L1FastGradientAttack", "L2FastGradientAttack",
               "LinfFastGradientAttack", "BaseAdditiveNoiseAttack", "L2ContrastReductionAttack", "InversionAttack"}  # fmt: skip
_NORMS = {0: "l0", 1: "l1", 2: "l2", float("inf"): "linf"}
# Its distance is only how it judges: what it varies is the amount of noise.
_BY_DISTANCE_ONLY = "SaltAndPepperNoiseAttack"


class Foolbox:
    """Fixed-epsilon attacks take the budget of each cell; minimisation attacks run once, without one."""

    given: Mapping[str, str] = {}

    def attacks(self) -> dict[str, type]:
        base = imported("foolbox.attacks.base").Attack
        found = vars(imported("foolbox.attacks"))
        return {
            name: kind
            for name, kind in found.items()
            if inspect.isclass(kind) and issubclass(kind, base) and not inspect.isabstract(kind) and name not in _NEED_MORE
        }

    def family(self, kind: type, options: Mapping[str, Any]) -> Family:
        attack = _made(kind, options)
        try:
            norm = _NORMS.get(attack.distance.p, "") if kind.__name__ != _BY_DISTANCE_ONLY else ""
        except (AttributeError, ValueError):  # an attack along a path, whose distance the caller may choose
            norm = ""
        ancestors = {parent.__name__ for parent in kind.__mro__}
        return Family(
            norm,
            "FixedEpsilonAttack" in ancestors,
            ALWAYS if "GenAttack" in ancestors else NONE if ancestors & _UNTARGETED else OPTIONAL,
        )

    def run(self, kind: type, options: Mapping[str, Any], task: Task) -> Tensor:
        foolbox = imported("foolbox")
        model = foolbox.PyTorchModel(task.module, bounds=(0, 1), device=task.images.device)
        if task.targets is None:
            criterion = foolbox.criteria.Misclassification(task.labels)
        else:
            criterion = foolbox.criteria.TargetedMisclassification(task.targets)
        return _made(kind, options)(model, task.images, criterion, epsilons=task.radius)[1]


def _made(kind: type, options: Mapping[str, Any]) -> Any:
    """Returns the attack; a distance that it can be told is a word in an experiment file: "l0", "l1", "l2" or "linf"."""
    if "distance" not in options:
        return kind(**options)
    distances = imported("foolbox.distances")
    words = {"l0": distances.l0, "l1": distances.l1, "l2": distances.l2, "linf": distances.linf}
    if options["distance"] not in words:
        raise ValueError(f"distance = {options['distance']!r}: expected one of {', '.join(words)}")
    return kind(**{**options, "distance": words[options["distance"]]})
