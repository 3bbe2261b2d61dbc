"""How much each layer can enlarge a change: operator norms of fully connected and convolutional layers (Sec. 4.3)."""

from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from pipeline.document.blocks import TableBlock
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.studies.claims import Check
from pipeline.studies.lab.bench import Bench
from pipeline.studies.lab.parts import Measured, Observation, Part, Told, share_above
from pipeline.studies.lab.shown import TITLES
from pipeline.studies.szegedy2014.published import SAYS, TEXTS

NETWORKS = ("fc100-100-10", "carlini-mnist")
_SIDE, _N_STEPS = 64, 300
_SIDE_PX = 28
# The slope of a sigmoid is a quarter at most; that of a ReLU, and of a largest value, one.
_SLOPES = {"fc100-100-10": 0.25, "carlini-mnist": 1.0}


def fourier_bound(kernels: Tensor, side: int = _SIDE) -> float:
    """Returns the largest singular value, over all frequencies, of a convolution's kernels (out, in, h, w), stride 1.

    Of circular convolution on side × side pixels it is the norm; it bounds that of convolving smaller pictures, padded or not.
    """
    spectrum = torch.fft.fft2(kernels.double(), (side, side)).permute(2, 3, 0, 1)
    return float(torch.linalg.matrix_norm(spectrum, 2).max())


def power_norm(kernels: Tensor, size: tuple[int, int], n_steps: int = _N_STEPS) -> float:
    """Returns the norm of the convolution without padding of pictures of this size, from below, by power iteration."""
    kernels = kernels.double()
    x = torch.randn((1, kernels.shape[1], *size), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(n_steps):
        x = conv_transpose2d(conv2d(x / x.norm(), kernels), kernels)
    return float(x.norm().sqrt())


def _measure(bench: Bench) -> Measured:
    layers: dict[str, Any] = {}
    for name in NETWORKS:
        bench.network(name)
        state, side = load_file(bench.folder(name) / "weights.safetensors"), _SIDE_PX
        found: list[dict[str, Any]] = []
        layers[name] = found
        for weights in (state[key] for key in sorted(state, key=_place) if state[key].ndim > 1):
            if weights.ndim == 2:
                bound = iterated = float(torch.linalg.matrix_norm(weights.double(), 2))
            else:
                bound, iterated = fourier_bound(weights), power_norm(weights, (side, side))
                side = side - weights.shape[-1] + 1
                side = side // 2 if len(found) % 2 else side  # a pooling follows every second convolution
            found.append({"shape": list(weights.shape), "bound": bound, "iterated": iterated})
    return {"layers": layers}


def _place(key: str) -> list[int]:
    """Returns where weights stand in a network, by the numbers in their name."""
    return [int(part) for part in key.split(".") if part.isdigit()]


def _tell(found: Measured) -> Told:
    heads = (Column("weights"), Column("bound"), Column("by power iteration"))
    rows: list[tuple[Cell, ...]] = []
    rules, checked = set(), []
    for name, layers in found["layers"].items():
        rules.add(len(rows))
        for place, one in enumerate(layers, 1):
            shape = " × ".join(map(str, one["shape"]))
            rows.append(
                (Cell(f"{TITLES[name]}, layer {place}"), Cell(shape), Cell(f"{one['bound']:.2f}"), Cell(f"{one['iterated']:.2f}"))
            )
            checked.append(one["bound"] >= one["iterated"] * (1 - 1e-6))
        product = float(np.prod([one["bound"] for one in layers])) * _SLOPES[name] ** (len(layers) - 1)
        rows.append((Cell(f"{TITLES[name]}, whole"), Cell(""), Cell(f"{product:.3g}"), Cell("")))
    table = Table(
        "S6",
        "Bounds of instability, layer by layer",
        (stub("Layer"), *heads),
        tuple(rows),
        TEXTS["bounds"].format(side=_SIDE),
        frozenset(rules - {0}),
    )
    check = Check("layers", f"{sum(checked)} of {len(checked)}", sum(checked), len(checked))
    found_bound = share_above(sum(checked), len(checked), 0.5)
    return Told(
        (TableBlock("table-s6", table),), (Observation("bound", SAYS["bound"], "share", found_bound, len(checked), (check,)),)
    )


PART = Part("bounds", "Bounds of instability", _measure, _tell, NETWORKS, form=2)
