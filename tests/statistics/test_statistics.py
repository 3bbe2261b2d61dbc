"""Intervals of images that share pages, paired tests and sample sizes: against SciPy, closed forms and simulation."""

import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from kept_files import read_json, read_table, write_json, write_table
from made_up_run import cluster_interval
from PIL import Image
from scipy.stats import beta, binom, binomtest, norm, t

from pipeline.document.tables import as_text
from pipeline.engine import Context
from pipeline.evaluation.comparing import comparisons
from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.outcomes import Outcomes
from pipeline.records import (
    PHOTO,
    SOURCE,
    Candidate,
    Capture,
    Comparison,
    Discard,
    Pair,
    Prediction,
    Printout,
    Rate,
    ThresholdRow,
    View,
)
from pipeline.report.comparisons import comparison_sentence, comparison_tables
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_stage
from pipeline.statistics import (
    compare_paired,
    detectable_difference,
    effective_number,
    half_width,
    holm,
    mcnemar,
    n_for_difference,
    n_for_half_width,
    paired_difference,
    planned_effective_number,
    wilson,
)
from pipeline.store import Run, record_from


def clustered(generator: np.random.Generator, rate: float, icc: float, sizes: list[int]) -> tuple[list[bool], list[int]]:
    """Draws outcomes whose pages have beta-distributed rates: two images of one page correlate by `icc`."""
    shape = (1 - icc) / icc if icc else 0
    of_page = beta.rvs(rate * shape, (1 - rate) * shape, size=len(sizes), random_state=generator) if icc else [rate] * len(sizes)
    outcomes = [bool(generator.random() < share) for share, size in zip(of_page, sizes, strict=True) for _ in range(size)]
    return outcomes, [page for page, size in enumerate(sizes) for _ in range(size)]


def coverage(rate: float, icc: float, sizes: list[int], n_draws: int, interval=cluster_interval) -> float:
    generator = np.random.default_rng([int(1000 * rate), int(1000 * icc), len(sizes), sizes[0]])
    covered = 0
    for _ in range(n_draws):
        low, high = interval(*clustered(generator, rate, icc, sizes))
        covered += low <= rate <= high
    return covered / n_draws


def worth(n: int, n_pages: int, seen: float, assumed: float) -> float:
    """The effective number of images by the formula of docs/statistics.md: four pages' worth of a correlation of 0.2."""
    design = ((n_pages - 1) * seen + 4 * assumed) / (n_pages + 3)
    return max(n_pages, n / (1 + max(0, design - 1) * (t.ppf(0.975, n_pages + 3) / norm.ppf(0.975)) ** 2))


def wilson_of_all(outcomes, clusters):
    return wilson(sum(outcomes), len(outcomes))


