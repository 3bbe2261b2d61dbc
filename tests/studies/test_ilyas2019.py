"""The formulas of the study of features: usefulness, what an attack leaves of it, and two Gaussians."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import ndtr

from pipeline.engine import Context
from pipeline.studies import study_named
from pipeline.studies.ilyas2019 import gaussian
from pipeline.studies.ilyas2019.features import extremes, usefulness
from pipeline.studies.ilyas2019.gaussian import (
    angle,
    margin,
    mean_square_change,
    robust_covariance,
    robust_direction,
    robust_likelihood,
)
from pipeline.studies.lab import bench, running
from pipeline.studies.lab.bench import Bench

RNG = np.random.default_rng(0)
ROOT = RNG.standard_normal((4, 4))
COVARIANCE, MEAN = ROOT @ ROOT.T + 0.2 * np.eye(4), RNG.standard_normal(4)
EPSILONS = (0.05, 0.3, 0.8)


def test_maximum_likelihood_is_the_direction_without_an_adversary():
    assert robust_direction(MEAN, COVARIANCE, 0.0) == pytest.approx(np.linalg.solve(COVARIANCE, MEAN))
    with pytest.raises(ValueError, match="expected 0 <= epsilon"):
        robust_direction(MEAN, COVARIANCE, float(np.linalg.norm(MEAN)))


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_robust_direction_is_what_direct_minimisation_finds(epsilon):
    """Of the share of a large sample that the worst change makes wrong, smoothed by its exact expectation."""
    found = robust_direction(MEAN, COVARIANCE, epsilon)
    searched = minimize(lambda w: -ndtr(margin(w, MEAN, COVARIANCE, epsilon)), MEAN, tol=1e-13).x
    assert angle(found, searched) < 0.05
    assert margin(found, MEAN, COVARIANCE, epsilon) >= margin(searched, MEAN, COVARIANCE, epsilon) - 1e-12


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_margin_is_the_share_of_draws_that_no_change_makes_wrong(epsilon):
    w, rng = robust_direction(MEAN, COVARIANCE, epsilon), np.random.default_rng(1)
    points = rng.multivariate_normal(MEAN, COVARIANCE, 40_000)
    worst = points - epsilon * w / np.linalg.norm(w)
    right = (worst @ w > 0).mean()
    assert right == pytest.approx(float(ndtr(margin(w, MEAN, COVARIANCE, epsilon))), abs=0.01)
    others = [points + epsilon * d / np.linalg.norm(d) for d in rng.standard_normal((20, 4))]
    assert all((other @ w > 0).mean() >= right for other in others)


def test_the_angle_to_the_mean_falls_with_epsilon():
    angles = [angle(robust_direction(MEAN, COVARIANCE, epsilon), MEAN) for epsilon in (0.0, *EPSILONS)]
    assert angles == sorted(angles, reverse=True) and angles[0] > angles[-1] + 5


def adversary(inverse, z, penalty):
    """The best change by direct search, and its value."""
    found = minimize(lambda d: penalty / 2 * d @ d - (z + d) @ inverse @ (z + d) / 2, np.zeros(len(z)), tol=1e-12)
    return found.x, -found.fun


def test_the_robust_covariance_is_what_direct_minimisation_finds():
    """The adversary's answer by search in the value, and the covariance by search over triangular roots."""
    true, penalty = COVARIANCE[:2, :2], 3.0
    learned = robust_covariance(true, penalty)
    inverse, z = np.linalg.inv(learned), np.array([0.7, -1.1])
    change, value = adversary(inverse, z, penalty)
    assert change == pytest.approx(np.linalg.solve(penalty * np.eye(2) - inverse, inverse @ z), abs=1e-4)
    assert value == pytest.approx(z @ np.linalg.inv(learned - np.eye(2) / penalty) @ z / 2, abs=1e-8)

    def loss(entries):
        root = np.array([[entries[0], 0], [entries[1], entries[2]]])
        sigma = root @ root.T
        inside = sigma - np.eye(2) / penalty
        if np.linalg.eigvalsh(inside)[0] <= 1e-9:
            return 1e9  # the adversary would gain without end
        return np.trace(np.linalg.solve(inside, true)) / 2 + np.linalg.slogdet(sigma)[1] / 2

    found = minimize(loss, [2.0, 0.0, 2.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}).x
    root = np.array([[found[0], 0], [found[1], found[2]]])
    assert root @ root.T == pytest.approx(learned, rel=1e-3)


