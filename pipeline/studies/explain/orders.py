"""Deletion and insertion along the maps of pictures as they are, beside orders that know nothing of the network."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure as Plot
from matplotlib.ticker import PercentFormatter

from pipeline.document.blocks import Figure, TableBlock, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.models.explaining import GRADCAM, OCCLUSION
from pipeline.statistics.means import mean_interval, mean_within
from pipeline.studies.claims import Check
from pipeline.studies.explain.asking import METHODS, NETWORK, area_cell, cams, compared, deleted, inserted, maps_of, right_images
from pipeline.studies.explain.curves import N_STEPS, area, centre_first, random_maps
from pipeline.studies.explain.texts import SAYS, TEXTS
from pipeline.studies.lab.bench import Bench
from pipeline.studies.lab.parts import Measured, Observation, Part, Told

UNTRAINED = "resnet34-random"
# By key: the title, and how its curves are drawn.
ORDERS = {
    OCCLUSION: ("occlusion", "#0072b2", "-"),
    GRADCAM: ("Grad-CAM", "#d55e00", "-"),
    UNTRAINED: ("Grad-CAM of random weights", "#cc79a7", "--"),
    "centre": ("the middle first", "#009e73", ":"),
    "random": ("random map", "#4d4d4d", "--"),
    "pixels": ("single pixels at random", "#e69f00", ":"),
}
MARGIN = 0.05
_SIDES = {"deletion": deleted, "insertion": inserted}


def _measure(bench: Bench) -> Measured:
    classifier = bench.network(NETWORK)
    pixels, labels = right_images(bench, bench.pick(32, 150))
    maps = maps_of(classifier, pixels, labels)
    maps[UNTRAINED] = cams(bench.network(UNTRAINED), pixels, labels)
    maps["centre"] = np.broadcast_to(centre_first(pixels.shape[1:3]), pixels.shape[:3])
    maps["random"] = random_maps(len(pixels), pixels.shape[1:3], bench.rng("random map"))
    maps["pixels"] = bench.rng("random pixels").random(pixels.shape[:3])
    found: dict[str, Any] = {"n": len(labels)}
    for order in bench.context.progress(ORDERS, len(ORDERS), "orders"):
        for side, curves in _SIDES.items():
            found[f"{order} {side}"] = curves(classifier, pixels, labels, maps[order], bench.rng("ties", order))
    return found


def _tell(found: Measured) -> Told:
    heads = (Column("deletion", "area under the curve"), Column("insertion", "area under the curve"))
    rows = tuple((Cell(ORDERS[order][0]), *(area_cell(found[f"{order} {side}"]) for side in _SIDES)) for order in ORDERS)
    note = TEXTS["areas"].format(n=found["n"], steps=N_STEPS)
    table = Table("E1", "Orders of pixels, put to the test", (stub("Order"), *heads), rows, note)
    figure = Figure("orders", _curves(found), TEXTS["curves"].format(n=found["n"]))
    return Told((plain(TEXTS["orders-lead"]), TableBlock("table-e1", table), figure), _observations(found))


def _observations(found: Measured) -> tuple[Observation, ...]:
    deletion, insertion = ({order: area(found[f"{order} {side}"]) for order in ORDERS} for side in _SIDES)
    told = []
    for method in METHODS:
        title = ORDERS[method][0]
        for side, less, more in (
            ("deletion", deletion[method], deletion["random"]),
            ("insertion", insertion["random"], insertion[method]),
        ):
            told.append(
                below(f"{method}-{side}", SAYS[side].format(method=title), f"{title} and a random map, {side}", less, more)
            )
    told.append(below("centre", SAYS["centre"], "Grad-CAM and the middle first, deletion", deletion[GRADCAM], deletion["centre"]))
    said = SAYS["untrained"].format(margin=MARGIN)
    return *told, alike(
        "untrained", said, "Grad-CAM of random weights and a random map, deletion", deletion[UNTRAINED], deletion["random"]
    )


def below(key: str, statement: str, where: str, less: np.ndarray, more: np.ndarray) -> Observation:
    """Returns the observation "the first area is below the second on average" of the same pictures, (N,) each."""
    return Observation(key, statement, "mean", mean_within(less - more, high=0.0), len(less), (compared(where, less, more),))


def alike(key: str, statement: str, where: str, one: np.ndarray, other: np.ndarray) -> Observation:
    """Returns the observation "the two areas differ by less than MARGIN on average" of the same pictures."""
    gap = float((one - other).mean())
    check = Check(where, f"{one.mean():.3f} against {other.mean():.3f}", int(abs(gap) < MARGIN))
    return Observation(key, statement, "tost", mean_within(one - other, -MARGIN, MARGIN), len(one), (check,))


@styled
def _curves(found: Measured) -> Plot:
    figure = Plot(figsize=(WIDTH_IN, 2.9), layout="constrained")
    shares = np.linspace(0, 1, N_STEPS + 1)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, side, label in zip(panels, _SIDES, ("pixels removed", "pixels put in"), strict=True):
        for order, (title, colour, line) in ORDERS.items():
            curves = found[f"{order} {side}"]
            low, high = np.clip([mean_interval(column) for column in curves.T], 0, 1).T
            panel.plot(shares, curves.mean(axis=0), color=colour, linestyle=line, label=title)
            panel.fill_between(shares, low, high, color=colour, alpha=0.12, linewidth=0)
        panel.set(title=side, xlabel=label, ylim=(-0.02, 1.02))
        panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panels[0].set_ylabel("probability of the class")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


PART = Part("orders", "Does the answer hang on what the maps show?", _measure, _tell, (NETWORK, UNTRAINED))
