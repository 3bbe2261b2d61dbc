"""One-sided tests against exact ones of SciPy, and how often they call a difference that is not there."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest, hypergeom

from pipeline.statistics import paired_difference
from pipeline.statistics.one_sided import at_least, at_most, loss_within, paired_less, stratified_less


class TestOneSided:
    @pytest.mark.parametrize(("n_for", "n_against"), [(9, 2), (2, 9), (0, 5), (5, 0), (0, 0), (61, 40)])
    def test_the_paired_test_is_the_binomial_test_of_the_images_that_differ(self, n_for, n_against):
        outcomes = [(False, True)] * n_for + [(True, False)] * n_against + [(True, True)] * 7 + [(False, False)] * 3
        found = paired_less(outcomes, [range(len(outcomes))])
        expected = [
            binomtest(k, n_for + n_against, alternative="greater").pvalue if n_for + n_against else 1 for k in (n_for, n_against)
        ]
        assert (found.p, found.p_against) == (pytest.approx(expected[0]), pytest.approx(expected[1]))
        assert found.difference == pytest.approx((n_for - n_against) / len(outcomes))

    def test_images_that_come_several_times_count_for_fewer(self):
        outcomes = [(False, True)] * 8 + [(True, False)] * 2 + [(True, True)] * 10
        alone = paired_less(outcomes, [range(20)])
        repeated = paired_less(outcomes * 6, [list(range(20)) * 6])
        assert repeated.n_effective < 40
        assert alone.p / 5 < repeated.p <= alone.p * 1.6

    def test_images_that_come_several_times_in_strata_count_for_fewer(self):
        sides, hits = [False] * 20 + [True] * 20, [place < 6 for place in range(20)] + [place < 11 for place in range(20)]
        alone = stratified_less(sides, hits, [0] * 40, [range(40)])
        strata = [cell for cell in range(6) for _ in range(40)]
        repeated = stratified_less(sides * 6, hits * 6, strata, [list(range(40)) * 6])
        assert repeated.n_effective < 80
        assert alone.p / 5 < repeated.p <= alone.p * 1.6

    @pytest.mark.parametrize(("k", "n", "rate"), [(0, 20, 0.05), (3, 100, 0.05), (100, 100, 0.95), (17, 40, 0.5)])
    def test_tails_are_the_binomial_ones(self, k, n, rate):
        assert at_least(k, n, rate) == pytest.approx(binom.sf(k - 1, n, rate))
        assert at_most(k, n, rate) == pytest.approx(binom.cdf(k, n, rate))

    def test_the_tail_of_counts_that_are_not_whole_lies_between_those_of_whole_ones(self):
        assert at_least(9, 11, 0.5) < at_least(8.5, 10.5, 0.5) < at_least(8, 10, 0.5)

    @pytest.mark.parametrize(("hit", "n", "other_hit", "other_n"), [(10, 40, 22, 40), (30, 50, 28, 60), (3, 60, 9, 50)])
    def test_one_stratum_of_the_stratified_test_is_close_to_fisher_s(self, hit, n, other_hit, other_n):
        sides = [False] * n + [True] * other_n
        hits = [place < hit for place in range(n)] + [place < other_hit for place in range(other_n)]
        found = stratified_less(sides, hits, [0] * len(sides), [range(len(sides))])
        exact = hypergeom.sf(other_hit - 1, n + other_n, hit + other_hit, other_n)
        assert found.p == pytest.approx(exact, rel=0.15)
        assert found.difference == pytest.approx(other_hit / other_n - hit / n)

    def test_strata_are_not_mixed(self):
        """Simpson's paradox: in both strata the second side is lower, in their sum it is higher."""
        strata = [0] * 110 + [1] * 110
        sides = [False] * 100 + [True] * 10 + [False] * 10 + [True] * 100
        hits = [place < 30 for place in range(100)] + [place < 1 for place in range(10)]
        hits += [place < 9 for place in range(10)] + [place < 60 for place in range(100)]
        pooled = stratified_less(sides, hits, [0] * 220, [range(220)])
        within = stratified_less(sides, hits, strata, [range(220)])
        assert pooled.difference > 0 > within.difference and pooled.p < 0.01 < within.p
        assert within.p_against < 0.05

    def test_a_stratum_with_one_side_alone_says_nothing(self):
        assert stratified_less([True] * 9, [True] * 9, [0] * 9, [range(9)]) is None
        assert paired_less([], [[]]) is None and loss_within([], 0.01, 0.11, [[]]) is None

    @pytest.mark.parametrize("n_lost", [5, 8, 9, 40])
    def test_the_p_of_a_loss_is_the_level_at_which_the_interval_ends_at_the_bound(self, n_lost):
        outcomes = [(True, False)] * n_lost + [(False, True)] * 2 + [(True, True)] * (95 - n_lost) + [(False, False)] * 3
        found = loss_within(outcomes, 0.01, 0.11, [range(100)])
        ends = paired_difference(95 - n_lost, n_lost, 2, 3, 1 - min(found.p, found.p_against))
        assert min(abs(end - bound) for end in ends for bound in (0.01, 0.11)) < 1e-6
        assert found.difference == pytest.approx((n_lost - 2) / 100)

    def test_a_loss_in_the_middle_holds_and_one_outside_does_not(self):
        inside, none, much = (
            loss_within([(True, place >= n_lost) for place in range(600)], 0.01, 0.11, [range(600)]) for n_lost in (36, 0, 120)
        )
        assert inside.p < 0.001 and none.p_against < 0.05 and much.p_against < 0.001


