"""Fig. 10: whether images made with confidence fool another network; and the two checks that the paper asks of every defence."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure as Plot

from pipeline.attacks import attack_named
from pipeline.document.blocks import Figure, TableBlock, TextTable, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import interval, percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import to_model
from pipeline.settings import NO_EPSILON
from pipeline.statistics import l2_8bit, wilson
from pipeline.studies.carlini2017 import distilled
from pipeline.studies.carlini2017.published import DISTILLED, DISTILLED_NEEDS, FIRST, NEARLY_ALL, SAYS, SECOND, TEXTS
from pipeline.studies.carlini2017.shooting import OWN, options_of, right_images
from pipeline.studies.carlini2017.tables import targets_of_each
from pipeline.studies.carlini2017.undefended import NORM_TITLES
from pipeline.studies.lab.bench import Bench, logits
from pipeline.studies.lab.parts import Measured, Part, Told
from pipeline.studies.lab.shown import counted, fewer, more_than, share_of

KAPPAS = {True: (0, 2, 5, 10, 20, 40), False: (0, 2, 5, 10, 15, 20, 25, 30, 35, 40)}
_ASKED = {SECOND: "another plain network", DISTILLED: "a distilled network"}
# A confidence counts where at least this share of the images could be made with it.
_MADE = 0.9
# A defence that leaves more than this share of the images fooled does not protect.
_HALF = 0.5
_MOST = 0.8


def _measure(bench: Bench) -> Measured:
    images = right_images(bench, (FIRST, SECOND, DISTILLED), bench.pick(32, 200))
    classifier, labels = bench.network(FIRST), np.array([aim.label for aim in images])
    wanted = np.array([one.average for one in targets_of_each(classifier, images, 0, bench.seed)])
    pixels, kappas = np.stack([aim.pixels for aim in images]), KAPPAS[bench.is_small]
    found: dict[str, Any] = {"kappas": list(kappas)}
    for kappa in bench.context.progress(kappas, len(kappas), "confidence"):
        attack = attack_named("cw-l2", options={**options_of("l2", FIRST), "kappa": float(kappa)})
        made = attack.perturb(classifier, pixels, labels, [NO_EPSILON], wanted)[NO_EPSILON].images
        found[f"{kappa} l2"] = np.array([l2_8bit(*pair) / 255 / 3**0.5 for pair in zip(pixels, made, strict=True)])
        for name in (FIRST, *_ASKED):
            answers = logits(bench.network(name), to_model(made)).argmax(1).numpy()
            found[f"{kappa} {name} wrong"], found[f"{kappa} {name} target"] = answers != labels, answers == wanted
    # The first check is made in the part before: on the defence itself.
    direct = bench.measured(distilled.PART)
    return found | {f"direct {key}": ~np.isnan(direct[f"{key} average"]) for key in OWN}


def _tell(found: Measured) -> Told:
    kappas, first = found["kappas"], found["kappas"][0]
    heads = [Column("made"), Column("L2")]
    heads += [Column(head, title) for title in _ASKED.values() for head in ("wrong", "the target")]
    rows = []
    for kappa in kappas:
        made = found[f"{kappa} {FIRST} target"]
        mean = f"{found[f'{kappa} l2'][made].mean():.2f}" if made.any() else "–"
        cells = [share_of(found[f"{kappa} {name} {kind}"][made]) for name in _ASKED for kind in ("wrong", "target")]
        rows.append((Cell(str(kappa)), share_of(made), Cell(mean), *cells))
    n = len(found[f"{first} l2"])
    note = TEXTS["transfer"].format(n=n, nearly=NEARLY_ALL, distilled=DISTILLED_NEEDS, share=percent(_MADE, 0))
    columns = (stub("κ", is_number=True), *heads)
    table = Table("C6", "Images made with confidence κ on one plain network", columns, tuple(rows), note)
    figure = Figure("transfer", _curves(found), TEXTS["transfer-figure"].format(n=n))
    least, most = kappas[0], max([kappa for kappa in kappas if found[f"{kappa} {FIRST} target"].mean() >= _MADE], default=first)
    plain_wrong, distilled_wrong = (found[f"{most} {name} wrong"] for name in _ASKED)
    rises = fewer(
        "transfer", SAYS["transfer"].format(low=least, high=most), "wrong answers of the other plain network",
        found[f"{least} {SECOND} wrong"], plain_wrong,
    )  # fmt: skip
    nearly = more_than(
        "transfer-plain",
        SAYS["transfer-plain"].format(kappa=most, bound=percent(_MOST, 0)),
        "wrong answers",
        counted(plain_wrong),
        _MOST,
    )
    said = SAYS["transfer-distilled"].format(kappa=most, bound=percent(_HALF, 0))
    crosses = more_than("transfer-distilled", said, "wrong answers", counted(distilled_wrong), _HALF)
    checks = TextTable("table-c7", ("Check", "What was run", "Fooled", "Verdict"), _checks(found), (0.26, 0.38, 0.2, 0.16))
    blocks = (TableBlock("table-c6", table), figure, plain(TEXTS["checks"].format(bound=percent(_HALF, 0))), checks)
    return Told(blocks, (rises, nearly, crosses))


def _checks(found: Measured) -> tuple[tuple[str, ...], ...]:
    """Returns the paper's two checks (its Sec. IX) of the distilled network, each at its strongest."""
    key = max(OWN, key=lambda one: float(found[f"direct {one}"].mean()))
    kappa = max(found["kappas"], key=lambda one: float(found[f"{one} {DISTILLED} wrong"].mean()))
    rows = (
        ("direct", NORM_TITLES[key], found[f"direct {key}"]),
        ("transferred", f"L2 with κ = {kappa}", found[f"{kappa} {DISTILLED} wrong"]),
    )
    return tuple(
        (TEXTS["check-titles"][check], TEXTS["check-runs"][check].format(attack=attack), _counted(hits), verdict(*counted(hits)))
        for check, attack, hits in rows
    )


