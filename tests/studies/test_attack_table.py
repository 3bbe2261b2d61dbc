"""Tables of attacks: the smallest epsilon, the target that counts, means over successes alone, and a table that goes on."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from kept_files import read_table
from torch import nn

from pipeline.attacks import attack_named, attack_spec
from pipeline.cli import main
from pipeline.core.errors import WrongUse
from pipeline.engine import Context
from pipeline.images import pixels_sha256
from pipeline.models.preprocessing import Preprocessing
from pipeline.models.torch_models import TorchClassifier
from pipeline.records import Candidate, Selected
from pipeline.settings import ModelSettings
from pipeline.settings.reading import load_experiment
from pipeline.specs.attacks import NONE
from pipeline.stages.graph import run_stage
from pipeline.store import Items, Run
from pipeline.studies.carlini2017 import measuring, tables
from pipeline.studies.carlini2017.measuring import Aim, Range, Shot
from pipeline.studies.carlini2017.rows import TABLES, as_csv, as_latex, as_plain_text, table_row, targets_of
from pipeline.studies.carlini2017.tables import TableRequest, attack_table

torch.set_num_threads(1)
SIZE, N_CLASSES = 6, 3
HIT, MISS = Shot(True, 4, 9, 255.0, 4, 5, 5), Shot(False)
SMALL_TABLE = ("--attacks", "fgsm,bim", "--n-images", "2", "--n-targets", "2", "--max-epsilon", "24")


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        weights = np.random.default_rng(5).normal(0, 1, (N_CLASSES, 3 * SIZE * SIZE))
        self.weights = nn.Parameter(torch.from_numpy(weights).float())

    def forward(self, x):
        return (x - 0.5).flatten(1) @ self.weights.T


@pytest.fixture(scope="module")
def classifier():
    settings = replace(ModelSettings(), name="python:toys:linear")
    return TorchClassifier(Linear(), settings, Preprocessing((SIZE, SIZE), SIZE), "cpu")


def aims(classifier, is_targeted=True):
    images = np.random.default_rng(6).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
    labels = classifier.predict(images).argmax(axis=1)
    wrong = [[c for c in range(N_CLASSES) if c != label] for label in labels] if is_targeted else [[None]] * len(images)
    return [
        Aim(f"image-{place}", pixels_sha256(image), int(labels[place]), target, image)
        for place, image in enumerate(images)
        for target in wrong[place]
    ]


def smallest_step(classifier, aim, most):
    """FGSM on a linear network by hand: the sign of the cross-entropy's gradient, step by step, each asked about."""
    weights = classifier._module.weights.detach().numpy().astype(np.float64)
    logits = (aim.pixels / 255.0 - 0.5).transpose(2, 0, 1).reshape(-1) @ weights.T
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    towards = aim.label if aim.target is None else aim.target
    slope = (chances - np.eye(N_CLASSES)[towards]) @ weights * (1 if aim.target is None else -1)
    step = np.sign(slope).reshape(3, SIZE, SIZE).transpose(1, 2, 0)
    for epsilon in range(1, most + 1):
        moved = np.clip(aim.pixels + epsilon * step, 0, 255).astype(np.uint8)
        answer = int(classifier.predict(moved[None]).argmax())
        if answer == aim.target if aim.target is not None else answer != aim.label:
            return epsilon, moved
    return None, None


@pytest.mark.parametrize("is_targeted", [True, False], ids=["targeted", "untargeted"])
def test_the_smallest_epsilon_that_succeeds_is_found_and_its_saved_image_measured(classifier, tmp_path, is_targeted):
    found = Range("fgsm", {}, classifier, Items(tmp_path), 40).shots(aims(classifier, is_targeted), Context(), "")
    n_hits = 0
    for aim in aims(classifier, is_targeted):
        shot = found[aim.image_id, aim.target]
        epsilon, moved = smallest_step(classifier, aim, 40)
        assert shot.is_success == (epsilon is not None)
        if epsilon:
            n_hits += 1
            change = moved.astype(int) - aim.pixels
            assert (shot.epsilon_8bit, shot.linf_8bit) == (epsilon, abs(change).max())
            assert shot.l0_px == change.any(axis=2).sum() and shot.l2_8bit == pytest.approx(np.sqrt((change**2).sum()))
    assert n_hits >= 4


def test_the_l2_distance_is_that_of_luma_where_the_network_takes_one_channel(tmp_path):
    class Brighter(nn.Module):
        """Answers 1 where the first pixel is brighter than 100, else 0."""

        def forward(self, x):
            lead = x.flatten(1)[:, :1] * 255 - 100
            return torch.cat([-lead, lead], dim=1)

    settings = replace(ModelSettings(), name="python:toys:brighter")
    grey = TorchClassifier(Brighter(), settings, Preprocessing((SIZE, SIZE), SIZE, n_channels=1), "cpu")
    aim = Aim("image", "", 0, 1, np.zeros((SIZE, SIZE, 3), np.uint8))
    shot = Range("cw-l2", {}, grey, Items(tmp_path), 1).shots([aim], Context(), "")["image", 1]
    assert shot.l0_px == 1 and 100 < shot.l2_8bit < 102


