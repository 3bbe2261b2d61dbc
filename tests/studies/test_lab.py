"""Studies that measure for themselves: parts are measured once, findings are tested, and each formula is what it says."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.cli import main
from pipeline.core.errors import Unavailable, WrongUse
from pipeline.document.blocks import TableBlock
from pipeline.document.tables import Cell, Table, stub
from pipeline.engine import Context
from pipeline.models.classifier import Classifier
from pipeline.studies import STUDIES, study_named
from pipeline.studies.goodfellow2015.linear import straightness
from pipeline.studies.lab import bench, running
from pipeline.studies.lab.bench import Bench, photographed
from pipeline.studies.lab.parts import Lab, Observation, Part, Told, judged, permuted, share_above, share_below
from pipeline.studies.lab.shown import fewer, more_of_each, more_than, rising
from pipeline.studies.papernot2016jsma.hardness import hardness, saliency
from pipeline.studies.study import Study
from pipeline.studies.szegedy2014.bounds import fourier_bound, power_norm
from pipeline.studies.szegedy2014.distortion import noisy, rms
from pipeline.studies.szegedy2014.units import coherence

LABS = {name: lab for name in STUDIES.names() if (lab := study_named(name).lab())}
# What stands in for networks.toml: two networks that are trained in a second.
SIGNS = {"name": "builtin:signs", "n_images": 64}
ENTRIES = {
    name: {
        "dataset": SIGNS,
        "model": {"name": f"network:{name}", "input_px": 8},
        "training": {"n_epochs": 2, "n_validation": 20},
        "small": {"training": {"n_epochs": 1}},
    }
    for name in ("softmax", "fc8-32")
}


def _measure(at):
    at.say("measured")
    images, labels = at.batch("softmax", n=at.pick(12, 24))
    return {"wrong": (bench.logits(at.network("softmax"), images).argmax(1) != labels).numpy(), "told": {"a": [1, 2.5]}}


def _tell(found):
    n = len(found["wrong"])
    table = Table("X1", "Wrong", (stub("n"),), ((Cell(str(n)),),))
    observation = more_than("wrong", "Most are wrong.", "images", (int(found["wrong"].sum()), n), 0.5, 0.9)
    return Told((TableBlock("table-x1", table),), (observation,))


PARTS = (Part("one", "Part one", _measure, _tell, ("softmax",)), Part("two", "Part two", _measure, _tell, ("softmax", "fc8-32")))


class Toy(Study):
    name, title, reference, command = "toy", "A toy", "Nobody 2000", "inkproof reproduce toy"
    parts = PARTS

    def lab(self):
        return Lab(self.parts, lead="What the toy says.")


@pytest.fixture
def toy(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "network_entries", lambda: ENTRIES)
    said: list[str] = []

    def reproduced(small=True, parts=PARTS, **options):
        said.clear()
        study = Toy()
        study.parts = parts
        return running.reproduce(study, tmp_path, Context(), small, say=said.append, **options), said

    return reproduced, tmp_path


def test_a_study_measures_once_and_writes_one_document(toy):
    reproduced, folder = toy
    made, said = reproduced()
    assert said.count("measured") == 2 and any(line.startswith("softmax: epoch 1 of 1") for line in said)
    assert made.folder == folder / "reports" / "toy-small"
    assert {"report.pdf", "report.html", "tables/table-x1.csv", "tables/table-x1.tex", "findings.csv", "findings.md"} <= set(
        made.written
    )
    assert {path.name for path in (folder / "models" / "studies").iterdir() if path.is_dir()} == {"softmax-small", "fc8-32-small"}
    rows = list(csv.DictReader((made.folder / "findings.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["verdict"] for row in rows] == [row.verdict for row in made.rows] and all(row["n_family"] == "2" for row in rows)
    table = (made.folder / "findings.md").read_text(encoding="utf-8").splitlines()
    assert len(table) == 4 and table[2].startswith("| Most are wrong. | images: ") and "(paper 90.0 %) | 12 |" in table[2]
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    assert "Most are wrong." in page and "SIMULATED" in page and "What the toy says." in page

    again, said = reproduced(parts=(PARTS[0], replace(PARTS[1], form=2)))
    assert said.count("measured") == 1 and again.rows == made.rows
    _, said = reproduced(force=True)
    assert said.count("measured") == 2 and not any("epoch" in line for line in said)
    full, said = reproduced(small=False)
    assert full.folder.name == "toy" and any(line.startswith("softmax: epoch 2 of 2") for line in said)
    assert full.rows[0].n == 24


@pytest.mark.slow
def test_a_network_of_another_seed_is_trained_anew_and_members_have_seeds_of_their_own(toy):
    reproduced, folder = toy
    reproduced()
    before = (folder / "models/studies/softmax-small/weights.safetensors").read_bytes()
    _, said = reproduced(seed=3)
    assert any("softmax: epoch" in line for line in said)
    assert (folder / "models/studies/softmax-small/weights.safetensors").read_bytes() != before
    at = Bench("toy", True, 3, folder / "models/studies", None, Context(), said.append)
    first, second = at.network("softmax#1"), at.network("softmax#2")
    assert at.folder("softmax#1").name == "softmax-1-small" and first.fingerprint != second.fingerprint
    assert at.training("softmax#2").seed == 5


@pytest.mark.slow
def test_networks_that_are_trained_at_once_are_those_of_one_process(toy):
    _, folder = toy
    one, other = (Bench("toy", True, 0, folder / str(n), None, Context(workers=n), lambda _: None) for n in (1, 2))
    other.prepare(["softmax", "fc8-32"])
    assert {path.name for path in (folder / "2").iterdir() if path.is_dir()} == {"softmax-small", "fc8-32-small"}
    assert all(one.network(name).fingerprint == other.network(name).fingerprint for name in ("softmax", "fc8-32"))


def test_a_study_without_its_data_says_so_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("INKPROOF_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in LABS:
        assert main(["reproduce", name, "--small"]) == Unavailable.exit_code
        needs = " and ".join(LABS[name].data)
        assert f"{name} needs {needs}: set INKPROOF_DATA to a folder that has it." in capsys.readouterr().err
    monkeypatch.setenv("INKPROOF_DATA", str(tmp_path))
    assert main(["reproduce", next(iter(LABS))]) == Unavailable.exit_code
    assert "the folder that INKPROOF_DATA names has it not" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.toml"))
    with pytest.raises(WrongUse, match="not measured part by part"):
        running.reproduce(study_named("kurakin2016"), tmp_path, Context(), True)


def test_the_list_says_what_each_needs(capsys):
    assert main(["reproduce", "--list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(STUDIES.names()) <= {name for name, _ in told["studies"]}
    assert all(f"; {study_named(name).takes}" in words and "needs" in words for name, words in told["studies"] if name in LABS)


def test_the_networks_of_the_studies_can_be_trained(data_root, monkeypatch):
    monkeypatch.setenv("INKPROOF_DATA", str(data_root))
    monkeypatch.setattr(Bench, "made", lambda self, name: Path("made") / name)
    for name, entry in bench.network_entries().items():
        if "training" not in entry:
            continue
        for small in (True, False):
            training = Bench("x", small, 0, data_root, None, Context(), print).training(name)
            assert training.dataset.name == entry.get("dataset", {"name": f"folder:made/{entry.get('on')}"})["name"]
            assert training.test.split == "test" and training.test.name.partition(":")[0] in ("torchvision", "folder")
    assert {entry["on"] for entry in bench.network_entries().values() if "on" in entry} == set(bench.set_entries())
    named = {network.partition("#")[0] for lab in LABS.values() for part in lab.parts for network in part.networks}
    assert named <= set(bench.network_entries())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, lab in LABS.items() if set(lab.data) == {"MNIST"}])
def test_every_part_of_a_study_runs_on_real_digits(name, data_root, monkeypatch, tmp_path):
    """In a form so small that its figures mean nothing: everything is asked once.

    Of studies on MNIST alone: one that asks larger networks too is hardly faster so than in its small variant.
    """
    monkeypatch.setenv("INKPROOF_DATA", str(data_root))
    entries = {
        key: entry
        | {"dataset": entry["dataset"] | {"n_images": 3000}, "training": entry["training"] | {"n_epochs": 8}, "small": {}}
        if {"training", "dataset"} <= set(entry) and "model" not in entry.get("small", {})
        else entry
        for key, entry in bench.network_entries().items()
    }
    monkeypatch.setattr(bench, "network_entries", lambda: entries)
    monkeypatch.setattr(Bench, "pick", lambda self, small, full: min(small, 3 if 2 < small < 40 else 200))
    made = running.reproduce(study_named(name), tmp_path, Context(), True)
    assert all(row.verdict for row in made.rows) and len(made.rows) == len(made.statements) >= 5
    assert (made.folder / "report.pdf").read_bytes()[:4] == b"%PDF"


# --- tests of a share and of a permutation


def test_shares_are_tested_against_a_bound():
    assert share_above(9, 10, 0.5).p == pytest.approx(11 / 1024) and share_above(9, 10, 0.5).p_against == pytest.approx(
        1023 / 1024
    )
    assert share_below(1, 10, 0.5).p == pytest.approx(11 / 1024)


def test_what_is_of_one_image_counts_as_one():
    from scipy.stats import ttest_1samp

    hits = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 1]], bool)
    told = more_of_each("key", "Most.", "pairs", hits, 0.5, 0.97)
    expected = ttest_1samp(hits.mean(axis=1), 0.5, alternative="greater").pvalue
    assert told.found.p == pytest.approx(expected) and (told.found.n, told.n_images, told.test) == (4, 4, "mean")
    assert told.checks[0].counts == "83.3 % > 50 % (paper 97.0 %)"
    alike = more_of_each("key", "Most.", "pairs", np.ones((4, 9), bool), 0.5)
    assert alike.found.p == pytest.approx(0.5**4) and alike.test == "share"


def test_a_permutation_that_no_other_exceeds_is_as_sure_as_there_are_draws():
    labels = np.repeat([0, 1], 20)

    def gap(order):
        return float(labels[order == 1].mean() - labels[order == 0].mean())

    assert permuted(gap, labels, np.random.default_rng(0), n=199).p == pytest.approx(1 / 200)
    even = np.tile([0, 1], 20)
    assert permuted(lambda order: float((even == order)[::2].mean()), np.zeros(40), np.random.default_rng(0)).p == 1


def test_fewer_and_rising_follow_the_paired_images():
    less, more = np.arange(30) < 5, np.arange(30) < 20
    told = fewer("key", "Fewer.", "images", less, more, "1 against 2")
    assert told.found.p == pytest.approx(0.5**15) and told.checks[0].n_held == 1 and "paper 1 against 2" in told.checks[0].counts
    turned = fewer("key", "Fewer.", "images", more, less)
    assert turned.found.p_against == pytest.approx(0.5**15) and turned.checks[0].is_against
    assert fewer("key", "Fewer.", "images", less, less).checks[0].is_tie
    assert rising([less, more, more]).p == 1 and rising([less, more]).p == pytest.approx(0.5**15)
    verdicts = [row.verdict for row in judged([told, turned, Observation("none", "None.", "binomial", None, 0)], "simulated")]
    assert verdicts == ["held", "not_held", "not_enough"]


# --- formulas of single studies


def test_a_straight_line_is_straight_and_a_parabola_is_not():
    at = np.linspace(0, 1, 21)
    values = np.stack([3 * at - 1, np.zeros_like(at), (at - 0.5) ** 2], axis=1)[None]
    assert straightness(values, at)[0] == pytest.approx([1, 1, 0], abs=1e-9)
    noisy_line = 2 * at + np.where(np.arange(21) % 2, 0.1, -0.1)
    expected = np.corrcoef(at, noisy_line)[0, 1] ** 2
    assert straightness(noisy_line[:, None], at)[0] == pytest.approx(expected)


def test_the_norm_of_a_convolution_lies_between_power_iteration_and_the_bound():
    kernels = torch.randn((4, 3, 3, 3), generator=torch.Generator().manual_seed(1))
    columns = []
    for place in range(3 * 36):
        picture = torch.zeros(3 * 36)
        picture[place] = 1
        columns.append(torch.nn.functional.conv2d(picture.view(1, 3, 6, 6), kernels).flatten())
    exact = float(torch.linalg.matrix_norm(torch.stack(columns, dim=1), 2))
    assert power_norm(kernels, (6, 6)) == pytest.approx(exact, rel=1e-4)
    assert exact < fourier_bound(kernels, 32) < 1.5 * exact
    pointwise = torch.randn((5, 7, 1, 1))
    assert fourier_bound(pointwise, 4) == pytest.approx(float(torch.linalg.matrix_norm(pointwise[:, :, 0, 0], 2)), rel=1e-5)


def test_coherence_of_what_is_alike_and_of_what_is_not():
    one = np.ones((1, 4, 2, 2), np.uint8) * 9
    assert coherence(one, np.array([[3, 3, 3, 3]]))[0] == pytest.approx([1, 0, 1])
    apart = np.eye(4, dtype=np.uint8).reshape(1, 4, 2, 2)
    assert coherence(apart, np.array([[0, 1, 2, 3]]))[0] == pytest.approx([0.25, 2, 0])


def test_hardness_is_the_mean_distortion_between_success_rates():
    assert hardness(np.array([0.0, 0.5, 1.0]), np.array([0.1, 0.1, 0.1])) == pytest.approx(0.1)
    assert hardness(np.array([0.0, 1.0]), np.array([0.0, 0.2])) == pytest.approx(0.1)
    assert hardness(np.array([0.0, 0.0]), np.array([0.1, 0.145])) == 0.145


class Linear(Classifier):
    """Logits that are W · pixels, of one channel."""

    def __init__(self, weights):
        self.weights, self.n_classes, self.device = weights, len(weights), torch.device("cpu")

    def logits(self, x):
        return x[:, 0].flatten(1) @ self.weights.T


def test_saliency_is_the_product_of_the_two_slopes_of_equation_8():
    weights = torch.randn((3, 4), generator=torch.Generator().manual_seed(0))
    image = torch.rand((1, 1, 2, 2), generator=torch.Generator().manual_seed(1)).expand(-1, 3, -1, -1)
    found = saliency(Linear(weights), image)[0].reshape(3, 4)
    share = (weights @ image[0, 0].flatten()).softmax(0)
    jacobian = (torch.diag(share) - share[:, None] * share) @ weights  # of each probability by each pixel
    for target in range(3):
        others = jacobian.sum(0) - jacobian[target]
        expected = torch.where((jacobian[target] < 0) | (others > 0), 0.0, jacobian[target] * others.abs())
        assert found[target] * float(share[target]) ** 2 == pytest.approx(expected.numpy(), abs=1e-6)


def test_noise_and_distances_are_those_of_the_saved_file():
    grey = np.full((2, 50, 50, 3), 128, np.uint8)
    shown = noisy(grey, 0.05, np.random.default_rng(0))
    assert shown.dtype == np.uint8 and (shown == shown[..., :1]).all()
    assert rms(grey, shown) == pytest.approx([0.05, 0.05], rel=0.05)


def test_photographs_depend_on_the_seed_and_keep_their_number():
    pixels = np.full((3, 28, 28, 3), 200, np.uint8)
    one, same, other = photographed(pixels, 1), photographed(pixels, 1), photographed(pixels, 2)
    assert one.shape == pixels.shape and (one == same).all() and (one != other).any()
