"""Predicted against measured: simulated photographs beside real ones, compared pair by pair and never mixed."""

import itertools
import shutil
from math import comb
from pathlib import Path

import pypdfium2
import pytest
from kept_files import read_json, read_table
from PIL import Image

from pipeline.document.tables import as_text
from pipeline.engine import Context
from pipeline.evaluation.comparing import paired, predictions
from pipeline.evaluation.criteria import TOP_1, TopK
from pipeline.evaluation.outcomes import Condition, Outcomes, Question, Trial
from pipeline.planning.human_step import instructions, pages_in
from pipeline.records import PHOTO, Capture, Comparison, Pair, Prediction, View
from pipeline.report.cell_tables import compared_tables
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_all, run_stage, status
from pipeline.statistics import paired_difference, wilson
from pipeline.store import Run, read_stage_record

CONTEXT = Context()
PREDICTING = ("photograph.by=camera", "photograph.predict=true", "photograph.profile=office-phone-3mp")


def opened(workspace: Path, *overrides: str):
    return load_experiment(workspace / "small.toml", (*PREDICTING, *overrides)), Run(workspace, "small")


def bring_photos(run: Run, wanted=lambda number: True) -> None:
    """Turns the run's simulated photographs into those of a person: other names, and no word of the simulator in them."""
    for number, path in enumerate(sorted(run.photos.glob("simulated-*.jpg"))):
        with Image.open(path) as photo:
            if wanted(number):
                photo.copy().save(run.photos / f"IMG_{number}.jpg", quality=92)
        path.unlink()


@pytest.fixture(scope="module")
def predicted(tiny, tmp_path_factory) -> Path:
    """A run with a camera's photographs of every page but the last, and predictions by another profile."""
    workspace = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("predicted") / "run"))
    experiment, run = opened(workspace)
    n_pages = read_json(run.printouts / "layout.json")["n_pages"]
    assert n_pages > 1
    bring_photos(run, lambda number: number < n_pages - 1)
    states = {state.stage: state for state in run_all(experiment, run, CONTEXT)}
    assert {state.state for state in states.values()} == {"done"}
    return workspace


def compared(workspace: Path) -> list[dict]:
    return [row | {"quantity": row["first"]["quantity"]} for row in rates_of(workspace)["predicted"]]


def rates_of(workspace: Path) -> dict:
    return read_json(Run(workspace, "small").reports / "rates.json")


@pytest.mark.slow
def test_each_page_has_its_best_photograph_of_either_origin(predicted):
    run = Run(predicted, "small")
    counting = [(c.page, c.origin) for c in read_table(run.captures / "captures.parquet", Capture) if c.counts]
    n_pages = read_json(run.printouts / "layout.json")["n_pages"]
    real = [(page, "camera") for page in range(1, n_pages)]
    assert sorted(counting) == sorted(real + [(page, "simulated") for page in range(1, n_pages + 1)])


def test_a_simulated_photograph_enters_no_measured_rate(predicted, tmp_path):
    """The same run without predictions has the same measured rates, to the last count."""
    copy = Path(shutil.copytree(predicted, tmp_path / "copy"))
    plain = load_experiment(copy / "small.toml", ("photograph.by=camera",))
    for stage in ("crop", "classify", "rate"):
        run_stage(stage, plain, Run(copy, "small"), CONTEXT)
    alone = read_json(Run(copy, "small").reports / "rates.json")
    beside = read_json(Run(predicted, "small").reports / "rates.json")
    assert "predicted" not in alone and not (Run(copy, "small").reports / "predicted.csv").exists()
    for name in ("destruction_rates", "accuracies"):
        measured = [row for row in beside[name] if row["origin"] != "simulated"]
        assert [row for row in alone[name] if row["transform"] == PHOTO] == [r for r in measured if r["transform"] == PHOTO]
        assert {row["origin"] for row in beside[name] if row["transform"] == PHOTO} == {"camera", "simulated"}
        assert any(row["n_discarded"] for row in measured if row["transform"] == PHOTO)


def test_the_comparison_follows_from_the_predictions(predicted):
    """Recounts both sides from the tables, by another route than the rate stage."""
    run = Run(predicted, "small")
    labels = {row.view_id: row for row in read_table(run.reports / "predictions.parquet", Prediction)}
    views = [view for view in read_table(run.reports / "views.parquet", View) if view.counts]

    def right(view, top_k):
        return labels[view.view_id].true_label in labels[view.view_id].labels[:top_k]

    for row in compared(predicted):
        variant = "adversarial" if row["quantity"] == "destruction_rate" else "clean"
        n = n_measured = n_predicted = 0
        rate = row["first"]
        for pair in read_table(run.printouts / "pairs.parquet", Pair):
            if (pair.attack, pair.epsilon_8bit) != (rate["attack"], rate["epsilon_8bit"]) or rate["case"] not in pair.cases:
                continue
            photos = {v.origin: v for v in views if v.transform == PHOTO and (v.pair_id, v.variant) == (pair.pair_id, variant)}
            files = {v.variant: v for v in views if v.transform == "source" and v.image_id == pair.image_id and not v.attack}
            files |= {v.variant: v for v in views if v.transform == "source" and v.pair_id == pair.pair_id}
            works = right(files["clean"], rate["top_k"]) and not right(files["adversarial"], rate["top_k"])
            if len(photos) == 2 and (works or variant == "clean"):
                n += 1
                n_measured += right(photos["camera"], rate["top_k"])
                n_predicted += right(photos["simulated"], rate["top_k"])
        assert (row["n"], row["second"]["n_hit"], row["first"]["n_hit"]) == (n, n_measured, n_predicted)
    assert any(row["n"] for row in compared(predicted))


