"""Do single units mean more than random directions? The images that maximise each, as pictures and as measured coherence."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Plot

from pipeline.document.blocks import Figure, TableBlock, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.statistics.means import mean_within
from pipeline.studies.claims import Check
from pipeline.studies.lab.bench import Bench
from pipeline.studies.lab.parts import Measured, Observation, Part, Told, permuted
from pipeline.studies.szegedy2014.published import SAYS, TEXTS

NETWORK, _LAYER = "fc100-100-10", "4"
_K, _ROWS = 8, 6
_ALIKE = 0.1
_KINDS = {"units": "single units", "directions": "random directions", "random": "random images"}


def _measure(bench: Bench) -> Measured:
    classifier, images = bench.network(NETWORK), bench.images(NETWORK)
    (pixels, labels), n = bench.batch(NETWORK), len(images)
    parts = [
        classifier.layer_response(x, of, _LAYER).activations for x, of in zip(pixels.split(500), labels.split(500), strict=True)
    ]
    features = torch.cat(parts).flatten(1).numpy()
    n_units, rng = features.shape[1], bench.rng("units")
    found: dict[str, Any] = {"n": n, "n_units": n_units}
    chosen = {
        "units": np.argsort(-features, axis=0, kind="stable")[:_K].T,
        "directions": np.argsort(-features @ rng.standard_normal((n_units, n_units)), axis=0, kind="stable")[:_K].T,
        "random": np.stack([rng.choice(n, _K, replace=False) for _ in range(n_units)]),
    }
    grey = images.pixels[:, 0].numpy()
    for kind, places in chosen.items():
        found[kind] = coherence(grey[places], labels.numpy()[places])
        found[f"{kind} pictures"] = grey[places[:_ROWS]]
    return found


def coherence(pictures: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns purity, entropy in bits, and mean cosine of each group, float (groups, 3), of (groups, k, H, W) and (groups, k)."""
    rows = []
    for shown, of in zip(pictures, labels, strict=True):
        shares = np.unique(of, return_counts=True)[1] / len(of)
        flat = shown.reshape(len(shown), -1).astype(float)
        flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
        cosines = (flat @ flat.T)[np.triu_indices(len(flat), 1)]
        rows.append((shares.max(), float(-(shares * np.log2(shares)).sum()), cosines.mean()))
    return np.array(rows)


def _tell(found: Measured) -> Told:
    heads = (Column("purity"), Column("entropy, bits"), Column("similarity"))
    rows = []
    for kind, title in _KINDS.items():
        means, sds = found[kind].mean(axis=0), found[kind].std(axis=0, ddof=1)
        rows.append((Cell(title), *(Cell(f"{mean:.3f}", f"sd {sd:.3f}") for mean, sd in zip(means, sds, strict=True))))
    note = TEXTS["units"].format(n=f"{found['n']:,}", n_units=found["n_units"], k=_K)
    table = Table("S5", "How coherent the images are that maximise units and directions", (stub("Of"), *heads), tuple(rows), note)
    caption = TEXTS["units-figure"].format(k=_K, rows=_ROWS, n=found["n_units"])
    figure = Figure("units", _pictures(found["units pictures"], found["directions pictures"]), caption)
    purity = {kind: found[kind][:, 0] for kind in _KINDS}
    gap = float(purity["units"].mean() - purity["directions"].mean())
    check = Check("purity of units less that of directions", f"{gap:+.3f}", int(abs(gap) < _ALIKE))
    n = found["n_units"]
    said = SAYS["units"].format(bound=_ALIKE)
    within = mean_within(purity["units"], -_ALIKE, _ALIKE, purity["directions"])
    alike = Observation("units", said, "tost", within, 2 * n, (check,))
    both, is_of = np.concatenate([purity["directions"], purity["random"]]), np.arange(2 * n) < n
    above = permuted(lambda order: float(both[order].mean() - both[~order].mean()), is_of, np.random.default_rng(0))
    counts = f"purity {purity['directions'].mean():.3f} against {purity['random'].mean():.3f}"
    check = Check("random directions against random images", counts, int(purity["directions"].mean() > purity["random"].mean()))
    coherent = Observation("coherent", SAYS["coherent"], "permutation", above, 2 * n, (check,))
    return Told((plain(TEXTS["units-lead"]), TableBlock("table-s5", table), figure), (alike, coherent))


@styled
def _pictures(units: np.ndarray, directions: np.ndarray) -> Plot:
    figure = Plot(figsize=(WIDTH_IN, 0.45 * _ROWS + 0.3), layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, shown, title in zip(panels, (units, directions), ("single units", "random directions"), strict=True):
        rows = [np.concatenate(list(np.pad(row, ((0, 0), (1, 1), (1, 1)), constant_values=90)), axis=1) for row in shown]
        panel.imshow(np.concatenate(rows), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        panel.set_title(title)
        panel.set_axis_off()
    return figure


PART = Part("units", "Units and directions", _measure, _tell, (NETWORK,))
