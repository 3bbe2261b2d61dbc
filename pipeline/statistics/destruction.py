"""The adversarial destruction rate of Kurakin, Goodfellow and Bengio (2016), Eq. 1, as counts."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """`n_hit` of `n_eligible`: the rate is None where nothing is eligible, never 0."""

    n_hit: int
    n_eligible: int

    @property
    def rate(self) -> float | None:
        """The destruction rate d in [0, 1]."""
        return self.n_hit / self.n_eligible if self.n_eligible else None


def destruction_counts(outcomes: Iterable[tuple[bool, bool, bool]]) -> Counts:
    """Returns the numerator and denominator of Eq. 1.

    d = sum C(X, y) notC(X_adv, y) C(T(X_adv), y) / sum C(X, y) notC(X_adv, y): of the images whose clean file is
    classified right and whose adversarial file is classified wrong, the share that is right again after T.

    Args:
        outcomes: for each image whether the clean file, the adversarial file and the transformed adversarial image
            are classified right. For top-5, right means that the true label is among the five likeliest.
    """
    restored = [after for clean, adversarial, after in outcomes if clean and not adversarial]
    return Counts(sum(restored), len(restored))