def test_the_report_says_what_was_predicted_and_which_photographs_are_real(predicted):
    run = Run(predicted, "small")
    with pypdfium2.PdfDocument(run.reports / "report.pdf") as report:
        text = " ".join(" ".join(page.get_textpage().get_text_range() for page in report).split())
    assert "Predicted against measured" in text and "REAL AND SIMULATED PHOTOGRAPHS" in text
    assert "Table P1. Predicted and measured destruction rate" in text
    rows = [row for row in compared(predicted) if row["quantity"] == "destruction_rate" and row["n"]]
    n_within = sum(row["second"]["low"] <= row["first"]["rate"] <= row["second"]["high"] for row in rows)
    headline = read_stage_record(run.reports, "report").summary["headline"]
    assert any(f"predicted {n_within} of {len(rows)} measured destruction rates" in sentence for sentence in headline)
    n_real, n_pages = len(list(run.photos.glob("IMG_*.jpg"))), read_json(run.printouts / "layout.json")["n_pages"]
    assert f"{n_real} of {n_pages} pages photographed" in text and len(headline) == 3
    assert (run.reports / "figures" / "predicted-rates.png").is_file()
    assert (run.reports / "predicted.csv").read_text(encoding="utf-8").startswith("case,attack,epsilon_8bit,quantity")


def test_the_page_that_no_camera_took_is_asked_for(predicted):
    experiment, run = opened(predicted)
    found = {state.stage: state for state in status(experiment, run)}
    n_pages = read_json(run.printouts / "layout.json")["n_pages"]
    assert {state.state for state in found.values()} == {"done"}
    pages = pages_in(experiment, run, list(found.values()))
    assert pages.told == f"{n_pages - 1} of {n_pages} pages; missing {n_pages}"
    assert f"Photograph page {n_pages} " in instructions(experiment, run, pages)


def test_predictions_do_not_stand_in_for_photographs_still_to_be_taken(tiny, tmp_path):
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    experiment, run = opened(copy)
    found = {state.stage: state.state for state in run_all(experiment, run, CONTEXT)}
    assert (found["photograph"], found["crop"], found["report"]) == ("waiting", "waiting", "done")
    assert list(run.photos.glob("simulated-*.jpg"))
    assert not any(row["transform"] == PHOTO for row in read_json(run.reports / "rates.json")["destruction_rates"])


def test_a_run_that_starts_to_predict_chooses_its_photographs_again(tiny, tmp_path):
    """Real photographs beside the simulator's: they alone count; with predictions both do."""
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    plain, run = load_experiment(copy / "small.toml", PREDICTING[:1]), Run(copy, "small")
    kept = {path.name: path.read_bytes() for path in run.photos.glob("simulated-*.jpg")}
    bring_photos(run)
    for name, content in kept.items():
        (run.photos / name).write_bytes(content)
    run_stage("crop", plain, run, CONTEXT)
    predicting = load_experiment(copy / "small.toml", PREDICTING[:2])
    run_stage("photograph", predicting, run, CONTEXT)
    assert {state.stage: state.state for state in status(predicting, run)}["crop"] == "stale"


def made_row(n_both: int, n_measured_only: int, n_predicted_only: int, n_neither: int, top_k: int = 1) -> Comparison:
    sides = [], []
    counts = {(True, True): n_both, (False, True): n_measured_only, (True, False): n_predicted_only, (False, False): n_neither}
    for hits, n in counts.items():
        for side, is_hit in zip(sides, hits, strict=True):
            side += [Trial("", "", is_hit, is_hit, "")] * n
    asked = [
        Question("destruction_rate", ("average", "bim", 16), Condition(PHOTO, None, origin), TopK(top_k))
        for origin in ("simulated", "camera")
    ]
    return paired("prediction", asked, sides, [])


def test_a_table_shows_both_sides_the_difference_and_whether_it_lies_within():
    rows = [made_row(4, 2, 6, 12), made_row(2, 0, 20, 2, top_k=5)]
    text = as_text(compared_tables(rows)[0])
    assert all(words in text for words in ("25.0 %", "6/24", "41.7 %", "10/24", "+16.7", "yes", "91.7 %", "+83.3", "no"))


