"""A run of a model with few classes: top-k is counted as far as it says something, everywhere; and images are counted once."""

import random
import re
from dataclasses import replace
from functools import cache

import pytest
from made_up_run import make_content
from matplotlib.text import Text

from pipeline.document.blocks import Figure
from pipeline.document.tables import as_text
from pipeline.evaluation.comparing import comparisons, predictions
from pipeline.evaluation.criteria import criteria_for
from pipeline.evaluation.estimates import accuracies, destruction_rates, overall_rates
from pipeline.evaluation.flagging import Evidence, run_flags
from pipeline.evaluation.judges.counting import transfers
from pipeline.evaluation.outcomes import Outcomes
from pipeline.records import CAMERA, DIGITAL, PHOTO, SIMULATED, SOURCE, Judgement, Pair, Prediction, View, top_ks_for
from pipeline.report.cell_tables import photo_tables, transform_tables
from pipeline.report.content import ModelFacts
from pipeline.report.how_to_read import how_to_read
from pipeline.report.judges import judges_section
from pipeline.report.sections import sections
from pipeline.report.summary import sentences, tiles
from pipeline.studies import study_named
from pipeline.studies.testing import ImageTests

N_IMAGES, PER_PAGE = 12, 3
CELLS = [(case, attack, epsilon) for case in ("average", "prefiltered") for attack in ("fgsm", "bim") for epsilon in (8, 16)]
TOP_KS = {2: (1,), 3: (1, 2), 5: (1, 4), 6: (1, 5), 1000: (1, 5)}


def made_up(n_classes, origins=(CAMERA,)):
    """12 images that 4 attacks are made on, all printed; the model says anything, but the true class of most clean images."""
    chance = random.Random(n_classes)
    cells = {cell: [] for cell in CELLS}
    views, predictions, pages_of = [], {}, {}

    def say(pair, variant, transform, parameter, origin, right_rate, capture=""):
        pair_id = "" if variant == "clean" and not capture else pair.pair_id
        key = f"{variant}/{transform}/{origin}/{pair_id or pair.image_id}"
        if key in predictions:
            return
        labels = chance.sample(range(n_classes), min(5, n_classes))
        if chance.random() < right_rate:
            labels = [pair.true_label, *(label for label in labels if label != pair.true_label)][:5]
        attack = ("", 0) if variant == "clean" else (pair.attack, pair.epsilon_8bit)
        views.append(View(key, pair.image_id, variant, *attack, pair_id, transform, parameter, "", key, origin, capture))
        predictions[key] = Prediction(key, pair.true_label, tuple(labels), (0.5,) * len(labels), 0.5)

    for case, attack, epsilon in CELLS:
        for number in range(N_IMAGES):
            name = f"{case}/{attack}-eps{epsilon}/i{number}"
            label = number % n_classes
            pair = Pair(name, f"i{number}", attack, epsilon, (case,), label, None, "", "", epsilon, 9.0, 0.9, 1, 1)
            cells[case, attack, epsilon].append(pair)
            for variant, right_rate in (("clean", 0.9), ("adversarial", 0.1)):
                say(pair, variant, SOURCE, None, DIGITAL, right_rate)
                for origin in origins:
                    capture = f"{case}-{attack}-{epsilon}-{number // PER_PAGE}-{origin}"
                    pages_of[capture] = len(pages_of)
                    say(pair, variant, PHOTO, None, origin, 0.7, capture)
            say(pair, "adversarial", "blur", 1.0, DIGITAL, 0.4)
    return cells, views, Outcomes.of_model(views, predictions, pages_of), predictions


@cache
def reported(n_classes, origins=(CAMERA,)):
    """The content of the report on such a run, with all that is counted."""
    cells, views, outcomes, said = made_up(n_classes, origins)
    criteria = criteria_for(n_classes)
    told = [
        Judgement("judge", v.view_id, v.image_id, v.pair_id, v.variant, v.transform, v.origin, said[v.view_id].true_label,
                  said[v.view_id].labels[:-1], (), (), v.sha256, False)
        for v in views if v.transform in (SOURCE, PHOTO)
    ]  # fmt: skip
    rates = tuple(destruction_rates(cells, outcomes, criteria))
    content = make_content(("fgsm", "bim"), (8, 16), simulated=SIMULATED in origins, grids={}, n_gallery=1)
    content = replace(
        content,
        model=ModelFacts("builtin:signs", "a1b2c3", (96, 96), n_classes),
        rates=rates,
        accuracies=tuple(accuracies(cells, outcomes, criteria)),
        overall=tuple(overall_rates(cells, outcomes)),
        comparisons=tuple(comparisons(cells, outcomes, criteria)),
        compared=tuple(predictions(cells, outcomes, criteria)),
        transfer=tuple(transfers(cells, [outcomes, Outcomes.of_judge("judge", told)], criteria)),
        findings=tuple(study_named("").findings(ImageTests(cells, outcomes, True, top_ks_for(n_classes)))),
        flags=tuple(run_flags(Evidence(rates=rates, origin=origins[0]))),
    )
    return replace(content, study=study_named("").part(content))


