"""What the parts of the study share: images that networks get right, and the attacks of its tables, as measured and as shown."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import BadInput
from pipeline.document.formats import DASH, percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import pixels_sha256, to_model, to_pixels
from pipeline.studies.carlini2017.measuring import Aim, Range
from pipeline.studies.carlini2017.published import MNIST, Row
from pipeline.studies.carlini2017.rows import CASE_TITLES, DISTANCES, TABLES, chosen
from pipeline.studies.carlini2017.tables import MOST_TARGETS, shots_by_case, targets_of_each
from pipeline.studies.lab.bench import Bench, logits, photographed
from pipeline.studies.lab.parts import Measured
from pipeline.studies.lab.shown import share_of


@dataclass(frozen=True)
class Kind:
    """An attack as the paper's tables name it; `only_away`: it is given no target, as DeepFool."""

    title: str
    attack: str
    norm: str
    options: Mapping[str, Any] = field(default_factory=dict)
    only_away: bool = False


KINDS = {
    "l0": Kind("CW L0", "cw-l0", "l0"),
    "jsma-z": Kind("JSMA-Z (L0)", "jsma", "l0", {"of": "logits", "gamma": 1.0}),
    "jsma-f": Kind("JSMA-F (L0)", "jsma", "l0", {"of": "probabilities", "gamma": 1.0}),
    "l2": Kind("CW L2", "cw-l2", "l2"),
    "deepfool": Kind("DeepFool (L2)", "deepfool", "l2", only_away=True),
    "linf": Kind("CW L∞", "cw-linf", "linf"),
    "fgs": Kind("FGS (L∞)", "fgsm", "linf"),
    "igs": Kind("IGS (L∞)", "bim", "linf"),
}
# On black-and-white pictures the running search of `cw-l2`, which starts where DeepFool arrives, ends farther than the paper's.
_BISECTION = {"search": "bisection", "start": "clean", "n_searches": 6, "n_steps": 80, "learning_rate": 0.1, "initial_c": 0.3}
# The three attacks of the paper.
OWN = ("l0", "l2", "linf")


def options_of(key: str, network: str) -> Mapping[str, Any]:
    """Returns the options of an attack on a network."""
    return _BISECTION if key == "l2" and network.startswith(MNIST) else KINDS[key].options


def right_images(bench: Bench, networks: Sequence[str], n: int) -> list[Aim]:
    """Returns `n` test images of the first network, drawn by the seed, that all networks get right, without a target.

    Raises:
        BadInput: there is none among the first 4 n.
    """
    images, labels = bench.batch(networks[0])
    order = torch.from_numpy(bench.rng("images", networks[0]).permutation(len(labels))[: 4 * n])
    images, labels = images[order], labels[order]
    is_right = torch.stack([logits(bench.network(name), images).argmax(1) == labels for name in networks]).all(0)
    places = is_right.nonzero()[:n, 0].tolist()
    if not places:
        raise BadInput(f"{', '.join(networks)} get no test image right together.", "Train them longer.")
    pixels = to_pixels(images[places])
    return [
        Aim(str(int(order[place])), pixels_sha256(image), int(labels[place]), None, image)
        for place, image in zip(places, pixels, strict=True)
    ]


def fired(
    bench: Bench,
    network: str,
    images: Sequence[Aim],
    kinds: Iterable[str],
    table: str,
    most_8bit: int,
    n_targets: int = MOST_TARGETS,
) -> Measured:
    """Returns, by the key of a kind and the case, the distance of each image, float (n,), nan where it is not led where it shall.

    Beside it "… all", the same of each target of the case, float (n, n_targets); "… s", processor time of one shot; and for
    the three attacks of the paper, in the average case, what their files are taken for in simulated photographs.
    """
    classifier = bench.network(network)
    targets = targets_of_each(classifier, images, n_targets, bench.seed)
    labels, wanted = np.array([aim.label for aim in images]), np.array([one.average for one in targets])
    found: dict[str, Any] = {"pixels": np.stack([aim.pixels for aim in images])}
    for key in kinds:
        kind, began_s = KINDS[key], time.process_time()
        shooting = Range(kind.attack, options_of(key, network), classifier, None, most_8bit)
        shots = shots_by_case(shooting, f"{network} {kind.title}", images, targets, table, bench.context, kind.only_away)
        found[f"{key} s"] = (time.process_time() - began_s) / len(shooting.saved)
        unit = 1 if kind.norm == "l0" else 255

        def distance(shot: Any, of: Any = DISTANCES[kind.norm], unit: int = unit) -> float:
            return float(of(shot)) / unit

        for case, each in shots.items():
            if each is not None:
                best = [chosen(case, list(one.values()), distance) for one in each]
                found[f"{key} {case}"] = np.array([np.nan if shot is None else distance(shot) for shot in best])
                found[f"{key} {case} all"] = np.array(
                    [[distance(shot) if shot.is_success else np.nan for shot in one.values()] for one in each]
                )
        if key in OWN:
            saved = np.stack([shooting.saved[aim.image_id, target] for aim, target in zip(images, wanted.tolist(), strict=True)])
            answers = logits(classifier, to_model(photographed(saved, bench.seed))).argmax(1).numpy()
            found |= {f"{key} saved": saved, f"{key} photo": answers == wanted, f"{key} photo wrong": answers != labels}
    clean = logits(classifier, to_model(photographed(found["pixels"], bench.seed))).argmax(1).numpy()
    return found | {"clean photo wrong": clean != labels}


def attack_rows(number: str, title: str, found: Measured, table: str, paper: Mapping[str, Row], note: str) -> Table:
    """Returns a table of the paper, its figures beneath those found: means over successes, and how many there are."""
    heads = [Column(head, CASE_TITLES[case]) for case in TABLES[table] for head in ("distance", "success")]
    rows = []
    for key, kind in KINDS.items():
        if f"{key} s" in found:
            cells = [
                cell
                for case, printed in zip(TABLES[table], paper.get(key, (None,) * 3), strict=True)
                for cell in _pair(found.get(f"{key} {case}"), printed, kind.norm)
            ]
            rows.append((Cell(kind.title), *cells, Cell(f"{found[f'{key} s']:.2f}")))
    columns = (stub("Attack"), *heads, Column("time, s"))
    return Table(number, title, columns, tuple(rows), note)


def told(value: float, norm: str) -> str:
    """Returns a distance as the paper prints it."""
    return f"{value:.1f}" if norm == "l0" else f"{value:.3g}"


def mean(values: np.ndarray) -> float:
    """Returns the mean over successes, nan without one."""
    return float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else float("nan")


def _pair(values: np.ndarray | None, printed: tuple[float | None, float] | None, norm: str) -> tuple[Cell, Cell]:
    """Returns the mean distance, the paper's two figures beneath it, and the share of successes."""
    beside = ""
    if printed is not None:
        beside = f"paper {DASH if printed[0] is None else f'{printed[0]:g}'} · {percent(printed[1], 0)}"
    if values is None:
        return Cell(DASH, beside), Cell(DASH)
    found = mean(values)
    return Cell(DASH if np.isnan(found) else told(found, norm), beside), share_of(~np.isnan(values))
