"""The paper beside a run: one-sided tests and their false alarms, verdicts from images, tables, and the command."""

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, binomtest, hypergeom

from pipeline.cli import main
from pipeline.cli.reproduce import paper_experiment
from pipeline.document.tables import as_text
from pipeline.evaluation.outcomes import Outcomes
from pipeline.records import FINDING_TESTS, FINDINGS, VERDICTS, FindingRow, Pair, Prediction, View
from pipeline.report.content import DatasetFacts, ModelFacts, ReportContent
from pipeline.report.paper_tables import figure_6_table, paper_rows, paper_tables
from pipeline.report.reproduction import reproduction_section, reproduction_text
from pipeline.settings.reading import load_experiment
from pipeline.statistics import paired_difference
from pipeline.statistics.kurakin2016 import in_figure_6, published_accuracies, published_rates
from pipeline.statistics.one_sided import at_least, at_most, loss_within, paired_less, sign_tail, stratified_less
from pipeline.studies.kurakin2016 import finding_tests

HELD, NOT_HELD, CANNOT_TELL = VERDICTS


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
        assert sign_tail(9, 2) < sign_tail(8.5, 2) < sign_tail(8, 2)

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


class Images:
    """A run as marks: of every picture at which place the true label stands, 1 being the likeliest and 6 none of the five."""

    def __init__(self) -> None:
        self.cells, self._views, self._predictions, self._pages = {}, {}, {}, {}

    def add(self, case, attack, epsilon, image, file=6, photo=None, digital=(), clean=1, clean_photo=1, page=0):
        pair_id = f"{attack}/{epsilon}/{image}"
        pair = Pair(pair_id, image, attack, epsilon, (case,), 0, None, "", "", epsilon, 1.0, 0.9, 1, 1)
        self.cells.setdefault((case, attack, epsilon), []).append(pair)
        self._view(image, "clean", "", "source", None, clean)
        self._view(image, "adversarial", pair_id, "source", None, file)
        if photo:
            self._pages[pair_id] = page
            self._view(image, "adversarial", pair_id, "photo", None, photo)
            self._view(image, "clean", pair_id, "photo", None, clean_photo)
        for transform, parameter, place in digital:
            self._view(image, "adversarial", pair_id, transform, parameter, place)

    def findings(self, is_shared=True) -> dict[tuple[str, str], FindingRow]:
        outcomes = Outcomes.of_model(self._views.values(), self._predictions, self._pages)
        return {(row.finding, row.part): row for row in finding_tests.tested_findings(self.cells, outcomes, is_shared)}

    def _view(self, image, variant, pair_id, transform, parameter, place):
        key = f"{transform}{parameter}/{variant}/{pair_id or image}"
        labels = [9, 8, 7, 6, 5]
        labels[place - 1 : place] = [0] if place < 6 else []
        origin = "camera" if transform == "photo" else "digital"
        capture = pair_id if transform == "photo" else ""
        view = (key, image, variant, "", 0, pair_id, transform, parameter, "", "", origin, capture)
        self._views[key] = View(*view, predicted_error_px=0.1)
        self._predictions[key] = Prediction(key, 0, tuple(labels), (0.2,) * 5, 0.2)


def photographed(shares, n_images=60, epsilons=(16,), case="average", per_page=1, images=None):
    """Cells whose images are destroyed in these shares by attack; the same images of a cell first, so they nest."""
    images = images or Images()
    for attack, share in shares.items():
        for place, epsilon in enumerate(epsilons):
            for image in range(n_images):
                destroyed = image < n_images * (share - 0.2 * place)
                page = f"{attack}{epsilon}{image // per_page}"
                images.add(case, attack, epsilon, f"i{image}", photo=1 if destroyed else 6, page=page)
    return images


