"""Rates with their uncertainty, two rates side by side, and the columns in which tables hold them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A rate with its 95 % interval: `n_hit` of `n_eligible`, None where nothing is eligible, never 0.

    `interval` is "wilson" for independent images. Where they share pages (over all cells: or are attacked in several ways) it is
    "cluster": they lie in `n_clusters` of these, worth as much as `n_effective` independent ones; both are None elsewhere.
    """

    n_hit: int
    n_eligible: int
    rate: float | None
    low: float | None
    high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    n_effective: float | None = None

    @property
    def known(self) -> tuple[float, float, float]:
        """The rate and the ends of its interval.

        Raises:
            ValueError: nothing is eligible.
        """
        if self.rate is None or self.low is None or self.high is None:
            raise ValueError("expected a rate, got one with nothing eligible")
        return self.rate, self.low, self.high


# A difference whose p lies below it is called one.
LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Estimate):
    """One quantity of one cell under one condition, of the attacked model; the destruction rate is Kurakin et al. 2016, Eq. 1.

    `quantity` is "fooled_rate" (of the files that are right when clean), "destruction_rate" (of the attacks that work as files),
    "clean_accuracy" or "adversarial_accuracy"; `attack` is "" where it is over all cells of the case. `n_images` views were
    judged, and `n_discarded` of the cell's pairs have none; both are None where a rate is only one side of a comparison. Over all
    cells an image is there once for each attack on it, and `n_different` counts the images.
    """

    quantity: str
    case: str
    attack: str
    epsilon_8bit: int
    transform: str
    parameter: float | None
    origin: str
    top_k: int
    n_images: int | None = None
    n_discarded: int | None = None
    n_different: int | None = None

    @property
    def variant(self) -> str:
        """Which image of a pair is looked at."""
        return variant_of(self.quantity)


def variant_of(quantity: str) -> str:
    """Returns which image of a pair a quantity looks at."""
    return "clean" if quantity == "clean_accuracy" else "adversarial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two rates side by side, and whether they differ; `difference` is the first minus the second.

    `kind` is "method" (two at the same ε), "epsilon" (two neighbouring ones of a method), "condition" (two of the same images),
    "defence" (behind one and without), "prediction", or a key of RUN_COMPARISONS. `pairing` tells what difference, interval and p
    are made from: "file" (the same files on both sides), "image" (the same clean images, attacked on each side) or "none".
    Paired, `n` images count on both: `n_both` for both rates, `n_first` and `n_second` for one alone; `interval`, `n_clusters`
    and `n_effective` are those of the differences, and p is McNemar's; `n_different` of the images are different ones. Else n is
    0 and p is Fisher's. `p_holm` is corrected over the `n_family` comparisons of one kind and top k that could be made.
    Difference and p are None where there is no image.
    """

    kind: str
    first: Rate
    second: Rate
    pairing: str
    n: int
    n_both: int
    n_first: int
    n_second: int
    difference: float | None
    low: float | None
    high: float | None
    interval: str
    n_clusters: int | None
    n_effective: float | None
    p: float | None
    p_holm: float | None = None
    n_family: int = 0
    n_different: int | None = None

    @property
    def quantity(self) -> str:
        """What both rates are of."""
        return self.first.quantity

    @property
    def case(self) -> str:
        """The case of both rates (of the first, where cases are compared)."""
        return self.first.case

    @property
    def top_k(self) -> int:
        """How many labels may hold the true one."""
        return self.first.top_k

    @property
    def is_within(self) -> bool:
        """Whether the first rate lies in the second one's interval."""
        rate, low, high = self.first.rate, self.second.low, self.second.high
        return rate is not None and low is not None and high is not None and low <= rate <= high


