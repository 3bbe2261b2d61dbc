"""How useful features are, and how much of that an attack leaves: penultimate features of two networks, and a linear model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Plot
from torch import Tensor

from pipeline.document.blocks import Figure, TableBlock, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.document.theme import RULE
from pipeline.models.torch_models import TorchClassifier
from pipeline.studies.claims import Check
from pipeline.studies.ilyas2019.accuracy import drawn
from pipeline.studies.ilyas2019.published import SAYS, TEXTS, TITLES
from pipeline.studies.lab.bench import Bench
from pipeline.studies.lab.parts import Measured, Observation, Part, Told, permuted
from pipeline.studies.lab.shown import counted, share_of
from pipeline.training.perturbing import Steps

NETWORKS = ("cifar", "cifar-robust", "cifar-linear")
_EPSILON, _N_STEPS = 0.25, 5
# Below this a feature is not taken to be useful for any class.
_USEFUL = 0.2
_N_DRAWS = 200
_LOOKS = {"cifar": ("#d55e00", "o"), "cifar-robust": ("#0072b2", "D")}


def usefulness(
    values: np.ndarray, lowest: np.ndarray, highest: np.ndarray, is_class: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (ρ, γ) of each feature for telling a class from the others, (D,) each.

    y is 1 on images of the class and −1 on others; both sides have half of the weight. In that measure a feature f has mean 0 and
    variance 1, and the sign with which ρ = E[y f(x)] ≥ 0: Definition 2.1, ρ at most 1. γ = E[inf over ‖δ‖₂ ≤ ε of y f(x + δ)].

    Args:
        values: features of N images, (N, D). lowest, highest: the least and the largest within the ball.
        is_class: bool (N,), with images on both sides.
    """
    weight = np.where(is_class, 0.5 / is_class.sum(), 0.5 / (~is_class).sum())
    y = np.where(is_class, 1.0, -1.0)[:, None]
    mean = weight @ values
    deviation = np.sqrt(weight @ (values - mean) ** 2)
    deviation = np.where(deviation > 0, deviation, np.inf)  # a dead unit is of no use
    rho = weight @ (y * (values - mean)) / deviation
    sign = np.where(rho < 0, -1.0, 1.0)
    worst = np.where(y * sign > 0, lowest, highest)
    return np.abs(rho), weight @ (y * sign * (worst - mean)) / deviation


def extremes(
    features: Callable[[Tensor], Tensor], images: Tensor, epsilon: float, n_steps: int, clip: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns each feature of images (N, 3, H, W), the least and the largest that PGD finds in the ball, float64 (N, D) each."""
    steps = Steps(epsilon, 2 * epsilon / n_steps, n_steps, False, clip, "l2")
    with torch.no_grad():
        values = features(images)
    ends: tuple[list[Tensor], list[Tensor]] = ([], [])
    for place in range(values.shape[1]):
        for found, sign in zip(ends, (-1, 1), strict=True):

            def objective(x: Tensor) -> Tensor:
                return sign * features(x)[:, place].sum()  # noqa: B023  # called at once

            with torch.no_grad():
                found.append(features(steps(images, objective, torch.Generator()))[:, place])
    own, least, most = (part.double().cpu().numpy() for part in (values, *(torch.stack(end, dim=1) for end in ends)))
    return own, np.minimum(own, least), np.maximum(own, most)


def _measure(bench: Bench) -> Measured:
    found: dict[str, Any] = {}
    for name in NETWORKS:
        classifier = bench.network(name)
        images, labels = drawn(bench, name, "test", bench.pick(250, 1000))
        found["labels"] = labels.cpu().numpy()
        if name == "cifar-linear":
            values, lowest, highest = extremes(classifier.logits, images, _EPSILON, _N_STEPS, clip=False)
            found["linear lengths"] = np.array(_slope_lengths(classifier.logits, images[:1]))
        elif isinstance(classifier, TorchClassifier):
            values, lowest, highest = extremes(classifier.penultimate(), images, _EPSILON, bench.pick(_N_STEPS, 20))
        for key, part in (("values", values), ("lowest", lowest), ("highest", highest)):
            found[f"{name} {key}"] = part
    return found


def _slope_lengths(features: Callable[[Tensor], Tensor], image: Tensor) -> list[float]:
    """Returns ‖w‖₂ of each feature w·x + b of a linear model."""
    inputs = image.clone().requires_grad_()
    return [float(torch.autograd.grad(value, inputs, retain_graph=True)[0].norm()) for value in features(inputs)[0]]


def _best(found: Measured, name: str, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns (ρ, γ), (classes, D) each, and of each feature those of the class that it is most useful for, on some images."""
    labels = found["labels"][places]
    values, lowest, highest = (found[f"{name} {key}"][places] for key in ("values", "lowest", "highest"))
    pairs = [usefulness(values, lowest, highest, labels == label) for label in np.unique(labels)]
    rho, gamma = (np.stack(rows) for rows in zip(*pairs, strict=True))
    best, columns = rho.argmax(axis=0), np.arange(rho.shape[1])
    return rho, gamma, rho[best, columns], gamma[best, columns]


def _tell(found: Measured) -> Told:
    everyone = np.arange(len(found["labels"]))
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(everyone), size=len(everyone)) for _ in range(_N_DRAWS)]
    group = "mean over features, each for its best class"
    heads = (Column("features"), Column("ρ", group), Column("γ", group), Column("γ / ρ", group), Column("γ > 0"))
    rows, kept = [], {}
    for name in NETWORKS:
        _, _, rho, gamma = _best(found, name, everyone)
        is_useful = rho >= _USEFUL
        kept[name] = gamma[is_useful] / rho[is_useful]
        drawn = np.array([_means(*_best(found, name, places)[2:]) for places in draws])
        ends = np.percentile(drawn, [2.5, 97.5], axis=0)
        cells = [
            Cell(f"{mean:.2f}", f"{low:.2f} to {high:.2f}".replace("-", "−"))
            for mean, low, high in zip(_means(rho, gamma), *ends, strict=True)
        ]
        count = Cell(f"{int(is_useful.sum())}", f"of {len(rho)}")
        rows.append((Cell(TITLES.get(name, "linear, on D")), count, *cells, share_of(gamma[is_useful] > 0)))
    note = TEXTS["features"].format(n=len(everyone), epsilon=_EPSILON, useful=_USEFUL, off=f"{_off(found):.1e}")
    table = Table("I4", "Useful and robustly useful features", (stub("Network"), *heads), tuple(rows), note)
    figure = Figure("usefulness", _figure(found), TEXTS["features-figure"].format(n=len(everyone), epsilon=_EPSILON))
    said = SAYS["features"].format(epsilon=_EPSILON)
    blocks = (plain(TEXTS["features-lead"]), TableBlock("table-i4", table), figure)
    return Told(blocks, (_observation(said, kept["cifar"], kept["cifar-robust"], len(everyone)),))


