"""Table VI: attacks on a defensively distilled network, what distillation stops, and how large its logits are."""

from typing import Any

import numpy as np

from pipeline.document.blocks import TableBlock
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.studies.carlini2017.published import DISTILLED, JSMA_DISTILLED, LOGITS, MNIST, SAYS, TABLE_6, TEXTS
from pipeline.studies.carlini2017.shooting import OWN, attack_rows, fired, right_images
from pipeline.studies.carlini2017.undefended import MOST_8BIT, photographs, reached_all
from pipeline.studies.lab.bench import Bench, logits
from pipeline.studies.lab.parts import Measured, Part, Told
from pipeline.studies.lab.shown import fewer, paper_cell, share_of

NETWORKS = (MNIST, DISTILLED)
_TITLES = {MNIST: "plain", DISTILLED: "distilled at T = 100"}


def _measure(bench: Bench) -> Measured:
    images = right_images(bench, NETWORKS, bench.pick(10, 100))
    found: dict[str, Any] = {**fired(bench, DISTILLED, images, (*OWN, "jsma-f", "fgs"), "IV", MOST_8BIT[MNIST])}
    found["plain jsma-f"] = fired(bench, MNIST, images, ("jsma-f",), "IV", MOST_8BIT[MNIST])["jsma-f worst all"]
    clean, _ = bench.batch(MNIST, n=bench.pick(1000, 10_000))
    return found | {f"{name} logits": logits(bench.network(name), clean).abs().sum(1).numpy() for name in NETWORKS}


def _tell(found: Measured) -> Told:
    n = len(found["pixels"])
    note = TEXTS["distilled"].format(n=n, most=MOST_8BIT[MNIST])
    first = attack_rows("C4", "Attacks on a distilled network for MNIST (its Table VI)", found, "IV", TABLE_6, note)
    heads = (Column("mean", "L1 norm of the logits"), Column("sd", "L1 norm of the logits"), Column("JSMA-F, all targets"))
    plain, distilled = (~np.isnan(found[key].ravel()) for key in ("plain jsma-f", "jsma-f worst all"))
    rows = []
    for name, hits in zip(NETWORKS, (plain, distilled), strict=True):
        values, paper = found[f"{name} logits"], LOGITS[name]
        cells = [
            Cell(f"{value:.3g}", f"paper {of:g}") for value, of in zip((values.mean(), values.std(ddof=1)), paper, strict=True)
        ]
        rows.append((Cell(_TITLES[name]), *cells, share_of(hits)))
    note = TEXTS["logits"].format(n=f"{len(found[f'{MNIST} logits']):,}", paper=paper_cell(JSMA_DISTILLED).text)
    second = Table("C4b", "What distillation changes", (stub("Network"), *heads), tuple(rows), note)
    members = np.repeat(np.arange(n), len(plain) // n)
    stops = fewer(
        "masked", SAYS["masked"], "targets that JSMA-F reaches, distilled against plain", distilled, plain, members=members
    )
    larger = found[f"{DISTILLED} logits"] > found[f"{MNIST} logits"]
    grown = fewer(
        "logits", SAYS["logits"], "images on which it is smaller, against larger", ~larger, larger, "5.8 against 482 on average"
    )
    blocks = (first, second, photographs("C4c", "The distilled network", found))
    tables = tuple(TableBlock(f"table-{table.number.lower()}", table) for table in blocks)
    return Told(tables, (*reached_all("distilled", "the distilled network", found), stops, grown))


PART = Part("distilled", "Defensive distillation", _measure, _tell, NETWORKS, form=2)
