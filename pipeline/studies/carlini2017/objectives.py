"""Table III in small: seven objective functions and three ways to stay in the box, each with c searched for every image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from pipeline.document.blocks import TableBlock
from pipeline.document.formats import DASH, percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.images import to_model
from pipeline.models.classifier import Classifier
from pipeline.studies.carlini2017.published import MNIST, SAYS, TABLE_3, TEXTS
from pipeline.studies.carlini2017.shooting import mean, right_images
from pipeline.studies.carlini2017.tables import targets_of_each
from pipeline.studies.lab.bench import Bench
from pipeline.studies.lab.parts import Measured, Part, Told
from pipeline.studies.lab.shown import counted, fewer, share_cell

Objective = Callable[[Tensor, Tensor], Tensor]

_LOG_2 = float(np.log(2))
# The first c, by what it grows until an image is led to its target, and Adam's rate on pixels in [0, 1], and on w.
_FIRST_C, _GROWTH, _RATE, _RATE_W = 0.1, 10.0, 0.02, 0.1
_INSIDE = 0.499  # pixels start this near to the ends of the box, at most: w would be infinite there
BOXES = {"tanh": "change of variable", "clipped": "clipped descent", "projected": "projected descent"}


def _lead(scores: Tensor, targets: Tensor) -> Tensor:
    """Returns by how much the best other class leads the target, (n,)."""
    of_target = scores.gather(1, targets[:, None])[:, 0]
    return scores.scatter(1, targets[:, None], -torch.inf).amax(dim=1) - of_target


def _log_share(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns log F of the target, (n,)."""
    return logits.log_softmax(1).gather(1, targets[:, None])[:, 0]


# Of logits (n, classes) and targets (n,): Sec. IV-A, with F the probabilities. f1 is printed as -loss + 1, f5 as -log(2 F - 2),
# which no F can satisfy; here the loss is in bits, so that both are at most 0 where F of the target is 1/2 or more.
OBJECTIVES: dict[str, Objective] = {
    "f1": lambda z, t: -_log_share(z, t) / _LOG_2 - 1,
    "f2": lambda z, t: _lead(z.softmax(1), t).clamp(min=0),
    "f3": lambda z, t: softplus(_lead(z.softmax(1), t)) - _LOG_2,
    "f4": lambda z, t: (0.5 - _log_share(z, t).exp()).clamp(min=0),
    "f5": lambda z, t: -_log_share(z, t) - _LOG_2,
    "f6": lambda z, t: _lead(z, t).clamp(min=0),
    "f7": lambda z, t: softplus(_lead(z, t)) - _LOG_2,
}


def smallest(
    classifier: Classifier, clean: Tensor, targets: Tensor, objective: Objective, box: str, n_searches: int, n_steps: int
) -> np.ndarray:
    """Returns the smallest L2 distance found of each image, float (n,) on [0, 1], nan where none is led to its target.

    Minimises |x' - x|^2 + c f(x') by Adam; c grows until it succeeds and is then bisected, for each image by itself. The network
    sees whole 8-bit levels, and the gradient passes through the rounding.

    Args:
        clean: grey images, float32 (n, 1, H, W) in [0, 1].
        box: "tanh": x' = (tanh w + 1) / 2; "clipped": f sees x' cut to the box; "projected": x' is cut to it after each step.
    """
    best = torch.full((len(clean),), torch.inf)
    low, high, c = torch.zeros_like(best), torch.full_like(best, torch.inf), torch.full_like(best, _FIRST_C)
    for _ in range(n_searches):
        start = torch.atanh(2 * (clean - 0.5).clamp(-_INSIDE, _INSIDE)) if box == "tanh" else clean.clone()
        variable = start.requires_grad_()
        adam, is_hit = (
            torch.optim.Adam([variable], lr=_RATE_W if box == "tanh" else _RATE),
            torch.zeros_like(best, dtype=torch.bool),
        )
        for _ in range(n_steps):
            free = (variable.tanh() + 1) / 2 if box == "tanh" else variable
            inside = free.clamp(0, 1)
            seen = inside + ((inside * 255).round() / 255 - inside).detach()
            logits = classifier.logits(seen.expand(-1, 3, -1, -1))
            with torch.no_grad():
                distance = (seen - clean).square().sum(dim=(1, 2, 3)).sqrt()
                reached = logits.argmax(1) == targets
                is_hit |= reached
                best = torch.where(reached, best.minimum(distance), best)
            loss = ((free - clean).square().sum(dim=(1, 2, 3)) + c * objective(logits, targets)).sum()
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            if box == "projected":
                variable.data.clamp_(0, 1)
        high, low = torch.where(is_hit, high.minimum(c), high), torch.where(is_hit, low, low.maximum(c))
        c = torch.where(high.isfinite(), (low + high) / 2, low * _GROWTH)
    found: np.ndarray = best.masked_fill(best.isinf(), torch.nan).double().numpy()
    return found


def _measure(bench: Bench) -> Measured:
    classifier = bench.network(MNIST)
    images = right_images(bench, (MNIST,), bench.pick(10, 50))
    wanted = torch.tensor([one.average for one in targets_of_each(classifier, images, 0, bench.seed)])
    clean = to_model(np.stack([aim.pixels for aim in images]))[:, :1]
    n_searches, n_steps = bench.pick(6, 12), bench.pick(80, 500)
    found: dict[str, Any] = {"n_searches": n_searches, "n_steps": n_steps}
    pairs = [(name, box) for name in OBJECTIVES for box in BOXES]
    for name, box in bench.context.progress(pairs, len(pairs), "objectives"):
        found[f"{name} {box}"] = smallest(classifier, clean, wanted, OBJECTIVES[name], box, n_searches, n_steps)
    return found


def _tell(found: Measured) -> Told:
    heads = [Column(head, title) for title in BOXES.values() for head in ("L2", "success")]
    rows = []
    for name in OBJECTIVES:
        cells = []
        for box in BOXES:
            values = found[f"{name} {box}"]
            distance, share = TABLE_3.get(name, (None, None)) if box == "tanh" else (None, None)
            hits, middle = share_cell(*counted(~np.isnan(values))), mean(values)
            paper = [f"paper {text}" for text in ("" if distance is None else f"{distance:g}",) if text]
            beside = "" if share is None else f" · paper {percent(share, 0)}"
            cells += [Cell(DASH if np.isnan(middle) else f"{middle:.2f}", *paper), Cell(hits.text, hits.note + beside)]
        rows.append((Cell(name), *cells))
    n = len(found["f6 tanh"])
    note = TEXTS["objectives"].format(n=n, searches=found["n_searches"], steps=found["n_steps"], rate=_RATE, w=_RATE_W)
    table = Table("C5", "Objective functions and boxes (its Table III)", (stub("f"), *heads), tuple(rows), note)
    f1, f4, f6 = (found[f"{name} tanh"] for name in ("f1", "f4", "f6"))
    hit_4, hit_6 = ~np.isnan(f4), ~np.isnan(f6)
    both = ~np.isnan(f1) & hit_6
    where = "farther than the other, change of variable"
    nearer = fewer("objective-distance", SAYS["objective-distance"], where, (f6 > f1)[both], (f1 > f6)[both], "3.47 against 4.35")
    where = "reached, change of variable"
    more = fewer("objective-success", SAYS["objective-success"], where, hit_4, hit_6, "55 % against 100 %")
    return Told((TableBlock("table-c5", table),), (nearer, more))


PART = Part("objectives", "Objective functions and boxes", _measure, _tell, (MNIST,), form=2)
