"""Accuracies and destruction rates, of the attacked model and of other judges."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """How many of the images of one cell are classified right under one condition (the paper's Tables 1 and 2).

    `interval` is a key of INTERVALS. In photographs the images lie on `n_clusters` pages, and are worth as much as `n_effective`
    independent ones; both are None elsewhere.
    """

    case: str
    attack: str
    epsilon_8bit: int
    variant: str
    transform: str
    parameter: float | None
    origin: str
    top_k: int
    n_correct: int
    n_images: int
    n_discarded: int
    accuracy: float | None
    low: float | None
    high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    n_effective: float | None = None


@dataclass(frozen=True, slots=True)
class RateRow:
    """One adversarial destruction rate (Kurakin et al. 2016, Eq. 1): `n_hit` of `n_eligible`, None where none is eligible.

    `interval`, `n_clusters` and `n_effective` are those of AccuracyRow, of the eligible images.
    """

    case: str
    attack: str
    epsilon_8bit: int
    transform: str
    parameter: float | None
    origin: str
    top_k: int
    n_hit: int
    n_eligible: int
    n_images: int
    n_discarded: int
    destruction_rate: float | None
    low: float | None
    high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    n_effective: float | None = None


INTERVALS = {
    "wilson": "Wilson's interval of independent images",
    "cluster": "Wilson's interval of the effective number of images, which share pages (over all cells: or are attacked in more "
    "than one way)",
}


@dataclass(frozen=True, slots=True)
class TransferRow:
    """How one cell's attack fares with one judge under one condition, which is the saved file or photographs of one origin.

    Of the `n_images` pairs that were judged, the judge gets the clean image of `n_clean_right` right and, of these, the
    adversarial one under this condition of `n_fooled` wrong. The clean image is the file, or the photograph where the judge
    never saw the file (`clean_from`). In photographs `n_control` of the `n_clean_right` have a clean photograph and
    `n_control_right` of these the judge gets right: what is missing there was lost to print and camera, not to the attack.
    `n_hit` of `n_eligible` is Eq. 1 for this judge. Rates are None where their n is 0 and where they cannot be known. In
    photographs the images share pages: `interval` and `n_clusters` are those of AccuracyRow, `fooled_n_effective` and
    `n_effective` the numbers of independent images that the two rates rest on.
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
    n_clean_right: int
    n_fooled: int
    fooled_rate: float | None
    fooled_low: float | None
    fooled_high: float | None
    n_control: int
    n_control_right: int
    n_hit: int
    n_eligible: int
    destruction_rate: float | None
    low: float | None
    high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    fooled_n_effective: float | None = None
    n_effective: float | None = None


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