class TestClusterInterval:
    def test_one_image_a_page_is_the_ordinary_wilson_interval(self):
        outcomes = [True] * 7 + [False] * 13
        assert cluster_interval(outcomes, range(20)) == pytest.approx(wilson(7, 20), abs=1e-15)

    def test_the_formula_of_a_worked_example(self):
        # Eight pages of two, one all right and two half right. Totals of residuals 1.5, 0.5, 0.5 and five of -0.5: their squares
        # add up to 4, those of the sixteen residuals to 3.
        outcomes = [True, True, True, False, True, False] + [False] * 10
        pages = [page for page in range(8) for _ in range(2)]
        design = (7 * (4 * 8 / 7 / 3) + 4 * 1.2) / 11  # seen with 7 degrees of freedom, assumed with 4
        expected = 16 / (1 + (design - 1) * (t.ppf(0.975, 11) / norm.ppf(0.975)) ** 2)
        number = effective_number(outcomes, [pages])
        assert (number.n, number.n_clusters) == (16, 8)
        assert number.n_effective == pytest.approx(expected, rel=1e-9)
        assert cluster_interval(outcomes, pages) == pytest.approx(wilson(expected / 4, expected), rel=1e-9)

    def test_pages_that_disagree_inside_never_count_for_more_than_their_images(self):
        outcomes = [True, False] * 10
        assert effective_number(outcomes, [[page for page in range(10) for _ in range(2)]]).n_effective == 20

    def test_pages_of_one_mind_count_for_fewer_images_and_widen_the_interval(self):
        outcomes = [page < 4 for page in range(10) for _ in range(3)]
        pages = [page for page in range(10) for _ in range(3)]
        low, high = cluster_interval(outcomes, pages)
        plain = wilson(12, 30)
        assert low < plain[0] and high > plain[1]

    @pytest.mark.parametrize("hit", [False, True])
    def test_where_all_agree_the_assumed_correlation_speaks(self, hit):
        outcomes, pages = [hit] * 30, [page for page in range(10) for _ in range(3)]
        number = worth(30, 10, 1.4, 1.4)
        assert 10 < number < 30 / 1.4
        assert cluster_interval(outcomes, pages) == pytest.approx(wilson(number * hit, number))

    @pytest.mark.parametrize(("n_pages", "expected"), [(1, 1), (2, 6 / 1.5), (4, 12 / 1.2), (5, 15)])
    def test_the_fewer_pages_the_more_counts_what_is_assumed(self, n_pages, expected):
        """Pages that fall no more together than chance (and on two, so much less that nothing but the assumption is left)."""
        outcomes = [True, True, False] * n_pages
        number = effective_number(outcomes, [[page for page in range(n_pages) for _ in range(3)]])
        assert number.n_clusters == n_pages
        assert number.n_effective == pytest.approx(1 if n_pages == 1 else worth(3 * n_pages, n_pages, 0, 1.4))
        assert number.n_effective == pytest.approx(expected, rel=0.35)

    def test_a_page_counts_for_one_image_at_least(self):
        outcomes = [True, True, True, False, False, False]
        assert effective_number(outcomes, [[0, 0, 0, 1, 1, 1]]).n_effective == 2

    @pytest.mark.parametrize(("n_pages", "of_page", "correlation"), [(40, 3, 0.3), (40, 6, 0.1), (60, 2, 0.8), (40, 4, 0.0)])
    def test_what_is_planned_is_what_equal_pages_give(self, n_pages, of_page, correlation):
        """Of 300 runs drawn with such a correlation, the effective number is on average the planned one."""
        generator = np.random.default_rng(1)
        drawn = [clustered(generator, 0.5, correlation, [of_page] * n_pages) for _ in range(300)]
        found = np.mean([effective_number(outcomes, [pages]).n_effective for outcomes, pages in drawn])
        assert planned_effective_number(n_pages * of_page, n_pages, correlation) == pytest.approx(found, rel=0.05)

    def test_a_single_page_is_planned_as_one_image_and_pages_of_one_image_as_themselves(self):
        assert [planned_effective_number(*plan) for plan in ((12, 1, 0.0), (9, 9, 1.0), (0, 0, 0.1))] == [1, 9, 0]

    def test_the_order_of_images_and_the_names_of_pages_do_not_matter(self):
        outcomes, pages = clustered(np.random.default_rng(4), 0.4, 0.3, [3] * 12)
        shuffled = np.random.default_rng(5).permutation(len(outcomes))
        names = [f"page-{pages[place]}" for place in shuffled]
        assert cluster_interval([outcomes[place] for place in shuffled], names) == pytest.approx(
            cluster_interval(outcomes, pages)
        )

    def test_photographing_every_page_twice_adds_almost_nothing(self):
        """Repeated measures: the same pages seen again are not new pages."""
        outcomes, pages = clustered(np.random.default_rng(6), 0.4, 0.2, [3] * 20)
        once, twice = effective_number(outcomes, [pages]), effective_number(outcomes * 2, [pages * 2])
        assert twice.n == 2 * once.n
        assert twice.n_effective < 1.1 * once.n_effective

    def test_an_image_that_is_there_twice_is_one_image(self):
        """Where all agree the pages cannot say how alike two photographs of one image are: never more than the images."""
        outcomes, pages = [True] * 6, [0, 0, 1] * 2
        assert effective_number(outcomes, [pages]).n_effective > 3
        assert effective_number(outcomes, [pages], n_different=3).n_effective == 3

    def test_its_variance_is_the_one_that_resampling_pages_converges_to(self):
        sizes = [1, 2, 3, 3, 4] * 6
        outcomes, pages = clustered(np.random.default_rng(8), 0.4, 0.3, sizes)
        n_hit = np.bincount(pages, weights=outcomes)
        weights = np.random.default_rng(9).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=20_000)
        drawn = (weights @ n_hit) / (weights @ np.bincount(pages))
        rate, n, n_clusters = np.mean(outcomes), len(outcomes), len(sizes)
        # The effective number without Student's factor, without what is assumed, and without the correction by G / (G - 1) that
        # resampling lacks.
        factor = (t.ppf(0.975, n_clusters + 3) / norm.ppf(0.975)) ** 2
        design = 1 + (n / effective_number(outcomes, [pages]).n_effective - 1) / factor
        assumed = 1 + 0.2 * (sum(size**2 for size in sizes) / n - 1)
        design = ((n_clusters + 3) * design - 4 * assumed) / (n_clusters - 1)
        assert drawn.var() == pytest.approx(design * rate * (1 - rate) / n * (n_clusters - 1) / n_clusters, rel=0.05)

    @pytest.mark.parametrize("memberships", [[], [[1, 2]], [[1, 2, 3], [1, 2]]], ids=["none", "too-short", "second-too-short"])
    def test_every_image_needs_a_page(self, memberships):
        with pytest.raises(ValueError, match="expected a cluster for each of 3 values"):
            effective_number([1, 0, 1], memberships)


