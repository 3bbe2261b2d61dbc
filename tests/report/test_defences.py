"""The section on defences: who attacked, and what is right behind each."""

from dataclasses import replace

import pytest
from test_few_classes import made_up, reported

from pipeline.document.blocks import TableBlock
from pipeline.document.tables import as_text
from pipeline.records import ATTACKED_MODEL, PHOTO, SOURCE, Certificate
from pipeline.report.certified import certified_blocks
from pipeline.report.defences import ADAPTIVE, NONE, UNAWARE, defence_rows, defences_section, withstood
from pipeline.report.judges import judges_section
from pipeline.report.sections import sections
from pipeline.report.summary import on_cells


@pytest.fixture(scope="module")
def content():
    """A run in which "bim" was made on the defence "judge" where "fgsm" was made on the model alone."""
    pairs = tuple(pair for cell in made_up(6)[0].values() for pair in cell)
    return replace(reported(6), pairs=pairs, defences={"judge": {"fgsm": "bim"}})


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


def certificates(n, defence="judge"):
    """Certificates of images "i0", "i1" …, each with a radius 0.01 larger than the one before; all are right."""
    told = (0, "a", 0, "a", False)
    return tuple(Certificate(defence, f"i{i}", *told, 0.01 * i, 2.55 * i, None, 9, 10, 0.01, 64.0) for i in range(n))


def test_beside_what_is_certified_of_the_very_images_stands_what_is_right_as_files_and_in_photographs(content):
    assert certified_blocks(content) == ()
    said, curves, _, measured = certified_blocks(replace(content, certified=certificates(12)))
    assert "nothing is certified of a photograph" in said.markup and curves.name == "certified"
    rows = [row for row in defence_rows(content) if row.defence == "judge"]
    assert len(measured.table.rows) == len(rows) > 1
    for row, cells in zip(rows, measured.table.rows, strict=True):
        mean, certified, file, photo = cells[-4:]
        assert (mean.text, certified.note[:5]) == ("0.04", "8/12 ")  # of radii 0 to 0.11, those of 9 levels, 0.035, or more
        for cell, found in ((file, row.file), (photo, row.photo)):
            assert cell.note.startswith(f"{found.fooled.n_eligible - found.fooled.n_hit}/{found.n_images} ")


def test_what_is_not_certified_of_every_image_of_a_cell_is_not_set_beside_it(content):
    assert len(certified_blocks(replace(content, certified=certificates(11)))) == 3
    assert len(certified_blocks(replace(content, certified=certificates(12, "another")))) == 3


def test_no_table_of_the_report_has_the_name_of_another(content):
    found = sections(replace(content, certified=certificates(12)))
    names = [block.name for section in found for block in section.blocks if isinstance(block, TableBlock)]
    assert len(names) == len(set(names)) and {"table-b1", "table-b2"} <= set(names)
