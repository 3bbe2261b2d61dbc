"""Rules and the numbers that they are for: which end of the interval, which cells, whose photographs, and none in silence."""

from dataclasses import replace

import pytest

from pipeline.core.errors import BadInput, WrongUse
from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.estimates import estimate, rate_of
from pipeline.evaluation.outcomes import Condition, Question
from pipeline.evaluation.rules import _comparisons, asks_for_photos, verdicts_of
from pipeline.records.rules import ACCURACIES, Rule
from pipeline.settings import CheckSettings
from pipeline.statistics import wilson
from pipeline.store import Run
from pipeline.store.artefacts import COUNTED

CELLS = [("average", "fgsm", 4), ("average", "fgsm", 16), ("average", "deepfool", 0), ("prefiltered", "fgsm", 16)]


@pytest.fixture
def run(tmp_path) -> Run:
    """Photographs of a camera, of which 8 of 10 are right, and simulated ones, of which 3 of 10 are."""
    made = Run(tmp_path, "made")
    rates = []
    for cell in [*CELLS, ("average", "", 0), ("prefiltered", "", 0)]:
        for quantity in ("clean_accuracy", "adversarial_accuracy", "destruction_rate"):
            for transform, origin, n_hit in (("source", "digital", 5), ("photo", "simulated", 3), ("photo", "camera", 8)):
                if quantity != "destruction_rate" or transform == "photo":
                    question = Question(quantity, cell, Condition(transform, None, origin), TOP_1)
                    rates.append(rate_of(question, estimate([True] * n_hit + [False] * (10 - n_hit))))
    rates.append(replace(rates[0], top_k=5, n_hit=10, rate=1.0))
    tables = {"overall": [row for row in rates if not row.attack], "accuracies": [row for row in rates if row.attack]}
    COUNTED.write(made, {**tables, "destruction_rates": []})
    return made


def verdict(run, **limits):
    (found,) = verdicts_of(CheckSettings(**limits), run, None)
    return found


def test_a_least_value_is_held_against_the_lower_end_and_a_largest_against_the_upper(run):
    low, high = wilson(8, 10)
    assert verdict(run, min_accuracy={"photo": 0.5}).measured == pytest.approx(low)
    assert verdict(run, max_destruction={"overall": 0.5}).measured == pytest.approx(high)
    assert verdict(run, min_accuracy={"photo": 0.5}, on="rate").measured == 0.8


@pytest.mark.parametrize("key", ["min_destruction", "max_destruction"])
@pytest.mark.parametrize(("limit", "is_least_kept"), [(0.79, True), (0.8, True), (0.81, False)])
def test_a_rate_that_is_its_limit_keeps_to_it(run, key, limit, is_least_kept):
    is_kept = is_least_kept if key == "min_destruction" else limit >= 0.8
    assert verdict(run, **{key: {"fgsm:16": limit}}, on="rate").is_kept is is_kept


def test_nothing_simulated_stands_in_for_what_a_camera_took(run):
    assert verdict(run, min_accuracy={"photo": 0.5}).found.origin == "camera"
    assert verdict(run, min_accuracy={"adversarial": 0.5}).found.n_hit == 5


PLACES = {
    "photo": [("average", "", 0)],
    "photo:overall": [("average", "", 0)],
    "photo:prefiltered": [("prefiltered", "", 0)],
    "photo:fgsm:16": [("average", "fgsm", 16)],
    "photo:prefiltered:fgsm:16": [("prefiltered", "fgsm", 16)],
    "photo:deepfool": [("average", "deepfool", 0)],
    "photo:fgsm": [("average", "fgsm", 4), ("average", "fgsm", 16)],
    "photo:cells": CELLS[:3],
}


@pytest.mark.parametrize(("place", "cells"), PLACES.items(), ids=PLACES.keys())
def test_a_limit_is_for_the_cells_that_its_words_name(run, place, cells):
    found = verdicts_of(CheckSettings(min_accuracy={place: 0.5}), run, None)
    assert [verdict.rule.cell for verdict in found] == cells
    assert all(verdict.rule.counted == ACCURACIES["photo"] for verdict in found)


@pytest.mark.parametrize("place", ["photo:fgsm:8", "photo:bim", "photo:average:prefiltered", "photo:deepfool:4", "photo:cells:4"])
def test_words_that_name_no_cell_are_refused(run, place):
    with pytest.raises(WrongUse, match="no such cell in made"):
        verdicts_of(CheckSettings(min_accuracy={place: 0}), run, None)


def test_a_run_without_photographs_keeps_to_no_limit_of_photographs(run):
    tables = COUNTED.read(run)
    for name in tables:
        tables[name] = [row for row in tables[name] if row["transform"] == "source"]
    COUNTED.write(run, tables)
    with pytest.raises(WrongUse, match=r"there are no photographs in made\. There are: clean and adversarial"):
        verdicts_of(CheckSettings(min_accuracy={"photo": 0}), run, None)


def test_a_rate_of_nothing_is_no_rate_of_zero(run):
    tables = COUNTED.read(run)
    for row in tables["overall"]:
        row |= {"n_hit": 0, "n_eligible": 0, "rate": None, "low": None, "high": None}
    COUNTED.write(run, tables)
    for limits in ({"max_destruction": {"overall": 1}}, {"min_accuracy": {"clean": 0}}):
        with pytest.raises(BadInput, match="was counted in average:overall"):
            verdicts_of(CheckSettings(**limits), run, None)


@pytest.mark.parametrize(
    ("limits", "are_asked"),
    [
        ({"min_accuracy": {"clean": 1, "adversarial:fgsm:4": 1}}, False),
        ({"min_accuracy": {"clean-photo": 1}}, True),
        ({"max_destruction": {"overall": 1}}, True),
        ({"max_drop": {"overall": 5}, "against": "x"}, True),
        ({"max_drop": {"clean": 5}, "against": "x"}, False),
    ],
)
def test_photographs_are_asked_for_by_limits_of_photographs(limits, are_asked):
    assert asks_for_photos(CheckSettings(**limits)) is are_asked


def test_a_drop_of_seven_points_is_no_more_than_seven():
    from pipeline.evaluation.rules import _keeps

    rule = Rule("max_drop", "photo", 7 / 100, "rate", ACCURACIES["photo"], CELLS[0])
    assert _keeps(rule, 7 * 0.01) and _keeps(rule, 0.57 - 0.5) and not _keeps(rule, 0.0701)


def test_every_comparison_of_files_and_photographs_is_found_once(tmp_path):
    """Two copies of the sample: four accuracies and the destruction rate over all cells and in each of three."""
    from sample_copy import copy_sample

    from pipeline.settings.reading import load_experiment
    from pipeline.store.artefacts import EXPERIMENT

    runs = [copy_sample(tmp_path / name) for name in ("one", "other")]
    found = _comparisons(*((load_experiment(EXPERIMENT.path(run)), run) for run in runs))
    assert len(found) == 5 * 4 and {row.difference for row in found.values()} == {0.0}
