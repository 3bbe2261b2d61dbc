"""Adversarial training against L1 weight decay: training error, test error, error under FGSM, and first-layer weights of each."""

from typing import Any

import numpy as np

from pipeline.document.blocks import Figure, TableBlock
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import Filter
from pipeline.report.first_layer import caption, largest, weights_figure
from pipeline.studies.goodfellow2015.fooling import fgsm
from pipeline.studies.goodfellow2015.published import EPSILON, L1_TRAINING_ERROR, SAYS, TEXTS
from pipeline.studies.lab.bench import Bench, logits
from pipeline.studies.lab.parts import Measured, Part, Told
from pipeline.studies.lab.shown import TITLES, counted, fewer, more_than, share_of

NETWORKS = ("maxout", "maxout-l1", "maxout-adversarial")
_N_UNITS = 32


def _measure(bench: Bench) -> Measured:
    found: dict[str, Any] = {}
    n = bench.pick(2000, 10_000)
    for name in NETWORKS:
        classifier = bench.network(name)
        for split in ("train", "test"):
            images, labels = bench.batch(name, split, n)
            found[f"{name} {split}"] = (logits(classifier, images).argmax(1) != labels).numpy()
        found[f"{name} fgsm"] = (logits(classifier, fgsm(classifier.logits, images, labels)).argmax(1) != labels).numpy()
        filters = classifier.first_filters()
        found[f"{name} n_units"] = filters[0].n_units
        found[f"{name} weights"] = np.array([np.reshape(unit.weights, unit.shape) for unit in filters[:_N_UNITS]])
    return found


def _tell(found: Measured) -> Told:
    heads = [Column(head, "wrong") for head in ("training images", "test images", "FGSM")]
    rows = [(Cell(TITLES[name]), *(share_of(found[f"{name} {key}"]) for key in ("train", "test", "fgsm"))) for name in NETWORKS]
    note = TEXTS["decay"].format(n=f"{len(found['maxout test']):,}", epsilon=EPSILON)
    table = Table("G9", "Adversarial training against L1 weight decay", (stub("Network"), *heads), tuple(rows), note)
    stuck = more_than("l1", SAYS["l1"], "training error", counted(found["maxout-l1 train"]), L1_TRAINING_ERROR)
    where = "wrong under FGSM"
    against = fewer("l1-against", SAYS["l1-against"], where, found["maxout-adversarial fgsm"], found["maxout-l1 fgsm"])
    figures = (_weights(name, found[f"{name} n_units"], found[f"{name} weights"]) for name in NETWORKS)
    return Told((TableBlock("table-g9", table), *figures), (stuck, against))


def _weights(name: str, n_units: int, weights: np.ndarray) -> Figure:
    """Returns weights of a first layer (units, channels, H, W) as pictures on a scale of their own, as Fig. 3 of the paper."""
    filters = [Filter(place, n_units, "", unit.shape, tuple(unit.flatten())) for place, unit in enumerate(weights)]
    return Figure(f"weights-{name}", weights_figure(filters, largest(filters)), caption(filters, TITLES[name]))


PART = Part("decay", "Adversarial training is not weight decay", _measure, _tell, NETWORKS, form=2)
