"""Rubbish classes: how surely networks name pictures of noise, and how easily noise is led to any class."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from pipeline.document.blocks import TableBlock
from pipeline.document.formats import percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.studies.goodfellow2015.published import EPSILON, RUBBISH, RUBBISH_STEP, SAYS, TEXTS
from pipeline.studies.lab.bench import Bench, logits
from pipeline.studies.lab.parts import Measured, Part, Told
from pipeline.studies.lab.shown import TITLES, counted, fewer, more_than, paper_cell, share_of

NETWORKS = ("softmax", "fc100-100-10", "maxout", "maxout-adversarial", "carlini-mnist")
_SURE = 0.5


def _measure(bench: Bench) -> Measured:
    found: dict[str, Any] = {}
    n, n_led = bench.pick(2000, 10_000), bench.pick(100, 1000)
    for name in NETWORKS:
        classifier = bench.network(name)
        height, width = classifier.input_size
        noise = torch.randn((n, 1, height, width), generator=bench.generator("rubbish")).expand(-1, 3, -1, -1)
        best = logits(classifier, noise).softmax(1).max(1)
        found[f"{name} sure"], found[f"{name} class"] = best.values.numpy(), best.indices.numpy()
        start = noise[:n_led]
        led = []
        for target in range(classifier.n_classes):
            wanted = torch.full((n_led,), target)
            inputs = start.clone().requires_grad_()
            (slope,) = torch.autograd.grad(cross_entropy(classifier.logits(inputs), wanted, reduction="sum"), inputs)
            share = logits(classifier, start - EPSILON * slope.sign()).softmax(1)[:, target]
            led.append((share > _SURE).numpy())
        found[f"{name} led"] = np.stack(led)  # (classes, n)
    return found


def _tell(found: Measured) -> Told:
    heads = [Column(head, group) for group in ("error", "confidence") for head in ("here", "paper")]
    heads += [Column(head, "led to a class by one step") for head in ("mean", "easiest", "hardest")]
    rows, is_error = [], {name: found[f"{name} sure"] > _SURE for name in NETWORKS}
    for name in NETWORKS:
        sure, led, paper = found[f"{name} sure"][is_error[name]], found[f"{name} led"], RUBBISH.get(name, (None, None))
        confidence = float(sure.mean()) if len(sure) else None
        cells = [share_of(is_error[name]), paper_cell(paper[0]), paper_cell(confidence), paper_cell(paper[1])]
        ends = [paper_cell(float(end)) for end in (led.mean(axis=1).max(), led.mean(axis=1).min())]
        rows.append((Cell(TITLES[name]), *cells, share_of(led), *ends))
    n, n_led = len(found["softmax sure"]), found["softmax led"].shape[1]
    note = TEXTS["rubbish"].format(n=f"{n:,}", epsilon=EPSILON, led=n_led, paper=percent(RUBBISH_STEP))
    table = Table("G5", "Pictures of noise that are named with confidence", (stub("Network"), *heads), tuple(rows), note)
    named = [
        more_than(
            f"rubbish-{name}",
            SAYS["rubbish"].format(network=TITLES[name], bound=percent(bound, 0)),
            *(TITLES[name], counted(is_error[name]), bound, RUBBISH[name][0]),
        )
        for name, bound in (("maxout", 0.8), ("softmax", 0.5), ("fc100-100-10", 0.5))
    ]
    key = "rubbish-trained"
    trained = fewer(
        key, SAYS[key], "named, adversarially trained against not", is_error["maxout-adversarial"], is_error["maxout"]
    )
    return Told((TableBlock("table-g5", table),), (*named, trained))


PART = Part("rubbish", "Rubbish classes", _measure, _tell, NETWORKS)
