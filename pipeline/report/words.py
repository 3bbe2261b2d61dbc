"""The names of attacks, cases and transforms that a reader sees, the same in tables, figures and prose."""

from collections.abc import Iterable

from pipeline.document.formats import DASH
from pipeline.records import CAMERA, SIMULATED
from pipeline.report.content import ReportContent, TransformAxis

ATTACK_TITLES = {"fgsm": "fast", "bim": "basic iterative", "illc": "least-likely class"}
_OTHER_TITLES = {
    "pgd": "PGD",
    "mi-fgsm": "MI-FGSM",
    "eot": "EOT",
    "deepfool": "DeepFool",
    "jsma": "JSMA",
    "lbfgs": "L-BFGS",
    "cw-l2": "CW L2",
    "cw-l0": "CW L0",
    "cw-linf": "CW L∞",
    "patch": "adversarial patch",
}
FLAG_TITLES = {
    "simulated": "simulated photographs",
    "few-eligible": "few eligible attacks",
    "not-filled": "cells without enough images",
    "many-discards": "many discarded photographs",
    "clean-drop": "clean images lost in photographs",
    "page-scaled": "pages printed at another scale",
    "low-resolution": "photographs of low resolution",
    "epsilon-exceeded": "files beyond their ε",
    "mixed-devices": "more than one camera",
    "duplicates": "images that are alike",
    "model": "flags about the model",
    "not-finite": "outputs that are not finite",
    "random": "random outputs",
    "train-mode": "training mode",
    "probabilities": "probabilities in place of logits",
    "log-probabilities": "log-probabilities in place of logits",
    "zero-gradient": "zero gradients",
    "saturated-softmax": "a saturated softmax",
    "large-logits": "large logits",
    "saturating": "changes that vanish in rounding",
    "input-range": "another input range",
    "gradient-mismatch": "gradients that are not those of the outputs",
}
ORIGIN_TITLES = {CAMERA: "real", SIMULATED: "simulated"}
CASE_TITLES = {"average": "average case", "prefiltered": "prefiltered case"}
KNOWN_AXES = {
    axis.name: axis
    for axis in (
        TransformAxis("brightness", "Brightness", "added, 8-bit units", 0.0),
        TransformAxis("contrast", "Contrast", "factor", 1.0),
        TransformAxis("blur", "Gaussian blur", "σ, pixels"),
        TransformAxis("gaussian_blur", "Gaussian blur", "σ, pixels"),
        TransformAxis("noise", "Gaussian noise", "σ, 8-bit units"),
        TransformAxis("gaussian_noise", "Gaussian noise", "σ, 8-bit units"),
        TransformAxis("jpeg", "JPEG", "quality"),
    )
}
# Okabe and Ito's palette: told apart with every common colour blindness; marker and lightness tell it in grey.
ATTACK_STYLES = {
    "fgsm": ("#0072b2", "o"),
    "bim": ("#e69f00", "s"),
    "illc": ("#009e73", "^"),
}
_SPARE_STYLES = (("#cc79a7", "D"), ("#56b4e9", "v"), ("#d55e00", "P"), ("#4d4d4d", "X"), ("#b8a900", "*"))


def attack_title(attack: str) -> str:
    """Returns the name that an attack is known by, else its own."""
    return ATTACK_TITLES.get(attack) or _OTHER_TITLES.get(attack, attack)


def attack_style(attack: str, attacks: tuple[str, ...]) -> tuple[str, str]:
    """Returns (colour, marker) of an attack; those without one of their own take the spare styles in the order of `attacks`."""
    if attack in ATTACK_STYLES:
        return ATTACK_STYLES[attack]
    others = [name for name in attacks if name not in ATTACK_STYLES]
    return _SPARE_STYLES[others.index(attack) % len(_SPARE_STYLES)]


def epsilon_title(epsilon_8bit: int) -> str:
    """Returns an epsilon as a table shows it: a dash for attacks that take none."""
    return str(epsilon_8bit) if epsilon_8bit else DASH


def cell_title(attack: str, epsilon_8bit: int) -> str:
    """Returns an attack with its epsilon, where it takes one."""
    return f"{attack_title(attack)}, ε {epsilon_8bit}" if epsilon_8bit else attack_title(attack)


def attack_order(attacks: Iterable[str]) -> list[str]:
    """Returns the attacks once each, those of ATTACK_TITLES in its order, then the others by name."""
    known = list(ATTACK_TITLES)
    return sorted(set(attacks), key=lambda attack: (known.index(attack) if attack in known else len(known), attack))


def axis_of(transform: str, axes: Iterable[TransformAxis] = ()) -> TransformAxis:
    """Returns how a transform is shown; one that nobody described keeps its name, with underscores as spaces."""
    described = {axis.name: axis for axis in axes}
    plain = transform.replace("_", " ").replace("-", " ")
    return (
        described.get(transform)
        or KNOWN_AXES.get(transform.replace("-", "_"))
        or TransformAxis(transform, plain[:1].upper() + plain[1:], "parameter")
    )


def subject(content: ReportContent) -> str:
    """Returns the network and the images, as captions name them."""
    return f"{content.model.name} on images of {content.dataset.name}"
