"""Two runs compared: known discordant counts, who is paired with whom, errors, and the report that says which is sturdier."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact

from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.outcomes import Outcomes, made_on_model
from pipeline.evaluation.two_runs import Side, run_comparisons
from pipeline.records import PHOTO, SOURCE, Comparison, Pair, Prediction, View
from pipeline.report.against import against_sentences
from pipeline.report.content import AgainstContent
from pipeline.settings import AttackSettings, Experiment
from pipeline.statistics import compare_independent, effective_number, fisher, holm, independent_difference, wilson


def a_side(
    files: str, photos: str, clean: str = "", images: str = "", made: str = "", per_page: int = 1, origin="camera"
) -> Side:
    """One run of one attack: what the model says of each adversarial file and photograph of it, "." right and "x" wrong.

    `images` names the images, one letter each; `made` which adversarial file each has, so that equal letters are equal files.
    """
    images = images or "".join(chr(ord("a") + place) for place in range(len(files)))
    clean, made = clean or "." * len(files), made or images
    pairs, views, predictions, hashes = [], [], {}, {}

    def view(name: str, image: str, variant: str, transform: str, mark: str, capture: str = "", parameter=None) -> None:
        pair_id = f"fgsm/{image}" if variant == "adversarial" or transform == PHOTO else ""
        where = origin if transform == PHOTO else "digital"
        views.append(View(name, image, variant, "", 0, pair_id, transform, parameter, "", "", where, capture))
        labels = (0, 1, 2, 3, 4) if mark == "." else (1, 2, 3, 4, 5)
        predictions[name] = Prediction(name, 0, labels, (0.2,) * 5, 0.2)

    for place, image in enumerate(images):
        pair = {"pair_id": f"fgsm/{image}", "image_id": image, "attack": "fgsm", "epsilon_8bit": 16, "cases": ("average",)}
        pair |= {"true_label": 0, "target_label": None, "clean_path": "", "adversarial_path": ""}
        pairs.append(Pair(**pair, linf_8bit=16, l2_8bit=1, ssim=1, n_forward=1, n_backward=1))
        hashes |= {image: f"clean-{image}", f"fgsm/{image}": f"adversarial-{made[place]}"}
        view(f"c{place}", image, "clean", SOURCE, clean[place])
        view(f"a{place}", image, "adversarial", SOURCE, files[place])
        view(f"b{place}", image, "adversarial", "blur", photos[place], parameter=2.0)
        for variant, mark in (("clean", "."), ("adversarial", photos[place])):
            view(f"p{variant}{place}", image, variant, PHOTO, mark, f"page-{place // per_page}")
    return Side({("average", "fgsm", 16): pairs}, Outcomes.of_model(views, predictions), hashes)


def rows_of(first: Side, second: Side) -> dict[tuple[str, str], Comparison]:
    return {(row.kind, row.quantity): row for row in run_comparisons(first, second, [TOP_1])}


class TestPairing:
    def test_the_same_files_photographed_twice_are_compared_one_by_one(self):
        found = rows_of(a_side("xxxxxxxx", "........"), a_side("xxxxxxxx", "..xxxxxx"))["photo", "destruction_rate"]
        assert (found.pairing, found.n, found.n_both, found.n_first, found.n_second) == ("file", 8, 2, 6, 0)
        assert (found.first.rate, found.second.rate, found.difference) == (1.0, 0.25, 0.75)
        assert found.p == pytest.approx(binomtest(0, 6).pvalue)  # one image a page: nothing falls together

    def test_only_images_eligible_in_both_take_part_and_each_run_keeps_its_own_rate(self):
        first, second = a_side("xxxxx...", "......xx"), a_side("xxx.xxxx", "xxxxxxxx")
        found = rows_of(first, second)["photo", "destruction_rate"]
        assert (found.n, found.n_first, found.n_second) == (4, 4, 0)  # images 0, 1, 2 and 4 work in both
        assert (found.first.n_hit, found.first.n_eligible, found.second.n_hit, found.second.n_eligible) == (5, 5, 0, 7)
        assert (found.first.low, found.first.high) == pytest.approx(wilson(5, 5))

    def test_other_adversarial_files_of_the_same_images_are_said_to_be_other_files(self):
        found = rows_of(a_side("xxxx", "...."), a_side("xxxx", "xxxx", made="abcz"))
        assert found["photo", "destruction_rate"].pairing == "image"
        assert found["photo", "clean_accuracy"].pairing == "file"

    def test_an_image_of_the_same_name_and_other_pixels_is_another_image(self):
        second = a_side("xxxx", "xxxx")
        second.file_hash["b"] = "clean-other"
        assert rows_of(a_side("xxxx", "...."), second)["photo", "destruction_rate"].n == 3

    @pytest.mark.parametrize(("images", "pairing"), [("abcdwx", "file"), ("abcuvw", "file"), ("abtuvw", "none")])
    def test_runs_that_share_less_than_half_of_their_images_are_independent_samples(self, images, pairing):
        found = rows_of(a_side("xxxxxx", "...xxx"), a_side("xxxxxx", "xxxxxx", images=images))["photo", "destruction_rate"]
        assert found.pairing == pairing

    def test_independent_samples_get_fishers_test_over_all_that_is_eligible(self):
        found = rows_of(a_side("xxxxxxxx", "......xx"), a_side("xxxxxx..", "xxxxx...", images="qrstuvwy"))[
            "photo", "destruction_rate"
        ]
        assert (found.pairing, found.n, found.first.n_eligible, found.second.n_eligible) == ("none", 0, 8, 6)
        assert found.p == pytest.approx(fisher_exact([[6, 2], [1, 5]]).pvalue)
        assert (found.low, found.high) == pytest.approx(independent_difference(6, 8, 1, 6))

    def test_images_on_shared_pages_make_a_difference_less_certain(self):
        marks = ("x" * 24, "." * 12 + "x" * 12), ("x" * 24, "x" * 24)
        alone = rows_of(*(a_side(*m) for m in marks))["photo", "destruction_rate"]
        shared = rows_of(*(a_side(*m, per_page=4) for m in marks))["photo", "destruction_rate"]
        assert shared.p > alone.p and shared.n_effective < 24 == alone.n_effective
        assert (shared.n_clusters, shared.difference) == (6, alone.difference)

    def test_real_photographs_are_never_stood_in_for_by_simulated_ones(self):
        found = rows_of(a_side("xxxx", "...."), a_side("xxxx", "xxxx", origin="simulated"))["photo", "destruction_rate"]
        assert (found.first.origin, found.second.origin) == ("camera", "simulated")


def test_attacks_made_on_a_defence_are_not_taken_for_attacks_on_the_model_unless_there_are_no_others():
    attacks = (AttackSettings("fgsm"), AttackSettings("fgsm", "fgsm-vs-jpeg", against="jpeg"))
    cells = {("average", attack.key, 16): () for attack in attacks}
    assert list(made_on_model(Experiment("run", attacks=attacks), cells)) == [("average", "fgsm", 16)]
    only = {("average", "fgsm-vs-jpeg", 16): ()}
    assert made_on_model(Experiment("run", attacks=attacks[1:]), only) == only


class TestTable:
    def test_every_table_is_corrected_over_itself(self):
        rows = run_comparisons(a_side("xxxxxx", "......", clean="xx...."), a_side("xxxx..", "xxxxxx"))
        families = {(row.kind, row.top_k) for row in rows}
        assert families == set(product(("overall", "photo", "file", "transform"), (1, 5)))
        for family in families:
            of_family = [row for row in rows if (row.kind, row.top_k) == family]
            assert [row.p_holm for row in of_family] == holm([row.p for row in of_family])
            assert {row.n_family for row in of_family} == {sum(row.p is not None for row in of_family)}

    def test_a_digital_transform_is_compared_where_both_runs_have_it(self):
        found = rows_of(a_side("xxxx", "...."), a_side("xxxx", "xx.."))["transform", "destruction_rate"]
        assert (found.first.transform, found.first.parameter, found.n_first, found.interval) == ("blur", 2.0, 2, "wilson")

    def test_nothing_eligible_is_told_as_nothing(self):
        found = rows_of(a_side("....", "...."), a_side("....", "...."))["photo", "destruction_rate"]
        assert (found.n, found.first.rate, found.difference, found.p, found.p_holm) == (0, None, None, None, None)

    def test_all_cells_together_count_an_image_once_however_often_it_is_attacked(self):
        """Three cells that say the same of the same images are worth one cell."""

        def thrice(side: Side) -> Side:
            return replace(
                side, cells={("average", "fgsm", epsilon): pairs for pairs in side.cells.values() for epsilon in (4, 8, 16)}
            )

        first, second = a_side("x" * 12, "." * 6 + "x" * 6), a_side("x" * 12, "x" * 12)
        alone, together = rows_of(first, second), rows_of(thrice(first), thrice(second))
        one, three = alone["overall", "destruction_rate"], together["overall", "destruction_rate"]
        assert (three.n, one.n, three.difference) == (36, 12, one.difference)
        assert three.n_effective < 1.3 * one.n_effective
        assert three.p > one.p / 3

    def test_a_clean_file_counts_once_over_all_cells(self):
        side = a_side("xxxx", "....")
        both = replace(side, cells={("average", "fgsm", epsilon): pairs for pairs in side.cells.values() for epsilon in (8, 16)})
        (found,) = (
            row
            for row in run_comparisons(both, both, [TOP_1])
            if (row.kind, row.quantity, row.first.transform) == ("overall", "clean_accuracy", SOURCE)
        )
        assert (found.n, found.pairing) == (4, "file")

    def test_files_that_fool_by_choice_are_not_compared(self):
        def chosen(side: Side) -> Side:
            return replace(side, cells={("prefiltered", *cell[1:]): pairs for cell, pairs in side.cells.items()})

        rows = run_comparisons(chosen(a_side("xxxx", "....")), chosen(a_side("xxxx", "xxxx")), [TOP_1])
        assert {row.kind for row in rows} == {"overall", "photo", "transform"}
        assert {row.first.transform for row in rows} == {PHOTO, "blur"}


@pytest.mark.parametrize("per_page", [1, 4])
@pytest.mark.parametrize("is_shared", [True, False], ids=["same-images", "other-images"])
@pytest.mark.slow
def test_two_runs_of_one_kind_are_told_apart_in_at_most_one_table_in_twenty(is_shared, per_page):
    generator, alarms, n_draws = np.random.default_rng([is_shared, per_page]), 0, 150
    for _ in range(n_draws):
        sides = []
        for names in ("a", "a" if is_shared else "A"):
            marks = "".join(
                np.where(np.repeat(generator.beta(1.6, 2.4, 24 // per_page), per_page) > generator.random(24), ".", "x")
            )
            sides.append(a_side("x" * 24, marks, images="".join(chr(ord(names) + n) for n in range(24)), per_page=per_page))
        alarms += any(
            row.p_holm < 0.05 for row in run_comparisons(*sides, [TOP_1]) if row.kind == "photo" and row.p_holm is not None
        )
    assert alarms / n_draws <= 0.08  # the level and two standard errors of so many draws


class TestIndependentSamples:
    @pytest.mark.parametrize(
        "table", [(6, 8, 1, 6), (0, 5, 5, 5), (3, 3, 0, 9), (40, 102, 61, 99), (0, 4, 0, 7), (7, 24, 12, 20)]
    )
    def test_fishers_p_is_scipys(self, table):
        k, n, other_k, other_n = table
        assert fisher(*table) == pytest.approx(fisher_exact([[k, n - k], [other_k, other_n - other_k]]).pvalue, rel=1e-9)

    def test_the_interval_is_newcombes_published_one(self):
        # Newcombe 1998, Statistics in Medicine 17, Table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
        assert independent_difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
        assert independent_difference(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)

    def test_images_that_share_pages_count_for_fewer(self):
        outcomes, pages = [True] * 12 + [False] * 12, [place // 4 for place in range(24)]
        other = [False] * 20 + [True] * 4
        alone, shared = (
            compare_independent((outcomes, None), (other, None)),
            compare_independent((outcomes, [pages]), (other, None)),
        )
        n = effective_number([float(hit) for hit in outcomes], [pages]).n_effective
        assert shared.p == fisher(round(int(n) / 2), int(n), 4, 24) > alone.p
        assert shared.high - shared.low > alone.high - alone.low

    def test_without_images_nothing_is_said(self):
        assert compare_independent(([], None), ([True], None)).p is None

    @pytest.mark.parametrize("bad", [(3, 2, 0, 1), (0, 1, -1, 1)])
    def test_counts_that_cannot_be_are_refused(self, bad):
        with pytest.raises(ValueError, match="expected 0 <= n_hit <= n"):
            fisher(*bad)


def content_of(first: Side, second: Side, **changes) -> AgainstContent:
    rows = tuple(run_comparisons(first, second))
    known = AgainstContent("laser", "inkjet", (("photograph.profile", "a", "b"),), (("model", "m", "m"),), ("A note.",), rows)
    return replace(known, **changes)


class TestSentences:
    SURE = content_of(a_side("x" * 12, "." * 12), a_side("x" * 12, "x" * 12))

    def test_the_run_whose_attacks_survive_is_called_the_one_where_they_are_sturdier(self):
        verdict = next(sentence for sentence in against_sentences(self.SURE) if "destroyed" in sentence)
        assert "destroyed 100 % against 0 % of the attacks" in verdict and "+100 points" in verdict
        assert verdict.endswith("**Attacks are sturdier on paper in inkjet.**")

    def test_exchanging_the_runs_exchanges_the_verdict(self):
        turned = content_of(a_side("x" * 12, "x" * 12), a_side("x" * 12, "." * 12))
        verdict = next(sentence for sentence in against_sentences(turned) if "destroyed" in sentence)
        assert "−100 points" in verdict and verdict.endswith("**Attacks are sturdier on paper in laser.**")

    def test_what_is_not_sure_is_not_called_sturdier(self):
        unsure = content_of(a_side("x" * 12, "." * 12), a_side("x" * 12, ".." + "." * 9 + "x"))
        verdict = next(sentence for sentence in against_sentences(unsure) if "destroyed" in sentence)
        assert "sturdier" not in verdict and verdict.endswith("Not enough images to tell which is greater.")

    def test_what_is_the_same_image_by_image_is_one_sentence_and_no_verdict(self):
        found = against_sentences(content_of(a_side("x" * 12, "." * 12), a_side("x" * 12, "." * 12)))
        assert not any("not enough images" in sentence.lower() for sentence in found)
        (alike,) = (sentence for sentence in found if "image by image" in sentence)
        assert "attacks destroyed by photographs (average case, n = 12)" in alike

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            ((), "No setting differs"),
            (("model.name",), "one setting differs: **model.name**"),
            (("model.name", "model.weights"), "2 settings differ (of **model**)."),
            (("model.name", "photograph.profile"), "no difference can be put down to one of them alone"),
        ],
    )
    def test_what_was_changed_comes_first(self, names, said):
        found = replace(self.SURE, differences=tuple((name, "a", "b") for name in names))
        assert said in against_sentences(found)[0]
