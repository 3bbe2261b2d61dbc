"""What our attacks are set beside: the same attack of each peer, told to do the same."""

from dataclasses import dataclass
from typing import Any

from pipeline.attacks.attack import NO_EPSILON


@dataclass(frozen=True)
class Contest:
    """One attack of ours and the same of each peer, told to do the same.

    Attributes:
        epsilon_8bit: the budget of all, NO_EPSILON where there is none.
        n_steps: of an attack with a fixed number of steps, else 0.
        norm: "l2", "linf" or "l0": how distance is counted.
        is_targeted: all get the same targets, a class next to the true one.
    """

    ours: str
    options: dict[str, Any]
    peers: dict[str, dict[str, Any]]
    networks: tuple[str, ...]
    epsilon_8bit: int = NO_EPSILON
    n_steps: int = 0
    norm: str = "l2"
    is_targeted: bool = False
    note: str = ""


CW_SEARCHES, CW_STEPS = 5, 60
APGD_STEPS, FAB_STEPS, SQUARE_QUERIES, HOPS = 20, 20, 500, 10
CONTESTS = [
    Contest(
        "fgsm",
        {},
        {"foolbox:LinfFastGradientAttack": {}, "torchattacks:FGSM": {}, "art:FastGradientMethod": {}},
        ("resnet18", "signs", "imagenet"),
        epsilon_8bit=8,
        n_steps=1,
    ),
    Contest(
        "bim",
        {"n_steps": 5},
        {
            "foolbox:LinfBasicIterativeAttack": {"abs_stepsize": 1 / 255, "steps": 5},
            "torchattacks:BIM": {"alpha": 1 / 255, "steps": 5},
            "art:BasicIterativeMethod": {"eps_step": 1 / 255, "max_iter": 5},
        },
        ("resnet18", "signs", "imagenet"),
        epsilon_8bit=4,
        n_steps=5,
    ),
    Contest(
        "pgd",
        {"n_steps": 10, "step_8bit": 2.0},
        {
            "foolbox:LinfPGD": {"abs_stepsize": 2 / 255, "steps": 10},
            "torchattacks:PGD": {"alpha": 2 / 255, "steps": 10},
            "art:ProjectedGradientDescentPyTorch": {"eps_step": 2 / 255, "max_iter": 10, "num_random_init": 1},
        },
        ("resnet18", "signs", "imagenet"),
        epsilon_8bit=8,
        n_steps=10,
        note="One random start.",
    ),
    Contest(
        "mi-fgsm",
        {"n_steps": 10},
        {
            "foolbox:MIFGSM": {"rel_stepsize": 0.1, "steps": 10},
            "torchattacks:MIFGSM": {"alpha": 0.8 / 255, "steps": 10},
            "art:MomentumIterativeMethod": {"eps_step": 0.8 / 255, "max_iter": 10},
        },
        ("resnet18", "signs", "imagenet"),
        epsilon_8bit=8,
        n_steps=10,
        note="Foolbox accumulates signs of the gradient, the others the gradient.",
    ),
    Contest(
        "cw-l2",
        {},
        {
            "foolbox:L2CarliniWagnerAttack": {"binary_search_steps": CW_SEARCHES, "steps": CW_STEPS, "initial_const": 1e-2},
            "torchattacks:CW": {"steps": CW_SEARCHES * CW_STEPS},
            "art:CarliniL2Method": {"binary_search_steps": CW_SEARCHES, "max_iter": CW_STEPS},
        },
        ("signs", "imagenet"),
        note=f"Ours by default; theirs {CW_SEARCHES} searches of {CW_STEPS} steps, learning rate 0.01, first c 0.01; "
        "torchattacks searches no c (1) and takes all the steps at once.",
    ),
    Contest(
        "deepfool",
        {},
        {
            "foolbox:L2DeepFoolAttack": {"steps": 50, "candidates": 10, "overshoot": 0.02},
            "torchattacks:DeepFool": {"steps": 50, "overshoot": 0.02},
            "art:DeepFool": {"max_iter": 50, "nb_grads": 10, "epsilon": 0.02},
        },
        ("signs", "imagenet"),
        note="50 steps, overshoot 0.02, 10 candidate classes; torchattacks takes all classes.",
    ),
    Contest(
        "jsma",
        {"theta_8bit": 255, "gamma": 0.145},
        {"torchattacks:JSMA": {"theta": 1.0, "gamma": 0.145}, "art:SaliencyMapMethod": {"theta": 1.0, "gamma": 0.145}},
        ("cifar10",),
        norm="l0",
        is_targeted=True,
        note="Ten classes and 32 px, which torchattacks' table of pairs allows; at most 14.5 % of the values; one "
        "pair a step. Foolbox has none.",
    ),
    Contest(
        "apgd-ce",
        {"n_steps": APGD_STEPS},
        {
            "torchattacks:APGD": {"steps": APGD_STEPS, "loss": "ce"},
            "art:AutoProjectedGradientDescent": {"max_iter": APGD_STEPS, "loss_type": "cross_entropy", "nb_random_init": 1},
        },
        ("signs",),
        epsilon_8bit=1,
        note="One random start. ART takes its first step from its eps_step.",
    ),
    Contest(
        "apgd-dlr",
        {"n_steps": APGD_STEPS},
        {
            "torchattacks:APGD": {"steps": APGD_STEPS, "loss": "dlr"},
            "art:AutoProjectedGradientDescent": {
                "max_iter": APGD_STEPS,
                "loss_type": "difference_logits_ratio",
                "nb_random_init": 1,
            },
        },
        ("signs",),
        epsilon_8bit=1,
        note="One random start.",
    ),
    Contest(
        "fab",
        {"n_steps": FAB_STEPS, "n_targets": 0},
        {"torchattacks:FAB": {"eps": 0.5, "steps": FAB_STEPS, "n_restarts": 1}},
        ("signs",),
        norm="linf",
        note="Of planes to the nearest: ours those of the nine likeliest wrong classes, theirs those of all.",
    ),
    Contest(
        "square",
        {"n_queries": SQUARE_QUERIES},
        {"torchattacks:Square": {"n_queries": SQUARE_QUERIES}, "art:SquareAttack": {"max_iter": SQUARE_QUERIES}},
        ("signs-onnx",),
        epsilon_8bit=4,
        note="Scores alone, of an ONNX file.",
    ),
    Contest(
        "hopskipjump",
        {"n_steps": HOPS, "n_queries": 10**6},
        {"art:HopSkipJump": {"max_iter": HOPS, "init_eval": 100, "max_eval": 10_000}},
        ("signs-onnx",),
        note="Labels alone, of an ONNX file; 100 looks around the first image, √k times as many at step k.",
    ),
]
