"""Attacks by name: each is one class in one file, with what it says of itself here, and imported only when it is used."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.attacks.spec import ALWAYS, OWN, AttackSpec
from pipeline.core.errors import placed
from pipeline.core.registry import Registry, Scheme, load
from pipeline.settings import AttackSettings

if TYPE_CHECKING:
    from pipeline.attacks.attack import Attack

_OWN = (
    AttackSpec(
        "fgsm",
        title="fast",
        summary="fast gradient sign, one step of size epsilon (the paper's fast)",
        make="pipeline.attacks.gradient_sign:FastGradientSign",
        options="pipeline.attacks.options:FastOptions",
    ),
    AttackSpec(
        "bim",
        title="basic iterative",
        summary="basic iterative: many steps of one grey level inside the epsilon ball",
        make="pipeline.attacks.gradient_sign:BasicIterative",
        options="pipeline.attacks.options:IterativeOptions",
    ),
    AttackSpec(
        "illc",
        title="least-likely class",
        summary="iterative toward the least likely class of the clean image",
        make="pipeline.attacks.gradient_sign:LeastLikelyClass",
        targets=ALWAYS,
    ),
    AttackSpec(
        "mi-fgsm",
        title="MI-FGSM",
        summary="iterative with momentum on the gradient",
        make="pipeline.attacks.gradient_sign:MomentumIterative",
        options="pipeline.attacks.options:MomentumOptions",
    ),
    AttackSpec(
        "pgd",
        title="PGD",
        summary="projected gradient descent from a random start, with restarts, in the L-infinity or L2 ball",
        make="pipeline.attacks.projected:ProjectedGradient",
        options="pipeline.attacks.options:ProjectedOptions",
    ),
    AttackSpec(
        "cw-l2",
        title="CW L2",
        summary="Carlini and Wagner: the smallest L2 distance that fools",
        make="pipeline.attacks.cw_l2:SmallestDistance",
        options="pipeline.attacks.options:CarliniL2Options",
        norm="l2",
        takes_epsilon=False,
    ),
    AttackSpec(
        "cw-l0",
        title="CW L0",
        summary="Carlini and Wagner: as few changed pixels as fool",
        make="pipeline.attacks.cw_l0:FewestPixels",
        options="pipeline.attacks.options:CarliniL0Options",
        norm="l0",
        takes_epsilon=False,
    ),
    AttackSpec(
        "cw-linf",
        title="CW L∞",
        summary="Carlini and Wagner: the smallest largest change that fools",
        make="pipeline.attacks.cw_linf:SmallestLargestChange",
        options="pipeline.attacks.options:CarliniLinfOptions",
        takes_epsilon=False,
    ),
    AttackSpec(
        "deepfool",
        title="DeepFool",
        summary="step by step over the nearest decision boundary",
        make="pipeline.attacks.deepfool:DeepFool",
        options="pipeline.attacks.options:DeepFoolOptions",
        norm="l2",
        takes_epsilon=False,
    ),
    AttackSpec(
        "jsma",
        title="JSMA",
        summary="few values, each changed much, toward a target",
        make="pipeline.attacks.saliency:Saliency",
        options="pipeline.attacks.options:SaliencyOptions",
        norm="l0",
        takes_epsilon=False,
        targets=ALWAYS,
        batch_size=8,  # of 299 x 299 pixels they take 2.8 GiB
    ),
    AttackSpec(
        "lbfgs",
        title="L-BFGS",
        summary="box-constrained L-BFGS on distance and loss, toward a target",
        make="pipeline.attacks.lbfgs:BoxConstrainedLBFGS",
        options="pipeline.attacks.options:SzegedyOptions",
        norm="l2",
        takes_epsilon=False,
    ),
    AttackSpec(
        "eot",
        title="EOT",
        summary="iterative through simulated print and camera, or digital transforms, in the mean of many draws",
        make="pipeline.attacks.expectation:ExpectationOverTransformation",
        options="pipeline.attacks.options:ExpectationOptions",
        batch_size=1,  # more would gain nothing: each is kept when it is made
        check="pipeline.attacks.option_checks:check_expectation",
    ),
    AttackSpec(
        "patch",
        title="adversarial patch",
        summary="one printable patch that leads every image it lies in to one class (Brown et al.)",
        make="pipeline.attacks.patch:AdversarialPatch",
        options="pipeline.attacks.options:PatchOptions",
        norm="l0",
        takes_epsilon=False,
        targets=OWN,
        check="pipeline.attacks.option_checks:check_patch",
    ),
)

ATTACKS = Registry("attack", AttackSpec, {spec.name: spec for spec in _OWN}, "inkproof.attacks")

# Other attack libraries, each an extra of its own name; what is loaded is a `Library` of `adapters.contract`.
LIBRARIES = Registry(
    "attack",
    Scheme,
    {
        name: Scheme(f"{name}:NAME", f"any attack of {name}, e.g. {name}:{example} (extra: {name})", target)
        for name, example, target in (
            ("foolbox", "LinfPGD", "pipeline.attacks.adapters.foolbox_library:Foolbox"),
            ("torchattacks", "PGD", "pipeline.attacks.adapters.torchattacks_library:Torchattacks"),
            ("art", "ProjectedGradientDescent", "pipeline.attacks.adapters.art_library:Art"),
        )
    },
)


def attack_spec(name: str, where: str = "", options: Mapping[str, Any] | None = None) -> AttackSpec:
    """Returns what an attack is with these options.

    Args:
        name: one of ATTACKS, or another library's attack, such as "foolbox:LinfPGD".
        where: the place that asks, for the message.
        options: values that differ from the defaults of the attack's options, each within its limits.

    Raises:
        WrongUse: there is no attack of this name, it has no options, or they contradict each other.
        Unavailable: it is of a package or library that is not installed, or cannot be loaded.
    """
    with placed(where):
        if is_adapted(name):
            from pipeline.attacks.adapters import adapted

            return adapted(name, options).spec
        spec = ATTACKS.find(name)
        spec.checked(options)
        return spec.told(options or {})


def attack_named(name: str, where: str = "", options: Mapping[str, Any] | None = None) -> "Attack":
    """Returns a new attack; arguments and errors are those of `attack_spec`."""
    with placed(where):
        if is_adapted(name):
            from pipeline.attacks.adapters import adapted

            return adapted(name, options)
        spec = ATTACKS.find(name)
        return load(spec.make)(spec.checked(options))


def attack_titles(attacks: Iterable[AttackSettings]) -> dict[str, str]:
    """Returns what tables and figures call each attack of an experiment, by its key: its label, else its title."""
    return {
        attack.key: ATTACKS.find(attack.name).title if attack.name in ATTACKS and not attack.label else attack.key
        for attack in attacks
    }


def attacks_listed() -> list[tuple[str, str]]:
    """Returns (name, one line) of every attack, and of every other library under the pattern of its attacks' names."""
    return [*ATTACKS.listed(), *LIBRARIES.listed()]


def is_adapted(name: str) -> bool:
    """Returns whether a name is that of another library's attack: `library:Attack`."""
    return ":" in name
