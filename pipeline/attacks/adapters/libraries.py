"""What an adapter has to know of another attack library and asks of it; and Foolbox 3, torchattacks 3 and ART 1."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.core.errors import InkproofError, Unavailable, WrongUse
from pipeline.core.torchvision_import import import_torchvision
from pipeline.images.formats import reason
from pipeline.specs.attacks import ALWAYS, NONE, OPTIONAL


@dataclass(frozen=True)
class Family:
    """What kind of attack one is.

    Attributes:
        norm: "linf", "l2", "l1" or "l0" that its budget is counted in or that it makes small; "" where it is none of these, as
            for blurring or turning an image: such a result is rounded and never moved.
        takes_epsilon: whether it has a budget; the others look for the smallest change.
        targets: NONE, OPTIONAL or ALWAYS: whether it leads to a class that one chooses, and whether it does nothing else.
        needs_gradient: whether it follows gradients of the network; without, it asks for predictions alone.
    """

    norm: str
    takes_epsilon: bool
    targets: str
    needs_gradient: bool = True


@dataclass(frozen=True)
class Task:
    """What a library is to attack.

    Attributes:
        module: the network: float32 (n, 3, H, W) in [0, 1] to (n, n_classes) logits; nothing in it can be trained or switched.
        images: float32 (n, 3, H, W) in [0, 1].
        labels: int64 (n,), true labels.
        targets: int64 (n,), None to lead away from the true class.
        radius: the budget in the attack's norm, of pixels in [0, 1]; None for an attack that has none.
    """

    module: nn.Module
    images: Tensor
    labels: Tensor
    targets: Tensor | None
    radius: float | None
    n_classes: int


class Library(Protocol):
    """One attack library; its attacks are its own classes, known by their names."""

    given: Mapping[str, str]

    def attacks(self) -> dict[str, type]:
        """Returns its attacks on images by name."""

    def family(self, kind: type, options: Mapping[str, Any]) -> Family:
        """Returns what kind of attack a class is with these options for its constructor, which raises where they are wrong."""

    def run(self, kind: type, options: Mapping[str, Any], task: Task) -> Tensor:
        """Returns what it makes of the images, like them; whatever it raises or returns is judged by the caller."""


def imported(module: str) -> ModuleType:
    """Returns a module of an optional package.

    Raises:
        Unavailable: it cannot be imported.
    """
    try:
        import_torchvision()
        return importlib.import_module(module)
    except InkproofError:
        raise
    except Exception as error:  # an old library beside new packages fails with anything
        hint = f'Install it: pip install "inkproof[{module.partition(".")[0]}]"'
        raise Unavailable(f"{module} cannot be imported: {reason(error)}.", hint) from error


def parameters_of(kind: type) -> dict[str, Any]:
    """Returns the parameters of a class's constructor with their defaults, `inspect.Parameter.empty` where there is none."""
    found = inspect.signature(kind).parameters
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: item.default for name, item in found.items() if item.kind in plain}


