"""ResNet-34 at `layer4`: with weights from a file where there is one, else with random ones, whose maps are the control."""

import os
from pathlib import Path
from typing import Any

from pipeline.document.blocks import Block, TableBlock, plain
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import to_model
from pipeline.models.explaining import GRADCAM, OCCLUSION
from pipeline.studies.explain.asking import area_cell, deleted, inserted, maps_of, right_images
from pipeline.studies.explain.curves import N_STEPS, area, random_maps
from pipeline.studies.explain.examples import N_EXAMPLES, example_figures, examples
from pipeline.studies.explain.orders import MARGIN, ORDERS, UNTRAINED, alike, below
from pipeline.studies.explain.pictures import EPSILON_8BIT, versions_of
from pipeline.studies.explain.texts import SAYS, TEXTS
from pipeline.studies.lab.bench import DATA, PROFILE, Bench, logits
from pipeline.studies.lab.parts import Measured, Part, Told

TRAINED = "resnet34"
WEIGHTS = "weights/resnet34-b627a593.pth"
_SHOWN = (OCCLUSION, GRADCAM, "random")


def network() -> str:
    """Returns which ResNet-34 there is: the one with weights where their file lies in the data folder."""
    root = os.environ.get(DATA, "")
    return TRAINED if root and (Path(root) / WEIGHTS).is_file() else UNTRAINED


def _measure(bench: Bench) -> Measured:
    name = network()
    classifier = bench.network(name)
    pixels, labels = right_images(bench, bench.pick(8, 60))
    answers = logits(classifier, to_model(pixels)).argmax(1).numpy()
    maps = maps_of(classifier, pixels, answers)
    first, of = slice(N_EXAMPLES), answers[:N_EXAMPLES]
    versions = versions_of(bench, classifier, pixels[first], of)
    shown = {variant: maps_of(classifier, changed, of) for variant, changed in versions.items()}
    found: dict[str, Any] = {"n": len(labels), "network": name} | examples(classifier, versions, shown, labels[first], of)
    orders = maps | {"random": random_maps(len(pixels), pixels.shape[1:3], bench.rng("random map"))}
    for order in bench.context.progress(_SHOWN, len(_SHOWN), "orders"):
        for side, curves in (("deletion", deleted), ("insertion", inserted)):
            found[f"{order} {side}"] = curves(classifier, pixels, answers, orders[order], bench.rng("ties", order))
    return found


def _tell(found: Measured) -> Told:
    sides = ("deletion", "insertion")
    heads = tuple(Column(side, "area under the curve") for side in sides)
    rows = tuple((Cell(ORDERS[order][0]), *(area_cell(found[f"{order} {side}"]) for side in sides)) for order in _SHOWN)
    lead, note = TEXTS[found["network"]], TEXTS["resnet"].format(n=found["n"], steps=N_STEPS)
    table = Table("E5", "ResNet-34, asked for its own answer", (stub("Order"), *heads), rows, note)
    areas = [area(found[f"{order} deletion"]) for order in (GRADCAM, "random")]
    where, said = "Grad-CAM and a random map, deletion", SAYS[found["network"]].format(margin=MARGIN)
    observation = (below if found["network"] == TRAINED else alike)("layer4", said, where, *areas)
    figures = example_figures(found, "layer4", TEXTS["resnet-figure"], epsilon=EPSILON_8BIT, profile=PROFILE)
    blocks: tuple[Block, ...] = (plain(lead), TableBlock("table-e5", table), *figures)
    return Told(blocks, (observation,))


def part() -> Part:
    """Returns the part, of the network that there is."""
    return Part("layer4", "ResNet-34 at layer4", _measure, _tell, (network(),))
