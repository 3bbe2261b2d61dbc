"""Outcomes: who is right, which attacks work, whose clean file is right; and the tables that hold what is counted of them."""

import csv
import io
import json

import numpy as np
import pytest
from made_up_run import cluster_interval

from pipeline.evaluation.comparing import comparisons
from pipeline.evaluation.criteria import TOP_1, TargetReached, TopK
from pipeline.evaluation.estimates import accuracies, destruction_rates, estimate
from pipeline.evaluation.outcomes import Outcomes
from pipeline.records import (
    PHOTO,
    SOURCE,
    Comparison,
    Judgement,
    Pair,
    Prediction,
    Rate,
    View,
)
from pipeline.records.rates import (
    ACCURACY_COLUMNS,
    COMPARISON_COLUMNS,
    PREDICTED_COLUMNS,
    RATE_COLUMNS,
    RUN_COMPARISON_COLUMNS,
    TRANSFER_COLUMNS,
)
from pipeline.statistics import wilson
from pipeline.store import csv_bytes, json_bytes, record_from
from pipeline.studies.kurakin2016.published import PAPER_TABLE_2, PAPER_TABLE_3

CELL = ("average", "bim", 8)
RIGHT, WRONG = (0, 1, 2, 3, 4), (9, 8, 7, 6, 5)


def a_pair(number: int) -> Pair:
    return Pair(f"bim/{number}", f"i{number}", "bim", 8, ("average",), 0, None, "", "", 8, 1.0, 0.9, 1, 1)


def a_run(triples, per_page: int = 1, n_photos: int = 1, clean_photos=()) -> tuple[dict, Outcomes]:
    """A run of which triples say whether the clean file, the adversarial file and its photographs are right.

    `clean_photos` says it of the clean files' photographs, where there are any.
    """
    views, predictions = [], {}

    def view(number: int, variant: str, transform: str, is_right: bool, capture: str = "") -> None:
        key = f"{transform}/{variant}/{number}/{capture}"
        pair_id = f"bim/{number}" if variant == "adversarial" or capture else ""
        origin = "camera" if capture else "digital"
        views.append(View(key, f"i{number}", variant, "", 0, pair_id, transform, None, "", "", origin, capture))
        predictions[key] = Prediction(key, 0, RIGHT if is_right else WRONG, (0.2,) * 5, 0.2)

    triples = list(triples)
    for number, (clean, adversarial, after) in enumerate(triples):
        view(number, "clean", SOURCE, clean)
        view(number, "adversarial", SOURCE, adversarial)
        for photo in range(n_photos):
            view(number, "adversarial", PHOTO, after, f"c{number // per_page}-{photo}")
    for number, is_right in enumerate(clean_photos):
        view(number, "clean", PHOTO, is_right, f"c{number // per_page}-0")
    pages = {
        f"c{number // per_page}-{photo}": number // per_page + 1 for number in range(len(triples)) for photo in range(n_photos)
    }
    return {CELL: [a_pair(number) for number in range(len(triples))]}, Outcomes.of_model(views, predictions, pages)


def destroyed(triples, **options) -> Rate:
    cells, outcomes = a_run(triples, **options)
    return next(rate for rate in destruction_rates(cells, outcomes) if rate.top_k == 1)


EQUATION_1 = {
    "restored": ([(True, False, True)], 1, 1),
    "still-fooled": ([(True, False, False)], 0, 1),
    "clean-wrong-is-not-eligible": ([(False, False, True)], 0, 0),
    "attack-failed-is-not-eligible": ([(True, True, True)], 0, 0),
    "both-wrong-is-not-eligible": ([(False, True, True)], 0, 0),
    "mixed": ([(True, False, True), (True, False, False), (False, False, True), (True, True, False)], 1, 2),
}


@pytest.mark.parametrize(("triples", "n_hit", "n_eligible"), EQUATION_1.values(), ids=EQUATION_1.keys())
def test_destruction_rates_follow_equation_1(triples, n_hit, n_eligible):
    found = destroyed(triples)
    assert (found.n_hit, found.n_eligible) == (n_hit, n_eligible)


def test_destruction_rate_equals_the_formula_on_random_outcomes():
    clean, adversarial, after = np.random.default_rng(3).integers(0, 2, (3, 500)).astype(bool)
    expected = (clean & ~adversarial & after).sum() / (clean & ~adversarial).sum()
    assert destroyed(zip(clean, adversarial, after, strict=True)).rate == pytest.approx(expected)