class Example(nn.Module):
    """A network that options are tried out on before any image is made: two classes of 3 x 8 x 8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(192, 2), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight


def with_budget(kind: type, options: Mapping[str, Any], radius: float | None, names: Sequence[str], step: str) -> dict[str, Any]:
    """Returns the options with the budget of a cell; a step that is not given keeps its proportion to it."""
    parameters, told = parameters_of(kind), dict(options)
    for name in names:
        if name in parameters and radius is not None:
            told[name] = radius
            if step in parameters and step not in options:
                told[step] = parameters[step] * radius / parameters[name]
    return told


class Foolbox:
    """github.com/bethgelab/foolbox. Fixed-epsilon attacks take the budget of each cell; those that minimise run once, without."""

    given: Mapping[str, str] = {}
    # They need a data set to draw from, or adversarial images to start with.
    NEED_MORE = {"DatasetAttack", "BinarizationRefinementAttack"}
    # They take no criterion but misclassification, or do the same whatever the criterion is.
    UNTARGETED = {"DeepFoolAttack", "NewtonFoolAttack", "VirtualAdversarialAttack", "L1FastGradientAttack",
                  "L2FastGradientAttack", "LinfFastGradientAttack", "BaseAdditiveNoiseAttack", "L2ContrastReductionAttack",
                  "InversionAttack"}  # fmt: skip
    NO_GRADIENT = {"BinarySearchContrastReductionAttack", "BoundaryAttack", "GaussianBlurAttack", "GenAttack",
                   "HopSkipJumpAttack", "InversionAttack", "L2ContrastReductionAttack",
                   "LinearSearchContrastReductionAttack", "PointwiseAttack", "SpatialAttack"}  # fmt: skip
    NO_GRADIENT_ENDING = "NoiseAttack"
    NORMS = {0: "l0", 1: "l1", 2: "l2", float("inf"): "linf"}

    def attacks(self) -> dict[str, type]:
        base = imported("foolbox.attacks.base").Attack
        return {
            name: kind
            for name, kind in _classes(imported("foolbox.attacks"), base).items()
            if not inspect.isabstract(kind) and name not in self.NEED_MORE
        }

    def family(self, kind: type, options: Mapping[str, Any]) -> Family:
        attack = self._made(kind, options)
        try:  # one distance is only how the attack judges: what it varies is the amount of noise
            norm = self.NORMS.get(attack.distance.p, "") if kind.__name__ != "SaltAndPepperNoiseAttack" else ""
        except (AttributeError, ValueError):  # an attack along a path, whose distance the caller may choose
            norm = ""
        ancestors = {parent.__name__ for parent in kind.__mro__}
        targets = ALWAYS if "GenAttack" in ancestors else NONE if ancestors & self.UNTARGETED else OPTIONAL
        needs_gradient = kind.__name__ not in self.NO_GRADIENT and not kind.__name__.endswith(self.NO_GRADIENT_ENDING)
        return Family(norm, "FixedEpsilonAttack" in ancestors, targets, needs_gradient)

    def run(self, kind: type, options: Mapping[str, Any], task: Task) -> Tensor:
        foolbox = imported("foolbox")
        model = foolbox.PyTorchModel(task.module, bounds=(0, 1), device=task.images.device)
        if task.targets is None:
            criterion = foolbox.criteria.Misclassification(task.labels)
        else:
            criterion = foolbox.criteria.TargetedMisclassification(task.targets)
        return self._made(kind, options)(model, task.images, criterion, epsilons=task.radius)[1]

    def _made(self, kind: type, options: Mapping[str, Any]) -> Any:
        """Returns the attack; a distance that it can be told is a word in an experiment file: "l0", "l1", "l2" or "linf"."""
        if "distance" not in options:
            return kind(**options)
        if options["distance"] not in self.NORMS.values():
            raise ValueError(f"distance = {options['distance']!r}: expected one of {', '.join(self.NORMS.values())}")
        return kind(**{**options, "distance": getattr(imported("foolbox.distances"), options["distance"])})


class Torchattacks:
    """github.com/Harry24k/adversarial-attacks-pytorch. One that has an `eps` takes the budget of each cell."""

    given: Mapping[str, str] = {"model": "", "eps": "epsilons_8bit", "max_epsilon": "epsilons_8bit", "verbose": ""}
    LEFT_OUT = {"VANILA", "GN", "MultiAttack", "LGV"}  # no attacks, or attacks on several networks
    BUDGETS = ("eps", "max_epsilon")
    NO_GRADIENT = {"OnePixel", "Pixle", "SPSA", "Square"}
    # What an attack without a budget makes small, and the budgets that are no largest change of a value.
    NORMS = {"CW": "l2", "DeepFool": "l2", "EADEN": "l1", "EADL1": "l1", "SparseFool": "l0", "OnePixel": "l0", "Pixle": "l0",
             "JSMA": "l0", "PGDL2": "l2", "PGDRSL2": "l2"}  # fmt: skip
    BYTES_A_PAIR, MOST_BYTES = 16, 8e9  # JSMA keeps several tables with an entry for each pair of values

    def attacks(self) -> dict[str, type]:
        module = imported("torchattacks")
        return {name: kind for name, kind in _classes(module).items() if name in module.__all__ and name not in self.LEFT_OUT}

    def family(self, kind: type, options: Mapping[str, Any]) -> Family:
        parameters, attack = parameters_of(kind), kind(Example(), **options)
        norm = options.get("norm", parameters.get("norm", self.NORMS.get(kind.__name__, "linf")))
        targets = ALWAYS if kind.__name__ == "JSMA" else OPTIONAL if "targeted" in attack.supported_mode else NONE
        takes_epsilon, needs_gradient = any(name in parameters for name in self.BUDGETS), kind.__name__ not in self.NO_GRADIENT
        return Family(norm.lower(), takes_epsilon, targets, needs_gradient)

    def run(self, kind: type, options: Mapping[str, Any], task: Task) -> Tensor:
        n_values = task.images[0].numel()
        n_bytes = self.BYTES_A_PAIR * n_values**2
        if kind.__name__ == "JSMA" and n_bytes > self.MOST_BYTES:
            what = (
                f"torchattacks:JSMA compares each of an image's {n_values} values with each other: about {n_bytes / 1e9:.0f} GB."
            )
            raise WrongUse(what, 'Use the attack "jsma".')
        parameters, told = parameters_of(kind), with_budget(kind, options, task.radius, self.BUDGETS, "alpha")
        if "n_classes" in parameters and "n_classes" not in options:  # how many it looks at
            told["n_classes"] = min(parameters["n_classes"], task.n_classes)
        attack = kind(task.module, **told)
        if task.targets is None:
            return attack(task.images, task.labels)
        attack.set_mode_targeted_by_label(quiet=True)
        return attack(task.images, task.targets)


class Art:
    """github.com/Trusted-AI/adversarial-robustness-toolbox. One that has an `eps` takes the budget of each cell."""

    given: Mapping[str, str] = {
        "classifier": "", "estimator": "", "eps": "epsilons_8bit", "targeted": "options.target", "verbose": "",
        "summary_writer": "", "estimator_orig": "",
    }  # fmt: skip
    # Attacks that return no images of the ones given, are written for other tensors, or have a budget that is no norm.
    LEFT_OUT_ENDINGS = ("Patch", "PatchNumpy", "PatchPyTorch", "TensorFlow", "TensorFlowV2", "ASR", "ASRPyTorch")
    LEFT_OUT = {"Wasserstein", "LowProFool", "OverTheAirFlickeringPyTorch", "FeatureAdversariesNumpy", "BrendelBethgeAttack"}
    # What an attack without a `norm` makes small, or its budget is counted in; "" for one that moves along a path.
    NORMS = {"BasicIterativeMethod": "linf", "VirtualAdversarialMethod": "l2", "CarliniL2Method": "l2", "CarliniL0Method": "l0",
             "CarliniLInfMethod": "linf", "ElasticNet": "l1", "DeepFool": "l2", "NewtonFool": "l2", "SaliencyMapMethod": "l0",
             "BoundaryAttack": "l2", "ZooAttack": "l2", "SignOPTAttack": "l2", "PixelAttack": "l0",
             "ThresholdAttack": "linf"}  # fmt: skip
    WORDS = {np.inf: "linf", "inf": "linf", 1: "l1", "1": "l1", 2: "l2", "2": "l2"}
    ALWAYS_TARGETED = {"SaliencyMapMethod", "TargetedUniversalPerturbation"}
    NO_GRADIENT = {"BoundaryAttack", "GeoDA", "HopSkipJump", "PixelAttack", "SignOPTAttack", "SimBA", "SpatialTransformation",
                   "SquareAttack", "ThresholdAttack", "ZooAttack"}  # fmt: skip

    def attacks(self) -> dict[str, type]:
        classifier = object.__new__(imported("art.estimators.classification").PyTorchClassifier)
        found: dict[str, Any] = _classes(imported("art.attacks.evasion"), imported("art.attacks.attack").EvasionAttack)
        empty = inspect.Parameter.empty
        return {
            name: kind
            for name, kind in found.items()
            if name not in self.LEFT_OUT
            and not name.endswith(self.LEFT_OUT_ENDINGS)
            and {key for key, default in parameters_of(kind).items() if default is empty} <= {"classifier", "estimator"}
            and kind.is_estimator_valid(classifier, kind._estimator_requirements)
        }

    def family(self, kind: type, options: Mapping[str, Any]) -> Family:
        self._made(kind, options, Task(Example(), torch.zeros(1, 3, 8, 8), torch.zeros(1), None, None, 2))
        parameters, name = parameters_of(kind), kind.__name__
        word = options.get("norm", parameters.get("norm"))
        norm = self.NORMS.get(name, "") if word is None else self.WORDS[word]
        targets = ALWAYS if name in self.ALWAYS_TARGETED else OPTIONAL if "targeted" in parameters else NONE
        return Family(norm, "eps" in parameters, targets, name not in self.NO_GRADIENT)

    def run(self, kind: type, options: Mapping[str, Any], task: Task) -> Tensor:
        aims = task.labels if task.targets is None else task.targets
        one_hot = np.eye(task.n_classes, dtype=np.float32)[aims.cpu().numpy()]
        made = self._made(kind, options, task).generate(task.images.cpu().numpy(), one_hot)
        return torch.from_numpy(made).to(task.images)

    def _made(self, kind: type, options: Mapping[str, Any], task: Task) -> Any:
        network = imported("art.estimators.classification").PyTorchClassifier(
            model=task.module,
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(task.images.shape[1:]),
            nb_classes=task.n_classes,
            clip_values=(0.0, 1.0),
            device_type="gpu" if task.images.device.type == "cuda" else "cpu",
        )
        told = with_budget(kind, options, task.radius, ("eps",), "eps_step")
        switches = {"targeted": task.targets is not None, "verbose": False}
        return kind(network, **told | {key: value for key, value in switches.items() if key in parameters_of(kind)})


def _classes(module: ModuleType, base: type = object) -> dict[str, type]:
    return {name: kind for name, kind in vars(module).items() if inspect.isclass(kind) and issubclass(kind, base)}
