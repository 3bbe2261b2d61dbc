"""Top-k accuracy, destruction rates, distances, intervals and paired tests: pure functions on counts and arrays."""

from pipeline.statistics.clusters import effective_number, planned_effective_number
from pipeline.statistics.comparing import PairedResult, Sample, compare_independent, compare_paired, fisher, holm, mcnemar
from pipeline.statistics.distances import l2_8bit, linf_8bit, n_changed_pixels, ssim
from pipeline.statistics.intervals import binomial_bounds, independent_difference, paired_difference, wilson
from pipeline.statistics.sample_size import detectable_difference, half_width, n_for_difference, n_for_half_width
