"""The plan of an experiment agrees with what is then printed, and its promises with what is then counted."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from kept_files import read_table, write_table

from pipeline.cli import main
from pipeline.core.errors import BadInput, WrongUse
from pipeline.images import read_png
from pipeline.physical.printing.document import render_page
from pipeline.planning import Assumptions, plan, plan_text
from pipeline.records import Candidate, Pair
from pipeline.settings.reading import load_experiment
from pipeline.statistics import half_width, planned_effective_number, wilson
from pipeline.store import Run
from pipeline.store.artefacts import LAYOUT, PAIRS, PREDICTIONS

EVERYTHING = ("select", "generate", "layout", "photograph", "crop", "transform", "classify", "rate", "report")
FILE = """
name = "planned"

[selection]
n_images = 30

[[attacks]]
name = "fgsm"
epsilons_8bit = [2, 4, 8, 16]

[[attacks]]
name = "deepfool"

[photograph]
by = "camera"
"""


@pytest.fixture
def planned(tmp_path):
    """Returns a function that plans the experiment above with overrides, from its file alone."""
    path = tmp_path / "planned.toml"
    path.write_text(FILE, encoding="utf-8")

    def of(*overrides: str, **assumed: float):
        experiment = load_experiment(path, overrides)
        return plan(experiment, Run(tmp_path, experiment.name), (), Assumptions(**assumed))

    of.path = path
    return of


def of_run(finished: Path, *done: str):
    experiment = load_experiment(finished / "small.toml")
    return plan(experiment, Run(finished, "small"), done)


class TestFromTheFileAlone:
    def test_every_cell_of_every_case_is_counted(self, planned):
        found = planned()
        # Five attacks and strengths, two cases of thirty images, three pairs on a page.
        assert (found.n_pairs, found.n_pages, found.n_sheets) == (300, 100, 101)
        assert len(found.cells) == 10
        assert found.photographing_s == 1500
        assert sum(cost.n_pairs for cost in found.costs) == 300
        assert sum(cost.n_pages for cost in found.costs) == pytest.approx(100)

    def test_no_more_images_are_planned_than_there_are(self, planned):
        found = planned("selection.n_images=9999", "dataset.n_images=40")
        assert found.n_pairs == 5 * 40
        assert {cell.n_images for cell in found.cells} == {40}

    def test_eligible_images_follow_from_what_is_assumed(self, planned):
        found = planned(clean_accuracy=0.5, fooled_rate=0.4)
        by_case = {cell.case: cell for cell in found.cells}
        assert (by_case["average"].n_eligible, by_case["prefiltered"].n_eligible) == (6, 30)
        assert {cell.known for cell in found.cells} == {"assumed"}

    def test_the_interval_is_wilsons_of_the_images_they_are_worth(self, planned):
        cell = planned('selection.cases=["prefiltered"]', rate=0.2, page_correlation=0.3).cells[0]
        n_effective = planned_effective_number(30, 10, 0.3)
        low, high = wilson(0.2 * n_effective, n_effective)
        assert (cell.n_pages, cell.n_effective) == (10, pytest.approx(n_effective))
        assert cell.half_width == pytest.approx((high - low) / 2)

    @pytest.mark.parametrize(
        ("knob", "value", "grows"),
        [("rate", 0.1, False), ("page_correlation", 0.5, True), ("fooled_rate", 0.4, True), ("clean_accuracy", 0.3, True)],
    )
    def test_each_assumption_changes_the_width(self, planned, knob, value, grows):
        usual, other = (found.cells[0].half_width for found in (planned(), planned(**{knob: value})))
        assert other > usual if grows else other < usual

    def test_darkness_and_seconds_change_ink_and_time(self, planned):
        usual, other = planned(), planned(darkness=0.25, seconds_per_page=30)
        assert other.photographing_s == 2 * usual.photographing_s
        assert usual.ink_cm2 - other.ink_cm2 == pytest.approx(0.25 * usual.image_area_cm2)

    def test_a_calibration_page_is_one_more_sheet_and_a_screen_takes_none(self, planned):
        assert planned("layout.calibration=true").n_sheets == 102
        on_screen = planned("layout.medium=screen")
        assert (on_screen.n_sheets, on_screen.ink_cm2, on_screen.coverage_rate) == (0, 0, 0)
        assert "no sheet" in plan_text(on_screen)

    def test_the_size_of_an_image_decides_how_many_fit(self, planned):
        found = planned("layout.image_mm=20")
        assert found.pairs_per_page > 3 and found.image_mm == pytest.approx(20, abs=2)
        assert found.n_pages == ceil(300 / found.pairs_per_page)

    def test_pages_that_would_take_more_images_of_the_same_size_are_suggested_first(self, planned):
        six, ten = planned("layout.pairs_per_page=6"), planned("layout.pairs_per_page=10")
        same = six.proposals[0]
        assert same.words == "--set layout.pairs_per_page=10" and same.image_mm == six.image_mm == ten.image_mm
        assert same.n_pages == ten.n_pages == 30 < six.n_pages == 50
        assert not any(found.what == "images of the same size" for found in (*planned().proposals, *ten.proposals))

    def test_pages_are_at_most_so_many_until_the_images_are_drawn(self, planned, finished):
        assert re.search(r"Pages +at most 100 pages", plan_text(planned()))
        assert "at most" not in plan_text(of_run(finished, "select", "generate")).split("Ink")[0]

    @pytest.mark.parametrize(
        "bad", [{"rate": 1.2}, {"page_correlation": -0.1}, {"wished_half_width": 0.5}, {"seconds_per_page": -1}, {"darkness": 2}]
    )
    def test_what_cannot_be_is_refused(self, bad):
        with pytest.raises(WrongUse, match="expected"):
            Assumptions(**bad)


class TestLessPaper:
    def test_every_proposal_can_be_typed_and_gives_what_it_says(self, planned):
        found = planned()
        assert {proposal.what for proposal in found.proposals} >= {"every second ε", "half the images", "smaller images"}
        for proposal in found.proposals:
            words = shlex.split(proposal.words)
            assert words[::2] == ["--set"] * (len(words) // 2)
            then = planned(*words[1::2])
            assert (then.n_pages, then.image_mm) == (proposal.n_pages, pytest.approx(proposal.image_mm)), proposal.what
            assert max(cell.half_width for cell in then.cells) == pytest.approx(proposal.widest_half_width), proposal.what

    def test_some_way_halves_the_pages_and_those_come_first(self, planned):
        found = planned()
        halves = [proposal.n_pages <= ceil(found.n_pages / 2) for proposal in found.proposals]
        assert halves[0] and halves == sorted(halves, reverse=True)

    def test_the_strongest_epsilon_stays(self, planned):
        words = next(proposal.words for proposal in planned().proposals if proposal.what == "every second ε")
        assert words == "--set 'attacks.fgsm.epsilons_8bit=[4, 16]'"

    def test_the_wished_interval_is_reached_with_the_images_that_are_named(self, planned):
        found = planned(wished_half_width=0.08)
        then = planned(f"selection.n_images={found.n_images_for_wish}", "dataset.n_images=5000")
        assert max(cell.half_width for cell in then.cells) == pytest.approx(0.08, abs=0.004)


class TestWarnings:
    def test_few_eligible_images_are_told_with_what_would_do(self, planned):
        found = planned('selection.cases=["average"]')
        text = next(text for text in found.warnings if "eligible" in text)
        assert text.startswith("5 of 5 cells will have fewer than 30 eligible images, the fewest 18")
        wanted = re.search(r"selection\.n_images=\d+", text)[0]
        enough = planned('selection.cases=["average"]', wanted)
        assert not any("eligible images" in text for text in enough.warnings)
        assert min(cell.n_eligible for cell in enough.cells) >= 30

    def test_few_pages_are_told(self, planned):
        assert any("fewer than 5 pages" in text for text in planned("selection.n_images=10", "layout.pairs_per_page=12").warnings)
        assert not any("fewer than 5 pages" in text for text in planned().warnings)

    def test_a_simulated_run_says_that_nothing_has_to_be_printed(self, planned):
        assert any("nothing has to be printed" in text for text in planned("photograph.by=simulator").warnings)
        assert not any("nothing has to be printed" in text for text in planned().warnings)


class TestWhereTheRunKnows:
    def test_the_pages_are_those_that_are_laid_out(self, finished):
        found, layout = of_run(finished, *EVERYTHING), LAYOUT.read(Run(finished, "small"))
        assert (found.n_pages, found.n_pairs) == (layout.n_pages, len(layout.placements) // 2)
        assert found.image_mm == pytest.approx(layout.placements[0].width_mm)
        assert found.pairs_from == "as attacked"

    def test_selected_images_give_the_pairs_that_are_then_attacked(self, finished):
        selected, attacked = of_run(finished, "select"), of_run(finished, "select", "generate")
        assert selected.n_pairs == attacked.n_pairs
        assert {cell.known for cell in selected.cells} == {"selected"}
        assert attacked.n_pairs < of_run(finished).n_pairs  # both cases share images, which the file does not tell

    def test_the_ink_is_that_of_the_rendered_pages(self, finished):
        """Within a tenth: text and frames are left out, and codes are taken to be half black."""
        found, run = of_run(finished, "select", "generate"), Run(finished, "small")
        dark = [
            1 - float(np.mean(render_page(run.printouts / "printout.pdf", page, 60))) / 255
            for page in range(1, found.n_pages + 1)
        ]
        assert found.coverage_rate == pytest.approx(np.mean(dark), rel=0.1)

    def test_codes_tags_marks_and_strip_cost_ink_on_every_page(self, finished):
        layout = LAYOUT.read(Run(finished, "small"))

        def of_page_one(things):
            return sum(thing.size_mm**2 for thing in things if thing.page == 1)

        strip = sum(p.width_mm * p.height_mm * (1 - (p.red + p.green + p.blue) / 765) for p in layout.patches if p.page == 1)
        expected = 0.5 * (of_page_one(layout.fiducials) + of_page_one(layout.marks)) + 0.75 * of_page_one(layout.tags) + strip
        experiment = load_experiment(finished / "small.toml")
        found = plan(experiment, Run(finished, "small"), (), Assumptions(darkness=0))
        assert strip and layout.tags and layout.marks
        assert found.ink_cm2 == pytest.approx(found.n_pages * expected / 100)

    def test_images_that_the_model_gets_wrong_are_not_eligible(self, finished, tmp_path):
        run = Run(Path(shutil.copytree(finished, tmp_path / "run")), "small")
        path = run.printouts / "candidates.parquet"
        rows = read_table(path, Candidate)
        wrong = [replace(row, top_labels=(row.true_label + 1, *row.top_labels[1:])) for row in rows]
        counted = []
        for table in (rows, wrong):
            write_table(path, Candidate, table)
            experiment = load_experiment(run.workspace / "small.toml")
            cells = plan(experiment, run, ("select",), Assumptions(fooled_rate=1)).cells
            counted.append({cell.case: cell.n_eligible for cell in cells})
        assert counted == [{"average": 3, "prefiltered": 3}, {"average": 0, "prefiltered": 3}]

    def test_the_darkness_is_that_of_the_clean_images(self, finished):
        found, run = of_run(finished, "select"), Run(finished, "small")
        paths = [pair.clean_path for pair in read_table(run.printouts / "pairs.parquet", Pair)]
        dark = [1 - read_png(run.printouts / path).mean() / 255 for path in paths]
        assert found.darkness == pytest.approx(np.mean(dark), abs=1e-6)
        assert f"{len(set(paths))} clean image" in found.darkness_from

    def test_eligible_attacks_are_those_of_the_rates(self, finished):
        rows = json.loads((finished / "reports/small/rates.json").read_text(encoding="utf-8"))["destruction_rates"]
        counted = {
            (row["case"], row["attack"], row["epsilon_8bit"]): row["n_eligible"]
            for row in rows
            if row["transform"] == "blur" and row["top_k"] == 1
        }
        found = of_run(finished, *EVERYTHING)
        assert {(cell.case, cell.attack, cell.epsilon_8bit): cell.n_eligible for cell in found.cells} == counted
        assert {cell.known for cell in found.cells} == {"measured"}

    def test_cases_share_pairs_that_are_printed_once(self, finished):
        pairs = read_table(Run(finished, "small").printouts / "pairs.parquet", Pair)
        found = of_run(finished, "select", "generate")
        assert {(cost.attack, cost.epsilon_8bit): cost.n_pairs for cost in found.costs} == {
            cell: sum((pair.attack, pair.epsilon_8bit) == cell for pair in pairs)
            for cell in [("fgsm", 4), ("fgsm", 16), ("illc", 8)]
        }


class TestCommand:
    def test_the_text_says_pages_ink_time_intervals_and_the_next_command(self, planned, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["plan", "planned.toml", "--seconds-per-page", "20"]) == 0
        printed = capsys.readouterr()
        text = printed.out
        for part in (
            "100 pages; 101 sheets",
            "solid colour",
            "33 min at 20 s a page",
            "every second ε",
            "Warning:",
            "inkproof run",
        ):
            assert part in text, part
        assert max(map(len, text.splitlines())) <= 160
        assert not list(tmp_path.glob("printouts/*"))

    def test_the_same_is_there_as_json(self, planned, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["plan", "planned.toml", "--json", "--rate", "0.2"]) == 0
        told = json.loads(capsys.readouterr().out)["plan"]
        assert (told["n_pages"], len(told["cells"]), told["assumptions"]["rate"]) == (100, 10, 0.2)
        worst = told["cells"][0]
        assert worst["half_width"] == pytest.approx(half_width(0.2, worst["n_effective"]))

    def test_a_run_that_has_begun_is_planned_from_what_it_knows(self, finished, tmp_path, monkeypatch, capsys):
        shutil.copytree(finished, tmp_path / "run")
        monkeypatch.chdir(tmp_path / "run")
        assert main(["plan", "small.toml", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["plan"]["pairs_from"] == "as attacked"
        # Another selection than the one on disk: what the run knows no longer holds.
        assert main(["plan", "small.toml", "--json", "--set", "selection.n_images=7"]) == 0
        assert json.loads(capsys.readouterr().out)["plan"]["pairs_from"].startswith("as the experiment file")

    def test_an_impossible_assumption_is_wrong_use(self, planned, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["plan", "planned.toml", "--rate", "2"]) == 2
        assert "rate = 2: expected 0 to 1" in capsys.readouterr().err


class TestWork:
    """What a machine has to do, counted before the run and compared with what the run then did."""

    def test_as_many_pictures_are_judged_and_passes_made_as_in_the_run(self, finished):
        found = of_run(finished, *EVERYTHING).work
        run = Run(finished, "small")
        assert found.n_judged == len(PREDICTIONS.read(run))
        assert found.n_forward == sum(pair.n_forward for pair in PAIRS.read(run))
        assert found.n_backward == sum(pair.n_backward for pair in PAIRS.read(run)) > 0
        kept = sum(path.stat().st_size for path in (finished / "captures/small").rglob("*") if path.is_file())
        assert found.kept_bytes["captures"] == kept
        journal = [json.loads(line) for line in (finished / "reports/small/journal.jsonl").read_text().splitlines()]
        assert found.hours * 3600 == pytest.approx(sum(line["seconds"] for line in journal))

    def test_an_earlier_run_tells_what_a_larger_one_will_take(self, finished, tmp_path):
        small = load_experiment(finished / "small.toml")
        large = load_experiment(finished / "small.toml", ("selection.n_images=30", "selection.cases=['average']"))
        alone = plan(large, Run(tmp_path, "large")).work
        assert (alone.like, alone.n_forward, alone.stages, alone.kept_bytes) == ("", None, (), {})
        told = plan(large, Run(tmp_path, "large"), (), None, (small, Run(finished, "small"))).work
        # three cells of 30 images that all cells share, each as itself and in the four transforms, and two photographs of a pair
        assert told.n_judged == alone.n_judged == (30 + 90) * 5 + 2 * 90
        # one pass each for fgsm at 4 and at 16, ten for illc at 8
        assert (told.n_forward, told.n_backward) == (30 * 12, 30 * 12)
        stages = {stage.stage: stage for stage in told.stages}
        before = of_run(finished, *EVERYTHING).work
        pages = {stage.stage: stage for stage in before.stages}["photograph"]
        assert stages["photograph"].seconds == pytest.approx(pages.seconds / pages.n * stages["photograph"].n)
        assert stages["photograph"].n == 15

    def test_what_the_earlier_run_lacks_is_named_and_not_guessed(self, finished, tmp_path):
        small = load_experiment(finished / "small.toml")
        other = load_experiment(finished / "small.toml", ("attacks.illc.epsilons_8bit=[8, 12]",))
        found = plan(other, Run(tmp_path, "other"), (), None, (small, Run(finished, "small")))
        assert found.work.unknown == (("illc", 12),)
        assert "Not counted" in plan_text(found)

    def test_a_run_that_is_not_finished_tells_nothing(self, planned, tmp_path):
        experiment = load_experiment(planned.path)
        with pytest.raises(BadInput, match="not finished"):
            plan(experiment, Run(tmp_path, "planned"), (), None, (experiment, Run(tmp_path, "planned")))