def _means(rho: np.ndarray, gamma: np.ndarray) -> tuple[float, float, float]:
    is_useful = rho >= _USEFUL
    if not is_useful.any():
        return 0.0, 0.0, 0.0
    return float(rho[is_useful].mean()), float(gamma[is_useful].mean()), float((gamma[is_useful] / rho[is_useful]).mean())


def _off(found: Measured) -> float:
    """Returns by how much PGD differs from ε‖w‖₂ on the linear model, of that, at most."""
    moved = found["cifar-linear highest"] - found["cifar-linear values"]
    exact = _EPSILON * found["linear lengths"]
    return float(np.abs(moved / exact - 1).max())


def _observation(said: str, standard: np.ndarray, robust: np.ndarray, n_images: int) -> Observation:
    """Tests the shares that features keep: those of the robust network against the others', by permutation."""
    shares, labels = np.concatenate([robust, standard]), np.repeat([1, 0], [len(robust), len(standard)])

    def gap(order: np.ndarray) -> float:
        return float(shares[order == 1].mean() - shares[order == 0].mean())

    test = permuted(gap, labels, np.random.default_rng(0)) if len(robust) and len(standard) else None
    n_held = int(bool(test) and gap(labels) > 0)
    n_robust, n_standard = (counted(part > 0) for part in (robust, standard))
    told = "γ > 0 of {} of {} features, standard {} of {}".format(*n_robust, *n_standard)
    return Observation("features", said, "permutation", test, n_images, (Check("robust network", told, n_held),))


@styled
def _figure(found: Measured) -> Plot:
    figure = Plot(figsize=(WIDTH_IN, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, name in zip(panels, ("cifar", "cifar-robust"), strict=True):
        rho, gamma, best_rho, best_gamma = _best(found, name, np.arange(len(found["labels"])))
        colour, marker = _LOOKS[name]
        panel.scatter(rho, gamma, s=4, color=RULE, label="each feature and class")
        panel.scatter(best_rho, best_gamma, s=14, color=colour, marker=marker, label="for its best class")
        panel.axhline(0, color=RULE, linewidth=0.8, zorder=0)
        panel.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, linestyle="--", zorder=0)
        panel.set_title(TITLES[name])
        panel.set_xlabel("ρ, usefulness")
        panel.legend(loc="lower right")
    panels[0].set_ylabel("γ, usefulness under attack")
    return figure


PART = Part("features", "Useful and robust features", _measure, _tell, NETWORKS)
