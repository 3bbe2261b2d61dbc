"""Top-k accuracy, destruction rates, distances and confidence intervals: pure functions on counts and arrays."""

from pipeline.metrics.destruction import Counts, destruction_counts
from pipeline.metrics.distances import l2_8bit, linf_8bit, n_changed_pixels, ssim
from pipeline.metrics.intervals import paired_difference, wilson

__all__ = ["Counts", "destruction_counts", "l2_8bit", "linf_8bit", "n_changed_pixels", "paired_difference", "ssim", "wilson"]
