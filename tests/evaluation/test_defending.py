"""What is right behind each defence, and beside no defence: counts by hand, who is compared with whom, and what is not."""

import pytest
from scipy.stats import binomtest

from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.defending import defence_rows
from pipeline.evaluation.outcomes import Outcomes
from pipeline.records import ADAPTIVE, NO_DEFENCE, PHOTO, SOURCE, UNAWARE, Judgement, Pair, Prediction, View
from pipeline.settings import AttackSettings, DefenceSettings, Experiment
from pipeline.statistics import compare_paired, holm, wilson

# What is said of the adversarial images, "." right and "x" wrong: by whom, of which attack's images.
SAID = {
    ("", "fgsm"): "xxxxxxxx",
    ("pad", "fgsm"): "......xx",
    ("pad", "fgsm-vs-pad"): "..xxxxxx",
    ("pad", "fgsm-vs-squeeze"): "xxxxxxxx",
}
CLEAN = {"": "........", "pad": ".......x"}


def told(case="average", said=SAID, only_on_defence=False, per_page=2):
    """The rows of a run of 8 images whose photographs are answered as the files are."""
    attacks = [AttackSettings("fgsm", epsilons_8bit=(4,), against="model")]
    attacks += [
        AttackSettings("fgsm", "fgsm-vs-pad", (4,), against="pad"),
        AttackSettings("fgsm", "fgsm-vs-squeeze", (4,), against="squeeze"),
    ]
    if only_on_defence:
        attacks = [AttackSettings("fgsm", "fgsm-vs-pad", (4,), against="pad")]
    defences = (
        DefenceSettings("random-padding", "pad", {"n_expected": 5}),
        DefenceSettings("feature-squeezing", "squeeze"),
    )
    experiment = Experiment("run", attacks=tuple(attacks), defences=defences)
    cells, views, predictions, judgements, asked = {}, [], {}, [], set()
    for attack in attacks:
        pairs = []
        for place, image in enumerate("abcdefgh"):
            pair = Pair(f"{attack.key}/{image}", image, attack.key, 4, (case,), 0, None, "", "", 4, 1.0, 1.0, 10 + place, 3)
            pairs.append(pair)
            for judge in ("", "pad"):
                for variant, marks in (("clean", CLEAN[judge]), ("adversarial", said.get((judge, attack.key), "." * 8))):
                    for transform in (SOURCE, PHOTO):
                        pair_id = "" if variant == "clean" and transform == SOURCE else pair.pair_id
                        key = f"{judge}/{variant}/{transform}/{pair_id or image}"
                        where = "camera" if transform == PHOTO else "digital"
                        labels = (0, 1) if marks[place] == "." else (1, 0)
                        if judge and key not in asked:
                            asked.add(key)
                            shown = (key, image, pair_id, variant, transform, where, 0, labels)
                            judgements.append(Judgement(judge, *shown, (), (), "", False))
                        elif not judge and key not in predictions:
                            capture = f"{attack.key}-{place // per_page}" if transform == PHOTO else ""
                            views.append(
                                View(key, image, variant, attack.key, 4, pair_id, transform, None, "", key, where, capture)
                            )
                            predictions[key] = Prediction(key, 0, labels, (0.5, 0.5), 0.5)
        cells[case, attack.key, 4] = pairs
    pages = {pair.pair_id: f"{pair.attack}-{place // per_page}" for made in cells.values() for place, pair in enumerate(made)}
    judges = [Outcomes.of_model(views, predictions), Outcomes.of_judge("pad", judgements, pages)]
    return defence_rows(experiment, cells, judges, [TOP_1])


def row_of(rows, defence, attacker, transform=SOURCE):
    (row,) = [row for row in rows if (row.defence, row.attacker, row.transform) == (defence, attacker, transform)]
    return row