QUICK = [(0.3, 0.2, [3] * 17), (0.5, 0.3, [6] * 17), (0.1, 0.1, [3] * 34)]


@pytest.mark.parametrize(
    ("rate", "icc", "sizes"), QUICK, ids=lambda value: f"{value[0]}x{len(value)}" if isinstance(value, list) else None
)
def test_the_interval_covers_what_it_says_where_images_share_pages(rate, icc, sizes):
    assert 0.925 <= coverage(rate, icc, sizes, 600) <= 0.98


def test_the_plain_interval_covers_too_little_where_images_share_pages():
    assert coverage(0.5, 0.3, [6] * 17, 600, wilson_of_all) < 0.85


@pytest.mark.slow
def test_the_95_per_cent_interval_covers_93_to_97_per_cent_over_rates_pages_and_correlations():
    """The mean over the whole grid, and most settings, lie inside; none is far outside (table: docs/statistics.md)."""
    grid = product((0.1, 0.3, 0.5, 0.8), (0.0, 0.1, 0.3), ([3] * 12, [3] * 17, [3] * 34, [6] * 17, [1, 2, 3] * 11))
    found = np.array([coverage(*setting, 2000) for setting in grid])
    assert 0.945 <= found.mean() <= 0.965
    assert np.mean((found >= 0.93) & (found <= 0.97)) >= 0.85
    assert found.min() > 0.91 and found.max() < 0.985


