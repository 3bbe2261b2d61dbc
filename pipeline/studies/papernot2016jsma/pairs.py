"""All pairs of digits: how often each form of the attack gets from one to the other, and what it takes."""

import time
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Plot

from pipeline.attacks import attack_named
from pipeline.document.blocks import Figure, TableBlock
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import DASH, percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import to_model, to_pixels
from pipeline.settings import NO_EPSILON
from pipeline.statistics.means import mean_within
from pipeline.studies.claims import Check
from pipeline.studies.lab.bench import PROFILE, Bench, logits, photographed
from pipeline.studies.lab.parts import Measured, Observation, Part, Told
from pipeline.studies.lab.shown import fewer, more_of_each, share_of
from pipeline.studies.papernot2016jsma.published import CHANGED, GAMMA, SAYS, SUCCESS, TEXTS

NETWORK = "lenet"
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "pair": ("pairs, θ = +1", {"form": "pair"}),
    "single": ("single values, θ = +1", {"form": "single"}),
    "removing": ("pairs, θ = −1", {"form": "pair", "theta_8bit": -255}),
}
_REACHED, _FEW = 0.95, 0.06
_AT_ONCE = 90


def of_each_digit(bench: Bench, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns test images that the network gets right, uint8 (10 n, H, W, 3), `n` of each digit, and their labels."""
    images, labels = bench.batch(NETWORK, n=5000)
    is_right = logits(bench.network(NETWORK), images).argmax(1) == labels
    places = torch.cat([((labels == digit) & is_right).nonzero()[:n, 0] for digit in range(10)])
    return to_pixels(images[places]), labels[places].numpy()


def _measure(bench: Bench) -> Measured:
    classifier = bench.network(NETWORK)
    pixels, labels = of_each_digit(bench, bench.pick(5, 20))
    of, targets = (
        np.concatenate(part)
        for part in zip(
            *((np.full(9, place), np.delete(np.arange(10), labels[place])) for place in range(len(labels))), strict=True
        )
    )
    found: dict[str, Any] = {"labels": labels[of], "targets": targets, "image": of}
    for form, (_, options) in FORMS.items():
        attack, began_s, made = (
            attack_named("jsma", options={**options, "gamma": GAMMA, "gives_back": False}),
            time.process_time(),
            [],
        )
        for start in bench.context.progress(range(0, len(of), _AT_ONCE), -(-len(of) // _AT_ONCE), f"jsma {form}"):
            part = slice(start, start + _AT_ONCE)
            made.append(
                attack.perturb(classifier, pixels[of[part]], labels[of[part]], [NO_EPSILON], targets[part])[NO_EPSILON].images
            )
        changed = np.concatenate(made)
        found[f"{form} s"] = (time.process_time() - began_s) / len(of)
        found[f"{form} reached"] = logits(classifier, to_model(changed)).argmax(1).numpy() == targets
        found[f"{form} share"] = (changed[..., 0] != pixels[of][..., 0]).mean(axis=(1, 2))
        if form == "pair":
            answers = logits(classifier, to_model(photographed(changed, bench.seed))).argmax(1).numpy()
            found["photo reached"], found["photo right"] = answers == targets, answers == labels[of]
            found["pictures"] = changed[of == 0][..., 0]
    return found


def _tell(found: Measured) -> Told:
    heads = (Column("reached"), Column("paper"), Column("values changed"), Column("paper"), Column("time, s"))
    rows = []
    for form, (title, _) in FORMS.items():
        reached, share = found[f"{form} reached"], found[f"{form} share"]
        mean = percent(float(share[reached].mean()), 2) if reached.any() else DASH
        paper = (percent(SUCCESS), percent(CHANGED, 2)) if form == "pair" else (DASH, DASH)
        rows.append(
            (Cell(title), share_of(reached), Cell(paper[0]), Cell(mean), Cell(paper[1]), Cell(f"{found[f'{form} s']:.2f}"))
        )
    per = len(np.unique(found["image"])) // 10
    note = TEXTS["forms"].format(n=10 * per, per=per)
    first = Table("P1", "The forms of the attack over all pairs of digits", (stub("Form"), *heads), tuple(rows), note)
    figure = Figure("pairs", matrix_figure(found), TEXTS["matrix"].format(per=per))
    reached = found["pair reached"]
    kept = (share_of(found["photo reached"][reached]), share_of(found["photo right"][reached]))
    second = Table(
        "P2", "After print and camera (simulated)", (Column("still the target"), Column("right again")), (kept,),
        TEXTS["photographed"].format(profile=PROFILE),
    )  # fmt: skip
    return Told((TableBlock("table-p1", first), figure, TableBlock("table-p2", second)), _observations(found))


def _observations(found: Measured) -> tuple[Observation, ...]:
    image, reached = found["image"], {form: found[f"{form} reached"] for form in FORMS}
    said = SAYS["success"].format(bound=percent(_REACHED, 0))
    of_each = reached["pair"].reshape(len(np.unique(image)), -1)
    success = more_of_each("success", said, "pairs", of_each, _REACHED, SUCCESS)
    share = found["pair share"][reached["pair"]]
    said = SAYS["changed"].format(bound=percent(_FEW, 0), paper=percent(CHANGED, 2))
    check = Check("mean over successes", percent(float(share.mean()), 2), int(share.mean() < _FEW)) if len(share) else None
    of_image = np.array([share[image[reached["pair"]] == one].mean() for one in np.unique(image[reached["pair"]])])
    few = Observation("changed", said, "mean", mean_within(of_image, high=_FEW), len(of_image), (check,) if check else ())
    forms = fewer("forms", SAYS["forms"], "single values against pairs", reached["single"], reached["pair"], members=image)
    raising = fewer("removing", SAYS["removing"], "lowering against raising", reached["removing"], reached["pair"], members=image)
    after = fewer(
        "photographs", SAYS["photographs"], "photographs against files", found["photo reached"], reached["pair"], members=image
    )
    return success, few, forms, raising, after


@styled
def matrix_figure(found: Measured) -> Plot:
    """Returns successes and mean shares of changed values, a row a digit and a column a target."""
    figure = Plot(figsize=(WIDTH_IN, 3.3), layout="constrained")
    reached, share = found["pair reached"], found["pair share"]
    grids = np.full((2, 10, 10), np.nan)
    for label, target in np.ndindex(10, 10):
        is_pair = (found["labels"] == label) & (found["targets"] == target)
        if is_pair.any():
            grids[0, label, target] = reached[is_pair].mean()
            grids[1, label, target] = share[is_pair & reached].mean() if (is_pair & reached).any() else np.nan
    titles = ("reached", "values changed")
    for panel, grid, title, top in zip(figure.subplots(1, 2), grids, titles, (1.0, GAMMA), strict=True):
        drawn = panel.imshow(grid, cmap="cividis", vmin=0, vmax=top)
        panel.set(title=title, xlabel="target", ylabel="digit", xticks=range(10), yticks=range(10))
        figure.colorbar(drawn, ax=panel, shrink=0.8)
    return figure


PART = Part("pairs", "From every digit to every other", _measure, _tell, (NETWORK,))
