"""Kurakin et al. 2016 beside a run: verdicts from images, the rates that show them, and the paper's tables."""

from dataclasses import replace

import pytest
from kept_files import read_json
from made_up_run import ATTACKS, accuracy, make_content, rate

from pipeline.document.tables import as_text
from pipeline.evaluation.outcomes import Outcomes
from pipeline.records import VERDICTS, FindingRow, Pair, Prediction, Rate, View
from pipeline.report.cell_tables import photo_rate_table
from pipeline.report.content import DatasetFacts, ModelFacts, ReportContent
from pipeline.store import Run, record_from
from pipeline.studies import study_named
from pipeline.studies.claims import TEST_TITLES, VERDICT_TITLES, Rates, verdict
from pipeline.studies.kurakin2016.findings import DIGITAL, claims_of, told_findings
from pipeline.studies.kurakin2016.published import (
    PAPER_TABLE_1,
    PAPER_TABLE_2,
    PAPER_TABLE_3,
    in_figure_6,
    published_accuracies,
    published_rates,
)
from pipeline.studies.kurakin2016.section import reproduction_text
from pipeline.studies.kurakin2016.tables import figure_6_table, paper_rows, paper_tables
from pipeline.studies.testing import ImageTests

HELD, NOT_HELD, NOT_ENOUGH = VERDICTS


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
        return {(row.finding, row.part): row for row in study_named("").findings(ImageTests(self.cells, outcomes, is_shared))}

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
        [(0.049, 1, HELD), (0.05, 0.96, NOT_ENOUGH), (0.98, 0.049, NOT_HELD), (None, None, NOT_ENOUGH), (None, 0.01, NOT_HELD)],
    )
    def test_a_verdict_is_what_the_corrected_p_say(self, p, p_against, expected):
        assert verdict(p, p_against) == expected

    @pytest.mark.parametrize(
        ("shares", "expected"),
        [
            ({"fgsm": 0.1, "bim": 0.4, "illc": 0.8}, HELD),
            ({"fgsm": 0.8, "bim": 0.4, "illc": 0.1}, NOT_HELD),
            ({"fgsm": 0.4, "bim": 0.4, "illc": 0.8}, NOT_ENOUGH),
            ({"fgsm": 0.6, "bim": 0.3, "illc": 0.8}, NOT_HELD),
            ({"fgsm": 0.1, "bim": 0.4}, NOT_ENOUGH),
        ],
        ids=["rises", "falls", "a tie in it", "one step falls", "an attack is missing"],
    )
    def test_the_order_holds_where_both_steps_do_and_not_where_one_falls(self, shares, expected):
        assert photographed(shares).findings()["order", ""].verdict == expected

    def test_with_few_images_the_order_cannot_be_told(self):
        found = photographed({"fgsm": 0.0, "bim": 0.5, "illc": 1.0}, n_images=6).findings()
        assert (found["order", ""].verdict, found["order", ""].p > 0.05) == (NOT_ENOUGH, True)

    def test_n_is_of_images_that_work_on_both_sides(self):
        images = photographed({"fgsm": 0.1, "bim": 0.4, "illc": 0.8})
        for image in range(60, 70):
            images.add("average", "fgsm", 16, f"i{image}", photo=1)
            images.add("average", "bim", 16, f"i{image}", file=1, photo=1)
        step = images.findings()["order", "fgsm-bim"]
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
        assert (shared.verdict, shared.n) == (NOT_ENOUGH, 0)
        assert (per_cell.verdict, per_cell.n, per_cell.test) == (HELD, 480, "mantel-haenszel")

    @pytest.mark.parametrize(("epsilons", "expected"), [((4, 16), HELD), ((16, 4), NOT_HELD), ((16,), NOT_ENOUGH)])
    def test_the_rate_falls_with_epsilon(self, epsilons, expected):
        found = photographed({"bim": 0.6}, epsilons=epsilons).findings()["epsilon", ""]
        assert found.verdict == expected

    @pytest.mark.parametrize(("one", "five", "expected"), [(6, 1, HELD), (1, 6, NOT_HELD), (1, 1, NOT_ENOUGH)])
    def test_top_5_is_compared_with_top_1_over_all_that_work(self, one, five, expected):
        """`one` and `five`: photographs of files that fool the top-1 alone, and of those that fool both."""
        images = Images()
        for image in range(40):
            images.add("average", "bim", 16, f"a{image}", file=3, photo=one, page=f"a{image}")
            images.add("average", "bim", 16, f"b{image}", file=6, photo=five, page=f"b{image}")
        assert images.findings()["top5", ""].verdict == expected

    @pytest.mark.parametrize(
        ("average", "prefiltered", "expected"),
        [((0.6, 0.2), (0.1, 0.7), HELD), ((0.1, 0.7), (0.6, 0.2), NOT_HELD), ((0.4, 0.4), (0.4, 0.4), NOT_ENOUGH)],
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

    @pytest.mark.parametrize(("n_lost", "expected"), [(18, HELD), (90, NOT_HELD), (3, NOT_ENOUGH)])
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
        [(0, 50, NOT_ENOUGH), (0, 120, HELD), (30, 120, NOT_HELD), (8, 120, NOT_ENOUGH)],
    )
    def test_a_bound_holds_only_with_enough_images_below_it(self, n_destroyed, n_images, expected):
        images = self.digital(n_destroyed, n_images)
        for attack in ("fgsm", "bim", "illc"):
            for image in range(n_images):
                images.add("average", attack, 16, f"i{image}", digital=[("contrast", 0.7, 6)])
        images.cells = {cell: pairs[:n_images] for cell, pairs in images.cells.items()}
        assert images.findings()["photometric", ""].verdict == expected

    @pytest.mark.parametrize(
        ("n_destroyed", "n_images", "expected"), [(119, 120, HELD), (120, 120, NOT_HELD), (20, 20, NOT_ENOUGH)]
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

    def test_every_test_is_told(self):
        rows = photographed({"fgsm": 0.1, "bim": 0.4, "illc": 0.8}).findings().values()
        rows = [*rows, *self.digital(3, 20).findings().values()]
        of_other_studies = {"permutation", "mean", "share"}
        assert {row.test for row in rows} == set(TEST_TITLES) - of_other_studies and set(VERDICT_TITLES) == set(VERDICTS)


def content_of(finished, **changes) -> ReportContent:
    tables = read_json(Run(finished, "small").reports / "rates.json")
    return replace(
        ReportContent(
            run="small",
            title="A small run",
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
        study = study_named("")
        assert study.part(content_of(finished, reproduces="")).beside == ()
        assert study.part(content_of(finished)).beside

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
        claims = [claim for origin in ("simulated", DIGITAL) for claim in claims_of(content_of(finished), origin)]
        assert len(claims) == 9
        for claim in claims:
            (line,) = (line for line in text.splitlines() if line.startswith(f"| {claim.title} |"))
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells[1] in VERDICT_TITLES.values() and cells[2] and cells[3] and cells[4] in TEST_TITLES.values()

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


def run_of(rates=(), accuracies=(), findings=()):
    """A report's content with these rows alone."""
    rows = {"rates": tuple(rates), "accuracies": tuple(accuracies), "findings": tuple(findings)}
    return make_content(fills=(), captures=(), **rows)


def shown(rates=(), accuracies=(), origin="simulated"):
    """The comparisons of rates of every observation, by its key."""
    claims = claims_of(run_of(rates, accuracies), origin)
    return {claim.key: list(filter(None, claim.show(Rates(rates, accuracies)))) for claim in claims}


def counted(checks):
    return sum(check.n_held for check in checks), sum(check.n for check in checks)


def paper_s_own_run():
    """The paper's tables as a run's records; its counts are inferred, so only the rates and the order of size are exact."""
    rates, accuracies = [], []
    for row, average, prefiltered in zip(PAPER_TABLE_3, PAPER_TABLE_1, PAPER_TABLE_2, strict=True):
        for case, table in (("average", average), ("prefiltered", prefiltered)):
            for k in (1, 5):
                d, n = getattr(row, f"{case}_top{k}") / 100, table.n_photographed
                made = rate(case, row.attack, row.epsilon_8bit, "photo", None, k, round(d * n), n, "camera")
                rates.append(replace(made, rate=d))
                for transform in ("source", "photo"):
                    share = getattr(table, f"{transform}_clean_top{k}") / 100
                    made = accuracy(case, row.attack, row.epsilon_8bit, "clean", transform, k, round(share * n), n, "camera")
                    accuracies.append(replace(made, rate=share))
    return rates, accuracies


class TestEvidence:
    def test_the_paper_s_own_tables_hold_as_the_paper_says(self):
        found = shown(*paper_s_own_run(), origin="camera")
        assert {key: counted(checks) for key, checks in found.items()} == {
            "order": (16, 16),
            "top5": (24, 24),
            "epsilon": (17, 18),
            "prefiltering": (12, 12),
            "clean-loss": (12, 12),
        }
        (inversion,) = [check for check in found["epsilon"] if check.is_against]
        assert inversion.where == "least-likely class, average, ε 2 to 4"

    def test_prefiltered_rates_of_table_3_are_the_photo_accuracies_of_table_2_but_for_one_cell(self):
        different = [
            (a.attack, a.epsilon_8bit, k)
            for a, d in zip(PAPER_TABLE_2, PAPER_TABLE_3, strict=True)
            for k in (1, 5)
            if getattr(a, f"photo_adversarial_top{k}") != getattr(d, f"prefiltered_top{k}")
        ]
        assert different == [("bim", 2, 5)]

    def test_every_paper_percentage_is_a_count_of_its_inferred_n(self):
        for row in PAPER_TABLE_1 + PAPER_TABLE_2:
            for name in row._fields[2:6]:
                possible = {round(100 * k / row.n_photographed, 1) for k in range(row.n_photographed + 1)}
                assert any(abs(getattr(row, name) - value) < 0.051 for value in possible), (row, name)

    @pytest.mark.parametrize(
        "hits, n_held, clear",
        [((1, 10, 19), 1, 1), ((8, 10, 12), 1, 0), ((10, 10, 12), 0, 0), ((12, 10, 8), 0, 0)],
        ids=["rises clear of chance", "rises within chance", "a tie", "falls"],
    )
    def test_the_order_of_attacks_is_strict_and_says_whether_intervals_lie_apart(self, hits, n_held, clear):
        rates = [rate("average", a, 16, "photo", None, 1, hit, 20) for a, hit in zip(ATTACKS, hits, strict=True)]
        (check,) = shown(rates)["order"]
        assert (check.n_held, check.is_clear) == (n_held, clear)
        assert all(f"({hit}/20)" in check.counts for hit in hits)

    def test_rates_alone_tell_nothing(self):
        rates = [rate("average", a, 16, "photo", None, 1, hit, 20) for a, hit in zip(ATTACKS, (1, 10, 19), strict=True)]
        assert {finding.verdict for finding in told_findings(run_of(rates), "simulated")} == {VERDICT_TITLES[NOT_ENOUGH]}

    def test_the_verdict_is_the_test_s_and_n_and_p_stand_beside_it(self):
        rates = [rate("average", a, 16, "photo", None, 1, hit, 20) for a, hit in zip(ATTACKS, (1, 10, 19), strict=True)]
        whole = FindingRow(*("order", "", "simulated", "mcnemar", 40, 20, 31.2, 17, 2), 0.4, 0.0004, 0.9999, 0.002, 1.0, 5, HELD)
        part = replace(whole, part="fgsm-bim", n=20, verdict=NOT_HELD)
        order = told_findings(run_of(rates, findings=[whole, part]), "simulated")[0]
        assert (order.verdict, order.mark) == ("held", "right")
        assert (
            "n 40 on 20 images, effective n 31: 17 as stated, 2 the other way, 21 alike, difference +40.0 points; "
            "p < 0.001 for it and 1.00 for the opposite, after correction 0.002 and 1.00;" in order.counted
        )
        assert "exact McNemar" in order.counted and "comparison" not in order.counted
        assert order.evidence[0].startswith("fast below basic iterative: n 20: 17") and "(not held)" in order.evidence[0]

    def test_a_cell_without_eligible_attacks_takes_part_in_no_comparison(self):
        rates = [rate("average", "fgsm", 16, "photo", None, k, 0, 0) for k in (1, 5)] + [
            rate("average", "bim", 16, "photo", None, k, 3, 9) for k in (1, 5)
        ]
        assert {key for key, checks in shown(rates).items() if checks} == {"top5"}

    @pytest.mark.parametrize("lost, n_held", [(0, 0), (1, 1), (11, 1), (12, 0), (-3, 0)])
    def test_clean_accuracy_may_lose_one_to_eleven_points(self, lost, n_held):
        rows = [
            accuracy("average", "fgsm", 16, "clean", "source", 1, 80, 100, ""),
            accuracy("average", "fgsm", 16, "clean", "photo", 1, 80 - lost, 100),
        ]
        assert counted(shown(accuracies=rows)["clean-loss"]) == (n_held, 1)

    def test_real_and_simulated_photographs_are_not_mixed(self):
        rates = [rate("average", a, 16, "photo", None, 1, hit, 20, "camera") for a, hit in zip(ATTACKS, (2, 10, 18), strict=True)]
        rates += [rate("average", a, 16, "photo", None, 1, hit, 20) for a, hit in zip(ATTACKS, (18, 10, 2), strict=True)]
        row = FindingRow("order", "", "camera", "mcnemar", 40, 20, 40.0, 17, 2, 0.4, 0.0004, 1.0, 0.002, 1.0, 5, HELD)
        real, simulated = (told_findings(run_of(rates, findings=[row]), origin)[0] for origin in ("camera", "simulated"))
        assert real.verdict == "held" and "17 as stated" in real.counted
        assert simulated.mark == "open" and "0 of 1 comparison" in simulated.counted

    def test_digital_findings_compare_whole_curves(self):
        curve = {"fgsm": (0, 4, 9), "bim": (0, 6, 8), "illc": (1, 9, 20)}
        rates = [
            rate("average", a, 16, "blur", float(value), 1, hit, 20, "digital")
            for a, hits in curve.items()
            for value, hit in enumerate(hits)
        ]
        found = {key: counted(checks) for key, checks in shown(rates, origin=DIGITAL).items()}
        assert found == {"digital-order": (1, 1), "digital-top5": (0, 0), "photometric": (0, 0), "survivors": (0, 1)}

    def test_digital_findings_are_of_random_images_at_epsilon_16_where_the_run_has_them(self):
        rates = [
            rate(case, "fgsm", epsilon, "contrast", 0.7, 1, hit, 100, "digital")
            for case, epsilon, hit in (("average", 16, 1), ("average", 4, 50), ("prefiltered", 16, 60))
        ]
        assert "1.0 % (1/100)" in shown(rates, origin=DIGITAL)["photometric"][0].counts
        assert "50.0 % (50/100)" in shown(rates[1:2], origin=DIGITAL)["photometric"][0].counts

    @pytest.mark.parametrize("attack, hit, n_held", [("fgsm", 4, 1), ("fgsm", 5, 0), ("illc", 19, 1), ("illc", 20, 0)])
    def test_photometric_bounds_are_the_paper_s(self, attack, hit, n_held):
        rates = [rate("average", attack, 16, "contrast", 0.7, 1, hit, 100, "digital")]
        assert shown(rates, origin=DIGITAL)["photometric"][0].n_held == n_held

    def test_table_3_printed_from_the_paper_s_rates_is_the_paper_s_table_3(self):
        table = photo_rate_table(paper_s_own_run()[0])
        printed = [tuple(cell.text for cell in row[2:]) for row in table.rows]
        paper = sorted(PAPER_TABLE_3, key=lambda row: (ATTACKS.index(row.attack), row.epsilon_8bit))
        assert printed == [tuple(f"{value:.1f} %" for value in row[2:]) for row in paper]