class TestVerdicts:
    @pytest.mark.parametrize(
        ("p", "p_against", "expected"),
        [(0.049, 1, HELD), (0.05, 0.96, CANNOT_TELL), (0.98, 0.049, NOT_HELD), (None, None, CANNOT_TELL), (None, 0.01, NOT_HELD)],
    )
    def test_a_verdict_is_what_the_corrected_p_say(self, p, p_against, expected):
        assert finding_tests.verdict(p, p_against) == expected

    @pytest.mark.parametrize(
        ("shares", "expected"),
        [
            ({"fgsm": 0.1, "bim": 0.4, "illc": 0.8}, HELD),
            ({"fgsm": 0.8, "bim": 0.4, "illc": 0.1}, NOT_HELD),
            ({"fgsm": 0.4, "bim": 0.4, "illc": 0.8}, CANNOT_TELL),
            ({"fgsm": 0.6, "bim": 0.3, "illc": 0.8}, NOT_HELD),
            ({"fgsm": 0.1, "bim": 0.4}, CANNOT_TELL),
        ],
        ids=["rises", "falls", "a tie in it", "one step falls", "an attack is missing"],
    )
    def test_the_order_holds_where_both_steps_do_and_not_where_one_falls(self, shares, expected):
        assert photographed(shares).findings()["order", ""].verdict == expected

    def test_with_few_images_the_order_cannot_be_told(self):
        found = photographed({"fgsm": 0.0, "bim": 0.5, "illc": 1.0}, n_images=6).findings()
        assert (found["order", ""].verdict, found["order", ""].p > 0.05) == (CANNOT_TELL, True)

    def test_n_is_of_images_that_work_on_both_sides(self):
        images = photographed({"fgsm": 0.1, "bim": 0.4, "illc": 0.8})
        for image in range(60, 70):
            images.add("average", "fgsm", 16, f"i{image}", photo=1)
            images.add("average", "bim", 16, f"i{image}", file=1, photo=1)
        step = images.findings()["order", "fast below basic iterative"]
        # Ten more fool by the one attack alone: they take part at neither top k.
        assert (step.n, step.n_images, step.n_for, step.n_against) == (120, 60, 36, 0)

    def test_images_of_one_page_count_for_fewer(self):
        alone, together = (
            photographed({"fgsm": 0.1, "bim": 0.4, "illc": 0.8}, per_page=n).findings()["order", ""] for n in (1, 12)
        )
        assert together.p > 10 * alone.p

    def test_what_is_drawn_for_both_cases_is_counted_once(self):
        shares = {"fgsm": 0.1, "bim": 0.4, "illc": 0.8}
        once = photographed(shares).findings()["order", ""]
        twice = photographed(shares, case="prefiltered", images=photographed(shares)).findings()["order", ""]
        assert (twice.n, twice.p) == (once.n, once.p)

    def test_cells_of_other_images_are_compared_by_their_rates(self):
        images = Images()
        for place, (attack, share) in enumerate({"fgsm": 0.1, "bim": 0.4, "illc": 0.8}.items()):
            for image in range(60):
                images.add(
                    "average", attack, 16, f"{place}-{image}", photo=1 if image < 60 * share else 6, page=f"{attack}{image}"
                )
        shared, per_cell = images.findings()["order", ""], images.findings(is_shared=False)["order", ""]
        assert (shared.verdict, shared.n) == (CANNOT_TELL, 0)
        assert (per_cell.verdict, per_cell.n, per_cell.test) == (HELD, 480, "mantel-haenszel")

    @pytest.mark.parametrize(("epsilons", "expected"), [((4, 16), HELD), ((16, 4), NOT_HELD), ((16,), CANNOT_TELL)])
    def test_the_rate_falls_with_epsilon(self, epsilons, expected):
        found = photographed({"bim": 0.6}, epsilons=epsilons).findings()["epsilon", ""]
        assert found.verdict == expected

    @pytest.mark.parametrize(("one", "five", "expected"), [(6, 1, HELD), (1, 6, NOT_HELD), (1, 1, CANNOT_TELL)])
    def test_top_5_is_compared_with_top_1_over_all_that_work(self, one, five, expected):
        """`one` and `five`: photographs of files that fool the top-1 alone, and of those that fool both."""
        images = Images()
        for image in range(40):
            images.add("average", "bim", 16, f"a{image}", file=3, photo=one, page=f"a{image}")
            images.add("average", "bim", 16, f"b{image}", file=6, photo=five, page=f"b{image}")
        assert images.findings()["top5", ""].verdict == expected

    @pytest.mark.parametrize(
        ("average", "prefiltered", "expected"),
        [((0.6, 0.2), (0.1, 0.7), HELD), ((0.1, 0.7), (0.6, 0.2), NOT_HELD), ((0.4, 0.4), (0.4, 0.4), CANNOT_TELL)],
    )
    def test_prefiltering_is_judged_on_images_of_one_case_alone(self, average, prefiltered, expected):
        images = Images()
        for case, shares in (("average", average), ("prefiltered", prefiltered)):
            for attack, share in zip(("fgsm", "bim"), shares, strict=True):
                for image in range(50):
                    destroyed = 1 if image < 50 * share else 6
                    images.add(case, attack, 16, f"{case}{image}", photo=destroyed, page=f"{case}{attack}{image}")
        for attack in ("fgsm", "bim"):
            for case in ("average", "prefiltered"):
                images.add(case, attack, 16, "both", photo=1, page="both")
        found = images.findings()["prefiltering", ""]
        assert (found.verdict, found.n) == (expected, 200)

    @pytest.mark.parametrize(("n_lost", "expected"), [(18, HELD), (90, NOT_HELD), (3, CANNOT_TELL)])
    def test_clean_images_of_the_average_case_lose_one_to_eleven_points(self, n_lost, expected):
        images = Images()
        for image in range(300):
            images.add("average", "bim", 16, f"i{image}", photo=6, clean_photo=6 if image < n_lost else 1, page=f"p{image}")
            images.add("prefiltered", "illc", 16, f"i{image}", photo=6, clean_photo=6, page=f"q{image}")
        found = images.findings()["clean-loss", ""]
        assert (found.verdict, round(found.difference, 3)) == (expected, round(n_lost / 300, 3))

    @staticmethod
    def digital(n_destroyed, n_images, transform="brightness", attacks=("fgsm", "bim", "illc")):
        images = Images()
        for attack in attacks:
            for image in range(n_images):
                images.add("average", attack, 16, f"i{image}", digital=[(transform, 1.0, 1 if image < n_destroyed else 6)])
        return images

    @pytest.mark.parametrize(
        ("n_destroyed", "n_images", "expected"),
        [(0, 50, CANNOT_TELL), (0, 120, HELD), (30, 120, NOT_HELD), (8, 120, CANNOT_TELL)],
    )
    def test_a_bound_holds_only_with_enough_images_below_it(self, n_destroyed, n_images, expected):
        images = self.digital(n_destroyed, n_images)
        for attack in ("fgsm", "bim", "illc"):
            for image in range(n_images):
                images.add("average", attack, 16, f"i{image}", digital=[("contrast", 0.7, 6)])
        images.cells = {cell: pairs[:n_images] for cell, pairs in images.cells.items()}
        assert images.findings()["photometric", ""].verdict == expected

    @pytest.mark.parametrize(
        ("n_destroyed", "n_images", "expected"), [(119, 120, HELD), (120, 120, NOT_HELD), (20, 20, CANNOT_TELL)]
    )
    def test_a_survivor_refutes_all_and_few_images_without_one_do_not_prove_it(self, n_destroyed, n_images, expected):
        assert self.digital(n_destroyed, n_images, "blur").findings()["survivors", ""].verdict == expected

    def test_transforms_are_tested_on_random_images_at_epsilon_16_where_the_run_has_them(self):
        cells = [("average", "fgsm", 4), ("average", "fgsm", 16), ("prefiltered", "fgsm", 16)]
        assert in_figure_6(cells) == [("average", "fgsm", 16)]
        assert in_figure_6(cells[::2]) == [("average", "fgsm", 4)]
        assert in_figure_6([("prefiltered", "fgsm", 8)]) == [("prefiltered", "fgsm", 8)]

    def test_p_is_corrected_over_the_observations_of_one_origin(self):
        found = photographed({"fgsm": 0.1, "bim": 0.4, "illc": 0.8}).findings()
        wholes = [row for (_, part), row in found.items() if not part]
        tested = sorted(row.p for row in wholes if row.p is not None)
        least = next(row for row in wholes if row.p == tested[0])
        assert least.n_family == len(tested) > 1 and least.p_holm == pytest.approx(min(1, len(tested) * least.p))

    def test_every_name_of_a_finding_and_a_test_is_told(self):
        rows = photographed({"fgsm": 0.1, "bim": 0.4, "illc": 0.8}).findings().values()
        rows = [*rows, *self.digital(3, 20).findings().values()]
        assert {row.finding for row in rows} == set(FINDINGS) and {row.test for row in rows} == set(FINDING_TESTS)