def test_accuracies_in_photographs_are_those_of_each_variants_own_photographs():
    cells, outcomes = a_run([(True, False, number == 0) for number in range(5)], clean_photos=[True, True, True, False, True])
    found = {row.quantity: (row.n_hit, row.n_eligible) for row in accuracies(cells, outcomes) if row.transform == PHOTO}
    assert found == {"clean_accuracy": (4, 5), "adversarial_accuracy": (1, 5)}


def test_a_rate_with_nothing_eligible_is_none_and_not_zero():
    assert destroyed([(False, False, True)]).rate is None


def test_the_papers_prefiltered_rates_follow_from_its_accuracies():
    """Table 3 from Table 2: where every clean file is right and every adversarial file wrong, d is the photo accuracy.

    The one exception, basic iterative at epsilon 2 for top-5, had one adversarial file of 99 still right: it leaves the
    denominator, and 96/99 becomes 95/98.
    """
    rates = {(row.attack, row.epsilon_8bit): row for row in PAPER_TABLE_3}
    for row in PAPER_TABLE_2:
        for top_k in (1, 5):
            n = row.n_photographed
            n_right = round(getattr(row, f"photo_adversarial_top{top_k}") / 100 * n)
            n_failed = round(getattr(row, f"source_adversarial_top{top_k}") / 100 * n)
            outcomes = [(True, True, True)] * n_failed
            outcomes += [(True, False, True)] * (n_right - n_failed) + [(True, False, False)] * (n - n_right)
            printed = getattr(rates[row.attack, row.epsilon_8bit], f"prefiltered_top{top_k}")
            assert round(100 * destroyed(outcomes).rate, 1) == printed, (row.attack, row.epsilon_8bit, top_k)


def test_an_answer_is_right_by_its_criterion():
    assert TOP_1.holds((3, 1, 2), 3) and not TOP_1.holds((1, 3, 2), 3)
    assert TopK(5).holds((1, 2, 4, 5, 3, 6), 3) and not TopK(5).holds((1, 2, 4, 5, 6, 3), 3)
    assert not TopK(2).holds((), 3)