def draws_of_a_true_null(generator: np.random.Generator, n_images: int, n_cells: int, page_sd: float, base: float):
    """Two attacks that are equally fragile: images, an image's own fragility to each attack, and pages all differ."""
    image_effect = generator.normal(0, 1, n_images)
    own_effect = generator.normal(0, 1, (2, n_images))
    outcomes, images, pages = [], [], ([], [])
    for cell in range(n_cells):
        page_effect = generator.normal(0, page_sd, (2, n_images // 3 + 1))
        for image in np.flatnonzero(generator.random(n_images) < 0.7):
            logits = base + image_effect[image] + own_effect[:, image] + page_effect[:, image // 3]
            outcomes.append(tuple(generator.random(2) < 1 / (1 + np.exp(-logits))))
            images.append(image)
            for side in range(2):
                pages[side].append((cell, side, image // 3))
    return outcomes, images, pages


class TestFalseAlarms:
    """Of 400 draws of a true null at most 5 % are called at the 5 % level; 4 more points are the luck of so few draws."""

    N = 400
    MOST = 0.05 + 2.5 * (0.05 * 0.95 / N) ** 0.5

    @pytest.mark.parametrize(
        ("n_images", "n_cells", "page_sd", "base"), [(12, 4, 0.7, -0.5), (40, 6, 0.7, -0.5), (60, 2, 0, -2.5)]
    )
    def test_equally_fragile_attacks_are_told_apart_in_one_case_of_twenty(self, n_images, n_cells, page_sd, base):
        generator = np.random.default_rng([n_images, n_cells])
        called = np.zeros(4)
        for _ in range(self.N):
            outcomes, images, (first, second) = draws_of_a_true_null(generator, n_images, n_cells, page_sd, base)
            paired = paired_less(outcomes, [images, first, second])
            sides, hits = (
                [False] * len(outcomes) + [True] * len(outcomes),
                [side for one in zip(*outcomes, strict=True) for side in one],
            )
            strata = [page[0] for page in first] * 2
            apart = stratified_less(sides, hits, strata, [images * 2, first + second])
            called += [p < 0.05 for found in (paired, apart) for p in (found.p, found.p_against)]
        assert (called / self.N <= self.MOST).all(), called / self.N

    @pytest.mark.parametrize("loss", [0.01, 0.11])
    def test_a_loss_at_the_bound_is_called_within_it_in_one_case_of_twenty(self, loss):
        generator = np.random.default_rng(int(1000 * loss))
        called = 0
        for _ in range(self.N):
            fragile = generator.beta(0.5, 0.5 * (0.9 - loss) / loss, 40)
            right = generator.random(40) < 0.9
            outcomes = [(right[i], right[i] and generator.random() >= fragile[i]) for _ in range(4) for i in range(40)]
            pages = [(cell, i // 3) for cell in range(4) for i in range(40)]
            called += loss_within(outcomes, 0.01, 0.11, [list(range(40)) * 4, pages]).p < 0.05
        assert called / self.N <= self.MOST
