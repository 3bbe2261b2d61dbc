"""Transfer: FGSM images of one network asked of the others, the classes that they agree on, and ensembles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.document.blocks import TableBlock
from pipeline.document.formats import DASH, percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.models.classifier import Classifier
from pipeline.statistics.one_sided import OneSided
from pipeline.studies.claims import Check
from pipeline.studies.goodfellow2015.fooling import fgsm
from pipeline.studies.goodfellow2015.published import AGREEMENT, ENSEMBLE, EPSILON, MEMBER, SAYS, TEXTS
from pipeline.studies.lab.bench import AT_ONCE, Bench, logits
from pipeline.studies.lab.parts import Measured, Observation, Part, Told, permuted
from pipeline.studies.lab.shown import TITLES, counted, fewer, more_than, share_cell, share_of

NETWORKS = ("softmax", "fc100-100-10", "maxout", "maxout-adversarial", "carlini-mnist")
_MEMBERS = {True: 3, False: 12}


def _measure(bench: Bench) -> Measured:
    n = bench.pick(1000, 10_000)
    asked = {name: bench.network(name) for name in NETWORKS}
    images, labels = bench.batch("maxout", n=n)
    signs = torch.rand(images[:, :1].shape, generator=bench.generator("transfer")).sub(0.5).sign()
    made = {"noise": images + EPSILON * signs} | {name: fgsm(asked[name].logits, images, labels) for name in NETWORKS}
    found: dict[str, Any] = {"labels": labels.numpy()}
    for row, attacked in made.items():
        for column in NETWORKS:
            found[f"{row} on {column}"] = logits(asked[column], attacked).argmax(1).numpy()
    return found


def _tell(found: Measured) -> Told:
    truth = found["labels"]
    group = "wrong answers of"
    columns = (stub("Made on"), *(Column(TITLES[name], group) for name in NETWORKS))
    rows = []
    for row in ("noise", *NETWORKS):
        title = "random signs" if row == "noise" else TITLES[row]
        rows.append((Cell(title), *(share_of(found[f"{row} on {column}"] != truth) for column in NETWORKS)))
    note = TEXTS["transfer"].format(n=f"{len(truth):,}", epsilon=EPSILON)
    error = Table("G6", "Images made on one network, asked of another", columns, tuple(rows), note)
    agreed = [(Cell(TITLES[row]), *(_agreement_cell(found, row, column) for column in NETWORKS)) for row in NETWORKS]
    columns = (stub("Made on"), *(Column(TITLES[name]) for name in NETWORKS))
    agreement = Table("G7", "Agreement on the wrong class", columns, tuple(agreed), TEXTS["agreement"])
    return Told((TableBlock("table-g6", error), TableBlock("table-g7", agreement)), _observations(found))


def _both(found: Measured, row: str, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the answers of both, and the truth, of the images on which both are wrong."""
    one, other, truth = found[f"{row} on {row}"], found[f"{row} on {column}"], found["labels"]
    wrong = (one != truth) & (other != truth)
    return one[wrong], other[wrong], truth[wrong]


def _agreement_cell(found: Measured, row: str, column: str) -> Cell:
    if row == column:
        return Cell(DASH)
    one, other, _ = _both(found, row, column)
    return share_cell(int((one == other).sum()), len(one))


def _observations(found: Measured) -> tuple[Observation, ...]:
    truth, others = found["labels"], [name for name in NETWORKS if name not in ("maxout", "maxout-adversarial")]
    crossed, noise = (np.concatenate([found[f"{made} on {name}"] != truth for name in others]) for made in ("maxout", "noise"))
    members = np.tile(np.arange(len(truth)), len(others))
    where = "wrong answers of the others, random signs against images made on maxout"
    transfers = fewer("transfer", SAYS["transfer"], where, noise, crossed, members=members)
    one, other, of_class = _both(found, "maxout", "softmax")
    share = float((one == other).mean()) if len(one) else 0.0
    check = Check("softmax names maxout's wrong class", f"{percent(share)} (paper {percent(AGREEMENT)})", int(share > 0.5))
    test = _more_than_chance(one, other, of_class)
    agrees = Observation("agreement", SAYS["agreement"], "permutation", test, len(one), (check,))
    trained, naive = found["maxout on maxout-adversarial"] != truth, found["maxout-adversarial on maxout"] != truth
    key, where = "transfer-trained", "wrong, adversarially trained against not"
    return transfers, agrees, fewer(key, SAYS[key], where, trained, naive, "19.6 % against 40.9 %")


def _more_than_chance(one: np.ndarray, other: np.ndarray, truth: np.ndarray) -> OneSided | None:
    """Returns the permutation test of "the answers agree", the answers shuffled among images of one true class."""
    if not len(one):
        return None
    rng = np.random.default_rng(0)

    def agreement(order: np.ndarray) -> float:
        shuffled = np.empty_like(other)
        for label in np.unique(truth):
            places = np.flatnonzero(truth == label)
            ranked = places[np.argsort(order[places], kind="stable")]
            shuffled[places] = other[ranked]
        return float((one == shuffled).mean())

    return permuted(agreement, np.arange(len(one)), rng)


def _mean_network(members: list[Classifier]) -> Callable[[Tensor], Tensor]:
    """Returns what gives the log of the members' mean probability."""

    def ask(images: Tensor) -> Tensor:
        return torch.stack([member.logits(images).softmax(1) for member in members]).mean(0).clamp(min=1e-30).log()

    return ask


def _measure_ensemble(bench: Bench) -> Measured:
    n = bench.pick(1000, 10_000)
    members = [bench.network(name) for name in _member_names(bench)]
    ask = _mean_network(members)
    images, labels = bench.batch("maxout", n=n)
    attacked = {"clean": images, "whole": fgsm(ask, images, labels), "member": fgsm(members[0].logits, images, labels)}
    found: dict[str, Any] = {"n_members": len(members)}
    with torch.no_grad():
        for key, shown in attacked.items():
            found[key] = (torch.cat([ask(part).argmax(1) for part in shown.split(AT_ONCE)]) != labels).numpy()
    return found


def _member_names(bench: Bench) -> list[str]:
    return [f"maxout#{number}" if number else "maxout" for number in range(_MEMBERS[bench.is_small])]


def _tell_ensemble(found: Measured) -> Told:
    columns = (stub("Attacked"), Column("wrong answers of the ensemble"), Column("paper"))
    rows = [
        (Cell(title), share_of(found[key]), Cell(DASH if paper is None else percent(paper)))
        for title, key, paper in (
            ("none", "clean", None),
            ("the whole ensemble", "whole", ENSEMBLE),
            ("one member", "member", MEMBER),
        )
    ]
    note = TEXTS["ensemble"].format(n=found["n_members"], epsilon=EPSILON)
    table = Table("G8", "An ensemble under FGSM", columns, tuple(rows), note)
    ways = (("whole", "attacked as a whole", ENSEMBLE), ("member", "attacked through one member", MEMBER))
    observations = [
        more_than(f"ensemble-{key}", SAYS["ensemble"].format(how=how), how, counted(found[key]), 0.5, paper)
        for key, how, paper in ways
    ]
    return Told((TableBlock("table-g8", table),), tuple(observations))


TRANSFER = Part("transfer", "Transfer between networks", _measure, _tell, NETWORKS)
ENSEMBLES = Part("ensemble", "Are ensembles hard to fool?", _measure_ensemble, _tell_ensemble, ("maxout",))
