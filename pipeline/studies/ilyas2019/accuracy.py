"""What a network learns from each set: its accuracy on unchanged test images, under attack, and after print and camera."""

from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Plot
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.document.blocks import Figure, TableBlock, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import to_model, to_pixels
from pipeline.models.classifier import Classifier
from pipeline.studies.claims import Check
from pipeline.studies.ilyas2019.published import ACCURACY, EPSILONS, ON_TEST, ON_TRAINING, RELABELLED, SAYS, TEXTS, TITLES
from pipeline.studies.lab.bench import AT_ONCE, PROFILE, Bench, logits, photographed
from pipeline.studies.lab.parts import Measured, Observation, Part, Told, permuted
from pipeline.studies.lab.shown import counted, fewer, more_than, paper_cell, share_of
from pipeline.training.images import Images
from pipeline.training.perturbing import Steps

NETWORKS = tuple(TITLES)
# Twice chance.
_ABOVE = 0.2
_SHOWN = {"cifar": "D", "cifar-d-r": "D_R", "cifar-d-nr": "D_NR", "cifar-d-rand": "D_rand", "cifar-d-det": "D_det"}
_N_SHOWN = 8


def drawn(bench: Bench, name: str, split: str, n: int) -> tuple[Tensor, Tensor]:
    """Returns n images of a network's data set, which is ordered by class, and their labels, drawn by the seed; n = 0 for all."""
    images = bench.images(name, split)
    places = torch.from_numpy(bench.rng("images", split).permutation(len(images)))
    return images.batch(places[: n or len(images)])


def attacked(classifier: Classifier, images: Tensor, labels: Tensor, epsilon: float, n_steps: int, seed: int = 0) -> Tensor:
    """Returns images by PGD in the Euclidean ball, up the loss of the label: steps of 2.5 ε / n from a random start."""
    steps, ask = Steps(epsilon, 2.5 * epsilon / n_steps, n_steps, True, True, "l2"), classifier.for_attacks()
    generator = torch.Generator(labels.device).manual_seed(seed)

    def loss(of: Tensor, x: Tensor) -> Tensor:
        return cross_entropy(ask(x), of, reduction="sum")

    parts = zip(images.split(AT_ONCE), labels.split(AT_ONCE), strict=True)
    return torch.cat([steps(part, partial(loss, of), generator) for part, of in parts])


def wrong(classifier: Classifier, images: Tensor, labels: Tensor) -> np.ndarray:
    """Returns whether each answer is wrong, bool (N,)."""
    found: np.ndarray = (logits(classifier, images).argmax(1) != labels).cpu().numpy()
    return found


def _measure(bench: Bench) -> Measured:
    found: dict[str, Any] = {"epsilon": bench.recipe("d-det").epsilon_8bit / 255}
    n_steps = bench.pick(10, 50)
    images, labels = drawn(bench, "cifar", "test", bench.pick(1000, 0))
    n_photos = min(bench.pick(200, 1000), len(images))
    photos = to_model(photographed(to_pixels(images[:n_photos]), bench.seed), bench.context.device)
    found["labels"] = labels.cpu().numpy()
    for name in NETWORKS:
        classifier = bench.network(name)
        found[f"{name} answers"] = logits(classifier, images).argmax(1).cpu().numpy()
        found[f"{name} photo"] = wrong(classifier, photos, labels[:n_photos])
        for epsilon in EPSILONS:
            found[f"{name} {epsilon}"] = wrong(classifier, attacked(classifier, images, labels, epsilon, n_steps), labels)
    own, of = drawn(bench, "cifar-d-r", "train", len(labels))
    classifier = bench.network("cifar-d-r")
    found["training"] = wrong(classifier, attacked(classifier, own, of, EPSILONS[0], n_steps), of)
    found["shown"] = np.stack([_examples(bench.images(name, "train")) for name in _SHOWN])
    return found


def _examples(images: Images) -> np.ndarray:
    """Returns the first image of each of some classes, uint8 (n, H, W, 3)."""
    places = torch.stack([torch.nonzero(images.labels == label)[0, 0] for label in range(_N_SHOWN)])
    return images.pixels[places].permute(0, 2, 3, 1).cpu().numpy()


def _tell(found: Measured) -> Told:
    return Told((plain(TEXTS["accuracy-lead"]), *_blocks(found)), _observations(found))


