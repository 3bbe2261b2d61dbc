"""The section on defences: who attacked, what is right behind each, beside no defence, and over ε."""

from dataclasses import replace

import pytest
from test_few_classes import made_up, reported

from pipeline.document.blocks import Figure, TableBlock
from pipeline.document.tables import Cell, as_text
from pipeline.evaluation.criteria import criteria_for
from pipeline.evaluation.defending import defence_rows
from pipeline.evaluation.outcomes import Outcomes
from pipeline.records import ADAPTIVE, CAMERA, NO_DEFENCE, PHOTO, SIMULATED, SOURCE, UNAWARE, Certificate, Judgement
from pipeline.report.certified import certified_blocks
from pipeline.report.defence_curves import curved, defence_curves
from pipeline.report.defences import adaptive_sentence, defences_section, lines_of, shown_rows
from pipeline.report.judges import judges_section
from pipeline.report.sections import sections
from pipeline.report.summary import on_cells
from pipeline.settings import AttackSettings, DefenceSettings, Experiment

EPSILONS = (8, 16)


def rows_of(origins=(CAMERA,)):
    """What is right behind a defence that answers all but the adversarial images made on it right."""
    cells, views, outcomes, said = made_up(6, origins)
    cells = {
        (case, "fgsm-vs-judge" if attack == "bim" else attack, epsilon): made for (case, attack, epsilon), made in cells.items()
    }
    told = [
        Judgement("judge", v.view_id, v.image_id, v.pair_id, v.variant, v.transform, v.origin, label,
                  (label + (v.variant == "adversarial" and "/bim" in v.pair_id), 99), (), (), v.sha256, False)
        for v in views if v.transform in (SOURCE, PHOTO) for label in [said[v.view_id].true_label]
    ]  # fmt: skip
    attacks = (AttackSettings("fgsm", "", EPSILONS), AttackSettings("fgsm", "fgsm-vs-judge", EPSILONS, {}, "judge"))
    experiment = Experiment("run", attacks=attacks, defences=(DefenceSettings("jpeg", "judge"),))
    return tuple(defence_rows(experiment, cells, [outcomes, Outcomes.of_judge("judge", told)], criteria_for(6)))


@pytest.fixture(scope="module")
def content():
    """A run in which "bim" was made on the defence "judge" where "fgsm" was made on the model alone."""
    pairs = tuple(pair for cell in made_up(6)[0].values() for pair in cell)
    return replace(reported(6), pairs=pairs, defences={"judge": {"fgsm": "bim"}}, defence_rows=rows_of())


def test_each_attack_on_the_model_is_shown_without_a_defence_and_behind_each_the_adaptive_attacker_first(content):
    lines = lines_of(shown_rows(content))
    assert [(line.about.defence, line.about.attacker) for line in lines[:3]] == [
        ("", NO_DEFENCE), ("judge", ADAPTIVE), ("judge", UNAWARE)
    ]  # fmt: skip
    assert len(lines) == 3 * 2 * len(EPSILONS) and {line.about.attack for line in lines} == {"fgsm"}
    for line in lines:
        assert (line.file.transform, line.photo.transform) == (SOURCE, PHOTO)
        assert {line.file.attacker, line.photo.attacker} == {line.about.attacker}


def test_the_table_tells_clean_and_adversarial_files_and_photographs_and_what_they_cost(content):
    tables = {block.name: block.table for block in defences_section(content) if isinstance(block, TableBlock)}
    assert set(tables) == {"table-d1", "table-d2", "table-dp"}
    line = lines_of(shown_rows(content))[0]
    cells = [cell.note or cell.text for cell in tables["table-d1"].rows[0]]
    for cell, found in zip(
        cells[4:8], (line.file.clean, line.file.adversarial, line.photo.clean, line.photo.adversarial), strict=True
    ):
        assert cell.startswith(f"{found.n_hit}/{found.n_eligible} ")
    assert tables["table-d1"].rows[0][8] == Cell("2", "1 to answer")  # one forward and one backward pass
    assert "no defence" in as_text(tables["table-d1"]) and "unaware" in as_text(tables["table-d1"])