def test_the_adversary_of_robust_likelihood_has_the_mean_square_change_that_is_asked():
    learned = robust_likelihood(COVARIANCE, 0.3)
    penalties = np.exp(np.linspace(-3, 6, 4001))
    nearest = min(penalties, key=lambda penalty: abs(mean_square_change(COVARIANCE, penalty) - 0.09))
    assert learned == pytest.approx(robust_covariance(COVARIANCE, nearest), rel=0.02)
    inverse = np.linalg.inv(robust_covariance(COVARIANCE, nearest))
    drawn = np.random.default_rng(2).multivariate_normal(np.zeros(4), COVARIANCE, 50_000)
    changes = np.linalg.solve(nearest * np.eye(4) - inverse, inverse @ drawn.T)
    assert np.square(changes).sum(axis=0).mean() == pytest.approx(0.09, rel=0.05)
    assert robust_likelihood(COVARIANCE, 0.0) is COVARIANCE


def test_the_usefulness_of_a_linear_model_under_attack_is_its_own_less_epsilon_times_the_length_of_its_weights():
    """γ = ρ − ε‖w‖₂ / σ exactly, where pixels are not cut; PGD finds it."""
    draw = torch.Generator().manual_seed(0)
    weights, images = torch.randn((3, 48), generator=draw), torch.rand((60, 3, 4, 4), generator=draw)
    is_class = np.arange(60) % 4 == 0
    images[torch.from_numpy(is_class)] += 0.3
    values, lowest, highest = extremes(lambda x: x.flatten(1) @ weights.T, images, 0.2, 4, clip=False)
    lengths = weights.norm(dim=1).double().numpy()
    assert highest - values == pytest.approx(np.tile(0.2 * lengths, (60, 1)), rel=1e-4)
    rho, gamma = usefulness(values, lowest, highest, is_class)
    weight = np.where(is_class, 0.5 / 15, 0.5 / 45)
    centred = values - weight @ values
    deviation = np.sqrt(weight @ centred**2)
    by_class = centred[is_class].mean(axis=0) / 2 - centred[~is_class].mean(axis=0) / 2
    assert rho == pytest.approx(np.abs(by_class / deviation), rel=1e-9)
    assert gamma == pytest.approx(rho - 0.2 * lengths / deviation, rel=1e-3)


def test_a_feature_that_is_the_label_is_as_useful_as_can_be_and_a_dead_one_is_not():
    is_class = np.arange(20) < 5
    values = np.stack([np.where(is_class, -3.0, 1.0), np.zeros(20)], axis=1)
    rho, gamma = usefulness(values, values - 1.0, values + 1.0, is_class)
    assert rho == pytest.approx([1, 0]) and gamma == pytest.approx([0.5, 0])


def test_the_study_shows_closed_forms_that_the_search_confirms():
    class At:
        rng = staticmethod(lambda *names: np.random.default_rng(0))
        pick = staticmethod(lambda small, full: 500)

    found = gaussian._measure(At())
    told = gaussian._tell(found)
    assert found["rows"][:, 4].max() < 0.01 and found["falls"].all()
    assert (np.diff(found["rows"][:, 2]) < 0).all() and (np.diff(found["rows"][:, 3]) < 0).all()
    assert [one.checks[0].n_held for one in told.observations] == [1, 1]


@pytest.mark.slow
def test_every_part_runs_on_real_images(data_root, monkeypatch, tmp_path):
    """In a form so small that its figures mean nothing: everything is asked once."""
    monkeypatch.setenv("INKPROOF_DATA", str(data_root))

    def tiny(entry):
        is_residual = "resnet" in entry["model"]["name"]
        model = {"name": "network:resnet8", "arguments": {"width": 2}} if is_residual else entry["model"]
        short = entry["training"] | {"n_epochs": 1, "batch_size": 20}
        few = {"dataset": entry["dataset"] | {"n_images": 200}} if "dataset" in entry else {}
        return entry | few | {"test": entry["test"] | {"n_images": 60}, "training": short, "model": model, "small": {}}

    networks = {key: tiny(entry) for key, entry in bench.network_entries().items() if key.startswith("cifar")}
    sets = {key: entry | {"n_steps": 3, "small": {}} for key, entry in bench.set_entries().items()}
    monkeypatch.setattr(bench, "network_entries", lambda: networks)
    monkeypatch.setattr(bench, "set_entries", lambda: sets)
    monkeypatch.setattr(Bench, "pick", lambda self, small, full: min(small, 20))
    made = running.reproduce(study_named("ilyas2019"), tmp_path, Context(), True)
    assert all(row.verdict for row in made.rows) and len(made.rows) == 13
    assert len(list((tmp_path / "models" / "studies" / "sets").rglob("*.png"))) == 4 * 200
    assert (made.folder / "report.pdf").read_bytes()[:4] == b"%PDF"
