"""What an attack says of itself, and the attacks by name. A new one is its class in a file of `attacks/`, and its entry here."""

from dataclasses import dataclass

from pipeline.core.registry import Registry, Scheme

# Who says which class an image is led to: nobody, since it only leads away; whoever asks, or nobody; whoever asks, or else the
# attack; the attack alone.
NONE, OPTIONAL, ALWAYS, OWN = "none", "optional", "always", "own"


@dataclass(frozen=True)
class AttackSpec:
    """One attack.

    Attributes:
        title: what tables and figures call it.
        summary: one line for a person.
        make: its class, as "module:Class"; imported when it is used.
        options: the record of its options, as "module:Record", made as those in `attacks/options.py`; "" where it has none.
        norm: "linf", "l2", "l1" or "l0" that its budget is counted in or that it makes small, "" where it is none of these;
            an option called `norm` chooses another.
        takes_epsilon: whether it has a budget; without one, its epsilon is NO_EPSILON.
        targets: one of the words above.
        batch_size: how many images it is given at once; 0 for as many as the device likes.
        check: a function of the options that refuses what no single one tells, as "module:function"; "" for none.
        style: its colour and marker in figures; such attacks come first. None for one of the spare ones.
    """

    name: str
    title: str
    summary: str
    make: str
    options: str = ""
    norm: str = "linf"
    takes_epsilon: bool = True
    targets: str = OPTIONAL
    batch_size: int = 0
    check: str = ""
    style: tuple[str, str] | None = None

    @property
    def shown(self) -> str:
        return self.name

    @property
    def accepts_targets(self) -> bool:
        """Whether one can say which class each image is led to."""
        return self.targets in (OPTIONAL, ALWAYS)


_OWN = (
    AttackSpec(
        "fgsm",
        title="fast",
        summary="one step of size epsilon along the sign of the gradient",
        make="pipeline.attacks.gradient_sign:FastGradientSign",
        options="pipeline.attacks.options:FastOptions",
        style=("#0072b2", "o"),
    ),
    AttackSpec(
        "bim",
        title="basic iterative",
        summary="basic iterative: many steps of one grey level inside the epsilon ball",
        make="pipeline.attacks.gradient_sign:BasicIterative",
        options="pipeline.attacks.options:IterativeOptions",
        style=("#e69f00", "s"),
    ),
    AttackSpec(
        "illc",
        title="least-likely class",
        summary="iterative toward the least likely class of the clean image",
        make="pipeline.attacks.gradient_sign:LeastLikelyClass",
        targets=ALWAYS,
        style=("#009e73", "^"),
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
        summary="the smallest L2 distance that fools, by descent on distance and margin",
        make="pipeline.attacks.cw_l2:SmallestDistance",
        options="pipeline.attacks.options:SmallestDistanceOptions",
        norm="l2",
        takes_epsilon=False,
    ),
    AttackSpec(
        "cw-l0",
        title="CW L0",
        summary="as few changed pixels as fool, by descents on ever fewer pixels",
        make="pipeline.attacks.cw:FewestPixels",
        options="pipeline.attacks.options:FewestPixelsOptions",
        norm="l0",
        takes_epsilon=False,
    ),
    AttackSpec(
        "cw-linf",
        title="CW L∞",
        summary="the smallest largest change that fools, by descents to ever smaller ones",
        make="pipeline.attacks.cw:SmallestLargestChange",
        options="pipeline.attacks.options:SmallestLargestChangeOptions",
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
        options="pipeline.attacks.options:LBFGSOptions",
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
        check="pipeline.attacks.options:check_expectation",
    ),
    AttackSpec(
        "patch",
        title="adversarial patch",
        summary="one printable patch that leads every image it lies in to one class",
        make="pipeline.attacks.patch:AdversarialPatch",
        options="pipeline.attacks.options:PatchOptions",
        norm="l0",
        takes_epsilon=False,
        targets=OWN,
        check="pipeline.attacks.options:check_patch",
    ),
)

# Nothing that an entry names is imported before it is used.
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