def content_of(finished, **changes) -> ReportContent:
    from pipeline.records import Rate
    from pipeline.store import Run, read_json, record_from

    tables = read_json(Run(finished, "small").reports / "rates.json")
    return replace(
        ReportContent(
            run="small",
            title="A small run",
            settings={},
            experiment_toml="",
            versions={},
            seed=5,
            model=ModelFacts("builtin:signs", "", (112, 112), 32),
            dataset=DatasetFacts("builtin:signs", 40, 32),
            simulated=True,
            accuracies=tuple(record_from(Rate, row) for row in tables["accuracies"]),
            rates=tuple(record_from(Rate, row) for row in tables["destruction_rates"]),
            findings=tuple(record_from(FindingRow, row) for row in tables["findings"]),
            reproduces="kurakin2016",
        ),
        **changes,
    )


class TestBesideThePaper:
    def test_the_paper_s_tables_are_whole(self):
        assert (len(published_accuracies()), len(published_rates())) == (2 * 12 * 8, 12 * 4)
        accuracies = {row[:5]: row[5:] for row in published_accuracies()}
        assert accuracies["average", "illc", 16, "photo_clean", 1] == (pytest.approx(0.711), 90)
        assert accuracies["prefiltered", "bim", 2, "source_adversarial", 5] == (pytest.approx(0.01), 102)

    def test_a_number_stands_beside_that_of_its_own_cell(self, finished):
        content = content_of(finished)
        rows = paper_rows(content)
        fast = [row for row in rows if (row.case, row.attack, row.epsilon_8bit) == ("average", "fgsm", 16)]
        assert [(row.table, row.quantity, row.top_k, row.paper) for row in fast if row.top_k == 1] == [
            (1, "photo_clean", 1, 0.798),
            (1, "photo_adversarial", 1, 0.364),
            (1, "source_clean", 1, 0.853),
            (1, "source_adversarial", 1, 0.363),
            (3, "destruction_rate", 1, 0.125),
        ]
        for row in rows:
            ours = (
                [r for r in content.accuracies if row.quantity == f"{r.transform}_{r.variant}"]
                if row.table < 3
                else content.rates
            )
            found = [
                r
                for r in ours
                if (r.case, r.attack, r.epsilon_8bit, r.top_k) == (row.case, row.attack, row.epsilon_8bit, row.top_k)
            ]
            if row.table == 3:
                (mine,) = (r for r in found if r.transform == "photo")
                assert (row.n_hit, row.n, row.rate) == (mine.n_hit, mine.n_eligible, mine.rate)
            else:
                (mine,) = found
                assert (row.n_hit, row.n, row.rate) == (mine.n_hit, mine.n_eligible, mine.rate)
            assert row.difference == (None if row.rate is None else pytest.approx(row.rate - row.paper))

    def test_tables_show_the_run_the_paper_and_the_difference(self, finished):
        tables = {table.number: table for table in paper_tables(paper_rows(content_of(finished)))}
        assert set(tables) == {"R1", "R2", "R3", "R4"}
        (fast,) = (row for row in tables["R3"].rows if row[1].text == "16")
        run, paper = fast[2:4]
        share = 0 if run.text == "n/a" else float(run.text.split()[0])
        assert paper.text == "12.5 %" and (
            run.text == "n/a" or float(paper.note.replace("−", "-")) == pytest.approx(share - 12.5, abs=0.06)
        )

    def test_a_run_that_reproduces_nothing_has_no_such_section(self, finished):
        assert reproduction_section(content_of(finished, reproduces="")) == ()
        assert reproduction_section(content_of(finished))

    def test_simulated_photographs_and_built_in_images_are_called_so_in_title_and_text(self, finished):
        text = reproduction_text(content_of(finished))
        assert text.splitlines()[0] == "# Kurakin et al. 2016 beside small (simulated photographs, built-in images)"
        assert "photographs of this run are simulated" in text and "not ImageNet" in text
        real = reproduction_text(
            content_of(finished, simulated=False, rates=(), accuracies=(), dataset=DatasetFacts("folder:x", 9, 9))
        )
        assert "simulated" not in real and "No photograph has been judged yet" in real and "built-in" not in real

    def test_every_observation_is_listed_with_its_verdict_n_and_p(self, finished):
        text = reproduction_text(content_of(finished))
        for title in FINDINGS.values():
            (line,) = (line for line in text.splitlines() if line.startswith(f"| {title} |"))
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells[1] in VERDICTS and cells[2] and cells[3] and cells[4] in FINDING_TESTS.values()

    def test_the_table_of_fig_6_shows_the_highest_point_of_each_curve(self, finished):
        content = content_of(finished)
        text = as_text(figure_6_table(content))
        blur = [
            r
            for r in content.rates
            if (r.transform, r.case, r.attack, r.epsilon_8bit, r.top_k) == ("blur", "average", "fgsm", 16, 1)
        ]
        highest = max(row.rate for row in blur)
        assert f"{100 * highest:.1f} %" in next(line for line in text.splitlines() if line.startswith("Gaussian blur"))
        assert "below 5 %" in " ".join(text.split())


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


