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
        title, summary: what tables and figures call it; one line for a person.
        make: its class, as "module:Class"; imported when it is used.
        options: the record of its options, as "module:Record", made as those in `attacks/options.py`; "" where it has none.
        norm: "linf", "l2", "l1" or "l0" that its budget is counted in or that it makes small, "" where it is none of these;
            an option called `norm` chooses another.
        takes_epsilon: whether it has a budget; without one, its epsilon is NO_EPSILON.
        targets: one of the words above.
        needs_gradient: whether it follows gradients of the network; without, it asks for predictions alone.
        batch_size: how many images it is given at once; 0 for as many as the device likes.
        on_file: whether its images are made to fool as files; others expect to be changed on the way.
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
    needs_gradient: bool = True
    batch_size: int = 0
    on_file: bool = True
    check: str = ""
    style: tuple[str, str] | None = None

    @property
    def shown(self) -> str:
        return self.name

    @property
    def accepts_targets(self) -> bool:
        """Whether one can say which class each image is led to."""
        return self.targets in (OPTIONAL, ALWAYS)


_HERE, _OPTIONS = "pipeline.attacks", "pipeline.attacks.options"
# fmt: off
_OWN = (
    AttackSpec("fgsm", "fast", "one step of size epsilon along the sign of the gradient",
               f"{_HERE}.gradient_sign:FastGradientSign", f"{_OPTIONS}:FastOptions", style=("#0072b2", "o")),
    AttackSpec("bim", "basic iterative", "basic iterative: many steps of one grey level inside the epsilon ball",
               f"{_HERE}.gradient_sign:BasicIterative", f"{_OPTIONS}:IterativeOptions", style=("#e69f00", "s")),
    AttackSpec("illc", "least-likely class", "iterative toward the least likely class of the clean image",
               f"{_HERE}.gradient_sign:LeastLikelyClass", targets=ALWAYS, style=("#009e73", "^")),
    AttackSpec("mi-fgsm", "MI-FGSM", "iterative with momentum on the gradient",
               f"{_HERE}.gradient_sign:MomentumIterative", f"{_OPTIONS}:MomentumOptions"),
    AttackSpec("pgd", "PGD", "projected gradient descent from a random start, with restarts, in the L-infinity or L2 ball",
               f"{_HERE}.projected:ProjectedGradient", f"{_OPTIONS}:ProjectedOptions"),
    AttackSpec("apgd-ce", "APGD-CE", "projected gradient descent that sets its own step, on the cross-entropy",
               f"{_HERE}.apgd:AutoPGDCrossEntropy", f"{_OPTIONS}:AutoStepOptions"),
    AttackSpec("apgd-dlr", "APGD-DLR", "the same on the difference of logits ratio, or to one class after another",
               f"{_HERE}.apgd:AutoPGDLogitsRatio", f"{_OPTIONS}:LogitsRatioOptions"),
    AttackSpec("square", "Square", "random squares inside the ball; asks for scores alone",
               f"{_HERE}.square:Square", f"{_OPTIONS}:SquareOptions", needs_gradient=False),
    AttackSpec("autoattack", "AutoAttack", "APGD-CE, APGD-DLR, FAB and Square, each on what those before did not fool",
               f"{_HERE}.autoattack:AutoAttack", f"{_OPTIONS}:AutoAttackOptions"),
    AttackSpec("cw-l2", "CW L2", "the smallest L2 distance that fools, by descent on distance and margin",
               f"{_HERE}.cw_l2:SmallestDistance", f"{_OPTIONS}:SmallestDistanceOptions", norm="l2", takes_epsilon=False),
    AttackSpec("cw-l0", "CW L0", "as few changed pixels as fool, by descents on ever fewer pixels",
               f"{_HERE}.cw:FewestPixels", f"{_OPTIONS}:FewestPixelsOptions", norm="l0", takes_epsilon=False),
    AttackSpec("cw-linf", "CW L∞", "the smallest largest change that fools, by descents to ever smaller ones",
               f"{_HERE}.cw:SmallestLargestChange", f"{_OPTIONS}:SmallestLargestChangeOptions", takes_epsilon=False),
    AttackSpec("deepfool", "DeepFool", "step by step over the nearest decision boundary",
               f"{_HERE}.deepfool:DeepFool", f"{_OPTIONS}:DeepFoolOptions", norm="l2", takes_epsilon=False),
    AttackSpec("fab", "FAB", "to the nearest decision boundary, drawn back to the clean image at each step",
               f"{_HERE}.fab:FastAdaptiveBoundary", f"{_OPTIONS}:BoundaryOptions", takes_epsilon=False),
    AttackSpec("hopskipjump", "HopSkipJump", "along the decision boundary; asks for labels alone",
               f"{_HERE}.hopskipjump:HopSkipJump", f"{_OPTIONS}:LabelOnlyOptions", norm="l2", takes_epsilon=False, targets=NONE,
               needs_gradient=False, batch_size=1),  # images are walked one by one
    AttackSpec("jsma", "JSMA", "few values, each changed much, toward a target",
               f"{_HERE}.saliency:Saliency", f"{_OPTIONS}:SaliencyOptions", norm="l0", takes_epsilon=False, targets=ALWAYS,
               batch_size=8),  # of 299 x 299 pixels they take 2.8 GiB
    AttackSpec("lbfgs", "L-BFGS", "box-constrained L-BFGS on distance and loss, toward a target",
               f"{_HERE}.lbfgs:BoxConstrainedLBFGS", f"{_OPTIONS}:LBFGSOptions", norm="l2", takes_epsilon=False),
    AttackSpec("eot", "EOT", "iterative through simulated print and camera, or digital transforms, in the mean of many draws",
               f"{_HERE}.expectation:ExpectationOverTransformation", f"{_OPTIONS}:ExpectationOptions",
               batch_size=1, on_file=False,  # more at once would gain nothing: each is kept when it is made
               check=f"{_OPTIONS}:check_expectation"),
    AttackSpec("patch", "adversarial patch", "one printable patch that leads every image it lies in to one class",
               f"{_HERE}.patch:AdversarialPatch", f"{_OPTIONS}:PatchOptions", norm="l0", takes_epsilon=False, targets=OWN,
               check=f"{_OPTIONS}:check_patch"),
)
# fmt: on

# Nothing that an entry names is imported before it is used.
ATTACKS = Registry("attack", AttackSpec, {spec.name: spec for spec in _OWN}, "inkproof.attacks")

# Other attack libraries, each an extra of its own name; what is loaded is a `Library` of `adapters.libraries`.
LIBRARIES = Registry(
    "attack",
    Scheme,
    {
        name: Scheme(f"{name}:NAME", f"any attack of {name}, e.g. {name}:{example} (extra: {name})", target)
        for name, example, target in (
            ("foolbox", "LinfPGD", "pipeline.attacks.adapters.libraries:Foolbox"),
            ("torchattacks", "PGD", "pipeline.attacks.adapters.libraries:Torchattacks"),
            ("art", "ProjectedGradientDescent", "pipeline.attacks.adapters.libraries:Art"),
        )
    },
)
