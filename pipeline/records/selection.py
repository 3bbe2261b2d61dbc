"""Which images are drawn and attacked, and what an attack made of them."""

from dataclasses import dataclass

VARIANTS = ("clean", "adversarial")
CASES = ("average", "prefiltered")
# A cell of a run: case, attack and epsilon_8bit.
Cell = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image that could be drawn: what the model says of the clean 8-bit file at its input size."""

    image_id: str
    true_label: int
    true_name: str
    path: str
    sha256: str
    top_labels: tuple[int, ...]
    top_probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """One image drawn for one cell (attack and epsilon) of one case."""

    case: str
    attack: str
    epsilon_8bit: int
    image_id: str


@dataclass(frozen=True, slots=True)
class CellFill:
    """How far one cell was filled: `n_found` of `n_wanted` images, after looking at `n_tried` candidates."""

    case: str
    attack: str
    epsilon_8bit: int
    n_wanted: int
    n_found: int
    n_tried: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A clean image and the adversarial image made from it; distances are of the saved 8-bit files.

    `epsilon_8bit` is 0 for attacks that take none. `rounding`: what rounding did to a minimum-norm attack's result, see ROUNDING.
    `is_blind`: logits or gradients that the attack met were not finite, and gave it no direction there. `by`: which
    part of a union of attacks fooled with it, "" where none did or the attack is none.
    """

    pair_id: str
    image_id: str
    attack: str
    epsilon_8bit: int
    cases: tuple[str, ...]
    true_label: int
    target_label: int | None
    clean_path: str
    adversarial_path: str
    linf_8bit: int
    l2_8bit: float
    ssim: float
    n_forward: int
    n_backward: int
    n_changed_pixels: int = 0
    rounding: str = ""
    is_blind: bool = False
    by: str = ""


# What rounding to 8 bits did to the result of a minimum-norm attack.
ROUNDING = {
    "kept": "the rounded image still fools the network",
    "repaired": "rounding undid the attack, and a search over neighbouring 8-bit values mended it",
    "lost": "rounding undid the attack, and no neighbouring 8-bit values mended it; the clean image is saved",
    "not-found": "the attack found no adversarial image; the clean image is saved",
}