class TestPairing:
    """One pair is one observation: only pairs photographed both ways take part, each with its best photograph."""

    PAIR = Pair("p", "i", "bim", 8, ("average",), 3, None, "", "", 8, 1.0, 0.9, 1, 1)

    def views(self, *photos):
        files = [
            View("clean", "i", "clean", "", 0, "", "source", None, "", "", "digital"),
            View("adv", "i", "adversarial", "bim", 8, "p", "source", None, "", "", "digital"),
        ]
        return files + [
            View(name, "i", "adversarial", "bim", 8, "p", PHOTO, None, "", "", origin, name, predicted_error_px=error)
            for name, origin, error in photos
        ]

    def rows(self, labels, *photos):
        said = {name: Prediction(name, 3, (label, 9, 8, 7, 6), (1.0, 0, 0, 0, 0), 0.0) for name, label in labels.items()}
        outcomes = Outcomes.of_model(self.views(*photos), said)
        found = predictions({("average", "bim", 8): [self.PAIR]}, outcomes, [TOP_1])
        return [row for row in found if row.quantity == "destruction_rate"]

    def test_the_photograph_with_the_least_expected_error_speaks_for_its_page(self):
        labels = {"clean": 3, "adv": 1, "good": 3, "bad": 1, "sim": 1}
        (row,) = self.rows(labels, ("bad", "camera", 0.5), ("good", "camera", 0.1), ("sim", "simulated", 0.1))
        assert (row.n, row.second.n_hit, row.first.n_hit) == (1, 1, 0)

    def test_without_both_origins_there_is_nothing_to_compare(self):
        assert self.rows({"clean": 3, "adv": 1, "real": 1}, ("real", "camera", 0.1)) == []

    def test_an_attack_that_failed_as_a_file_takes_no_part(self):
        labels = {"clean": 3, "adv": 3, "real": 3, "sim": 3}
        (row,) = self.rows(labels, ("real", "camera", 0.1), ("sim", "simulated", 0.1))
        assert (row.n, row.second.rate, row.difference) == (0, None, None) and not row.is_within


class TestPairedDifference:
    @pytest.mark.parametrize(
        ("counts", "published"),
        [((1, 1, 7, 12), (-0.507, -0.026)), ((59, 6, 16, 80), (-0.1186, -0.0046))],
        ids=["Bentur et al. 2009", "Cavo et al. 2012"],
    )
    def test_it_is_the_published_interval(self, counts, published):
        """The examples of Fagerland, Lydersen, Laake, *Statistical Analysis of Contingency Tables* (2017), chapter 8."""
        n_digits = len(str(published[0]).split(".")[1])
        assert tuple(round(end, n_digits) for end in paired_difference(*counts)) == published

    def test_uncorrelated_rates_have_the_interval_of_independent_ones(self):
        """With phi = 0 it is Newcombe's interval of two samples: two Wilson intervals, squared and added."""
        (low_1, high_1), (low_2, high_2) = wilson(10, 20), wilson(10, 20)
        low, high = paired_difference(5, 5, 5, 5)
        assert low == pytest.approx(-(((0.5 - low_1) ** 2 + (high_2 - 0.5) ** 2) ** 0.5))
        assert high == pytest.approx(((high_1 - 0.5) ** 2 + (0.5 - low_2) ** 2) ** 0.5)

    def test_exchanging_the_two_exchanges_the_ends(self):
        low, high = paired_difference(3, 7, 2, 9)
        assert paired_difference(3, 2, 7, 9) == pytest.approx((-high, -low))

    @pytest.mark.parametrize("chances", [(0.3, 0.1, 0.2, 0.4), (0.05, 0.05, 0.05, 0.85), (0.6, 0.02, 0.2, 0.18)])
    def test_it_covers_the_truth_as_often_as_it_says(self, chances):
        """Exact, over every outcome of 30 pairs; an interval that took the rates for equal would cover far less."""
        n, truth, covered = 30, chances[1] - chances[2], 0.0
        for a, b, c in itertools.product(range(n + 1), repeat=3):
            if a + b + c > n:
                continue
            d = n - a - b - c
            ways = comb(n, a) * comb(n - a, b) * comb(n - a - b, c)
            low, high = paired_difference(a, b, c, d)
            chance = ways * chances[0] ** a * chances[1] ** b * chances[2] ** c * chances[3] ** d
            covered += chance * (low <= truth <= high)
        assert 0.94 <= covered <= 0.995

    @pytest.mark.parametrize("counts", [(1, -1, 0, 0), (0, 0, 0, 0)], ids=["negative", "none"])
    def test_negative_counts_and_no_count_are_refused(self, counts):
        with pytest.raises(ValueError, match="counts"):
            paired_difference(*counts)