def _blocks(found: Measured) -> tuple[TableBlock | Figure, ...]:
    right = {name: found[f"{name} answers"] == found["labels"] for name in NETWORKS}
    groups = ("test images of D", *(f"under attack, ε = {epsilon}" for epsilon in EPSILONS))
    heads = [Column(head, group) for group in groups for head in ("here", "paper")]
    rows: list[tuple[Cell, ...]] = []
    for name in NETWORKS:
        shares = (right[name], *(~found[f"{name} {epsilon}"] for epsilon in EPSILONS))
        beside = zip(shares, ACCURACY[name], strict=True)
        rows.append((Cell(TITLES[name]), *(cell for hit, paper in beside for cell in (share_of(hit), paper_cell(paper)))))
    note = TEXTS["accuracy"].format(made=f"{found['epsilon']:g}", n=f"{len(found['labels']):,}")
    columns = (stub("Network"), *heads)
    accuracy = Table("I1", "What a network learns from each set (Tables 1 and 7)", columns, tuple(rows), note)
    rows = [
        (Cell("on D_det, test images of D"), share_of(right["cifar-d-det"]), paper_cell(ACCURACY["cifar-d-det"][0])),
        (Cell("on D_det, test images with label y + 1"), share_of(_as_next(found)), paper_cell(RELABELLED)),
        (Cell("on D_R, its training images, ε = 0.25"), share_of(~found["training"]), paper_cell(ON_TRAINING)),
        (Cell("on D_R, test images of D, ε = 0.25"), share_of(~found[f"cifar-d-r {EPSILONS[0]}"]), paper_cell(ON_TEST)),
    ]
    columns = (stub("Network and images"), Column("right, here"), Column("right, paper"))
    details = Table(
        "I2", "Which label D_det teaches, and what robustness generalises (Tables 8, 10)", columns, tuple(rows), TEXTS["details"]
    )
    heads, n_photos = [Column("as files"), Column("photographs")], len(found["cifar photo"])
    rows = [(Cell(TITLES[name]), share_of(right[name][:n_photos]), share_of(~found[f"{name} photo"])) for name in NETWORKS]
    note = TEXTS["photographed"].format(profile=PROFILE, n=n_photos)
    photo = Table("I3", "The same test images after print and camera (simulated)", (stub("Network"), *heads), tuple(rows), note)
    figure = Figure("sets", _figure(found["shown"]), TEXTS["sets-figure"])
    return TableBlock("table-i1", accuracy), figure, TableBlock("table-i2", details), TableBlock("table-i3", photo)


def _as_next(found: Measured) -> np.ndarray:
    """Returns whether the network on D_det says y + 1."""
    answers: np.ndarray = found["cifar-d-det answers"]
    return answers == (found["labels"] + 1) % (found["labels"].max() + 1)


def _observations(found: Measured) -> tuple[Observation, ...]:
    is_wrong = {name: found[f"{name} answers"] != found["labels"] for name in NETWORKS}
    least, most = EPSILONS
    learned = [
        more_than(
            *(key, SAYS["learned"].format(set=title, share="twice as often as by chance"), "test images of D"),
            *(counted(~is_wrong[key]), _ABOVE, ACCURACY[key][0]),
        )
        for key, title in (("cifar-d-rand", "D_rand"), ("cifar-d-det", "D_det"))
    ]
    useful, fragile = counted(~is_wrong["cifar-d-nr"]), counted(found[f"cifar-d-nr {most}"])
    fooled = {name: found[f"{name} {least}"] for name in ("cifar", "cifar-d-r", "cifar-d-nr")}
    said = {key: SAYS[key].format(epsilon=least) for key in ("r-standard", "r-nr")}
    return (
        *learned,
        fewer("label", SAYS["label"], "says y + 1, says y", _as_next(found), ~is_wrong["cifar-d-det"], "16.2 % against 43.7 %"),
        more_than("nr-useful", SAYS["nr-useful"], "test images of D", useful, 0.4, ACCURACY["cifar-d-nr"][0]),
        more_than("nr-fragile", SAYS["nr-fragile"].format(epsilon=most), "wrong", fragile, 0.9, 1.0),
        fewer(
            *("r-standard", said["r-standard"], "wrong, D_R against D"),
            *(fooled["cifar-d-r"], fooled["cifar"], "51.8 % against 95.5 %"),
        ),
        fewer(
            *("r-nr", said["r-nr"], "wrong, D_R against D_NR"),
            *(fooled["cifar-d-r"], fooled["cifar-d-nr"], "51.8 % against 99.2 %"),
        ),
        _gap(found),
        fewer("photo", SAYS["photo"], "wrong photographs, D_R against D_NR", found["cifar-d-r photo"], found["cifar-d-nr photo"]),
    )


def _gap(found: Measured) -> Observation:
    """Tests whether the network on D_R is right more often, under attack, on its training images than on test images."""
    trained, tested = ~found["training"], ~found[f"cifar-d-r {EPSILONS[0]}"]
    right, labels = np.concatenate([trained, tested]), np.repeat([1, 0], [len(trained), len(tested)])

    def gap(order: np.ndarray) -> float:
        return float(right[order == 1].mean() - right[order == 0].mean())

    test, check = permuted(gap, labels, np.random.default_rng(0)), f"{trained.mean():.1%} against {tested.mean():.1%}"
    where = "right, training against test images"
    beside = Check(where, f"{check.replace('%', ' %')} (paper 77.3 % against 48.3 %)", int(gap(labels) > 0))
    return Observation("r-gap", SAYS["r-gap"].format(epsilon=EPSILONS[0]), "permutation", test, len(right), (beside,))


@styled
def _figure(shown: np.ndarray) -> Plot:
    figure = Plot(figsize=(WIDTH_IN, WIDTH_IN * len(shown) / (_N_SHOWN + 1)), layout="constrained")
    for row, (panels, title) in enumerate(zip(figure.subplots(len(shown), _N_SHOWN), _SHOWN.values(), strict=True)):
        for panel, pixels in zip(panels, shown[row], strict=True):
            panel.imshow(pixels, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
        panels[0].set_ylabel(title)
    return figure


PART = Part("accuracy", "What a network learns from each set", _measure, _tell, NETWORKS)