def test_images_on_one_page_are_correlated_and_several_photographs_of_one_are_one():
    triples = [(True, False, number % 3 > 0) for number in range(12)]
    once, twice = destroyed(triples, per_page=3), destroyed(triples, per_page=3, n_photos=2)
    pages = [number // 3 for number in range(12)]
    assert (once.interval, once.n_clusters) == ("cluster", 4)
    assert (once.low, once.high) == pytest.approx(cluster_interval([after for _, _, after in triples], pages))
    assert (twice.n_eligible, twice.n_images, twice.n_clusters) == (24, 24, 4) and twice.n_effective <= 12


def test_what_has_no_photograph_is_counted_as_discarded():
    cells, outcomes = a_run([(True, False, True)] * 3)
    cells[CELL].append(a_pair(3))
    found = next(destruction_rates(cells, outcomes))
    assert (found.n_images, found.n_discarded) == (3, 1)


def judgement(number: int, variant: str, transform: str, is_right: bool) -> Judgement:
    pair_id = "" if (variant, transform) == ("clean", SOURCE) else f"bim/{number}"
    origin = "digital" if transform == SOURCE else "camera"
    labels = RIGHT if is_right else WRONG
    return Judgement("twin", "", f"i{number}", pair_id, variant, transform, origin, 0, labels, ("",) * 5, (), "", False)


def test_the_attacked_model_is_counted_as_any_other_judge():
    """The same answers make the same rates, whether the attacked model gave them or another judge."""
    triples = [(number % 5 > 0, number % 4 == 0, number % 3 > 0) for number in range(24)]
    cells, zero = a_run(triples, per_page=4)
    said = []
    for number, (clean, adversarial, after) in enumerate(triples):
        said += [judgement(number, "clean", SOURCE, clean), judgement(number, "adversarial", SOURCE, adversarial)]
        said.append(judgement(number, "adversarial", PHOTO, after))
    twin = Outcomes.of_judge("twin", said, {f"bim/{number}": number // 4 for number in range(24)})
    assert (zero.judge, twin.judge) == ("attacked model", "twin")
    assert list(destruction_rates(cells, twin)) == list(destruction_rates(cells, zero))
    assert list(accuracies(cells, twin)) == list(accuracies(cells, zero))


def test_the_answer_to_an_image_that_was_not_asked_about_is_unknown_and_not_wrong():
    outcomes = Outcomes.of_judge("twin", [judgement(0, "clean", SOURCE, True), judgement(1, "adversarial", SOURCE, False)])
    assert outcomes.is_clean_right(a_pair(0), TOP_1) is True and not outcomes.works(a_pair(0), TOP_1)
    assert outcomes.is_clean_right(a_pair(1), TOP_1) is None and not outcomes.works(a_pair(1), TOP_1)


def test_independent_images_have_wilsons_interval():
    found = estimate([True, False, False, True])
    assert (found.low, found.high) == wilson(2, 4) and (found.interval, found.n_clusters) == ("wilson", None)


COLUMNS = {
    "rates": (
        RATE_COLUMNS,
        "case,attack,epsilon_8bit,transform,parameter,origin,top_k,n_hit,n_eligible,n_images,n_discarded,destruction_rate,"
        "low,high,interval,n_clusters,n_effective",
    ),
    "accuracies": (
        ACCURACY_COLUMNS,
        "case,attack,epsilon_8bit,variant,transform,parameter,origin,top_k,n_correct,n_images,n_discarded,accuracy,"
        "low,high,interval,n_clusters,n_effective",
    ),
    "comparisons": (
        COMPARISON_COLUMNS,
        "kind,quantity,case,top_k,first_attack,first_epsilon_8bit,first_transform,first_origin,second_attack,"
        "second_epsilon_8bit,second_transform,second_origin,n,n_both,n_first,n_second,first_rate,second_rate,difference,"
        "low,high,interval,n_clusters,n_effective,p,p_holm,n_family",
    ),
    "predicted": (
        PREDICTED_COLUMNS,
        "case,attack,epsilon_8bit,quantity,top_k,n,n_measured,n_predicted,n_both,measured,measured_low,measured_high,"
        "predicted,predicted_low,predicted_high,difference,difference_low,difference_high,interval,n_clusters,n_effective",
    ),
    "comparison": (
        RUN_COMPARISON_COLUMNS,
        "table,quantity,case,attack,epsilon_8bit,transform,parameter,top_k,first_origin,first_hit,first_of,first_rate,"
        "first_low,first_high,first_n_effective,second_origin,second_hit,second_of,second_rate,second_low,second_high,"
        "second_n_effective,pairing,n,n_both,n_first,n_second,difference,low,high,interval,n_clusters,n_effective,p,p_holm,"
        "n_family",
    ),
    "transfer": (
        TRANSFER_COLUMNS,
        "case,attack,epsilon_8bit,judge,is_imported,transform,origin,top_k,clean_from,n_images,n_clean_right,n_fooled,"
        "fooled_rate,fooled_low,fooled_high,n_control,n_control_right,n_hit,n_eligible,destruction_rate,low,high,interval,"
        "n_clusters,fooled_n_effective,n_effective",
    ),
}


@pytest.mark.parametrize(("columns", "header"), COLUMNS.values(), ids=COLUMNS.keys())
def test_a_table_keeps_its_columns(columns, header):
    """Scripts read these files: a column that is renamed or moved breaks them."""
    assert csv_bytes(columns, []).decode() == header + "\n"


def test_a_row_of_a_table_is_its_record_flattened():
    (row,) = (row for row in comparisons(*a_run([(True, False, True)] * 4), [TOP_1]) if row.quantity == "adversarial_accuracy")
    (flat,) = csv.DictReader(io.StringIO(csv_bytes(COMPARISON_COLUMNS, [row]).decode()))
    assert (flat["first_transform"], flat["second_transform"], flat["second_rate"]) == (SOURCE, PHOTO, str(row.second.rate))
    assert (float(flat["difference"]), float(flat["p"])) == (row.difference, row.p)


def test_a_comparison_read_again_is_the_same_record():
    rows = comparisons(*a_run([(True, False, True)] * 4), [TOP_1])
    assert [record_from(Comparison, row) for row in json.loads(json_bytes(rows))] == rows


def test_a_target_is_reached_by_the_first_label_and_without_one_any_wrong_label_will_do():
    assert TargetReached(3).holds((3, 1), 1) and not TargetReached(3).holds((1, 3), 1)
    assert TargetReached(None).holds((2, 1), 1) and not TargetReached(None).holds((1, 2), 1)
