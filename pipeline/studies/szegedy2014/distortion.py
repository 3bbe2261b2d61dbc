"""Tables 1 and 2: how small the smallest change is, whether other networks are fooled by it, and noise as a control."""

from typing import Any

import numpy as np
import torch

from pipeline.attacks import attack_named
from pipeline.core.errors import BadInput
from pipeline.document.blocks import TableBlock
from pipeline.document.formats import DASH, percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import to_model, to_pixels
from pipeline.models.classifier import Classifier
from pipeline.settings import NO_EPSILON
from pipeline.statistics.means import mean_within
from pipeline.studies.claims import Check
from pipeline.studies.lab.bench import PROFILE, Bench, logits, photographed
from pipeline.studies.lab.parts import Measured, Observation, Part, Told
from pipeline.studies.lab.shown import counted, fewer, more_than, share_of
from pipeline.studies.szegedy2014.published import HALVES, SAYS, TABLE_1, TABLE_2, TEXTS, TITLES

NETWORKS = tuple(TITLES)
OF_HALVES = ("fc100-100-10-first", *HALVES)
_NOISE = (0.1, 0.3)
_AMPLIFIED = 0.1
_NEAR = 0.08
_REACHED = 0.9


def right_images(bench: Bench, networks: tuple[str, ...], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first `n` test images, uint8 (n, H, W, 3), that all networks get right, and their labels."""
    images, labels = bench.batch(networks[0], n=4 * n)
    is_right = torch.stack([logits(bench.network(name), images).argmax(1) == labels for name in networks]).all(0)
    places = is_right.nonzero()[:n, 0]
    if not len(places):
        raise BadInput(f"{', '.join(networks)} get no test image right together.", "Train them longer.")
    return to_pixels(images[places]), labels[places].numpy()


def led(classifier: Classifier, pixels: np.ndarray, labels: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns what L-BFGS makes of images, uint8 (N, H, W, 3); the clean image where it does not reach the target."""
    made: np.ndarray = attack_named("lbfgs").perturb(classifier, pixels, labels, [NO_EPSILON], targets)[NO_EPSILON].images
    return made


def rms(clean: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Returns the root mean square change of each grey image's pixels, on [0, 1]."""
    difference = (changed[..., 0].astype(float) - clean[..., 0]) / 255
    distances: np.ndarray = np.sqrt(np.square(difference).mean(axis=(1, 2)))
    return distances


def noisy(pixels: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Returns grey images with Gaussian noise of that standard deviation, on [0, 1], as files."""
    noise = 255 * sd * rng.standard_normal(pixels.shape[:3])[..., None]
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def wrong(classifier: Classifier, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns which answers are wrong, bool (N,)."""
    return logits(classifier, to_model(pixels)).argmax(1).numpy() != labels


def _measure(bench: Bench) -> Measured:
    networks = {name: bench.network(name) for name in NETWORKS}
    pixels, labels = right_images(bench, NETWORKS, bench.pick(64, 500))
    targets = (labels + bench.rng("targets").integers(1, 10, len(labels))) % 10
    found: dict[str, Any] = {"cards": {name: bench.card(name)["accuracies"]["test"] for name in NETWORKS}}
    made = {f"noise {sd}": noisy(pixels, sd, bench.rng("noise", str(sd))) for sd in _NOISE}
    for name, classifier in networks.items():
        made[name] = led(classifier, pixels, labels, targets)
        found[f"{name} rms"] = rms(pixels, made[name])
        found[f"{name} reached"] = logits(classifier, to_model(made[name])).argmax(1).numpy() == targets
        for kind, shown in (("clean", pixels), ("made", made[name])):
            found[f"{name} {kind} photo"] = wrong(classifier, photographed(shown, bench.seed), labels)
    for row, shown in made.items():
        for column, classifier in networks.items():
            found[f"{row} on {column}"] = wrong(classifier, shown, labels)
    return found


def _tell(found: Measured) -> Told:
    tables = (_distortions(found), _matrix(found), _photographed(found))
    return Told(tuple(TableBlock(f"table-{table.number.lower()}", table) for table in tables), _observations(found))


def _distortions(found: Measured) -> Table:
    heads = [Column(head, "test error") for head in ("here", "paper")]
    heads += [Column("reached"), *(Column(head, "distortion") for head in ("here", "paper"))]
    rows = []
    for name in NETWORKS:
        reached, error = found[f"{name} reached"], 1 - found["cards"][name]["clean_accuracy"]
        mean = f"{found[f'{name} rms'][reached].mean():.3f}" if reached.any() else DASH
        errors = Cell(percent(error)), Cell(percent(TABLE_1[name][0]))
        rows.append((Cell(TITLES[name]), *errors, share_of(reached), Cell(mean), Cell(f"{TABLE_1[name][1]:.3g}")))
    note = TEXTS["distortion"].format(n=len(found["fc10-weak reached"]))
    return Table("S1", "Smallest changes that L-BFGS finds", (stub("Network"), *heads), tuple(rows), note)


def _matrix(found: Measured) -> Table:
    columns = (stub("Made for"), *(Column(TITLES[name], "wrong answers of") for name in NETWORKS))
    rows = []
    for row in (*NETWORKS, *(f"noise {sd}" for sd in _NOISE)):
        cells = []
        for column in NETWORKS:
            share, paper = share_of(found[f"{row} on {column}"]), TABLE_2.get(row, {}).get(column)
            cells.append(share if paper is None else Cell(share.text, f"{share.note} · paper {percent(paper)}"))
        rows.append((Cell(TITLES.get(row, row)), *cells))
    return Table("S2", "Images made for one network, asked of another", columns, tuple(rows), TEXTS["matrix"])


def _photographed(found: Measured) -> Table:
    heads = [Column("clean, photograph"), Column("adversarial, photograph"), Column("adversarial, file")]
    keys = ("{0} clean photo", "{0} made photo", "{0} on {0}")
    rows = [(Cell(TITLES[name]), *(share_of(found[key.format(name)]) for key in keys)) for name in NETWORKS]
    title, note = "After print and camera (simulated): wrong answers", TEXTS["photographed"].format(profile=PROFILE)
    return Table("S3", title, (stub("Network"), *heads), tuple(rows), note)


def _observations(found: Measured) -> tuple[Observation, ...]:
    name = "fc100-100-10"
    reached, distances = found[f"{name} reached"], found[f"{name} rms"]
    said = SAYS["distortion"].format(network=TITLES[name], bound=percent(_REACHED, 0))
    finds = more_than("distortion", said, TITLES[name], counted(reached), _REACHED)
    mean = float(distances[reached].mean()) if reached.any() else 0.0
    check = Check("mean of successes", f"{mean:.3f} (paper {TABLE_1[name][1]})", int(0 < mean < _NEAR))
    said = SAYS["near"].format(network=TITLES[name], bound=_NEAR, paper=TABLE_1[name][1])
    near = Observation("near", said, "mean", mean_within(distances[reached], high=_NEAR), int(reached.sum()), (check,))
    crossed = np.concatenate([found[f"{row} on {column}"] for row in NETWORKS for column in NETWORKS if row != column])
    noise = np.concatenate([found[f"noise 0.1 on {column}"] for row in NETWORKS for column in NETWORKS if row != column])
    members = np.tile(np.arange(len(reached)), len(crossed) // len(reached))
    where = "noise against images of the other networks"
    transfers = fewer("transfer", SAYS["transfer"], where, noise, crossed, members=members)
    file, photo = (
        np.concatenate([found[key] for key in keys])
        for keys in ([f"{one} on {one}" for one in NETWORKS], [f"{one} made photo" for one in NETWORKS])
    )
    members = np.tile(np.arange(len(reached)), len(NETWORKS))
    after = fewer("photographs", SAYS["photographs"], "wrong, photographs against files", photo, file, members=members)
    return finds, near, transfers, after


def _measure_halves(bench: Bench) -> Measured:
    pixels, labels = right_images(bench, OF_HALVES, bench.pick(64, 500))
    targets = (labels + bench.rng("targets").integers(1, 10, len(labels))) % 10
    made = led(bench.network(OF_HALVES[0]), pixels, labels, targets)
    difference = made.astype(float) - pixels
    scale = 255 * _AMPLIFIED / np.maximum(difference.std(axis=(1, 2, 3), keepdims=True), 1e-9)
    shown = {
        "made": made,
        "amplified": np.clip(np.rint(pixels + scale * difference), 0, 255).astype(np.uint8),
        "noise": noisy(pixels, _AMPLIFIED, bench.rng("halves", "noise")),
    }
    return {
        f"{kind} on {name}": wrong(bench.network(name), images, labels) for kind, images in shown.items() for name in OF_HALVES
    }


def _tell_halves(found: Measured) -> Told:
    group = "wrong answers"
    heads = (
        Column("as made", group),
        Column("paper", group),
        Column(f"sd {_AMPLIFIED}", group),
        Column("paper", group),
        Column("noise", group),
    )
    rows = []
    for name in OF_HALVES:
        paper = [percent(value) for value in HALVES[name]] if name in HALVES else [DASH, DASH]
        cells = [share_of(found[f"{kind} on {name}"]) for kind in ("made", "amplified", "noise")]
        rows.append(
            (
                Cell(name.replace("fc", "FC").replace("-first", ", first half").replace("-second", ", second half")),
                cells[0],
                Cell(paper[0]),
                cells[1],
                Cell(paper[1]),
                cells[2],
            )
        )
    n = len(found[f"made on {OF_HALVES[0]}"])
    table = Table(
        "S4",
        "Networks trained on disjoint halves",
        (stub("Asked"), *heads),
        tuple(rows),
        TEXTS["halves"].format(n=n, sd=_AMPLIFIED),
    )
    amplified, noise = (np.concatenate([found[f"{kind} on {name}"] for name in HALVES]) for kind in ("amplified", "noise"))
    members = np.tile(np.arange(n), len(HALVES))
    said = SAYS["halves"].format(sd=_AMPLIFIED)
    crosses = fewer("halves", said, "noise against images scaled to the same deviation", noise, amplified, members=members)
    return Told((TableBlock("table-s4", table),), (crosses,))


DISTORTION = Part("distortion", "Smallest changes, and whom else they fool", _measure, _tell, NETWORKS)
HALVED = Part("halves", "Disjoint training sets", _measure_halves, _tell_halves, OF_HALVES)