PREDICTED = {"destruction_rate": "destruction rate", "clean_accuracy": "accuracy of clean photographs"}
RUN_COMPARISONS = {
    "overall": "all cells together",
    "photo": "photographs",
    "file": "files",
    "transform": "digital transforms",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """How one cell's attack fares with one judge under one condition, which is the saved file or photographs of one origin.

    `n_images` views were judged. `fooled` counts, of those whose clean image the judge gets right, the adversarial ones that it
    gets wrong; the clean image is the file, or the photograph where the judge never saw the file (`clean_from`). In photographs
    `control` counts the clean ones of the same images that it gets right: what is missing was lost to print and camera, not to
    the attack. `destroyed` is Eq. 1 for this judge.
    """

    case: str
    attack: str
    epsilon_8bit: int
    judge: str
    is_imported: bool
    transform: str
    origin: str
    top_k: int
    clean_from: str
    n_images: int
    fooled: Estimate
    control: Estimate
    destroyed: Estimate


# What the attacker knows: there is no defence; it is the one that the images were made on; they were made on the model alone.
NO_DEFENCE, ADAPTIVE, UNAWARE = "none", "adaptive", "unaware"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefenceRow:
    """How one defence, or none ("", the model alone), stands against one attack under one condition (files, or photographs).

    `attack` is what the attack is called on the model alone, `attacker` one of NO_DEFENCE, ADAPTIVE and UNAWARE. `clean` and
    `adversarial` count the views that are classified right, whatever is said of the other image of the pair. `compared` sets the
    adversarial images behind the defence (first) against those without one (second), over the same clean images; it has no image
    without a defence, and in the prefiltered case, whose images were chosen by what fools. `n_passes` is how many passes of the
    network a prediction costs; `n_forward` and `n_backward` are the mean passes of the network that an adversarial image cost.
    """

    case: str
    attack: str
    epsilon_8bit: int
    defence: str
    attacker: str
    transform: str
    origin: str
    top_k: int
    clean: Estimate
    adversarial: Estimate
    compared: Comparison
    n_passes: int
    n_forward: float
    n_backward: float


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """The error of one run's model on the adversarial files of another run (Szegedy et al. 2013, Table 2), as a count.

    `n_wrong` of the `n_right` images that the model gets right when clean, of `n_images`. `kind` is "adversarial", or "noise":
    the same images with Gaussian noise of the same L2 norm. `mean_l2_8bit` is over the images counted.
    """

    case: str
    attack: str
    epsilon_8bit: int
    made_on: str
    judged_by: str
    kind: str
    n_wrong: int
    n_right: int
    n_images: int
    error_rate: float | None
    low: float | None
    high: float | None
    mean_l2_8bit: float | None


Columns = dict[str, str]


def _columns(text: str) -> Columns:
    """Returns where each column of a table stands in its records; a bare name is the name of the field as well."""
    return {name: place or name for name, _, place in (column.partition("=") for column in text.split())}


RATE_COLUMNS = _columns(
    "case attack epsilon_8bit transform parameter origin top_k n_hit n_eligible n_images n_discarded "
    "destruction_rate=rate low high interval n_clusters n_effective"
)
ACCURACY_COLUMNS = _columns(
    "case attack epsilon_8bit variant transform parameter origin top_k n_correct=n_hit n_images n_discarded "
    "accuracy=rate low high interval n_clusters n_effective"
)
OVERALL_COLUMNS = _columns(
    "quantity case transform parameter origin top_k n_hit n_eligible n_different rate low high interval n_clusters n_effective"
)
COMPARISON_COLUMNS = _columns(
    "kind quantity case top_k first_attack=first.attack first_epsilon_8bit=first.epsilon_8bit "
    "first_transform=first.transform first_origin=first.origin second_attack=second.attack "
    "second_epsilon_8bit=second.epsilon_8bit second_transform=second.transform second_origin=second.origin "
    "n n_both n_first n_second first_rate=first.rate second_rate=second.rate "
    "difference low high interval n_clusters n_effective p p_holm n_family"
)
PREDICTED_COLUMNS = _columns(
    "case attack=first.attack epsilon_8bit=first.epsilon_8bit quantity top_k "
    "n n_measured=second.n_hit n_predicted=first.n_hit n_both "
    "measured=second.rate measured_low=second.low measured_high=second.high "
    "predicted=first.rate predicted_low=first.low predicted_high=first.high "
    "difference difference_low=low difference_high=high interval n_clusters n_effective"
)
RUN_COMPARISON_COLUMNS = _columns(
    "table=kind quantity case attack=first.attack epsilon_8bit=first.epsilon_8bit transform=first.transform "
    "parameter=first.parameter top_k "
    "first_origin=first.origin first_hit=first.n_hit first_of=first.n_eligible first_rate=first.rate "
    "first_low=first.low first_high=first.high first_n_effective=first.n_effective "
    "second_origin=second.origin second_hit=second.n_hit second_of=second.n_eligible second_rate=second.rate "
    "second_low=second.low second_high=second.high second_n_effective=second.n_effective "
    "pairing n n_both n_first n_second difference low high interval n_clusters n_effective p p_holm n_family"
)
DEFENCE_COLUMNS = _columns(
    "case attack epsilon_8bit defence attacker transform origin top_k "
    "n_clean=clean.n_eligible n_clean_right=clean.n_hit "
    "clean_accuracy=clean.rate clean_low=clean.low clean_high=clean.high "
    "n_adversarial=adversarial.n_eligible n_adversarial_right=adversarial.n_hit "
    "adversarial_accuracy=adversarial.rate adversarial_low=adversarial.low adversarial_high=adversarial.high "
    "interval=adversarial.interval n_clusters=adversarial.n_clusters n_effective=adversarial.n_effective "
    "n_paired=compared.n n_both=compared.n_both n_behind_alone=compared.n_first n_without_alone=compared.n_second "
    "difference=compared.difference difference_low=compared.low difference_high=compared.high "
    "p=compared.p p_holm=compared.p_holm n_family=compared.n_family n_passes n_forward n_backward"
)
TRANSFER_COLUMNS = _columns(
    "case attack epsilon_8bit judge is_imported transform origin top_k clean_from "
    "n_images n_clean_right=fooled.n_eligible n_fooled=fooled.n_hit "
    "fooled_rate=fooled.rate fooled_low=fooled.low fooled_high=fooled.high "
    "n_control=control.n_eligible n_control_right=control.n_hit n_hit=destroyed.n_hit n_eligible=destroyed.n_eligible "
    "destruction_rate=destroyed.rate low=destroyed.low high=destroyed.high "
    "interval=fooled.interval n_clusters=fooled.n_clusters fooled_n_effective=fooled.n_effective "
    "n_effective=destroyed.n_effective"
)