def test_the_paired_table_has_every_defence_and_attacker_beside_no_defence(content):
    tables = [block.table for block in defences_section(content) if isinstance(block, TableBlock)]
    table = next(table for table in tables if table.number == "DP")
    compared = [row for row in shown_rows(content) if row.compared.n]
    assert {row.case for row in compared} == {"average"} and len(table.rows) == len(compared) == 8
    assert {cells[1].note for cells in table.rows} == {ADAPTIVE, UNAWARE}
    assert f"Corrected over {compared[0].compared.n_family} comparisons." in table.note


def test_what_differs_surely_is_told_with_both_rates(content):
    rows = shown_rows(content)
    assert "0 of 4 comparisons with no defence differ at the 5 % level" in adaptive_sentence(rows)
    sure = [row for row in rows if row.attacker == ADAPTIVE and row.compared.n][:1]
    both = replace(sure[0].compared.first, rate=0.75), replace(sure[0].compared.second, rate=0.25)
    told = adaptive_sentence([replace(sure[0], compared=replace(sure[0].compared, p_holm=0.01, first=both[0], second=both[1]))])
    assert "1 of 1 comparison with no defence differs" in told and "75 % right and 25 % without, corrected p 0.010" in told
    assert adaptive_sentence([row for row in rows if row.attacker != ADAPTIVE]) == ""


def test_real_photographs_are_never_stood_in_for_by_simulated_ones(content):
    both = replace(reported(6, (CAMERA, SIMULATED)), defence_rows=rows_of((CAMERA, SIMULATED)))
    assert {row.origin for row in both.defence_rows if row.transform == PHOTO} == {CAMERA, SIMULATED}
    assert {row.origin for row in shown_rows(both) if row.transform == PHOTO} == {CAMERA}


def test_curves_are_drawn_over_epsilon_solid_for_those_who_know_and_dashed_for_those_who_do_not(content):
    rows = [row for row in shown_rows(content) if row.case == "average"]
    figure = defence_curves(curved(rows))
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["fast, files", "fast, real photographs"]
    for panel, transform in zip(figure.axes, (SOURCE, PHOTO), strict=True):
        drawn = [line for line in panel.lines if len(line.get_xdata()) == 2 and line.get_marker() != "None"]
        for line, attacker in zip(drawn, (NO_DEFENCE, ADAPTIVE, UNAWARE), strict=True):
            of_line = [row for row in rows if (row.attacker, row.transform) == (attacker, transform)]
            known = sorted((row.epsilon_8bit, 100 * row.adversarial.rate) for row in of_line)
            assert list(zip(*line.get_data(), strict=True)) == known
            assert line.is_dashed() == (attacker == UNAWARE)


def test_an_attack_of_one_epsilon_has_no_curve(content):
    alone = replace(content, defence_rows=tuple(row for row in content.defence_rows if row.epsilon_8bit == 8))
    assert any(isinstance(block, Figure) for block in defences_section(content))
    assert not any(isinstance(block, Figure) for block in defences_section(alone))


def test_a_defence_is_no_other_model_and_what_was_made_on_it_is_no_cell_of_the_model(content):
    assert judges_section(content) == () and judges_section(replace(content, defences={}))
    assert defences_section(replace(content, defence_rows=())) == ()
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
    lines = [line for line in lines_of(shown_rows(content)) if line.about.defence == "judge"]
    assert len(measured.table.rows) == len(lines) > 1
    for line, cells in zip(lines, measured.table.rows, strict=True):
        mean, certified, file, photo = cells[-4:]
        assert (mean.text, certified.note[:5]) == ("0.04", "8/12 ")  # of radii 0 to 0.11, those of 9 levels, 0.035, or more
        for cell, found in ((file, line.file), (photo, line.photo)):
            assert cell.note.startswith(f"{found.adversarial.n_hit}/{found.adversarial.n_eligible} ")


def test_what_is_not_certified_of_every_image_of_a_cell_is_not_set_beside_it(content):
    assert len(certified_blocks(replace(content, certified=certificates(11)))) == 3
    assert len(certified_blocks(replace(content, certified=certificates(12, "another")))) == 3


def test_no_table_of_the_report_has_the_name_of_another(content):
    found = sections(replace(content, certified=certificates(12)))
    names = [block.name for section in found for block in section.blocks if isinstance(block, TableBlock)]
    assert len(names) == len(set(names)) and {"table-b1", "table-b2"} <= set(names)
