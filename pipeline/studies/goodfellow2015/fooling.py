"""FGSM on each network: clean error, error under attack, how sure the wrong answers are, and the same after print and camera."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.document.blocks import TableBlock
from pipeline.document.formats import percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import to_model, to_pixels
from pipeline.studies.goodfellow2015.published import EPSILON, FGSM, SAYS, TEXTS
from pipeline.studies.lab.bench import AT_ONCE, PROFILE, Bench, logits, photographed
from pipeline.studies.lab.parts import Measured, Observation, Part, Told
from pipeline.studies.lab.shown import TITLES, fewer, more_than, paper_cell, share_cell, share_of
from pipeline.training.perturbing import Steps

NETWORKS = ("softmax", "logistic", "fc100-100-10", "maxout", "carlini-mnist", "maxout-adversarial")
# Errors under FGSM above which the paper is taken to be right.
_BOUNDS = (("softmax", 0.97), ("logistic", 0.95), ("maxout", 0.8))
_KINDS = {"clean": "clean", "fgsm": "FGSM"}
# The nearest whole level to ε, for files.
EPSILON_8BIT = round(EPSILON * 255)


def fgsm(ask: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, epsilon: float = EPSILON, clip: bool = False) -> Tensor:
    """Returns x + ε sign(∇J(x)) of images (N, 3, H, W) in [0, 1], as the paper has it: cut to [0, 1] only with `clip`.

    Args:
        ask: gives logits, or the logarithms of probabilities.
    """
    step = Steps(epsilon, epsilon, 1, False, clip)

    def stepped(x: Tensor, of: Tensor) -> Tensor:
        return step(x, lambda inputs: cross_entropy(ask(inputs), of, reduction="sum"), torch.Generator())

    return torch.cat([stepped(*part) for part in zip(images.split(AT_ONCE), labels.split(AT_ONCE), strict=True)])


def _measure(bench: Bench) -> Measured:
    found: dict[str, Any] = {"cards": {name: bench.card(name)["accuracies"]["test"] for name in NETWORKS}}
    for name in NETWORKS:
        classifier = bench.network(name)
        images, labels = bench.batch(name, n=bench.pick(200, 1000))
        attacked = to_pixels(fgsm(classifier.logits, images, labels, EPSILON_8BIT / 255, clip=True))
        for kind, pixels in (("clean", to_pixels(images)), ("fgsm", attacked)):
            for place, shown in (("file", pixels), ("photo", photographed(pixels, bench.seed))):
                found[f"{name} {kind} {place}"] = logits(classifier, to_model(shown)).argmax(1).numpy() != labels.numpy()
    return found


def _tell(found: Measured) -> Told:
    heads = [Column(head, group) for group in ("clean error", "error under FGSM", "confidence") for head in ("here", "paper")]
    rows: list[tuple[Cell, ...]] = []
    for name in NETWORKS:
        card, paper = found["cards"][name], FGSM.get(name, (None, None, None))
        clean, fooled = (share_cell(*_wrong(card, kind)) for kind in ("clean", "fgsm"))
        sure = paper_cell(card["fgsm_confidence_when_wrong"])
        rows.append((Cell(TITLES[name]), clean, paper_cell(paper[0]), fooled, paper_cell(paper[1]), sure, paper_cell(paper[2])))
    note = TEXTS["fgsm"].format(epsilon=EPSILON)
    files = Table("G1", "FGSM on each network, beside the paper", (stub("Network"), *heads), tuple(rows), note)
    seen = [(kind, place) for kind in ("clean", "fgsm") for place in ("file", "photo")]
    heads = [Column({"photo": "photograph"}.get(place, place), _KINDS[kind]) for kind, place in seen]
    rows = [(Cell(TITLES[name]), *(share_of(found[f"{name} {kind} {place}"]) for kind, place in seen)) for name in NETWORKS]
    note = TEXTS["photographed"].format(epsilon=EPSILON_8BIT, profile=PROFILE)
    after = Table("G2", "The same after print and camera (simulated)", (stub("Network"), *heads), tuple(rows), note)
    return Told((TableBlock("table-g1", files), TableBlock("table-g2", after)), _observations(found))


def _wrong(card: dict[str, Any], kind: str) -> tuple[int, int]:
    """Returns how many of a network's test images are wrong, and how many there are."""
    return card["n_images"] - round(card["n_images"] * card[f"{kind}_accuracy"]), card["n_images"]


def _observations(found: Measured) -> tuple[Observation, ...]:
    fooled = [
        more_than(
            f"fgsm-{name}",
            SAYS["fgsm"].format(epsilon=EPSILON, network=TITLES[name], bound=percent(bound, 0)),
            *(TITLES[name], _wrong(found["cards"][name], "fgsm"), bound, FGSM[name][1]),
        )
        for name, bound in _BOUNDS
    ]
    naive, trained = (found[f"{name} fgsm file"] for name in ("maxout", "maxout-adversarial"))
    key = "adversarial-training"
    fooled.append(fewer(key, SAYS[key], "wrong under FGSM, files", trained, naive, "17.9 % against 89.4 %"))
    names = [name for name in NETWORKS if name != "maxout-adversarial"]
    file, photo = (np.concatenate([found[f"{name} fgsm {place}"] for name in names]) for place in ("file", "photo"))
    members = np.concatenate([np.arange(len(found[f"{name} fgsm file"])) for name in names])
    where = "wrong under FGSM, photographs against files, all but the adversarially trained"
    fooled.append(fewer("photographs", SAYS["photographs"], where, photo, file, members=members))
    return tuple(fooled)


PART = Part("fgsm", "The fast gradient sign method", _measure, _tell, NETWORKS)
