"""The study of Carlini and Wagner (2017): objectives and searches against closed forms, and verdicts that can fail."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.models.classifier import Classifier
from pipeline.studies.carlini2017 import distilled, objectives, shooting, transfer, undefended
from pipeline.studies.carlini2017.measuring import Aim, Range
from pipeline.studies.carlini2017.objectives import BOXES, OBJECTIVES, smallest
from pipeline.studies.carlini2017.published import CIFAR, DISTILLED, FIRST, MNIST, SECOND, TABLE_4, TABLE_5, TABLE_6
from pipeline.studies.carlini2017.rows import TABLES
from pipeline.studies.carlini2017.shooting import attack_rows, right_images
from pipeline.studies.carlini2017.transfer import verdict
from pipeline.studies.carlini2017.undefended import nearer
from pipeline.studies.lab.parts import judged

torch.set_num_threads(1)


class Linear(Classifier):
    """Logits W (x - 0.5) of one channel."""

    def __init__(self, weights):
        self.weights, self.n_classes, self.device = weights, len(weights), torch.device("cpu")

    def logits(self, x):
        return (x[:, 0].flatten(1) - 0.5) @ self.weights.T


def random_logits(n=4000, n_classes=4):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn((n, n_classes), generator=generator)
    return logits, torch.randint(n_classes, (n,), generator=generator)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_at_most_0_where_the_target_is_reached(name):
    """Of f2, f3, f6 and f7 exactly there; of f1, f4 and f5 where the target has half of the probability or more."""
    logits, targets = random_logits()
    share = logits.softmax(1).gather(1, targets[:, None])[:, 0]
    is_reached = (logits.argmax(1) == targets) if name in ("f2", "f3", "f6", "f7") else share >= 0.5
    found = OBJECTIVES[name](logits, targets)
    is_clear = ((share - 0.5).abs() > 1e-4) & (logits.topk(2).values.diff().abs()[:, 0] > 1e-4)
    assert ((found <= 1e-7) == is_reached)[is_clear].all() and 0.05 < is_reached.float().mean() < 0.9


def test_objectives_are_what_the_paper_prints():
    logits, targets = torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.float64), torch.tensor([2])
    shares = np.exp([1.0, 3.0, 2.0]) / np.exp([1.0, 3.0, 2.0]).sum()
    expected = {
        "f1": -np.log2(shares[2]) - 1,
        "f2": shares[1] - shares[2],
        "f3": np.log1p(np.exp(shares[1] - shares[2])) - np.log(2),
        "f4": 0.5 - shares[2],
        "f5": -np.log(2 * shares[2]),
        "f6": 1.0,
        "f7": np.log1p(np.e) - np.log(2),
    }
    assert {name: float(of(logits, targets)) for name, of in OBJECTIVES.items()} == pytest.approx(expected)


@pytest.mark.parametrize("box", BOXES)
def test_the_search_ends_at_the_boundary_of_a_linear_network(box):
    weights = torch.randn((3, 64), generator=torch.Generator().manual_seed(1))
    classifier = Linear(weights)
    clean = 0.4 + 0.2 * torch.rand((4, 1, 8, 8), generator=torch.Generator().manual_seed(2))
    clean = (clean * 255).round() / 255
    scores = classifier.logits(clean)
    targets = scores.argsort(dim=1)[:, 1]
    apart = weights[scores.argmax(1)] - weights[targets]
    exact = (scores.amax(1) - scores.gather(1, targets[:, None])[:, 0]) / apart.norm(dim=1)
    found = smallest(classifier, clean, targets, OBJECTIVES["f6"], box, n_searches=8, n_steps=150)
    assert (found > 0.98 * exact.numpy()).all() and found == pytest.approx(exact.numpy(), rel=0.1, abs=0.01)


def test_in_black_and_white_pictures_the_box_binds_and_each_way_keeps_to_it_in_its_own():
    weights = torch.randn((2, 64), generator=torch.Generator().manual_seed(1))
    clean = torch.randint(2, (6, 1, 8, 8), generator=torch.Generator().manual_seed(5)).float()
    classifier = Linear(weights)
    scores = classifier.logits(clean)
    targets, nearest = scores.argmin(dim=1), []
    for x, label, margin in zip(clean.flatten(1).numpy(), scores.argmax(1), scores.diff().abs()[:, 0], strict=True):
        w, low, high = (weights[1 - label] - weights[label]).numpy(), 0.0, 10.0
        for _ in range(50):
            middle = (low + high) / 2
            is_enough = w @ (np.clip(x + middle * w, 0, 1) - x) >= float(margin)
            low, high = (low, middle) if is_enough else (middle, high)
        nearest.append(np.linalg.norm(np.clip(x + high * w, 0, 1) - x))
    found = {box: smallest(classifier, clean, targets, OBJECTIVES["f6"], box, n_searches=6, n_steps=150) for box in BOXES}
    assert all((values > 0.98 * np.array(nearest)).all() for values in found.values())
    assert all((values / nearest).mean() < 1.3 for values in found.values())
    assert (found["projected"] != found["clipped"]).any() and (found["tanh"] != found["clipped"]).all()


def test_a_target_that_no_image_reaches_is_told_as_such():
    classifier = Linear(torch.tensor([[1.0] * 4, [1.0] * 4]) + torch.tensor([[1.0], [0.0]]))
    clean = torch.full((1, 1, 2, 2), 0.9)
    found = smallest(classifier, clean, torch.tensor([5]) % 2, OBJECTIVES["f4"], "clipped", n_searches=1, n_steps=2)
    assert np.isnan(found).all()


def bench_of(classifiers, images, labels):
    """What `right_images` asks of a bench."""
    return SimpleNamespace(
        batch=lambda name: (images, labels), network=classifiers.get, rng=lambda *names: np.random.default_rng(0)
    )


def test_images_are_those_that_every_network_gets_right_in_an_order_drawn_by_the_seed():
    generator = torch.Generator().manual_seed(3)
    networks = {name: Linear(torch.randn((3, 16), generator=generator)) for name in "ab"}
    images = (torch.rand((60, 1, 4, 4), generator=generator) * 255).round().expand(-1, 3, -1, -1) / 255
    labels = networks["a"].logits(images).argmax(1)
    found = right_images(bench_of(networks, images, labels), ("a", "b"), 5)
    assert 1 <= len(found) <= 5 and [int(aim.image_id) for aim in found] != sorted(int(aim.image_id) for aim in found)
    for aim in found:
        shown = torch.from_numpy(aim.pixels).permute(2, 0, 1)[None] / 255
        assert all(int(network.logits(shown).argmax()) == aim.label for network in networks.values())


def found_of(distances, n=3):
    return {"l2 s": 1.0, "l2 best": np.array(distances), "l2 average": np.full(n, np.nan)}


def test_a_table_shows_the_means_of_successes_above_the_papers():
    table = attack_rows("C0", "Title", found_of([1.0, 3.0, np.nan]), "IV", TABLE_4[MNIST], "")
    (row,) = table.rows
    assert [cell.text for cell in row] == ["CW L2", "2", "66.7 %", "–", "0.0 %", "–", "–", "1.00"]
    assert row[1].note == "paper 1.36 · 100 %" and row[2].note.startswith("2/3")


def test_what_is_nearer_is_tested_on_images_that_both_lead_where_they_shall():
    one, other = np.array([1.0, 1.0, 5.0, np.nan] * 8), np.array([2.0, 2.0, 4.0, 1.0] * 8)
    told = nearer("key", "Nearer.", one, other, "l2", "1 against 2")
    assert told.found.n == 24 and (told.found.n_for, told.found.n_against) == (16, 8)
    alike = np.repeat(one[:, None], 9, axis=1), np.repeat(other[:, None], 9, axis=1)
    assert nearer("key", "Nearer.", *alike, "l2", "").found.n_effective == pytest.approx(24)
    assert judged([nearer("key", "Nearer.", other, one, "l2", "")], "simulated")[0].verdict != "held"


def test_the_verdict_on_a_defence_follows_the_interval():
    assert verdict(20, 20) == "does not protect" and verdict(0, 20) == "withstands"
    assert verdict(10, 20) == verdict(13, 20) == "not enough images to tell"


def test_published_rows_name_attacks_and_have_three_cases():
    for rows in (*TABLE_4.values(), TABLE_5, TABLE_6):
        assert set(rows) <= set(shooting.KINDS) and all(len(row) == 3 for row in rows.values())
    assert set(TABLE_4[MNIST]) == set(TABLE_4[CIFAR]) == set(shooting.KINDS)


def test_a_range_without_items_keeps_the_saved_images():
    class Bright(Linear):
        name, takes_luma = "bright", False
        fingerprint, differentiable, n_passes = "x", True, 1
        input_size = (2, 2)

        def for_attacks(self):
            return self.logits

        @property
        def preprocessing(self):
            return SimpleNamespace(n_channels=3)

    classifier = Bright(torch.tensor([[-1.0] * 4, [1.0] * 4]))
    dark = np.full((2, 2, 3), 100, np.uint8)
    shooting_range = Range("fgsm", {}, classifier, None, 40)
    context = SimpleNamespace(progress=lambda items, n, label: items)
    shots = shooting_range.shots([Aim("a", "", 0, 1, dark), Aim("b", "", 0, None, dark - 90)], context, "")
    assert shots["a", 1].is_success and not shots["b", None].is_success
    saved = shooting_range.saved
    assert (saved["a", 1][..., 0] == 100 + shots["a", 1].epsilon_8bit).all() and (saved["b", None] == dark - 90).all()


# --- what parts say, of made-up results


def made_up(kinds, table, n=6, n_targets=9, side=8, seed=0, missed=0.0):
    """What `fired` returns, with distances drawn at random."""
    rng = np.random.default_rng(seed)
    found = {"pixels": rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8), "clean photo wrong": rng.random(n) < 0.2}
    for key in kinds:
        found[f"{key} s"] = 0.5
        for place, case in enumerate(TABLES[table]):
            if shooting.KINDS[key].only_away and place:
                continue
            values = (place + 1) * (1 + 0.1 * rng.random(n))
            values[rng.random(n) < missed] = np.nan
            found[f"{key} {case}"] = values
            is_one = table == "V" or case == "average"
            found[f"{key} {case} all"] = np.repeat(values[:, None], 1 if is_one else n_targets, axis=1)
        if key in shooting.OWN:
            found |= {
                f"{key} saved": found["pixels"],
                f"{key} photo": rng.random(n) < 0.3,
                f"{key} photo wrong": rng.random(n) < 0.6,
            }
    return found


def told(part, found):
    said = part.tell(found)
    rows = judged(said.observations, "simulated")
    assert all("{" not in one.statement for one in said.observations)
    return {one.key: row.verdict for one, row in zip(said.observations, rows, strict=True)}, said.blocks


@pytest.mark.parametrize("part", [undefended.MNIST_PART, undefended.CIFAR_PART], ids=["mnist", "cifar"])
def test_what_is_said_of_a_network_follows_what_was_reached(part):
    found = made_up(shooting.KINDS, "IV", n=80) | {"network": "trained" if part.key == "mnist" else "python"}
    found["fgs worst all"] = np.full((80, 9), np.nan)
    verdicts, blocks = told(part, found)
    assert verdicts[f"{part.key}-l2"] == verdicts[f"{part.key}-fgs"] == "held" and len(blocks) == 3
    missing = {key: np.full_like(value, np.nan) for key, value in found.items() if key.endswith(" all")}
    assert told(part, found | missing)[0][f"{part.key}-l2"] == "not_held"


def test_what_is_said_of_imagenet_needs_no_l0():
    kinds = [key for key in TABLE_5 if key != "l0"]
    verdicts, _ = told(undefended.IMAGENET_PART, made_up(kinds, "V", n=80))
    assert verdicts == {"imagenet": "held", "least-likely": "held"}


def test_what_is_said_of_distillation_compares_it_with_the_plain_network():
    found = made_up((*shooting.OWN, "jsma-f", "fgs"), "IV", n=80)
    found |= {f"{MNIST} logits": np.linspace(1, 9, 30), f"{DISTILLED} logits": np.linspace(100, 900, 30)}
    found["plain jsma-f"], found["jsma-f worst all"] = np.ones((80, 9)), np.full((80, 9), np.nan)
    verdicts, _ = told(distilled.PART, found)
    assert set(verdicts.values()) == {"held"} and len(verdicts) == 5
    assert told(distilled.PART, found | {"plain jsma-f": found["jsma-f worst all"]})[0]["masked"] != "held"


def test_what_is_said_of_objectives_compares_the_same_images():
    found = {f"{name} {box}": np.full(20, 2.0) for name in OBJECTIVES for box in BOXES} | {"n_searches": 6, "n_steps": 80}
    found |= {"f1 tanh": np.full(20, 3.0), "f4 tanh": np.where(np.arange(20) < 10, 2.0, np.nan)}
    assert told(objectives.PART, found)[0] == {"objective-distance": "held", "objective-success": "held"}


def test_what_is_said_of_transfer_rises_with_confidence_and_the_checks_follow_the_shares():
    n, rng = 40, np.random.default_rng(1)
    found = {"kappas": [0, 20, 40]} | {f"direct {key}": np.ones(n, bool) for key in shooting.OWN}
    for kappa, share in ((0, 0.0), (20, 1.0), (40, 1.0)):
        found[f"{kappa} l2"] = np.full(n, 2.0)
        for name in (FIRST, SECOND, DISTILLED):
            of = 1.0 if name == FIRST else share
            found |= {f"{kappa} {name} {kind}": rng.random(n) < of for kind in ("wrong", "target")}
    found[f"40 {FIRST} target"] = np.zeros(n, bool)  # out of reach, and not counted
    verdicts, blocks = told(transfer.PART, found)
    assert set(verdicts.values()) == {"held"}
    assert [row[3] for row in blocks[-1].rows] == ["does not protect"] * 2
    withstood = {f"{kappa} {DISTILLED} wrong": np.zeros(n, bool) for kappa in found["kappas"]}
    assert told(transfer.PART, found | withstood)[1][-1].rows[1][3] == "withstands"
