"""Tables IV and V: attacks on networks without defence, on MNIST, CIFAR-10 and ImageNet, and after print and camera."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure as Plot

from pipeline.document.blocks import Figure, TableBlock
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.statistics.means import mean_within
from pipeline.studies.carlini2017.published import CIFAR, IMAGENET, MNIST, SAYS, TABLE_4, TABLE_5, TEXTS
from pipeline.studies.carlini2017.shooting import KINDS, OWN, attack_rows, fired, mean, right_images, told
from pipeline.studies.claims import Check
from pipeline.studies.lab.bench import PROFILE, Bench
from pipeline.studies.lab.parts import Measured, Observation, Part, Told
from pipeline.studies.lab.shown import fewer, more_of_each, share_of

# Epsilons are tried up to these, in levels.
MOST_8BIT = {MNIST: 128, CIFAR: 64, IMAGENET: 32}
_TITLES = {MNIST: "MNIST", CIFAR: "CIFAR-10", IMAGENET: "ImageNet"}
# The average L2 distance is taken to be the paper's below these: 1.76 and 0.33 there.
_NEAR = {MNIST: 2.2, CIFAR: 0.66}
REACHED = 0.9
_SHOWN = 10


def _measure(network: str, n: tuple[int, int], bench: Bench) -> Measured:
    images = right_images(bench, (network,), bench.pick(*n))
    found = fired(bench, network, images, KINDS, "IV", MOST_8BIT[network])
    return {**found, "network": bench.network(network).name.partition(":")[0]}


def _tell(network: str, number: str, found: Measured) -> Told:
    n, title = len(found["pixels"]), _TITLES[network]
    note = TEXTS["undefended"].format(
        n=n, title=title, most=MOST_8BIT[network], network=TEXTS["networks"][found["network"]][network]
    )
    first = attack_rows(number, f"Attacks on a network for {title} (its Table IV)", found, "IV", TABLE_4[network], note)
    after = photographs(f"{number}b", title, found)
    figure = Figure(f"examples-{title.lower()}", _examples(found), TEXTS["examples"].format(title=title))
    blocks = (TableBlock(f"table-{number.lower()}", first), figure, TableBlock(f"table-{number.lower()}b", after))
    return Told(blocks, _observations(network, found))


def photographs(number: str, title: str, found: Measured) -> Table:
    """Returns what the average case's files of the paper's three attacks are taken for, as files and after print and camera."""
    heads = (Column("the target", "file"), Column("the target", "photograph"), Column("wrong", "photograph"))
    rows = []
    for key in (key for key in OWN if f"{key} s" in found):
        hits = ~np.isnan(found[f"{key} average"])
        rows.append(
            (
                Cell(KINDS[key].title),
                share_of(hits),
                *(share_of(found[f"{key} {kind}"][hits]) for kind in ("photo", "photo wrong")),
            )
        )
    rows.append((Cell("clean images"), Cell("–"), Cell("–"), share_of(found["clean photo wrong"])))
    note = TEXTS["photographed"].format(profile=PROFILE)
    return Table(number, f"{title} after print and camera (simulated)", (stub("Attack"), *heads), tuple(rows), note)


def reached_all(prefix: str, title: str, found: Measured, case: str = "worst") -> list[Observation]:
    """Returns the observations that the paper's three attacks reach more than a share of their targets."""
    return [
        more_of_each(
            f"{prefix}-{key}",
            SAYS["reached"].format(attack=NORM_TITLES[key], title=title, bound=percent(REACHED, 0)),
            *("images and targets", ~np.isnan(found[f"{key} {case} all"]), REACHED, 1.0),
        )
        for key in OWN
    ]


def nearer(key: str, statement: str, one: np.ndarray, other: np.ndarray, norm: str, paper: str) -> Observation:
    """Returns the observation "the first distance is the smaller one", of what both lead where they shall.

    Args:
        one, other: (n,) or (n, n_targets) of n images.
    """
    both = ~np.isnan(one) & ~np.isnan(other)
    if not both.any():
        return Observation(key, statement, "mcnemar", None, 0)
    members = np.broadcast_to(np.arange(len(one)).reshape(-1, *[1] * (one.ndim - 1)), one.shape)[both]
    means = " against ".join(told(mean(values[both]), norm) for values in (one, other))
    where = f"where it is the larger one; means {means}, paper {paper}"
    return fewer(key, statement, where, (one > other)[both], (other > one)[both], members=members)