class TestPairedTest:
    @pytest.mark.parametrize(("n_first", "n_second"), [(0, 0), (0, 5), (5, 0), (3, 9), (12, 12), (40, 61), (1, 30)])
    def test_mcnemar_equals_scipys_binomial_test(self, n_first, n_second):
        expected = binomtest(n_first, n_first + n_second).pvalue if n_first + n_second else 1.0
        assert mcnemar(n_first, n_second) == pytest.approx(expected, rel=1e-12)

    def test_a_published_example(self):
        # Agresti, Categorical Data Analysis (2nd ed.), Table 10.1: 150 against 86 change their minds, z = -4.17.
        assert mcnemar(150, 86) == pytest.approx(2 * norm.sf(4.17), rel=0.25)

    def test_scaled_counts_lie_between_those_of_whole_ones(self):
        assert mcnemar(2, 8) > mcnemar(2.5, 10) > mcnemar(3, 12)

    def test_counts_are_not_negative(self):
        with pytest.raises(ValueError, match="expected counts"):
            mcnemar(-1, 3)

    def test_independent_images_get_the_exact_test_and_newcombes_interval(self):
        outcomes = [(True, True)] * 10 + [(True, False)] * 9 + [(False, True)] * 2 + [(False, False)] * 15
        found = compare_paired(outcomes)
        assert (found.n, found.n_both, found.n_first, found.n_second) == (36, 10, 9, 2)
        assert found.difference == pytest.approx(7 / 36)
        assert found.p == pytest.approx(binomtest(2, 11).pvalue, rel=1e-12)
        assert (found.low, found.high) == pytest.approx(paired_difference(10, 9, 2, 15))
        assert (found.n_effective, found.n_clusters) == (36, 36)

    def test_swapping_the_two_turns_the_sign_and_keeps_p(self):
        outcomes = [(True, False)] * 9 + [(False, True)] * 2 + [(True, True)] * 4
        one, other = compare_paired(outcomes), compare_paired([(b, a) for a, b in outcomes])
        assert other.difference == -one.difference
        assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
        assert other.p == one.p

    def test_without_images_nothing_is_said(self):
        found = compare_paired([])
        assert (found.n, found.difference, found.low, found.high, found.p) == (0, None, None, None, None)

    def test_pages_that_fall_together_make_a_difference_less_certain(self):
        outcomes = [(True, False)] * 12 + [(False, True)] * 3 + [(True, True)] * 15
        pages = [place // 3 for place in range(30)]
        alone, shared = compare_paired(outcomes), compare_paired(outcomes, [pages])
        assert shared.p > alone.p
        assert shared.low < alone.low and shared.high > alone.high
        assert shared.difference == alone.difference

    def test_two_ways_of_sharing_pages_count_both(self):
        generator = np.random.default_rng(7)
        first, second = np.repeat(np.arange(12), 5), np.tile(np.arange(12), 5)
        values = generator.normal(size=12)[first] + generator.normal(size=12)[second] + 0.1 * generator.normal(size=60)
        one_way = [effective_number(values, [ways]).n_effective for ways in (first.tolist(), second.tolist())]
        both = effective_number(values, [first.tolist(), second.tolist()]).n_effective
        assert both < min(one_way)

    def test_two_ways_are_added_and_what_they_share_is_taken_off_once(self):
        # Six pages by six, one image in each; one image more on the first two. By hand, from the sums of every page.
        effects, rest = np.random.default_rng(2).normal(size=(2, 6)), np.random.default_rng(2).normal(size=36)
        values = [0.5, *(0.4 * (np.repeat(effects[0], 6) + np.tile(effects[1], 6)) + rest)]
        first, second = [0, *np.repeat(np.arange(6), 6).tolist()], [0, *np.tile(np.arange(6), 6).tolist()]
        residuals = np.array(values) - np.mean(values)
        rows, columns = (sum(residuals[np.array(way) == page].sum() ** 2 for page in range(6)) * 6 / 5 for way in (first, second))
        both = (np.sum(residuals[2:] ** 2) + residuals[:2].sum() ** 2) * 36 / 35
        design = (rows + columns - both) / np.sum(residuals**2)
        assert design > max(rows, columns) / np.sum(residuals**2) > 1
        expected = worth(37, 6, design, 1 + 0.2 * ((7**2 + 5 * 6**2) / 37 - 1))
        assert effective_number(values, [first, second]).n_effective == pytest.approx(expected)
        assert expected > 6

    def test_a_third_way_is_added_and_what_two_or_three_share_is_taken_off_and_put_back(self):
        # Cameron, Gelbach and Miller 2011, Eq. 2.13, with every intersection of ways summed by hand.
        generator = np.random.default_rng(11)
        ways = [generator.integers(0, n, 60).tolist() for n in (6, 7, 8)]
        values = sum(0.3 * generator.normal(size=8)[way] for way in ways) + generator.normal(size=60)
        residuals = values - values.mean()

        def between(*chosen: list[int]) -> float:
            totals: dict[tuple[int, ...], float] = {}
            for residual, *key in zip(residuals, *chosen, strict=True):
                totals[tuple(key)] = totals.get(tuple(key), 0.0) + residual
            return sum(total**2 for total in totals.values()) * len(totals) / (len(totals) - 1)

        a, b, c = ways
        joint = between(a) + between(b) + between(c) - between(a, b) - between(a, c) - between(b, c) + between(a, b, c)
        assert joint > max(between(way) for way in ways)
        assumed = 1 + 0.2 * (max(sum(way.count(key) ** 2 for key in set(way)) for way in ways) / 60 - 1)
        expected = worth(60, 6, joint / np.sum(residuals**2), assumed)
        assert effective_number(values, ways).n_effective == pytest.approx(expected)

    def test_the_same_way_twice_is_that_way(self):
        outcomes, pages = clustered(np.random.default_rng(4), 0.4, 0.3, [3] * 12)
        assert effective_number(outcomes, [pages, pages]).n_effective == pytest.approx(
            effective_number(outcomes, [pages]).n_effective
        )

    @pytest.mark.parametrize(("icc", "n_pages"), [(0.0, 17), (0.3, 17), (0.3, 34)])
    def test_false_alarms_stay_at_the_level_where_images_share_pages(self, icc, n_pages):
        generator = np.random.default_rng([3, n_pages, int(10 * icc)])
        alarms = 0
        for _ in range(800):
            (first, pages), (second, _) = (clustered(generator, 0.4, icc, [3] * n_pages) for _ in range(2))
            alarms += compare_paired(list(zip(first, second, strict=True)), [pages]).p < 0.05
        assert alarms / 800 < 0.065

    def test_the_exact_test_raises_too_many_alarms_where_images_share_pages(self):
        generator = np.random.default_rng(3)
        alarms = 0
        for _ in range(800):
            (first, _), (second, _) = (clustered(generator, 0.4, 0.3, [6] * 17) for _ in range(2))
            alarms += compare_paired(list(zip(first, second, strict=True))).p < 0.05
        assert alarms / 800 > 0.1


class TestHolm:
    def test_a_worked_example(self):
        # Holm 1979: the smallest times 4, the next times 3, ... never smaller than the one before.
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_what_was_not_tested_is_not_counted(self):
        assert holm([0.02, None, 0.03]) == [pytest.approx(0.04), None, pytest.approx(0.04)]

    def test_nothing_exceeds_one_or_falls_below_its_own_p(self):
        p = np.random.default_rng(1).random(200)
        corrected = holm(p.tolist())
        assert all(before <= after <= 1 for before, after in zip(p, corrected, strict=True))

    def test_a_table_of_true_nulls_is_wrong_about_one_time_in_twenty(self):
        generator = np.random.default_rng(2)
        alarms = sum(min(holm(generator.random(20).tolist())) < 0.05 for _ in range(2000))
        assert 0.035 < alarms / 2000 < 0.065

    def test_an_empty_table_is_empty(self):
        assert holm([]) == []


class TestSampleSize:
    def test_it_is_the_least_number_whose_interval_is_narrow_enough(self, subtests):
        for wished, rate in product((0.05, 0.1, 0.2), (0.0, 0.1, 0.5, 0.9)):
            with subtests.test(wished=wished, rate=rate):
                n = n_for_half_width(wished, rate)
                assert half_width(rate, n) <= wished < half_width(rate, n - 1)

    def test_the_worst_case_of_ten_points_is_the_textbooks_number(self):
        # n = z^2 (1 / (4 h^2) - 1) for Wilson at p = 1/2.
        assert n_for_half_width(0.1) == int(np.ceil(norm.ppf(0.975) ** 2 * (1 / 0.04 - 1)))

    def test_images_that_share_pages_are_needed_in_larger_number(self):
        assert n_for_half_width(0.1, design_effect=2) == pytest.approx(2 * n_for_half_width(0.1), abs=2)

    @pytest.mark.parametrize(("difference", "discordant"), [(0.2, 0.3), (0.1, 0.2), (0.15, 0.5)])
    def test_the_exact_test_has_about_the_promised_power(self, difference, discordant):
        n = n_for_difference(difference, discordant, power=0.8)
        share = (discordant + difference) / 2 / discordant
        power = sum(
            binom.pmf(m, n, discordant) * sum(binom.pmf(k, m, share) for k in range(m + 1) if mcnemar(k, m - k) < 0.05)
            for m in range(n + 1)
            if binom.pmf(m, n, discordant) > 1e-9
        )
        assert 0.7 < power < 0.87

    def test_the_detectable_difference_turns_the_number_around(self):
        n = n_for_difference(0.2, 0.3)
        assert detectable_difference(n, 0.3) == pytest.approx(0.2, abs=0.003)
        assert detectable_difference(2, 0.3) is None
        for power in (0.5, 0.8, 0.95):
            least = detectable_difference(400, 0.3, power)
            assert n_for_difference(least * (1 + 1e-9), 0.3, power) == 400 < n_for_difference(least * (1 - 1e-3), 0.3, power)

    @pytest.mark.parametrize("bad", [(0, 0.5), (0.6, 0.5), (0.7, 1)])
    def test_a_width_that_cannot_be_is_refused(self, bad):
        with pytest.raises(ValueError, match="expected 0 < wished"):
            n_for_half_width(bad[0] if bad[0] != 0.7 else 0.1, bad[1], 0.5 if bad[0] == 0.7 else 1.0)

    @pytest.mark.parametrize("bad", [(0, 0.5), (0.6, 0.5)])
    def test_a_difference_that_cannot_be_is_refused(self, bad):
        with pytest.raises(ValueError, match=r"expected 0 < .difference"):
            n_for_difference(*bad)


# Six images, two a page, on three pages of either cell; the labels a view is given: 0 is right, 1 and up is wrong.
def a_run(first: str, second: str, clean: str = "......", photo_clean: str = "......"):
    """A run of two attacks: what the model says of each image, "." right and "x" wrong, "file>photo" for either attack."""
    pairs, views, predictions = [], [], {}

    def view(image: int, variant: str, attack: str, transform: str, mark: str) -> None:
        key = f"{transform}/{variant}/{attack}/{image}"
        photographed = transform == PHOTO
        views.append(
            View(
                view_id=key,
                image_id=f"i{image}",
                variant=variant,
                attack=attack if variant == "adversarial" else "",
                epsilon_8bit=16 if variant == "adversarial" else 0,
                pair_id=f"{attack}/i{image}" if variant == "adversarial" or photographed else "",
                transform=transform,
                parameter=None,
                path="",
                sha256="",
                origin="camera" if photographed else "digital",
                capture_id=f"{attack}-{image // 2}" if photographed else "",
                predicted_error_px=0.1 if photographed else None,
            )
        )
        labels = (0, 1, 2, 3, 4) if mark == "." else (1, 2, 3, 4, 5)
        predictions[key] = Prediction(key, 0, labels, (0.2,) * 5, 0.2)

    for image, mark in enumerate(clean):
        view(image, "clean", "", SOURCE, mark)
    for attack, text in (("fgsm", first), ("bim", second)):
        for image, (file, photo) in enumerate(zip(*text.split(">"), strict=True)):
            pair = {"pair_id": f"{attack}/i{image}", "image_id": f"i{image}", "attack": attack, "epsilon_8bit": 16}
            pair |= {"true_label": 0, "target_label": None, "clean_path": "", "adversarial_path": ""}
            pairs.append(Pair(**pair, cases=("average",), linf_8bit=16, l2_8bit=1, ssim=1, n_forward=1, n_backward=1))
            view(image, "adversarial", attack, SOURCE, file)
            view(image, "adversarial", attack, PHOTO, photo)
            view(image, "clean", attack, PHOTO, photo_clean[image])
    pages = {f"{attack}-{number}": 3 * place + number + 1 for place, attack in enumerate(("fgsm", "bim")) for number in range(3)}
    cells = {("average", name, 16): [pair for pair in pairs if pair.attack == name] for name in ("fgsm", "bim")}
    return cells, Outcomes.of_model(views, predictions, pages)


def rows_of(*marks: str, **options: str) -> dict[tuple, Comparison]:
    cells, outcomes = a_run(*marks, **options)
    return {(row.kind, row.quantity, row.first.attack, row.top_k): row for row in comparisons(cells, outcomes)}


class TestComparisons:
    def test_methods_are_compared_over_images_eligible_in_both(self):
        found = rows_of("xxxxx.>....x.", "xxxx.x>x..x.x", clean=".....x")["method", "destruction_rate", "fgsm", 1]
        # Images 0 to 3 work with both attacks; 4 fails with the one, and 5 is wrong when clean.
        assert (found.n, found.n_both, found.n_first, found.n_second) == (4, 2, 2, 0)
        assert (found.first.rate, found.second.rate, found.difference) == (1.0, 0.5, 0.5)
        assert (found.interval, found.n_clusters) == ("cluster", 2)

    def test_files_are_compared_without_pages_and_exactly(self):
        found = rows_of("xxxxxx>......", "......>......")["method", "fooled_rate", "fgsm", 1]
        assert (found.n, found.n_first, found.n_second, found.interval) == (6, 6, 0, "wilson")
        assert found.p == pytest.approx(2 / 2**6)

    def test_conditions_are_compared_for_the_same_images(self):
        found = rows_of("xxxxxx>...xxx", "xxxxxx>......", photo_clean="..xx..")
        clean, adversarial = (found["condition", f"{name}_accuracy", "fgsm", 1] for name in ("clean", "adversarial"))
        assert (clean.n, clean.first.rate, clean.n_first, clean.n_second) == (6, 1.0, 2, 0)
        assert (adversarial.n, adversarial.first.rate, adversarial.second.rate) == (6, 0.0, 0.5)
        assert (clean.first.transform, clean.second.transform) == (SOURCE, PHOTO)

    def test_each_table_is_corrected_over_itself(self):
        cells, outcomes = a_run("xxxxxx>...xxx", "xxxx..>......")
        rows = comparisons(cells, outcomes)
        families = {(row.kind, row.top_k) for row in rows}
        for family in families:
            of_family = [row for row in rows if (row.kind, row.top_k) == family]
            assert [row.p_holm for row in of_family] == holm([row.p for row in of_family])
            assert {row.n_family for row in of_family} == {sum(row.p is not None for row in of_family)}
        assert {kind for kind, _ in families} == {"method", "condition"}

    def test_files_that_fool_by_choice_are_not_compared(self):
        cells, outcomes = a_run("xxxxxx>...xxx", "xxxxxx>......")
        chosen = {("prefiltered", *cell[1:]): pairs for cell, pairs in cells.items()}
        assert {row.quantity for row in comparisons(chosen, outcomes, [TOP_1]) if row.kind == "method"} == {"destruction_rate"}

    def test_nothing_eligible_is_told_as_nothing(self):
        found = rows_of("......>......", "......>......")["method", "destruction_rate", "fgsm", 1]
        assert (found.n, found.first.rate, found.p, found.p_holm, found.low) == (0, None, None, None, None)

    def test_neighbouring_strengths_are_compared_and_others_are_not(self):
        cells, outcomes = a_run("xxxxxx>...xxx", "xxxxxx>......")
        pairs = cells["average", "fgsm", 16]
        steps = {("average", "fgsm", epsilon): pairs for epsilon in (16, 4, 8)}
        rows = [row for row in comparisons(steps, outcomes, [TOP_1]) if row.quantity == "destruction_rate"]
        assert [(row.first.epsilon_8bit, row.second.epsilon_8bit) for row in rows] == [(4, 8), (8, 16)]

    def test_of_several_photographs_the_surest_speaks(self):
        cells, outcomes = a_run("xxxxxx>......", "xxxxxx>......")
        pair, condition = cells["average", "fgsm", 16][0], outcomes.photos[0]
        answers = outcomes.answers(pair, "adversarial", condition)
        answers.append(answers[0]._replace(labels=(1, 2, 3, 4, 5), error_px=0.01, view_id="surer"))
        found = {(row.quantity, row.first.attack): row for row in comparisons(cells, outcomes, [TOP_1]) if row.kind == "method"}
        assert found["destruction_rate", "fgsm"].n_second == 1

    def test_the_table_holds_what_the_rows_say(self):
        cells, outcomes = a_run("xxxxxx>...xxx", "xxxxxx>......")
        tables = comparison_tables(comparisons(cells, outcomes))
        text = as_text(tables[0])
        assert [table.number for table in tables] == ["C1", "C2"]
        for part in ("fast : basic iterative, ε 16", "destroyed", "3/6", "6/6", "0 : 3", "−50.0", "eff. n 3"):
            assert part in text
        assert "Corrected over 2 comparisons" in " ".join(text.split())

    def test_the_sentence_counts_what_is_sure(self):
        cells, outcomes = a_run("xxxxxx>......", "......>......")
        sentence = comparison_sentence(comparisons(cells, outcomes, [TOP_1]), "method")
        assert sentence.startswith("Methods at the same ε: 1 of 1 comparison differs")
        assert "100 % and 0 % fooled, corrected p 0.031" in sentence
        assert comparison_sentence([], "method") == ""

    def test_what_is_sure_only_before_the_correction_is_not_sure(self):
        cells, outcomes = a_run("xxxxxx>......", "......>......")
        rows = [replace(row, p=0.03, p_holm=0.3) for row in comparisons(cells, outcomes, [TOP_1]) if row.p is not None]
        assert comparison_sentence(rows, "method") == "Methods at the same ε: 0 of 1 comparison differ at the 5 % level."


def test_the_rates_of_photographs_follow_from_the_tables_on_disk(finished):
    """Pages are counted anew from the captures, by another route than the rate stage."""
    run = Run(finished, "small")
    page_of = {capture.capture_id: capture.page for capture in read_table(run.captures / "captures.parquet", Capture)}
    pairs = {pair.pair_id: pair for pair in read_table(run.printouts / "pairs.parquet", Pair)}
    labels = {row.view_id: row.labels for row in read_table(run.reports / "predictions.parquet", Prediction)}
    views = [view for view in read_table(run.reports / "views.parquet", View) if view.counts and view.transform == PHOTO]
    rows = [record_from(Rate, row) for row in read_json(run.reports / "rates.json")["accuracies"]]
    checked = 0
    for row in rows:
        if row.transform != PHOTO:
            assert (row.interval, row.n_clusters) == ("wilson", None)
            assert (row.low, row.high) == (wilson(row.n_hit, row.n_eligible) or (None, None))
            continue
        cell = [
            view
            for view in views
            if view.variant == row.variant
            and (pairs[view.pair_id].attack, pairs[view.pair_id].epsilon_8bit) == (row.attack, row.epsilon_8bit)
            and row.case in pairs[view.pair_id].cases
        ]
        right = [pairs[view.pair_id].true_label in labels[view.view_id][: row.top_k] for view in cell]
        pages = [page_of[view.capture_id] for view in cell]
        assert (row.n_hit, row.n_eligible, row.n_clusters) == (sum(right), len(right), len(set(pages)) or None)
        assert (row.low, row.high) == pytest.approx(cluster_interval(right, pages) or (None, None))
        checked += bool(right)
    assert checked


def test_several_photographs_of_a_page_are_more_images_on_the_same_pages(tiny, tmp_path):
    workspace = Path(shutil.copytree(tiny, tmp_path / "run"))
    run = Run(workspace, "small")
    for number, path in enumerate(sorted(run.photos.glob("simulated-*.jpg"))):
        with Image.open(path) as photo:
            for quality in (90, 94):
                photo.copy().save(run.photos / f"IMG_{number}_{quality}.jpg", quality=quality)
        path.unlink()
    rows = {}
    for count in ("best", "all"):
        experiment = load_experiment(workspace / "small.toml", ("photograph.by=camera", f"capture.count={count}"))
        for stage in ("crop", "classify", "rate"):
            assert run_stage(stage, experiment, run, Context()).state == "done"
        found = [record_from(Rate, row) for row in read_json(run.reports / "rates.json")["accuracies"]]
        rows[count] = [row for row in found if row.transform == PHOTO and row.n_images]
    assert rows["best"]
    for once, twice in zip(rows["best"], rows["all"], strict=True):
        assert (twice.n_images, twice.n_clusters) == (2 * once.n_images, once.n_clusters)
        assert twice.n_effective <= once.n_images or once.n_clusters == once.n_images


def write_large_run(workspace: Path) -> None:
    """Writes what a run of the paper's size leaves for rates and report: 12 cells of two cases, 36 transforms, photographs."""
    path = workspace / "large.toml"
    attacks = "".join(f'[[attacks]]\nname = "{name}"\nepsilons_8bit = [2, 4, 8, 16]\n' for name in ("fgsm", "bim", "illc"))
    rest = '[photograph]\nby = "camera"\n[explain]\nn_images = 0\n[report]\nn_gallery = 0\n'
    path.write_text(f'name = "large"\n{attacks}{rest}', encoding="utf-8")
    experiment, run = load_experiment(path), Run(workspace, "large")
    generator, n_images = np.random.default_rng(0), 204
    pairs, views, predictions = [], [], []
    transforms = [("blur", 0.1 * step) for step in range(36)]

    def view(image: str, variant: str, pair: str, transform: str, parameter: float | None, capture: str = "") -> None:
        key, origin = f"{transform}{parameter}/{variant}/{pair or image}", "camera" if capture else "digital"
        views.append(View(key, image, variant, "", 0, pair, transform, parameter, "", "", origin, capture))
        labels = tuple(int(label) for label in generator.permutation(8)[:5])
        predictions.append(Prediction(key, 0, labels, (0.2,) * 5, 0.2))

    names = [f"i{number}" for number in range(n_images)]
    for name in names:
        for transform in ((SOURCE, None), *transforms):
            view(name, "clean", "", *transform)
    for attack, epsilon in experiment.cells():
        for number, name in enumerate(names):
            pair, capture = f"{attack}-eps{epsilon}/{name}", f"c{len(pairs) // 3}"
            case = "average" if number < n_images // 2 else "prefiltered"
            pairs.append(Pair(pair, name, attack, epsilon, (case,), 0, None, "", "", 1, 1.0, 1.0, 1, 1))
            for transform in ((SOURCE, None), *transforms):
                view(name, "adversarial", pair, *transform)
            for variant in ("clean", "adversarial"):
                view(name, variant, pair, PHOTO, None, capture)
    shot = {"frame": "", "sha256": "", "device": "", "taken_at": "", "origin": "camera", "width_px": 1, "height_px": 1}
    shot |= {"n_codes": 4, "n_points": 16, "reprojection_rms_px": 0.1, "photo_from_page": None, "residual_px": ()}
    shot |= {"tilt_deg": None, "colour": "", "trouble": "", "counts": True}
    captures = [Capture(capture_id=f"c{n}", photo="", page=n + 1, **shot) for n in range(-(-len(pairs) // 3))]
    write_table(run.printouts / "pairs.parquet", Pair, pairs)
    model = {"name": "builtin:signs", "fingerprint": "", "input_size": (112, 112), "n_classes": 8, "differentiable": True}
    selection = {
        "class_names": [f"class {n}" for n in range(8)],
        "fills": [],
        "model": model,
        "n_dataset": n_images,
        "rejected": {},
        "alike": [],
        "model_flags": [],
    }
    write_json(run.printouts / "selection.json", selection)
    write_table(run.printouts / "candidates.parquet", Candidate, [])
    ends = generator.uniform(0.0, 1.0, len(pairs))
    undone = [
        ThresholdRow(pair.pair_id, pair.image_id, case, pair.attack, pair.epsilon_8bit, "blur", "up", 3.6 * end, 3.5 * end, 10)
        for pair, end in zip(pairs, ends, strict=True)
        for case in pair.cases
    ]
    write_table(run.reports / "thresholds.parquet", ThresholdRow, undone)
    write_json(run.reports / "explain/explain.json", {"views": []})
    write_table(run.reports / "views.parquet", View, views)
    write_table(run.reports / "predictions.parquet", Prediction, predictions)
    write_table(run.captures / "captures.parquet", Capture, captures)
    write_table(run.captures / "discards.parquet", Discard, [])
    write_json(
        run.printouts / "layout.json", Printout(1, "large", "K7QXM", "A4", "portrait", 210.0, 297.0, 600, 0.8, len(captures), "")
    )


@pytest.mark.slow
def test_a_hundred_thousand_predictions_become_rates_figures_and_a_report_within_30_seconds_and_a_gigabyte(tmp_path):
    write_large_run(tmp_path)
    code = (
        "import time, sys; from pathlib import Path\n"
        "from pipeline.settings.reading import load_experiment; from pipeline.engine import Context\n"
        "from pipeline.stages.rate import rate; from pipeline.stages.report import report; from pipeline.store import Run\n"
        "started, place = time.monotonic(), Path(sys.argv[1])\n"
        "for stage in (rate, report):\n"
        "    stage(load_experiment(place / 'large.toml'), Run(place, 'large'), Context())\n"
        "    print(stage.__name__, time.monotonic() - started, file=sys.stderr)\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(time.monotonic() - started, int(peak.split()[1]) / 2**20)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path)]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    seconds, peak_gb = map(float, found.stdout.split())
    rates = read_json(tmp_path / "reports/large/rates.json")
    assert len(rates["destruction_rates"]) == 24 * 37 * 2 and rates["comparisons"]
    assert len(list((tmp_path / "reports/large/figures").glob("*.svg"))) > 8
    assert seconds <= 30 and peak_gb <= 1, (seconds, peak_gb)
    print(found.stderr, f"{seconds:.1f} s, {peak_gb:.2f} GiB")
