"""What a run is held to, and whether it keeps to it."""

from dataclasses import dataclass

from pipeline.records.rates import Comparison, Rate
from pipeline.records.selection import Cell
from pipeline.records.views import PHOTO, SOURCE

# What a limit can be set to: the quantity of a `Rate`, and what it is counted under.
Counted = tuple[str, str]
# The accuracies by the word that a person writes.
ACCURACIES: dict[str, Counted] = {
    "clean": ("clean_accuracy", SOURCE),
    "adversarial": ("adversarial_accuracy", SOURCE),
    "clean-photo": ("clean_accuracy", PHOTO),
    "photo": ("adversarial_accuracy", PHOTO),
}
DESTRUCTION: Counted = ("destruction_rate", PHOTO)
# What a limit is compared with: the worse end of the 95 % interval, or the rate itself.
BOUND, RATE = "bound", "rate"


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit on one number, top-1; the attack of `cell` is "" over all cells of its case.

    `key` is the setting ("min_accuracy", "min_destruction", "max_destruction" or "max_drop"), `place` what a person wrote,
    `limit` a share in [0, 1]: of "max_drop" the most that the accuracy may lie below that of another run. `on` is BOUND or RATE.
    """

    key: str
    place: str
    limit: float
    on: str
    counted: Counted
    cell: Cell

    @property
    def is_least(self) -> bool:
        """Whether the number may not lie below the limit, rather than above it."""
        return self.key.startswith("min")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run keeps to a rule: `measured` is the share, or the drop, that was compared with the limit.

    `found` is what it comes from: a rate of this run, or the comparison of this run (first) with `other`. `is_rate_within`:
    whether the rate, or the drop, keeps to the limit where its interval is left out.
    """

    rule: Rule
    found: Rate | Comparison
    measured: float
    is_kept: bool
    is_rate_within: bool
    other: str = ""
