"""The linear explanation: many small changes add up over the pixels, and logits are nearly linear along the gradient's sign."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Plot
from torch.nn.functional import cross_entropy

from pipeline.document.blocks import Figure, TableBlock, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.document.theme import QUIET, RIGHT, RULE
from pipeline.models.classifier import Classifier
from pipeline.studies.claims import Check
from pipeline.studies.goodfellow2015.fooling import fgsm
from pipeline.studies.goodfellow2015.published import SAYS, TEXTS
from pipeline.studies.lab.bench import Bench, logits
from pipeline.studies.lab.parts import Measured, Observation, Part, Told, rank_correlation
from pipeline.studies.lab.shown import TITLES, counted, more_than, rising, share_of

SIDES = {8: "logistic-8", 14: "logistic-14", 28: "logistic", 56: "logistic-56"}
# Networks of each size, from seeds of their own.
_SEEDS = 3
# Small enough that not every image is wrong at once.
_SMALL_EPSILON = 0.05
SWEPT = ("softmax", "fc100-100-10", "maxout", "carlini-mnist")
# The range of Fig. 4, in units of the pixels' range, and a narrower one within it.
_MOST, _N_STEPS = 10.0, 81
_STRAIGHT = 0.98
# Every so many of the steps is shown as a picture.
_SHOWN = 20


def _measure_dimension(bench: Bench) -> Measured:
    found: dict[str, Any] = {}
    for side, name in SIDES.items():
        norms = [_norms(bench.network(f"{name}#{number}" if number else name)) for number in range(_SEEDS)]
        found[f"{side} w"] = np.array(norms)  # (seeds, 2)
        classifier = bench.network(name)
        images, labels = bench.batch(name)
        attacked = fgsm(classifier.logits, images, labels, _SMALL_EPSILON)
        random = torch.rand(images[:, :1].shape, generator=bench.generator("dimension", str(side))).sub(0.5).sign()
        for key, shown in (("wrong", attacked), ("noise", images + _SMALL_EPSILON * random)):
            found[f"{side} {key}"] = (logits(classifier, shown).argmax(1) != labels).numpy()
    return found


def _norms(classifier: Classifier) -> tuple[float, float]:
    """Returns ‖w‖₁ and ‖w‖₂ of a logistic regression."""
    inputs = torch.zeros((1, 3, *classifier.input_size), requires_grad=True)
    scores = classifier.logits(inputs)
    (slope,) = torch.autograd.grad(scores[0, 1] - scores[0, 0], inputs)
    grey = slope.sum(dim=1).flatten()  # grey pictures have three equal channels
    return float(grey.abs().sum()), float(grey.square().sum().sqrt())


def _tell_dimension(found: Measured) -> Told:
    change, wrong = f"change of w·x, ε = {_SMALL_EPSILON}", f"wrong, ε = {_SMALL_EPSILON}"
    heads = (Column("‖w‖₁ / n"), Column("along the sign", change), Column("random signs, sd", change))
    columns = (stub("Side, px", is_number=True), *heads, Column("FGSM", wrong), Column("random signs", wrong))
    rows = []
    for side in SIDES:
        l1, l2 = found[f"{side} w"].mean(axis=0)
        cells = [f"{side}", f"{l1 / side**2:.3g}", f"{_SMALL_EPSILON * l1:.2f}", f"{_SMALL_EPSILON * l2:.2f}"]
        rows.append((*map(Cell, cells), share_of(found[f"{side} wrong"]), share_of(found[f"{side} noise"])))
    note = TEXTS["dimension"].format(seeds=_SEEDS)
    table = Table("G3", "What a small change of every pixel adds up to", columns, tuple(rows), note)
    shares = [found[f"{side} wrong"] for side in SIDES]
    said = SAYS["dimension-fooled"].format(epsilon=_SMALL_EPSILON)
    counts = ", ".join(percent(float(share.mean())) for share in shares)
    is_rising = [share.mean() for share in shares] == sorted(share.mean() for share in shares)
    check = Check("wrong under FGSM at 8, 14, 28, 56 px", counts, int(is_rising))
    fooled = Observation("dimension-fooled", said, "mcnemar", rising(shares), len(shares[0]), (check,))
    return Told((TableBlock("table-g3", table),), (_adds_up(found), fooled))


def _adds_up(found: Measured) -> Observation:
    """Returns the test of "ε‖w‖₁ grows with the number of pixels", by rank over networks of all sizes and seeds."""
    l1 = np.concatenate([found[f"{side} w"][:, 0] for side in SIDES])
    sides = np.repeat(list(SIDES), _SEEDS)
    rho, test = rank_correlation(l1, sides)
    changes = ", ".join(f"{_SMALL_EPSILON * found[f'{side} w'][:, 0].mean():.2f}" for side in SIDES)
    counts = f"{rho:+.2f} (ε‖w‖₁: {changes})"
    check = Check("Spearman's correlation at 8, 14, 28, 56 px", counts, int(rho > 0))
    return Observation("dimension", SAYS["dimension"], "permutation", test, len(l1), (check,))


def _measure_sweep(bench: Bench) -> Measured:
    epsilons = np.linspace(-_MOST, _MOST, _N_STEPS)
    found: dict[str, Any] = {"epsilons": epsilons}
    n = bench.pick(100, 500)
    for name in SWEPT:
        classifier = bench.network(name)
        images, labels = bench.batch(name, n=n)
        inputs = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(cross_entropy(classifier.logits(inputs), labels, reduction="sum"), inputs)
        swept = np.stack([logits(classifier, images + float(epsilon) * slope.sign()).numpy() for epsilon in epsilons], axis=1)
        found[f"{name} logits"] = swept.astype(np.float32)  # (n, steps, classes)
        found[f"{name} labels"] = labels.numpy()
        shown = images[0] + torch.from_numpy(epsilons[:: _N_STEPS // _SHOWN]).float().view(-1, 1, 1, 1) * slope[0].sign()
        found[f"{name} pictures"] = shown[:, 0].numpy()
    return found


def straightness(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Returns R² of the best line through each column, float (..., classes) of (..., steps, classes); 1 where nothing varies."""
    centred, x = values - values.mean(axis=-2, keepdims=True), at - at.mean()
    slope = np.einsum("...sc,s->...c", centred, x) / (x @ x)
    left = np.square(centred - x[:, None] * slope[..., None, :]).sum(axis=-2)
    total = np.square(centred).sum(axis=-2)
    return np.where(total > 0, 1 - left / np.where(total > 0, total, 1), 1.0)