TINY = ("--set", "selection.n_images=2", "--set", "dataset.n_images=24", "--workers", "1", "-q")
FAST = ("--set", "transforms.blur=[1]", "--set", "thresholds.n_images=0", "--set", "explain.n_images=0")


class TestCommand:
    @pytest.mark.parametrize("small", [True, False])
    def test_the_file_is_the_example_or_with_built_in_images_the_same_experiment(self, small, tmp_path):
        name, text = paper_experiment("kurakin2016", small, has_data=True)
        stand_in, other = paper_experiment("kurakin2016", small, has_data=False)
        assert stand_in == f"{name}-signs" and "INKPROOF_DATA" in text
        first, second = tomllib.loads(text), tomllib.loads(other)
        assert second["dataset"] == second["model"] == {"name": "builtin:signs"}
        for told in (first, second):
            del told["dataset"], told["model"], told["name"]
        assert first == second and first["report"]["reproduces"] == "kurakin2016" and first["selection"]["n_images"] == 102
        (tmp_path / "mine.toml").write_text(other, encoding="utf-8")
        assert load_experiment(tmp_path / "mine.toml").name == stand_in

    def test_a_dry_run_writes_nothing(self, at_work, capsys, monkeypatch):
        monkeypatch.delenv("INKPROOF_DATA", raising=False)
        assert main(["reproduce", "kurakin2016", "--small", "--dry-run"]) == 0
        assert "kurakin2016-small-signs.toml would be written" in capsys.readouterr().out
        assert list(at_work.iterdir()) == []

    def test_with_photographs_to_come_it_stops_where_they_are_to_be_taken_and_keeps_an_edited_file(
        self, at_work, capsys, monkeypatch
    ):
        monkeypatch.delenv("INKPROOF_DATA", raising=False)
        file = at_work / "kurakin2016-small-signs.toml"
        edited = paper_experiment("kurakin2016", True, False)[1].replace("[4, 16]", "[16]  # mine").partition("[transforms]")[0]
        file.write_text(edited, encoding="utf-8")
        assert main(["reproduce", "kurakin2016", "--small", "--photos", "me", *TINY]) == 0
        assert "Waiting for you" in capsys.readouterr().out
        assert file.read_text(encoding="utf-8") == edited
        assert not list(at_work.glob("captures/*/photos/simulated*"))

    @pytest.mark.slow
    def test_without_photographs_they_are_simulated_and_a_second_run_does_nothing(self, at_work, capsys, monkeypatch):
        monkeypatch.delenv("INKPROOF_DATA", raising=False)
        assert main(["reproduce", "kurakin2016", "--small", *TINY, *FAST]) == 0
        reports = at_work / "reports/kurakin2016-small-signs"
        told = json.loads((reports / "reproduction.json").read_text(encoding="utf-8"))
        assert told["photographs"] == "simulated" and len(told["tables"]) == 2 * 6 * 8 + 6 * 4
        assert {row["verdict"] for row in told["findings"]} <= set(VERDICTS)
        header, *rows = (reports / "reproduction.csv").read_text(encoding="utf-8").splitlines()
        assert header.startswith("table,case,attack,epsilon_8bit,quantity") and len(rows) == len(told["tables"])
        before = {path: path.read_bytes() for path in reports.glob("reproduction.*")}
        capsys.readouterr()
        assert main(["reproduce", "kurakin2016", "--small", *TINY, *FAST]) == 0
        assert {path: path.read_bytes() for path in before} == before and len(before) == 3
