"""The section on defences: who attacked, and what is right behind each."""

from dataclasses import replace

import pytest
from test_few_classes import reported

from pipeline.document.blocks import TableBlock
from pipeline.document.tables import as_text
from pipeline.records import ATTACKED_MODEL, PHOTO, SOURCE
from pipeline.report.defences import ADAPTIVE, NONE, UNAWARE, defence_rows, defences_section, withstood
from pipeline.report.judges import judges_section
from pipeline.report.summary import on_cells


@pytest.fixture(scope="module")
def content():
    """A run in which "bim" was made on the defence "judge" where "fgsm" was made on the model alone."""
    return replace(reported(6), defences={"judge": {"fgsm": "bim"}})


def test_each_attack_on_the_model_is_shown_without_a_defence_and_behind_each_the_adaptive_attacker_first(content):
    rows = list(defence_rows(content))
    assert [(row.defence, row.attacker) for row in rows[:3]] == [(ATTACKED_MODEL, NONE), ("judge", ADAPTIVE), ("judge", UNAWARE)]
    assert len(rows) % 3 == 0 and {row.attack for row in rows} == {"fgsm"}
    found = {
        (row.case, row.attack, row.epsilon_8bit, row.judge, row.transform): row for row in content.transfer if row.top_k == 1
    }
    for row in rows:
        made = "bim" if row.attacker == ADAPTIVE else "fgsm"
        assert row.file == found[row.case, made, row.epsilon_8bit, row.defence, SOURCE]
        assert row.photo == found[row.case, made, row.epsilon_8bit, row.defence, PHOTO]


def test_what_is_withstood_and_what_is_fooled_are_all_that_was_right_when_clean(content):
    for row in defence_rows(content):
        fooled, right = row.photo.fooled, withstood(row.photo.fooled)
        if fooled.rate is not None:
            assert (right.n_hit + fooled.n_hit, right.n_eligible) == (fooled.n_eligible, fooled.n_eligible)
            assert right.low == pytest.approx(1 - fooled.high) and right.high == pytest.approx(1 - fooled.low)


def test_the_table_tells_clean_and_adversarial_files_and_photographs(content):
    said, *tables = defences_section(content)
    assert "adaptive" in said.markup and all(isinstance(block, TableBlock) for block in tables)
    first = next(defence_rows(content))
    text = as_text(tables[0].table)
    right, n = first.file.fooled.n_eligible, first.file.n_images
    assert f"{right}/{n} " in text and "no defence" in text and "unaware" in text


def test_a_defence_is_no_other_model_and_what_was_made_on_it_is_no_cell_of_the_model(content):
    assert judges_section(content) == () and judges_section(replace(content, defences={}))
    assert defences_section(replace(content, defences={})) == ()
    assert "basic iterative" in on_cells(replace(content, defences={}), "average")
    assert "basic iterative" not in on_cells(content, "average")
