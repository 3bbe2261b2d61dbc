"""Maps put to the test: curves of a network whose answer is known in closed form, orders, areas, and the study in miniature."""

import numpy as np
import pytest
import torch

from pipeline.engine import Context
from pipeline.studies import study_named
from pipeline.studies.explain import asking, choices, orders, pictures, resnet
from pipeline.studies.explain.curves import area, baseline, centre_first, order_of, random_maps, replaced
from pipeline.studies.lab import running
from pipeline.studies.lab.bench import Bench

SIDE = 8
RNG = np.random.default_rng(7)
WEIGHTS = RNG.dirichlet(np.full(SIDE * SIDE, 0.3)).astype(np.float32)


def linear(x):
    """Returns logits whose softmax is (s, 1 - s): s, the weighted mean of the pixels, is the probability of class 0."""
    share = (x[:, 0].flatten(1) * torch.from_numpy(WEIGHTS)).sum(1, keepdim=True).clamp(1e-7, 1 - 1e-7)
    return torch.cat([share, 1 - share], dim=1).log()


WHITE, BLACK = torch.ones((1, 3, SIDE, SIDE)), torch.zeros((1, 3, SIDE, SIDE))
CLASS = torch.tensor([0])
TRUE_MAP = WEIGHTS.reshape(1, SIDE, SIDE)


def test_deletion_and_insertion_of_a_linear_network_are_the_weights_that_are_left():
    order = order_of(TRUE_MAP, np.random.default_rng(0))
    falling = np.sort(WEIGHTS)[::-1].cumsum()
    at = [round(SIDE * SIDE * step / 4) for step in range(5)]
    taken = np.array([0.0 if not k else falling[k - 1] for k in at])
    assert replaced(linear, WHITE, BLACK, order, CLASS, 4)[0] == pytest.approx(1 - taken, abs=1e-5)
    assert replaced(linear, BLACK, WHITE, order, CLASS, 4)[0] == pytest.approx(taken, abs=1e-5)


def test_a_map_that_is_reversed_is_the_worst_of_all_orders():
    found = {}
    for name, values in {"true": TRUE_MAP, "reversed": -TRUE_MAP, "random": RNG.random(TRUE_MAP.shape)}.items():
        order = order_of(values, np.random.default_rng(0))
        found[name] = [float(area(replaced(linear, *ends, order, CLASS))[0]) for ends in ((WHITE, BLACK), (BLACK, WHITE))]
    assert found["true"][0] < found["random"][0] < found["reversed"][0]
    assert found["true"][1] > found["random"][1] > found["reversed"][1]
    assert sum(found["true"]) == pytest.approx(1, abs=1e-5), "what deletion takes, insertion gives"


def test_areas_are_trapezia_over_the_share_of_pixels():
    assert area(np.array([[1.0, 1.0, 1.0], [1.0, 0.5, 0.0], [1.0, 0.0, 0.0]])) == pytest.approx([1, 0.5, 0.25])


def test_equal_pixels_go_in_a_random_order_and_others_in_theirs():
    flat = np.zeros((2, 4, 4))
    flat[:, 3, 3] = 1
    one, other = order_of(flat, np.random.default_rng(0)).numpy()
    assert one[0] == other[0] == 15 and (one != other).any()
    assert sorted(one) == list(range(16)) and one.tolist() != [15, *range(15)]


def test_the_middle_comes_first_and_the_blur_keeps_the_mean():
    assert np.unravel_index(centre_first((5, 7)).argmax(), (5, 7)) == (2, 3)
    assert centre_first((5, 7)).argmin() in (0, 6, 28, 34)
    x = torch.rand((2, 3, 40, 40), generator=torch.Generator().manual_seed(0))
    blurred = baseline(x, "blur")
    assert blurred.mean() == pytest.approx(float(x.mean()), abs=0.02) and blurred.std() < x.std() / 3
    assert torch.equal(baseline(x, "grey"), torch.full_like(x, 0.5))


def test_a_random_map_has_the_grain_of_gradcam():
    found = random_maps(3, (70, 70), np.random.default_rng(0))
    assert found.shape == (3, 70, 70) and not np.array_equal(found[0], found[1])
    steps = np.abs(np.diff(found, axis=1))
    assert steps.max() <= 0.1 + 1e-9, "between two of 7 centres the values move evenly"


def test_likeness_of_maps_is_spearmans_and_an_empty_map_is_like_none():
    from scipy.stats import spearmanr

    one, other = RNG.random((1, 6, 6)), RNG.random((1, 6, 6))
    assert pictures.likeness(one, other) == pytest.approx([spearmanr(one.ravel(), other.ravel()).statistic])
    assert pictures.likeness(one, one**3) == pytest.approx([1]) and pictures.likeness(one, -one) == pytest.approx([-1])
    assert pictures.likeness(one, np.zeros((1, 6, 6))) == pytest.approx([0])


def made_up(gap, n=20):
    """Curves of pictures in which the maps' orders fall faster than the others by `gap`."""
    rng, found = np.random.default_rng(1), {"n": n}
    for order in orders.ORDERS:
        is_map = order in (orders.OCCLUSION, orders.GRADCAM)
        for side, sign in (("deletion", -1), ("insertion", 1)):
            found[f"{order} {side}"] = np.clip(0.5 + is_map * sign * gap + 0.02 * rng.standard_normal((n, 9)), 0, 1)
    return found


@pytest.mark.parametrize(("gap", "verdict"), [(0.2, "held"), (-0.2, "not_held")])
def test_findings_follow_the_areas(gap, verdict):
    from pipeline.studies.lab.parts import judged

    rows = {row.finding: row.verdict for row in judged(orders.PART.tell(made_up(gap)).observations, "simulated")}
    assert {rows[f"{method}-{side}"] for method in asking.METHODS for side in ("deletion", "insertion")} == {verdict}
    assert rows["centre"] == verdict and rows["untrained"] == "held"


def test_the_weights_of_the_file_are_taken_where_it_lies_and_random_ones_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("INKPROOF_DATA", str(tmp_path))
    assert resnet.network() == "resnet34-random" and resnet.part().networks == ("resnet34-random",)
    (tmp_path / "weights").mkdir()
    (tmp_path / resnet.WEIGHTS).write_bytes(b"")
    assert resnet.network() == "resnet34" and resnet.part().networks == ("resnet34",)


@pytest.mark.slow
def test_every_part_runs_on_real_photographs(data_root, monkeypatch, tmp_path):
    """In a form so small that its figures mean nothing."""
    monkeypatch.setenv("INKPROOF_DATA", str(data_root))
    monkeypatch.setattr(Bench, "pick", lambda self, small, full: 2)
    made = running.reproduce(study_named("explain"), tmp_path, Context(), True)
    assert all(row.verdict for row in made.rows) and len(made.rows) == len(made.statements) == 13
    assert (made.folder / "report.pdf").read_bytes()[:4] == b"%PDF"
    figures = {path.name for path in (made.folder / "figures").iterdir()}
    assert {"orders.png", "versions-1.png", "versions-2.png", "layer4-1.png"} <= figures
    assert not (tmp_path / "models").exists(), "nothing is trained"
    assert choices.PART.networks == (asking.NETWORK,)