def _observations(network: str, found: Measured) -> tuple[Observation, ...]:
    title, prefix, paper = _TITLES[network], network.removeprefix("carlini-"), TABLE_4[network]
    values, bound, of = found["l2 worst all"], _NEAR[network], paper["l2"][1]
    hits = values[~np.isnan(values).any(axis=1)].mean(axis=1)  # of each image over all targets: the average case in the mean
    said = SAYS["near"].format(title=title, bound=bound, paper=f"{of[0]:g}" if of else "")
    check = Check("mean over images and targets", f"{mean(values):.3g}", int(mean(values) < bound))
    near = Observation(f"{prefix}-near", said, "mean", mean_within(hits, high=bound), len(hits), (check,))

    def compared(key: str, case: str, one: str, other: str) -> Observation:
        place = {"best": 0, "average": 1}[case]
        printed = " against ".join(f"{cell[0]:g}" if (cell := paper[name][place]) else "" for name in (one, other))
        # The average case has one target an image; all of them say more.
        values = [found[f"{name} {'worst all' if case == 'average' else case}"] for name in (one, other)]
        return nearer(f"{prefix}-{key}", SAYS[key].format(title=title), values[0], values[1], KINDS[one].norm, printed)

    ordered = (compared("deepfool", "best", "l2", "deepfool"), compared("jsma", "average", "l0", "jsma-f"))
    iterative = compared("igs", "average", "linf", "igs")
    one_step, many = (~np.isnan(found[f"{key} worst all"]) for key in ("fgs", "igs"))
    printed = " against ".join(percent(cell[1], 0) if (cell := paper[key][1]) else "" for key in ("fgs", "igs"))
    of_image = np.repeat(np.arange(len(one_step)), one_step.shape[1])
    steps = fewer(
        f"{prefix}-fgs", SAYS["fgs"].format(title=title), "targets reached", one_step.ravel(), many.ravel(), printed, of_image
    )
    hits, photo = (np.concatenate([found[f"{key} {kind}"] for key in OWN]) for kind in ("average", "photo"))
    members = np.tile(np.arange(len(found["pixels"])), len(OWN))
    where = "the target, photographs against files"
    after = fewer(
        f"{prefix}-photographs",
        SAYS["photographs"].format(title=title),
        where,
        photo & ~np.isnan(hits),
        ~np.isnan(hits),
        members=members,
    )
    return (*reached_all(prefix, title, found), near, *ordered, iterative, steps, after)


@styled
def _examples(found: Measured) -> Plot:
    """Returns clean images above those of the three attacks, in the average case."""
    figure = Plot(figsize=(WIDTH_IN, 2.9), layout="constrained")
    rows = {"clean": found["pixels"], **{NORM_TITLES[key]: found[f"{key} saved"] for key in OWN}}
    n = min(_SHOWN, len(found["pixels"]))
    panels = figure.subplots(len(rows), n, squeeze=False)
    for row, (title, pictures) in zip(panels, rows.items(), strict=True):
        for panel, picture in zip(row, pictures, strict=False):
            panel.imshow(picture)
            panel.set(xticks=[], yticks=[])
            panel.grid(visible=False)
        row[0].set_ylabel(title)
    return figure


NORM_TITLES = {"l0": "L0", "l2": "L2", "linf": "L∞"}
MNIST_PART = Part(
    "mnist", "Attacks on a network for MNIST", partial(_measure, MNIST, (10, 100)), partial(_tell, MNIST, "C1"), (MNIST,), form=2
)
CIFAR_PART = Part(
    "cifar", "Attacks on a network for CIFAR-10", partial(_measure, CIFAR, (6, 100)), partial(_tell, CIFAR, "C2"), (CIFAR,)
)


def _measure_imagenet(bench: Bench) -> Measured:
    images = right_images(bench, (IMAGENET,), bench.pick(4, 50))
    kinds = [key for key in TABLE_5 if key != "l0" or not bench.is_small]
    return fired(bench, IMAGENET, images, kinds, "V", MOST_8BIT[IMAGENET], n_targets=1)


def _tell_imagenet(found: Measured) -> Told:
    note = TEXTS["imagenet"].format(n=len(found["pixels"]), most=MOST_8BIT[IMAGENET])
    table = attack_rows("C3", "Attacks on a network for ImageNet (its Table V)", found, "V", TABLE_5, note)
    said = SAYS["reached-imagenet"].format(bound=percent(REACHED, 0))
    cases = [found[f"{key} {case} all"] for key in ("l2", "linf") for case in ("untargeted", "average", "least-likely")]
    every = np.concatenate([distances.reshape(len(distances), -1) for distances in cases], axis=1)
    reached = more_of_each("imagenet", said, "images, attacks and cases", ~np.isnan(every), REACHED, 1.0)
    far = nearer(
        "least-likely", SAYS["least-likely"], found["l2 untargeted"], found["l2 least-likely"], "l2", "0.32 against 2.22"
    )
    return Told((TableBlock("table-c3", table), TableBlock("table-c3b", photographs("C3b", "ImageNet", found))), (reached, far))


IMAGENET_PART = Part("imagenet", "Attacks on a network for ImageNet", _measure_imagenet, _tell_imagenet, (IMAGENET,))