def test_an_epsilon_above_the_limit_is_a_failure(classifier, tmp_path):
    needed = {aim.target: smallest_step(classifier, aim, 255)[0] for aim in aims(classifier)[:1]}
    target, epsilon = next(iter(needed.items()))
    verdicts = [
        Range("fgsm", {}, classifier, Items(tmp_path), most).shots(aims(classifier)[:1], Context(), "")["image-0", target]
        for most in (epsilon - 1, epsilon)
    ]
    assert [shot.is_success for shot in verdicts] == [False, True]


@pytest.mark.parametrize("most", [1, 4, 5, 64, 255])
def test_every_epsilon_is_tried_once_in_order(most):
    assert [epsilon for block in measuring._blocks(most) for epsilon in block] == list(range(1, most + 1))


@pytest.mark.parametrize("attack", ["fgsm", "bim", pytest.param("pgd", marks=pytest.mark.slow)])
def test_neighbours_and_order_change_no_shot(classifier, tmp_path, attack):
    together = Range(attack, {}, classifier, Items(tmp_path / "a"), 32).shots(aims(classifier), Context(), "")
    alone = {}
    for aim in reversed(aims(classifier)):
        alone |= Range(attack, {}, classifier, Items(tmp_path / "b"), 32).shots([aim], Context(), "")
    assert together == alone


def test_what_was_measured_is_not_measured_again(classifier, tmp_path, monkeypatch):
    shooting = Range("fgsm", {}, classifier, Items(tmp_path), 24)
    first = shooting.shots(aims(classifier), Context(), "")
    monkeypatch.setattr(shooting, "_fired", lambda batch: pytest.fail("it was measured already"))
    assert shooting.shots(aims(classifier), Context(), "") == first


@pytest.mark.parametrize("change", ["options", "limit", "label"])
def test_other_settings_are_measured_afresh(classifier, tmp_path, change):
    aim = aims(classifier)[0]
    before = Range("bim", {}, classifier, Items(tmp_path), 24)
    before.shots([aim], Context(), "")
    options, most = {"n_steps": 3} if change == "options" else {}, 25 if change == "limit" else 24
    after = Range("bim", options, classifier, Items(tmp_path), most)
    other = replace(aim, label=aim.target) if change == "label" else aim
    assert Items(tmp_path).get_json(after._key(other)) is None and Items(tmp_path).get_json(before._key(aim))


def near(distance):
    return replace(HIT, l0_px=distance, linf_8bit=distance, l2_8bit=float(distance))


@pytest.mark.parametrize(
    ("case", "n_success", "mean"),
    [("best", 2, (2 + 3) / 2), ("worst", 1, 5), ("average", 2, (2 + 3) / 2)],
)
def test_best_takes_the_nearest_and_worst_the_farthest_and_all_of_them(case, n_success, mean):
    shots = [{1: near(5), 2: near(2)}, {1: near(3), 2: MISS}, {1: MISS, 2: MISS}]
    row = table_row("IV", "bim", "l0", case, shots)
    assert (row.n_images, row.n_success, row.mean_distance) == (3, n_success, mean)
    assert row.success_probability == n_success / 3


@pytest.mark.parametrize(("norm", "mean", "mean_8bit"), [("l0", 9, None), ("l2", 1.0, 255.0), ("linf", 4 / 255, 4)])
def test_distances_are_in_the_papers_units_and_in_8_bit(norm, mean, mean_8bit):
    row = table_row("V", "bim", norm, "average", [{1: HIT}])
    assert (row.mean_distance, row.mean_distance_8bit) == (pytest.approx(mean), mean_8bit)


def test_nothing_to_count_is_none_and_never_zero():
    failed = table_row("IV", "fgsm", "linf", "worst", [{1: MISS}])
    assert (failed.success_probability, failed.mean_distance, failed.mean_distance_8bit) == (0.0, None, None)
    unasked = table_row("IV", "deepfool", "l2", "average", None)
    assert (unasked.n_images, unasked.success_probability, unasked.mean_distance) == (0, None, None)


def test_targets_are_wrong_classes_and_depend_on_seed_and_image_alone():
    logits = np.array([4.0, -1.0, 0.0, 2.0, -3.0])
    every = targets_of("a", 0, logits, 0, seed=1)
    assert every.choice == (1, 2, 3, 4) and every.least_likely == 4 and every.average in every.choice
    few = targets_of("a", 0, logits, 2, seed=1)
    assert len(few.choice) == 2 and few.average == every.average and few.average in few.choice
    assert targets_of("a", 4, logits, 0, seed=1).least_likely == 1
    drawn = [targets_of(str(place), 0, logits, 0, seed=1).average for place in range(400)]
    assert all(80 <= drawn.count(label) <= 120 for label in (1, 2, 3, 4))
    assert drawn != [targets_of(str(place), 0, logits, 0, seed=2).average for place in range(400)]


class Untargeted:
    """An attack that leads nowhere in particular: DeepFool's place in the table."""

    targeted, identity = False, {}

    def perturb(self, classifier, images, labels, epsilons_8bit):
        return attack_named("bim").perturb(classifier, images, labels, epsilons_8bit)


