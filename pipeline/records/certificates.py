"""What can be proved of a smoothed classifier: one image's radius, and the share of images with a radius or more."""

from dataclasses import dataclass

from pipeline.records.rates import Estimate


@dataclass(frozen=True, slots=True)
class Certificate:
    """What `n_hit` of `n_samples` noisy copies with one answer prove of one image (Cohen et al. 2019, Algorithm 1 and Theorem 1).

    Except with a chance of `alpha`, no change of the image's pixels with an L2 norm below `radius` (pixels in [0, 1], all three
    channels; `radius_8bit`: in 8-bit levels) changes the answer of the smoothed classifier. `predicted_label` is the answer, also
    where `is_abstained`: then the copies prove nothing, and the radius is 0. `radius_at_most` is what the upper bound of the same
    confidence would give, None where there is none: what more copies could raise `radius` to.
    """

    defence: str
    image_id: str
    true_label: int
    true_name: str
    predicted_label: int
    predicted_name: str
    is_abstained: bool
    radius: float
    radius_8bit: float
    radius_at_most: float | None
    n_hit: int
    n_samples: int
    alpha: float
    sigma_8bit: float

    def holds(self, distance: float) -> bool:
        """Whether the true class is certified at an L2 distance, of pixels in [0, 1]."""
        return not self.is_abstained and self.predicted_label == self.true_label and self.radius >= distance

    def may_hold(self, distance: float) -> bool:
        """Whether it could be with more copies."""
        within = self.radius_at_most is None or self.radius_at_most >= distance
        return self.predicted_label == self.true_label and within


@dataclass(frozen=True, slots=True)
class CertifiedRate:
    """The share of a defence's images whose true class is certified at an L2 distance, and what more copies could make of it."""

    defence: str
    radius: float
    radius_8bit: float
    certified: Estimate
    at_most: Estimate