def verdict(n_hit: int, n: int) -> str:
    """Returns what a share of fooled images says of a defence, by its 95 % interval."""
    low, high = wilson(n_hit, n) or (0.0, 1.0)
    return "does not protect" if low > _HALF else "withstands" if high < _HALF else "not enough images to tell"


def _counted(hits: np.ndarray) -> str:
    low, high = wilson(*counted(hits)) or (None, None)
    return f"{percent(float(hits.mean()), 0)} of {hits.size} ({interval(low, high)} %)"


@styled
def _curves(found: Measured) -> Plot:
    """Returns shares over κ with their 95 % intervals, a panel for each network asked."""
    figure, kappas = Plot(figsize=(WIDTH_IN, 2.7), layout="constrained"), found["kappas"]
    for panel, (name, title) in zip(figure.subplots(1, 2, sharey=True), _ASKED.items(), strict=True):
        for kind, words, colour, marker in (
            ("wrong", "any wrong class", "#0072b2", "o"),
            ("target", "the target", "#e69f00", "s"),
        ):
            drawn = [kappa for kappa in kappas if found[f"{kappa} {FIRST} target"].any()]
            hits = [found[f"{kappa} {name} {kind}"][found[f"{kappa} {FIRST} target"]] for kappa in drawn]
            ends = np.array([wilson(*counted(each)) for each in hits])
            panel.plot(drawn, [each.mean() for each in hits], color=colour, marker=marker, label=words)
            panel.fill_between(drawn, ends[:, 0], ends[:, 1], color=colour, alpha=0.15, linewidth=0)
        panel.set(title=title, xlabel="confidence κ, logits", ylim=(-0.03, 1.03))
    figure.axes[0].set_ylabel("share of images")
    figure.axes[0].legend(loc="lower right")
    return figure


PART = Part(
    "transfer", "Transfer, and the two checks of a defence", _measure, _tell, (FIRST, SECOND, *distilled.NETWORKS), form=2
)
