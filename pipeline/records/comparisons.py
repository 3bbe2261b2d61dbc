"""Two rates side by side: of one run, of a run and its prediction, of two runs."""

from dataclasses import dataclass

# Of a two-sided test, after correction.
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """Two rates over the same `n` images, each image compared with itself; `difference` is the first minus the second.

    `kind` is a key of COMPARISONS, `quantity` of COMPARED_QUANTITIES. `n_both` images count for both rates, `n_first` and
    `n_second` for one alone. `interval`, `n_clusters` and `n_effective` are those of AccuracyRow, of the differences. `p` is
    McNemar's, `p_holm` is corrected over the `n_family` comparisons of one kind and top k that could be made. Rates, difference
    and p are None where n is 0.
    """

    kind: str
    quantity: str
    case: str
    top_k: int
    first_attack: str
    first_epsilon_8bit: int
    first_transform: str
    first_origin: str
    second_attack: str
    second_epsilon_8bit: int
    second_transform: str
    second_origin: str
    n: int
    n_both: int
    n_first: int
    n_second: int
    first_rate: float | None
    second_rate: float | None
    difference: float | None
    low: float | None
    high: float | None
    interval: str
    n_clusters: int | None
    n_effective: float | None
    p: float | None
    p_holm: float | None
    n_family: int


COMPARISONS = {
    "method": "two methods at the same ε",
    "epsilon": "two neighbouring ε of one method",
    "condition": "two conditions of the same images",
}
COMPARED_QUANTITIES = {
    "fooled_rate": "fooled, of the files that are right when clean",
    "destruction_rate": "destroyed, of the attacks that work as files",
    "clean_accuracy": "clean images classified right",
    "adversarial_accuracy": "adversarial images classified right",
}


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One rate measured on real photographs beside the one that simulated photographs predict, over the same `n` pairs.

    `quantity` is a key of COMPARED. `n_measured`, `n_predicted` and `n_both` of the pairs count for the measured rate, for the
    predicted one, and for both. Intervals are 95 %; `difference` is predicted minus measured. `interval`, `n_clusters` and
    `n_effective` are those of AccuracyRow, the last one of the differences. Rates are None where n is 0.
    """

    case: str
    attack: str
    epsilon_8bit: int
    quantity: str
    top_k: int
    n: int
    n_measured: int
    n_predicted: int
    n_both: int
    measured: float | None
    measured_low: float | None
    measured_high: float | None
    predicted: float | None
    predicted_low: float | None
    predicted_high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    n_effective: float | None = None

    @property
    def is_within(self) -> bool:
        """Whether the predicted rate lies in the measured one's interval."""
        return self.n > 0 and self.measured_low <= self.predicted <= self.measured_high


COMPARED = {
    "destruction_rate": "destruction rate",
    "clean_accuracy": "accuracy of clean photographs",
}


@dataclass(frozen=True, slots=True)
class AgainstRow:
    """One rate of two runs side by side, and whether they differ; `difference` is the first run's minus the second's.

    `table` is a key of AGAINST_TABLES, `quantity` of COMPARED_QUANTITIES; `attack` is "" where it is over all cells of the case.
    Each run's own rate is `hit` of `of` with its interval; `interval` and `n_effective` are those of AccuracyRow. `pairing`, a
    key of PAIRINGS, tells what difference, interval and p are made from. Where images are paired, `n` images count in both runs:
    `n_both` for both rates, `n_first` and `n_second` for one alone; `n_clusters` and `n_effective` are those of the differences,
    and p is McNemar's. Where they are not, n is 0 and p is Fisher's. `p_holm` is corrected over the `n_family` comparisons of one
    table and top k. Rates, difference and p are None where they have no image.
    """

    table: str
    quantity: str
    case: str
    attack: str
    epsilon_8bit: int
    transform: str
    parameter: float | None
    top_k: int
    first_origin: str
    first_hit: int
    first_of: int
    first_rate: float | None
    first_low: float | None
    first_high: float | None
    first_n_effective: float | None
    second_origin: str
    second_hit: int
    second_of: int
    second_rate: float | None
    second_low: float | None
    second_high: float | None
    second_n_effective: float | None
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
    p_holm: float | None
    n_family: int


AGAINST_TABLES = {
    "overall": "all cells together",
    "photo": "photographs",
    "file": "files",
    "transform": "digital transforms",
}
PAIRINGS = {
    "file": "the same files in both runs",
    "image": "the same clean images, attacked in each run",
    "none": "different images",
}