def test_each_attack_stands_without_a_defence_and_behind_each_the_adaptive_attacker_first():
    rows = told()
    assert [(row.defence, row.attacker) for row in rows if row.transform == SOURCE] == [
        ("", NO_DEFENCE), ("pad", ADAPTIVE), ("pad", UNAWARE)
    ]  # fmt: skip
    assert {row.attack for row in rows} == {"fgsm"} and len(rows) == 6  # "squeeze" was never asked


def test_accuracies_are_of_all_images_whatever_is_said_of_the_other_one():
    row = row_of(told(), "pad", UNAWARE)
    assert (row.clean.n_hit, row.clean.n_eligible, row.adversarial.n_hit, row.adversarial.n_eligible) == (7, 8, 6, 8)
    assert (row.adversarial.low, row.adversarial.high) == pytest.approx(wilson(6, 8))


@pytest.mark.parametrize(("attacker", "n_behind"), [(ADAPTIVE, 2), (UNAWARE, 6)])
def test_a_defence_is_compared_with_none_on_the_same_images(attacker, n_behind):
    found = row_of(told(), "pad", attacker).compared
    assert (found.n, found.n_both, found.n_first, found.n_second) == (8, 0, n_behind, 0)
    assert found.difference == n_behind / 8 and found.p == pytest.approx(binomtest(0, n_behind).pvalue)
    assert (found.first.attack, found.second.attack) == ("fgsm-vs-pad" if attacker == ADAPTIVE else "fgsm", "fgsm")


def test_photographs_that_share_a_page_make_a_difference_less_certain():
    found = row_of(told(per_page=4), "pad", ADAPTIVE, PHOTO).compared
    pages = [[f"{side}{place // 4}" for place in range(8)] for side in "ab"]
    by_hand = compare_paired([(place < 2, False) for place in range(8)], pages)
    assert (found.p, found.low, found.high, found.interval) == (by_hand.p, by_hand.low, by_hand.high, "cluster")
    assert found.p > row_of(told(), "pad", ADAPTIVE).compared.p


def test_everything_that_is_compared_is_corrected_together():
    rows = told()
    assert [row.compared.p_holm for row in rows] == holm([row.compared.p for row in rows])
    assert {row.compared.n_family for row in rows} == {4}


def test_nothing_is_compared_without_a_defence_nor_where_images_were_chosen_by_what_fools():
    alone = row_of(told(), "", NO_DEFENCE)
    assert (alone.compared.n, alone.compared.difference, alone.compared.p) == (0, None, None)
    assert {row.compared.n for row in told("prefiltered")} == {0}


def test_an_attack_that_was_made_on_a_defence_alone_stands_there_and_is_compared_with_nothing():
    (file, photo) = told(only_on_defence=True)
    assert (file.defence, file.attacker, file.adversarial.n_hit, file.compared.n) == ("pad", ADAPTIVE, 2, 0)
    assert photo.transform == PHOTO


def test_what_a_prediction_costs_is_the_defences_and_what_an_attack_cost_the_mean_of_its_images():
    rows = told()
    assert {row.n_passes for row in rows} == {1}
    assert {(row.n_forward, row.n_backward) for row in rows} == {(13.5, 3.0)}


def test_of_several_photographs_of_an_image_a_judge_is_counted_by_the_one_that_the_model_is():
    shown = ("i", "fgsm/i", "adversarial", PHOTO, "camera", 0)
    said = [Judgement("pad", key, *shown, (label, 9), (), (), "", False) for key, label in (("far", 0), ("near", 1))]
    pair = Pair("fgsm/i", "i", "fgsm", 4, ("average",), 0, None, "", "", 4, 1.0, 1.0, 1, 1)
    for errors, is_right in (({"far": 2.0, "near": 1.0}, False), ({"far": 1.0, "near": 2.0}, True)):
        outcomes = Outcomes.of_judge("pad", said, {}, errors)
        question = ("adversarial_accuracy", ("average", "fgsm", 4), outcomes.photos[0], TOP_1)
        assert outcomes.trial_of_each(question, [pair])["i"].is_hit == is_right
