"""Saliency maps of one image, and whether pairs of digits that look far by them are hard (Eqs. 8, 13 and 14)."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Plot

from pipeline.attacks import attack_named
from pipeline.document.blocks import Figure, TableBlock
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.tables import Cell, Column, Table
from pipeline.images import to_model
from pipeline.models.classifier import Classifier
from pipeline.settings import NO_EPSILON
from pipeline.studies.claims import Check
from pipeline.studies.lab.bench import Bench, logits
from pipeline.studies.lab.parts import Measured, Observation, Part, Told, rank_correlation
from pipeline.studies.papernot2016jsma.pairs import NETWORK, of_each_digit
from pipeline.studies.papernot2016jsma.published import SAYS, TEXTS

_GAMMAS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.145)


def saliency(classifier: Classifier, images: torch.Tensor) -> np.ndarray:
    """Returns S⁺ of Eq. 8 toward every class, float (N, n_classes, H, W), of grey images (N, 3, H, W), by the probabilities.

    0 where raising the pixel lowers the target's probability and raises the others' sum; else the product of the two slopes, up
    to the square of that probability as a factor, which is the same for all pixels and may be too small for a float.
    """
    maps = []
    for target in range(classifier.n_classes):
        inputs = images[:, :1].clone().requires_grad_()
        log_share = classifier.logits(inputs.expand(-1, 3, -1, -1)).log_softmax(1)[:, target]
        (slope,) = torch.autograd.grad(log_share.sum(), inputs)
        # Probabilities add up to one: the others' slope is minus the target's, so that their product is its square.
        maps.append(torch.where(slope > 0, slope.square(), 0.0)[:, 0])
    return torch.stack(maps, dim=1).numpy()


def _measure(bench: Bench) -> Measured:
    classifier = bench.network(NETWORK)
    pixels, labels = of_each_digit(bench, bench.pick(4, 10))
    maps = saliency(classifier, to_model(pixels))
    distance = (maps <= 0).mean(axis=(2, 3))  # (N, 10)
    hard = np.full((10, 10), np.nan)
    of = np.repeat(np.arange(len(labels)), 9)
    targets = np.concatenate([np.delete(np.arange(10), label) for label in labels])
    reached, share = [], []
    for gamma in bench.context.progress(_GAMMAS, len(_GAMMAS), "thresholds"):
        made = attack_named("jsma", options={"gamma": gamma, "gives_back": False}).perturb(
            classifier, pixels[of], labels[of], [NO_EPSILON], targets
        )
        changed = made[NO_EPSILON].images
        reached.append(logits(classifier, to_model(changed)).argmax(1).numpy() == targets)
        share.append((changed[..., 0] != pixels[of][..., 0]).mean(axis=(1, 2)))
    for label, target in np.ndindex(10, 10):
        is_pair = (labels[of] == label) & (targets == target)
        if is_pair.any():
            success = np.array([rows[is_pair].mean() for rows in reached])
            taken = np.array(
                [
                    gamma if not rows[is_pair].any() else of_gamma[is_pair & rows].mean()
                    for gamma, rows, of_gamma in zip(_GAMMAS, reached, share, strict=True)
                ]
            )
            hard[label, target] = hardness(success, taken)
    found: dict[str, Any] = {
        "hard": hard,
        "picture": pixels[0, ..., 0],
        "maps": maps[0].astype(np.float32),
        "label": int(labels[0]),
    }
    far = np.array([[distance[labels == label, target].mean() for target in range(10)] for label in range(10)])
    return found | {"far": far, "n": len(labels)}


def hardness(success: np.ndarray, distortion: np.ndarray) -> float:
    """Returns Eq. 13: the mean of distortion over success rates, by trapezia; the largest where no threshold succeeds."""
    if success.max() <= success.min():
        return float(distortion.max())
    area = float((np.diff(success) * (distortion[1:] + distortion[:-1]) / 2).sum())
    return area / float(success[-1] - success[0]) if success[-1] > success[0] else float(distortion.max())


def _tell(found: Measured) -> Told:
    hard, far = found["hard"], found["far"]
    known = ~np.isnan(hard) & ~np.eye(10, dtype=bool)
    rho, test = rank_correlation(hard[known], far[known])
    note = TEXTS["hardness"].format(gammas=", ".join(f"{gamma:g}" for gamma in _GAMMAS), n=int(known.sum()))
    cells = (Cell(f"{np.nanmean(hard[known]):.3f}"), Cell(f"{far[known].mean():.3f}"), Cell(f"{rho:+.2f}"))
    table = Table(
        "P3",
        "Hardness and adversarial distance",
        (Column("mean hardness"), Column("mean distance"), Column("correlation")),
        (cells,),
        note,
    )
    figure = Figure("saliency", _maps(found), TEXTS["saliency"])
    check = Check("Spearman's correlation", f"{rho:+.2f}", int(rho > 0))
    observation = Observation("hardness", SAYS["hardness"], "permutation", test, found["n"], (check,))
    return Told((figure, TableBlock("table-p3", table)), (observation,))


@styled
def _maps(found: Measured) -> Plot:
    figure = Plot(figsize=(WIDTH_IN, 2.7), layout="constrained")
    panels = figure.subplots(2, 6)
    targets = [target for target in range(10) if target != found["label"]]
    top = float(found["maps"][targets].max()) ** 0.5
    for panel in panels.flat:
        panel.set_axis_off()
    panels.flat[0].imshow(found["picture"], cmap="gray", vmin=0, vmax=255)
    panels.flat[0].set_title(f"a {found['label']}")
    for panel, target in zip(list(panels.flat)[1:], targets, strict=False):
        panel.imshow(np.sqrt(found["maps"][target]), cmap="Greys", vmin=0, vmax=top)
        panel.set_title(f"to {target}")
    return figure


PART = Part("hardness", "Saliency and hardness", _measure, _tell, (NETWORK,))