@pytest.mark.parametrize(("table", "column"), [("IV", "best"), ("V", "untargeted")])
def test_an_attack_without_targets_has_one_column(small_file, tmp_path, monkeypatch, table, column):
    monkeypatch.setattr(measuring, "attack_named", lambda name, options: Untargeted())
    monkeypatch.setattr(measuring, "attack_spec", lambda name, options: replace(attack_spec(name), targets=NONE))
    request = TableRequest(table, ("bim",), n_images=1, most_8bit=16)
    made = attack_table(load_experiment(small_file), Run(tmp_path, "small"), Context(), request)
    assert [row.case for row in made.rows if row.n_images] == [column]
    assert [row.success_probability for row in made.rows if not row.n_images] == [None, None]


def test_the_command_writes_csv_latex_and_text_and_goes_on_where_it_stopped(small_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fired, stopping = [], iter([False, True])
    really = Range._fired

    def interrupted(shooting, batch):
        fired.append(len(batch))
        if next(stopping, False):
            raise KeyboardInterrupt
        return really(shooting, batch)

    monkeypatch.setattr(Range, "_fired", interrupted)
    assert main(["attack-table", "small.toml", *SMALL_TABLE]) == 130
    assert main(["attack-table", "small.toml", *SMALL_TABLE]) == 0
    capsys.readouterr()
    n_before = len(fired)
    assert n_before == 3, "fgsm once, bim interrupted, bim"
    assert main(["attack-table", "small.toml", *SMALL_TABLE, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(fired) == n_before, "a second run measures nothing"
    lines = list(csv.DictReader((tmp_path / "reports/small/attack-table-IV.csv").read_text(encoding="utf-8").splitlines()))
    assert [(line["attack"], line["case"]) for line in lines] == [(a, c) for a in ("fgsm", "bim") for c in TABLES["IV"]]
    for line, row in zip(lines, rows, strict=True):
        assert line["n_success"] == str(row["n_success"]) and line["mean_distance"] == str(row["mean_distance"] or "")
    found = {(row["attack"], row["case"]): row for row in rows}
    assert found["bim", "worst"]["n_success"] == 2 == found["bim", "best"]["n_images"]
    best, average, worst = (found["bim", case]["mean_distance"] for case in TABLES["IV"])
    assert best <= average <= worst
    assert "\\end{tabular}" in (tmp_path / "reports/small/attack-table-IV.tex").read_text()
    assert main(["attack-table", "small.toml", *SMALL_TABLE, "--force", "-q"]) == 0
    assert len(fired) > n_before and "best case" in capsys.readouterr().out


def test_images_are_the_first_of_selects_order_that_the_model_gets_right(small_file, tmp_path, monkeypatch):
    seen, nothing = [], dict.fromkeys(TABLES["IV"])
    monkeypatch.setattr(tables, "shots_by_case", lambda shooting, key, images, *_: seen.append(images) or nothing)
    badly_fed = ("model.mean=[0.7]", "model.std=[0.3]", 'selection.cases=["average"]', "selection.n_images=24")
    experiment, run = load_experiment(small_file, badly_fed), Run(tmp_path, "small")
    attack_table(experiment, run, Context(), TableRequest("IV", ("fgsm",), n_images=5))
    run_stage("select", experiment, run, Context())
    drawn = dict.fromkeys(row.image_id for row in read_table(run.printouts / "selection.parquet", Selected))
    looked_at = {found.image_id: found for found in read_table(run.printouts / "candidates.parquet", Candidate)}
    right = [image_id for image_id in drawn if looked_at[image_id].top_labels[0] == looked_at[image_id].true_label]
    assert 5 <= len(right) < 24 and right[:5] != list(drawn)[:5], "the test needs images that the model gets wrong"
    assert [aim.image_id for aim in seen[0]] == right[:5]


def test_a_dry_run_makes_nothing(small_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["attack-table", "small.toml", "--table", "V", "--dry-run"]) == 0
    assert "table V of fgsm, illc" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--attacks", "bimm"), "bim"),
        (("--table", "VI"), "expected one of IV, V"),
        (("--max-epsilon", "0"), "expected 1 to 255"),
        (("--n-images", "-1"), "expected 1 or more"),
        (("--output", "table.txt"), "ends in .csv"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_wrong_use_is_one_line(small_file, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(["attack-table", "small.toml", *arguments]) == WrongUse.exit_code
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error


def test_every_line_of_the_latex_has_as_many_cells():
    shots = {"best": [{1: HIT}], "average": [{1: MISS}], "worst": None}
    rows = [table_row("IV", "my_attack", norm, case, found) for norm in ("linf",) for case, found in shots.items()]
    text = as_latex(rows, "50 % of a_b", "a note")
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [line.count("&") + 2 * line.count("multicolumn") for line in body] == [10, 10, 10]
    assert r"my\_attack" in text and r"50 \% of a\_b" in text and "% a note" in text
    shown = as_plain_text(rows, "t", "n")
    assert "0.0157" in shown and "1/1" in shown and "0/1" in shown and "–" in shown
    assert as_csv(rows).count("\n") == 4
