"""The same picture clean, adversarial and photographed: where its maps go, and whether they still say what counts."""

from typing import Any

import numpy as np

from pipeline.attacks import attack_named
from pipeline.document.blocks import TableBlock
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import to_model
from pipeline.models.classifier import Classifier
from pipeline.models.explaining import GRADCAM
from pipeline.statistics.means import mean_interval
from pipeline.studies.explain.asking import METHODS, NETWORK, area_cell, cams, deleted, maps_of, right_images
from pipeline.studies.explain.curves import N_STEPS, area, random_maps
from pipeline.studies.explain.examples import example_figures, examples
from pipeline.studies.explain.orders import ORDERS, below
from pipeline.studies.explain.texts import SAYS, TEXTS
from pipeline.studies.lab.bench import PROFILE, Bench, logits, photographed
from pipeline.studies.lab.parts import Measured, Observation, Part, Told
from pipeline.studies.lab.shown import share_of

EPSILON_8BIT, _ATTACK_STEPS = 8, 10
_CHANGED = {"adversarial": "adversarial file", "photo": "photograph of adversarial", "clean-photo": "photograph of clean"}
_VARIANTS = {"clean": "clean file"} | _CHANGED


def _measure(bench: Bench) -> Measured:
    classifier = bench.network(NETWORK)
    pixels, labels = right_images(bench, bench.pick(12, 60))
    versions = versions_of(bench, classifier, pixels, labels)
    found: dict[str, Any] = {"n": len(labels)}
    maps: dict[str, dict[str, np.ndarray]] = {}
    for variant, shown in bench.context.progress(versions.items(), len(versions), "versions"):
        maps[variant] = maps_of(classifier, shown, labels)
        answers = logits(classifier, to_model(shown)).argmax(1).numpy()
        found[f"{variant} right"] = answers == labels
        of_answer = {
            GRADCAM: cams(classifier, shown, answers),
            "random": random_maps(len(shown), shown.shape[1:3], bench.rng("random map")),
        }
        for order, values in of_answer.items():
            found[f"{variant} {order}"] = deleted(classifier, shown, answers, values, bench.rng("ties", order))
        for method in METHODS:
            found[f"{variant} {method} like"] = likeness(maps["clean"][method], maps[variant][method])
    return found | examples(classifier, versions, maps, labels)


def versions_of(bench: Bench, classifier: Classifier, pixels: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the pictures, uint8 (N, H, W, 3), attacked away from these labels, and photographs of both."""
    attack = attack_named("pgd", options={"n_steps": _ATTACK_STEPS, "seed": bench.seed})
    made = attack.perturb(classifier, pixels, labels, [EPSILON_8BIT])[EPSILON_8BIT].images
    shown = {"clean": pixels, "adversarial": made}
    return shown | {"photo": photographed(made, bench.seed), "clean-photo": photographed(pixels, bench.seed)}


def likeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns Spearman's rank correlation of the pixels of each pair of maps (N, H, W), (N,); 0 where one is empty."""
    from scipy.stats import rankdata

    found = []
    for pair in zip(one, other, strict=True):
        first, second = (rankdata(values) - (values.size + 1) / 2 for values in pair)
        norm = float(np.sqrt((first @ first) * (second @ second)))
        found.append(float(first @ second) / norm if norm else 0.0)
    return np.array(found)


def _tell(found: Measured) -> Told:
    heads = [Column("right")]
    heads += [Column(ORDERS[method][0], "correlation with the clean map") for method in METHODS]
    heads += [Column(ORDERS[order][0], "deletion of the answer") for order in (GRADCAM, "random")]
    rows = []
    for variant, title in _VARIANTS.items():
        like = [_mean_cell(found[f"{variant} {method} like"]) if variant in _CHANGED else Cell("1") for method in METHODS]
        areas = [area_cell(found[f"{variant} {order}"]) for order in (GRADCAM, "random")]
        rows.append((Cell(title), share_of(found[f"{variant} right"]), *like, *areas))
    note = TEXTS["versions"].format(
        n=found["n"], epsilon=EPSILON_8BIT, attack_steps=_ATTACK_STEPS, profile=PROFILE, steps=N_STEPS
    )
    table = Table("E2", "Maps of the same picture in four versions", (stub("Version"), *heads), tuple(rows), note)
    figures = example_figures(found, "versions", TEXTS["versions-figure"], epsilon=EPSILON_8BIT, profile=PROFILE)
    return Told((TableBlock("table-e2", table), *figures), _observations(found))


def _mean_cell(values: np.ndarray) -> Cell:
    low, high = np.clip(mean_interval(values), -1, 1)
    return Cell(f"{values.mean():.2f}", f"{low:.2f}–{high:.2f}")


def _observations(found: Measured) -> tuple[Observation, ...]:
    moved = [
        below(
            f"moved-{method}",
            SAYS["moved"].format(method=ORDERS[method][0]),
            f"correlation of {ORDERS[method][0]} maps with the clean one, adversarial and photographed clean",
            found[f"adversarial {method} like"],
            found[f"clean-photo {method} like"],
        )
        for method in METHODS
    ]
    still = [
        below(
            f"answer-{variant}",
            SAYS["answer"].format(version=_VARIANTS[variant]),
            f"Grad-CAM and a random map, deletion of the answer, {_VARIANTS[variant]}",
            area(found[f"{variant} {GRADCAM}"]),
            area(found[f"{variant} random"]),
        )
        for variant in ("adversarial", "photo")
    ]
    return *moved, *still


PART = Part("versions", "Clean, adversarial, photographed", _measure, _tell, (NETWORK,))
