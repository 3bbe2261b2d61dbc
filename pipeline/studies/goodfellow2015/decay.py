"""Adversarial training against L1 weight decay: training error, test error and error under FGSM of each."""

from typing import Any

from pipeline.document.blocks import TableBlock
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.studies.goodfellow2015.fooling import fgsm
from pipeline.studies.goodfellow2015.published import EPSILON, L1_TRAINING_ERROR, SAYS, TEXTS
from pipeline.studies.lab.bench import Bench, logits
from pipeline.studies.lab.parts import Measured, Part, Told
from pipeline.studies.lab.shown import TITLES, counted, fewer, more_than, share_of

NETWORKS = ("maxout", "maxout-l1", "maxout-adversarial")


def _measure(bench: Bench) -> Measured:
    found: dict[str, Any] = {}
    n = bench.pick(2000, 10_000)
    for name in NETWORKS:
        classifier = bench.network(name)
        for split in ("train", "test"):
            images, labels = bench.batch(name, split, n)
            found[f"{name} {split}"] = (logits(classifier, images).argmax(1) != labels).numpy()
        found[f"{name} fgsm"] = (logits(classifier, fgsm(classifier.logits, images, labels)).argmax(1) != labels).numpy()
    return found


def _tell(found: Measured) -> Told:
    heads = [Column(head, "wrong") for head in ("training images", "test images", "FGSM")]
    rows = [(Cell(TITLES[name]), *(share_of(found[f"{name} {key}"]) for key in ("train", "test", "fgsm"))) for name in NETWORKS]
    note = TEXTS["decay"].format(n=f"{len(found['maxout test']):,}", epsilon=EPSILON)
    table = Table("G9", "Adversarial training against L1 weight decay", (stub("Network"), *heads), tuple(rows), note)
    stuck = more_than("l1", SAYS["l1"], "training error", counted(found["maxout-l1 train"]), L1_TRAINING_ERROR)
    where = "wrong under FGSM"
    against = fewer("l1-against", SAYS["l1-against"], where, found["maxout-adversarial fgsm"], found["maxout-l1 fgsm"])
    return Told((TableBlock("table-g9", table),), (stuck, against))


PART = Part("decay", "Adversarial training is not weight decay", _measure, _tell, NETWORKS)
