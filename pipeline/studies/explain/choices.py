"""What the choices change: the patch of occlusion, its step and what it holds, and what a removed pixel becomes."""

from typing import Any

from pipeline.document.blocks import TableBlock
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.models.explaining import GRADCAM, OCCLUSION
from pipeline.statistics.means import mean_within
from pipeline.studies.claims import Check
from pipeline.studies.explain.asking import NETWORK, REMOVED, area_cell, cams, compared, deleted, occluded, right_images
from pipeline.studies.explain.curves import N_STEPS, area, random_maps
from pipeline.studies.explain.orders import ORDERS
from pipeline.studies.explain.pictures import likeness
from pipeline.studies.explain.texts import SAYS, TEXTS
from pipeline.studies.lab.bench import Bench
from pipeline.studies.lab.parts import Measured, Observation, Part, Told

# Side and step of the patch in pixels, and what it holds; the first is the one that other parts use.
_PATCHES = ((32, 32, "mean"), (32, 16, "mean"), (64, 32, "mean"), (32, 32, "grey"), (32, 32, "black"))
_BASELINES = {"mean": "the picture's mean colour", "grey": "grey", "blur": "the picture blurred"}
_ALIKE = 0.5


def _measure(bench: Bench) -> Measured:
    classifier = bench.network(NETWORK)
    pixels, labels = right_images(bench, bench.pick(6, 30))
    found: dict[str, Any] = {"n": len(labels)}
    maps = {}
    for patch in bench.context.progress(_PATCHES, len(_PATCHES), "patches"):
        maps[patch] = occluded(classifier, pixels, labels, *patch)
        found[f"{patch} like"] = likeness(maps[_PATCHES[0]], maps[patch])
        found[f"{patch}"] = deleted(classifier, pixels, labels, maps[patch], bench.rng("ties", OCCLUSION))
    orders = {OCCLUSION: maps[_PATCHES[0]], GRADCAM: cams(classifier, pixels, labels)}
    orders["random"] = random_maps(len(pixels), pixels.shape[1:3], bench.rng("random map"))
    for kind in _BASELINES:
        for order, values in orders.items():
            found[f"{kind} {order}"] = deleted(classifier, pixels, labels, values, bench.rng("ties", order), kind)
    return found


def _tell(found: Measured) -> Told:
    heads = [Column("step, px"), Column("holds", is_number=False), Column("correlation"), Column("deletion")]
    rows: list[tuple[Cell, ...]] = [
        (
            Cell(f"{patch[0]}"),
            Cell(f"{patch[1]}"),
            Cell(patch[2]),
            Cell(f"{found[f'{patch} like'].mean():.2f}"),
            area_cell(found[f"{patch}"]),
        )
        for patch in _PATCHES
    ]
    note = TEXTS["patches"].format(n=found["n"], removed=_BASELINES[REMOVED])
    first = Table("E3", "Occlusion with other patches", (stub("Patch, px", True), *heads), tuple(rows), note)
    orders = (OCCLUSION, GRADCAM, "random")
    heads = [Column(ORDERS[order][0], "deletion") for order in orders]
    rows = [(Cell(title), *(area_cell(found[f"{kind} {order}"]) for order in orders)) for kind, title in _BASELINES.items()]
    note = TEXTS["baselines"].format(n=found["n"], steps=N_STEPS)
    second = Table("E4", "What a removed pixel becomes", (stub("Becomes"), *heads), tuple(rows), note)
    return Told((TableBlock("table-e3", first), TableBlock("table-e4", second)), _observations(found))


def _observations(found: Measured) -> tuple[Observation, ...]:
    areas = {kind: [area(found[f"{kind} {order}"]) for order in (OCCLUSION, "random")] for kind in _BASELINES}
    steps = [test for less, more in areas.values() if (test := mean_within(less - more, high=0.0))]
    least_sure = max(steps, key=lambda test: test.p, default=None)
    checks = tuple(compared(f"removed pixels become {_BASELINES[kind]}", *pair) for kind, pair in areas.items())
    baselines = Observation("baselines", SAYS["baselines"], "mean", least_sure, found["n"], checks)
    like = found[f"{_PATCHES[4]} like"]
    said = SAYS["fills"].format(bound=_ALIKE)
    check = Check("black against mean colour", f"{like.mean():.2f} on average", int(like.mean() > _ALIKE))
    return baselines, Observation("fills", said, "mean", mean_within(like, low=_ALIKE), found["n"], (check,))


PART = Part("choices", "What the choices change", _measure, _tell, (NETWORK,))