def _tell_sweep(found: Measured) -> Told:
    at = found["epsilons"]
    group = "R² of a line, median"
    heads = (Column("ε > 0", group), Column("ε < 0", group), Column(f"images ≥ {_STRAIGHT}"), Column("right within"))
    rows, straight, inside = [], {}, {}
    for name in SWEPT:
        values = found[f"{name} logits"].astype(float)
        sides = [straightness(values[:, part], at[part]) for part in (at >= 0, at <= 0)]
        straight[name] = np.minimum(*(np.median(side, axis=1) for side in sides)) >= _STRAIGHT
        inside[name] = (values.argmax(axis=2) == found[f"{name} labels"][:, None]).mean(axis=1)
        width = f"{np.median(inside[name]) * 2 * _MOST:.2g}"
        cells = [TITLES[name], *(f"{np.median(side):.4f}" for side in sides)]
        rows.append((*map(Cell, cells), share_of(straight[name]), Cell(width)))
    note = TEXTS["sweep"].format(most=_MOST, straight=_STRAIGHT, range=2 * _MOST)
    table = Table("G4", "How straight the logits are along the gradient's sign", (stub("Network"), *heads), tuple(rows), note)
    figures = (
        Figure("logit-sweep", _sweep_figure(found), TEXTS["sweep-figure"].format(steps=_N_STEPS)),
        Figure("thin-layer", _thin_figure(found), TEXTS["thin-figure"]),
    )
    observations = [
        more_than(
            f"sweep-{name}",
            SAYS["sweep"].format(network=TITLES[name]),
            *(f"images with R² of {_STRAIGHT} or more", counted(straight[name]), 0.5),
        )
        for name in ("maxout", "carlini-mnist")
    ]
    observations.append(more_than("thin", SAYS["thin"], "images", counted(inside["maxout"] < 0.5), 0.5))
    return Told((plain(TEXTS["sweep-lead"]), TableBlock("table-g4", table), *figures), tuple(observations))


@styled
def _sweep_figure(found: Measured) -> Plot:
    figure = Plot(figsize=(WIDTH_IN, 4.2), layout="constrained")
    for panel, name in zip(figure.subplots(2, 2, sharex=True).flat, SWEPT, strict=True):
        values, label = found[f"{name} logits"][0], int(found[f"{name} labels"][0])
        for index in range(values.shape[1]):
            look = {"color": "#0072b2", "linewidth": 1.8, "zorder": 3} if index == label else {"color": QUIET, "linewidth": 0.7}
            panel.plot(found["epsilons"], values[:, index], **look)
        panel.axvline(0, color=RULE, linewidth=0.8, zorder=0)
        panel.set_title(TITLES[name])
        panel.set_ylabel("logit")
    for panel in figure.axes[-2:]:
        panel.set_xlabel("ε along the gradient's sign")
    return figure


@styled
def _thin_figure(found: Measured) -> Plot:
    figure = Plot(figsize=(WIDTH_IN, 1.7), layout="constrained")
    panels = figure.subplots(len(SWEPT), _SHOWN + 1)
    shown_at = found["epsilons"][:: _N_STEPS // _SHOWN]
    for name, row in zip(SWEPT, panels, strict=True):
        is_right = found[f"{name} logits"][0].argmax(axis=1)[:: _N_STEPS // _SHOWN] == found[f"{name} labels"][0]
        row[0].set_ylabel(TITLES[name], rotation=0, ha="right", va="center")
        for panel, picture, right, at in zip(row, found[f"{name} pictures"], is_right, shown_at, strict=True):
            panel.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            for edge in panel.spines.values():
                edge.set(visible=True, color=RIGHT if right else RULE, linewidth=1.6 if right else 0.5)
            if name == SWEPT[-1]:
                panel.set_xlabel(f"{at:g}".replace("-", "−"), fontsize="x-small")
    return figure


DIMENSION = Part("dimension", "Why linear networks are fooled", _measure_dimension, _tell_dimension, tuple(SIDES.values()))
SWEEP = Part("sweep", "Logits along the gradient's sign", _measure_sweep, _tell_sweep, SWEPT)
