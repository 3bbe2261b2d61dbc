"""Attacks of the Adversarial Robustness Toolbox 1 (github.com/Trusted-AI/adversarial-robustness-toolbox): `art:DeepFool`."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.attacks.adapters.contract import Example, Family, Task, imported, parameters_of
from pipeline.specs.attacks import ALWAYS, NONE, OPTIONAL

_NETWORKS = ("classifier", "estimator")
# Attacks that return no images of the ones given, are written for other tensors, or have a budget that is no norm.
_LEFT_OUT_ENDINGS = ("Patch", "PatchNumpy", "PatchPyTorch", "TensorFlow", "TensorFlowV2", "ASR", "ASRPyTorch")
_LEFT_OUT = {"Wasserstein", "LowProFool", "OverTheAirFlickeringPyTorch", "FeatureAdversariesNumpy", "BrendelBethgeAttack"}
# What an attack without a `norm` makes small, or its budget is counted in; "" for one that moves along a path.
_NORMS = {"BasicIterativeMethod": "linf", "VirtualAdversarialMethod": "l2", "CarliniL2Method": "l2", "CarliniL0Method": "l0",
          "CarliniLInfMethod": "linf", "ElasticNet": "l1", "DeepFool": "l2", "NewtonFool": "l2", "SaliencyMapMethod": "l0",
          "BoundaryAttack": "l2", "ZooAttack": "l2", "SignOPTAttack": "l2", "PixelAttack": "l0",
          "ThresholdAttack": "linf"}  # fmt: skip
_WORDS = {np.inf: "linf", "inf": "linf", 1: "l1", "1": "l1", 2: "l2", "2": "l2"}
_ALWAYS_TARGETED = {"SaliencyMapMethod", "TargetedUniversalPerturbation"}


class Art:
    """One that has an `eps` takes the budget of each cell; its `eps_step` keeps its proportion to it, unless it is given."""

    given: Mapping[str, str] = {
        "classifier": "", "estimator": "", "eps": "epsilons_8bit", "targeted": "options.target", "verbose": "",
        "summary_writer": "", "estimator_orig": "",
    }  # fmt: skip

    def attacks(self) -> dict[str, type]:
        module = imported("art.attacks.evasion")
        base = imported("art.attacks.attack").EvasionAttack
        classifier = imported("art.estimators.classification").PyTorchClassifier
        return {
            name: kind
            for name, kind in vars(module).items()
            if inspect.isclass(kind) and issubclass(kind, base) and _attacks_images(name, kind, classifier)
        }

    def family(self, kind: type, options: Mapping[str, Any]) -> Family:
        parameters = parameters_of(kind)
        self._made(kind, options, _classifier(Example(), (3, 8, 8), 2, torch.device("cpu")), None, False)
        word = options.get("norm", parameters.get("norm"))
        return Family(
            _NORMS.get(kind.__name__, "") if word is None else _WORDS[word],
            "eps" in parameters,
            ALWAYS if kind.__name__ in _ALWAYS_TARGETED else OPTIONAL if "targeted" in parameters else NONE,
        )

    def run(self, kind: type, options: Mapping[str, Any], task: Task) -> Tensor:
        network = _classifier(task.module, tuple(task.images.shape[1:]), task.n_classes, task.images.device)
        attack = self._made(kind, options, network, task.radius, task.targets is not None)
        aims = task.labels if task.targets is None else task.targets
        one_hot = np.eye(task.n_classes, dtype=np.float32)[aims.cpu().numpy()]
        return torch.from_numpy(attack.generate(task.images.cpu().numpy(), one_hot)).to(task.images)

    def _made(self, kind: type, options: Mapping[str, Any], network: Any, radius: float | None, is_targeted: bool) -> Any:
        parameters, completed = parameters_of(kind), dict(options)
        if "eps" in parameters and radius is not None:
            completed["eps"] = radius
            if "eps_step" in parameters and "eps_step" not in options:
                completed["eps_step"] = parameters["eps_step"] * radius / parameters["eps"]
        if "targeted" in parameters:
            completed["targeted"] = is_targeted
        if "verbose" in parameters:
            completed["verbose"] = False
        return kind(network, **completed)


def _attacks_images(name: str, kind: Any, classifier: type) -> bool:
    needed = [parameter for parameter, default in parameters_of(kind).items() if default is inspect.Parameter.empty]
    return (
        name not in _LEFT_OUT
        and not name.endswith(_LEFT_OUT_ENDINGS)
        and all(parameter in _NETWORKS for parameter in needed)
        and kind.is_estimator_valid(object.__new__(classifier), kind._estimator_requirements)
    )


def _classifier(module: nn.Module, shape: tuple[int, ...], n_classes: int, device: torch.device) -> Any:
    found = imported("art.estimators.classification").PyTorchClassifier
    return found(
        model=module,
        loss=nn.CrossEntropyLoss(),
        input_shape=shape,
        nb_classes=n_classes,
        clip_values=(0.0, 1.0),
        device_type="gpu" if device.type == "cuda" else "cpu",
    )
