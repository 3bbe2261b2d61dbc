"""The names and number formats that a reader sees, the same in tables, figures and prose."""

import re
from collections.abc import Iterable

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
NOTHING_ELIGIBLE = "n/a"
NO_ROW = "–"


def attack_title(attack: str) -> str:
    """Returns the paper's name of an attack, else the one it is known by, else its own."""
    return ATTACK_TITLES.get(attack) or _OTHER_TITLES.get(attack, attack)


def epsilon_title(epsilon_8bit: int) -> str:
    """Returns an epsilon as a table shows it: a dash for attacks that take none."""
    return str(epsilon_8bit) if epsilon_8bit else NO_ROW


def cell_title(attack: str, epsilon_8bit: int) -> str:
    """Returns an attack with its epsilon, where it takes one."""
    return f"{attack_title(attack)}, ε {epsilon_8bit}" if epsilon_8bit else attack_title(attack)


def attack_order(attacks: Iterable[str]) -> list[str]:
    """Returns the attacks once each, the paper's in the paper's order, then the others by name."""
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


def percent(share: float | None, digits: int = 1) -> str:
    """Returns a share in [0, 1] as text ("12.5 %"), "n/a" for None."""
    return NOTHING_ELIGIBLE if share is None else f"{100 * share:.{digits}f} %"


def interval(low: float | None, high: float | None) -> str:
    """Returns a 95 % interval in whole per cent ("6–25"), "" where there is none."""
    return "" if low is None or high is None else f"{100 * low:.0f}–{100 * high:.0f}"


def p_value(p: float | None) -> str:
    """Returns a p value with no more digits than it is worth ("< 0.001", "0.032", "0.41"), a dash for None."""
    return NO_ROW if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def number(value: float) -> str:
    """Returns a parameter as short as it can be: 2.0 is "2", 0.7 is "0.7"; the minus is a real one."""
    return f"{value:g}".replace("-", "−")


def span(values: Iterable[int]) -> str:
    """Returns the range of some counts: "19" where they are all the same, "17–19" where not, "–" where there is none."""
    found = sorted(set(values))
    return NO_ROW if not found else f"{found[0]}–{found[-1]}" if len(found) > 1 else str(found[0])


def count(n: int, noun: str, plural: str = "") -> str:
    """Returns "1 photo", "2 photos"; thousands are set apart by a comma."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(words: Iterable[str]) -> str:
    """Returns "a", "a and b", "a, b and c"."""
    *head, last = list(words) or [""]
    return f"{', '.join(head)} and {last}" if head else last


def middle_cut(name: str, max_chars: int) -> str:
    """Returns a file name no longer than `max_chars`, cut in the middle: the beginning and the ending tell files apart."""
    half = (max_chars - 1) // 2
    return name if len(name) <= max_chars else f"{name[:half]}…{name[-half:]}"


def short_class_name(name: str, max_chars: int = 28) -> str:
    """Returns the first of a class's synonyms, cut at a word's end with an ellipsis where it is still too long."""
    first = name.split(",")[0].strip() or name.strip()
    if len(first) <= max_chars:
        return first
    kept = first[: max_chars - 1]
    at_word = kept.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > max_chars // 2 else kept).rstrip(" -") + "…"


def tied(text: str) -> str:
    """Returns text in which no line ends between a number and its per cent sign, nor between n, ε or = and their number."""
    return re.sub(r"(?<=\d) (?=%)|(?<=[ε=]) (?=\d)|(?<=\bn) (?==)|(?<=ε) (?==)", "\u00a0", text)


def subject(content: ReportContent) -> str:
    """Returns the network and the images, as captions name them."""
    return f"{content.model.name} on images of {content.dataset.name}"
