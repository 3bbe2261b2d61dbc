"""Transfer (its Fig. 3): do attacks transfer to those architectures that learn more from the set D_det?"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure as Plot
from scipy.stats import rankdata

from pipeline.document.blocks import Figure, TableBlock, plain
from pipeline.document.figures import styled
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.studies.claims import Check
from pipeline.studies.ilyas2019.accuracy import attacked, drawn, wrong
from pipeline.studies.ilyas2019.published import EPSILONS, SAYS, TEXTS
from pipeline.studies.lab.bench import Bench
from pipeline.studies.lab.parts import Measured, Observation, Part, Told, permuted
from pipeline.studies.lab.shown import share_of

# By architecture: trained as usual, and on D_det.
PAIRS = {
    "ResNet-8, other seed": ("cifar#1", "cifar-d-det"),
    "ResNet-8, half as wide": ("cifar-narrow", "cifar-narrow-d-det"),
    "maxout": ("cifar-maxout", "cifar-maxout-d-det"),
    "linear": ("cifar-linear", "cifar-linear-d-det"),
}
NETWORKS = ("cifar", *(name for pair in PAIRS.values() for name in pair))
_N_DRAWS = 999


def _measure(bench: Bench) -> Measured:
    images, labels = drawn(bench, "cifar", "test", bench.pick(1000, 0))
    source = bench.network("cifar")
    made = attacked(source, images, labels, EPSILONS[1], bench.pick(10, 50))
    found: dict[str, Any] = {"fooled": ~wrong(source, images, labels) & wrong(source, made, labels)}
    for plain_name, set_name in PAIRS.values():
        usual = bench.network(plain_name)
        found[f"{plain_name} clean"], found[f"{plain_name} made"] = (wrong(usual, x, labels) for x in (images, made))
        found[set_name] = ~wrong(bench.network(set_name), images, labels)
    return found


def _rates(found: Measured, places: np.ndarray) -> np.ndarray:
    """Returns (accuracy of the network on D_det, transfer to the usual one) of each architecture, on some images."""
    rows = []
    for usual, on_set in PAIRS.values():
        asked = (found["fooled"] & ~found[f"{usual} clean"])[places]
        rows.append((found[on_set][places].mean(), found[f"{usual} made"][places][asked].mean() if asked.any() else np.nan))
    return np.array(rows)


def _tell(found: Measured) -> Told:
    everyone = np.arange(len(found["fooled"]))
    heads = (Column("on D_det, right on D"), Column("right on D", "trained as usual"), Column("fooled too", "trained as usual"))
    rows = []
    for title, (usual, on_set) in PAIRS.items():
        asked = found["fooled"] & ~found[f"{usual} clean"]
        cells = (share_of(found[on_set]), share_of(~found[f"{usual} clean"]), share_of(found[f"{usual} made"][asked]))
        rows.append((Cell(title), *cells))
    rates = _rates(found, everyone)
    seen = _rank_correlation(rates)
    rng = np.random.default_rng(0)
    drawn_rates = [_rank_correlation(_rates(found, rng.integers(len(everyone), size=len(everyone)))) for _ in range(_N_DRAWS)]
    known = [rank for rank in drawn_rates if not np.isnan(rank)]
    told = "not defined"
    if known and not np.isnan(seen):
        low, high = np.percentile(known, [2.5, 97.5])
        told = f"{seen:.2f}, over draws of images {low:.2f} to {high:.2f}".replace("-", "−")
    note = TEXTS["transfer"].format(n=f"{len(everyone):,}", epsilon=EPSILONS[1], rank=told, architectures=len(PAIRS))
    table = Table("I5", "Transfer, and what is learned from D_det (Fig. 3)", (stub("Architecture"), *heads), tuple(rows), note)
    figure = Figure("transfer", _figure(rates), TEXTS["transfer-figure"].format(n=f"{len(everyone):,}"))

    def together(order: np.ndarray) -> float:
        return _rank_correlation(np.stack([rates[order, 0], rates[:, 1]], axis=1))

    test = None if np.isnan(seen) else permuted(together, np.arange(len(PAIRS)), rng)
    check = Check(f"rank correlation over {len(PAIRS)} architectures", told, int(seen > 0))
    observation = Observation("transfer", SAYS["transfer"], "permutation", test, len(everyone), (check,))
    return Told((plain(TEXTS["transfer-lead"]), TableBlock("table-i5", table), figure), (observation,))


def _rank_correlation(rates: np.ndarray) -> float:
    """Returns Spearman's, NaN where it is not defined."""
    if np.isnan(rates).any() or (np.ptp(rates, axis=0) == 0).any():
        return float("nan")
    return float(np.corrcoef(rankdata(rates, axis=0), rowvar=False)[0, 1])


@styled
def _figure(rates: np.ndarray) -> Plot:
    figure = Plot(figsize=(4.6, 3.0), layout="constrained")
    panel = figure.subplots()
    for title, (learned, transferred), colour in zip(
        PAIRS, 100 * rates, ("#0072b2", "#d55e00", "#009e73", "#cc79a7"), strict=True
    ):
        panel.scatter(learned, transferred, color=colour, label=title)
    panel.set_xlabel("accuracy on D of the network on D_det, %")
    panel.set_ylabel("transfer, %")
    panel.set(xlim=(0, None), ylim=(0, None))
    panel.margins(0.1)
    panel.legend(loc="upper left")
    return figure


PART = Part("transfer", "Transfer and shared features", _measure, _tell, NETWORKS)