@pytest.fixture(scope="module", params=TOP_KS)
def content(request):
    return reported(request.param)


def test_every_rate_flag_and_comparison_is_at_a_top_k_that_says_something(content):
    wanted = TOP_KS[content.model.n_classes]
    assert content.top_ks == wanted
    for rows in (content.rates, content.accuracies, content.comparisons, content.transfer):
        assert {row.top_k for row in rows} == set(wanted)
    assert {row.top_k for row in content.flags if row.flag == "few-eligible"} <= set(wanted)
    assert any(row.n_eligible for row in content.rates if row.top_k == wanted[-1]), "attacks can work at every k"


@pytest.mark.parametrize("n_classes", [2, 5, 6])
def test_the_report_speaks_of_no_other_top_k(n_classes):
    content = reported(n_classes)
    blocks = [block for section in sections(content) for block in section.blocks]
    drawn = [text.get_text() for block in blocks if isinstance(block, Figure) for text in block.plot.findobj(Text)]
    assert set(re.findall(r"top-(\d)", str([*blocks, *drawn]))) == {str(k) for k in TOP_KS[n_classes]}
    assert ("five labels would always hold the true one" in str(blocks)) == (n_classes < 6)


def test_tables_have_a_column_for_each_top_k_and_nothing_is_missing_in_them(content):
    accuracy, _, rate = photo_tables(content, CAMERA)
    assert [column.header for column in accuracy.columns[2:]] == [f"top-{k}" for k in content.top_ks] * 4
    assert [column.header for column in rate.columns[2:]] == [f"top-{k}" for k in content.top_ks] * 2
    for table in (accuracy, rate, *transform_tables(content)):
        assert not any(cell.text == "–" for row in table.rows for cell in row), as_text(table)


def test_a_model_that_gives_a_label_alone_is_counted_at_top_1_and_that_is_said():
    content = reported(1000)
    assert criteria_for(1) == criteria_for(2) and content.top_ks == (1, 5)
    alone = replace(content, model=replace(content.model, n_ranked=1))
    assert alone.top_ks == (1,)
    assert "no scores, so there is no second one: answers are counted at top-1" in str(how_to_read(alone))


def test_predictions_beside_measurements_have_the_same_top_k():
    for n_classes, wanted in TOP_KS.items():
        content = reported(n_classes, (CAMERA, SIMULATED))
        assert {row.top_k for row in content.compared} == set(wanted)
        said = next(line for line in sentences(content) if "predicted" in line)
        assert said.endswith(f"(every cell, {' and '.join(f'top-{k}' for k in wanted)}).")


def test_a_judge_of_few_classes_is_counted_at_the_top_k_that_can_be_wrong():
    content = reported(5)
    assert {row.top_k for row in content.transfer if row.judge == "judge"} == {1, 4}
    assert {row.top_k for row in reported(6).transfer if row.judge == "judge"} == {1}, "four answers an image are known"
    assert "too few answers an image are known for top-5, which is left out" in str(judges_section(reported(6)))


def test_headlines_count_images_once_and_have_the_interval_of_so_many_images():
    content = reported(6)
    cells, _, outcomes, _ = made_up(6)
    found = {(row.case, row.quantity, row.transform): row for row in content.overall}
    clean = found["average", "clean_accuracy", SOURCE]
    right = sum(outcomes.is_clean_right(pair, criteria_for(6)[0]) for pair in cells["average", "fgsm", 8])
    assert (clean.n_hit, clean.n_eligible, clean.n_different) == (right, N_IMAGES, N_IMAGES)
    destroyed = found["average", "destruction_rate", PHOTO]
    rows = [row for row in content.rates if (row.case, row.transform, row.top_k) == ("average", PHOTO, 1)]
    assert (destroyed.n_hit, destroyed.n_eligible) == (sum(r.n_hit for r in rows), sum(r.n_eligible for r in rows))
    assert destroyed.n_different <= N_IMAGES < destroyed.n_eligible and destroyed.n_effective <= destroyed.n_different
    first, second, _ = sentences(content)
    assert f"{right} of {N_IMAGES} clean ones" in first and f"made from {N_IMAGES} images" in first
    ends = f"95 % interval {100 * destroyed.low:.0f} to {100 * destroyed.high:.0f} %"
    assert f"{destroyed.n_eligible} photographed attacks on {destroyed.n_different} images" in second and ends in second
    survived = f"95 % interval {100 - 100 * destroyed.high:.0f} to {100 - 100 * destroyed.low:.0f} %"
    assert survived in tiles(content)[0].label and f"{N_IMAGES} images" in tiles(content)[2].label


def test_several_photographs_of_a_page_do_not_make_more_attacks():
    cells, views, once, said = made_up(6)
    again = [replace(view, view_id=f"{view.view_id}/2", predicted_error_px=9.0) for view in views if view.transform == PHOTO]
    twice = Outcomes.of_model([*views, *again], said | {v.view_id: said[v.view_id[:-2]] for v in again})
    counted = [
        [(row.n_hit, row.n_eligible) for row in overall_rates(cells, outcomes) if row.transform == PHOTO]
        for outcomes in (once, twice)
    ]
    assert counted[0] == counted[1]
