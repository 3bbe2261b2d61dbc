"""Top-k accuracy, destruction rates, distances, intervals and paired tests: pure functions on counts and arrays."""

from pipeline.statistics.clusters import (
    EffectiveNumber,
    cluster_interval,
    effective_number,
    planned_effective_number,
    resampled_rates,
)
from pipeline.statistics.distances import l2_8bit, linf_8bit, n_changed_pixels, ssim
from pipeline.statistics.independent import IndependentResult, compare_independent, fisher
from pipeline.statistics.intervals import independent_difference, paired_difference, wilson
from pipeline.statistics.paired import PairedResult, compare_paired, holm, mcnemar
from pipeline.statistics.sample_size import detectable_difference, half_width, n_for_difference, n_for_half_width
