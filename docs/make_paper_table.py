"""Prints the table of docs/paper-table.md from a finished run: `python docs/make_paper_table.py RUN [WORKSPACE]`."""

import sys
from pathlib import Path

from pipeline.records import PHOTO, SOURCE, Rate
from pipeline.store import Run, record_from
from pipeline.store.artefacts import COUNTED
from pipeline.studies.kurakin2016.published import METHOD_TITLES, PAPER_TABLE_1, PAPER_TABLE_2, published_rates


def main(run_name: str, workspace: str = ".") -> None:
    """Destruction rates with counts and intervals, clean accuracy lost, each beside what the paper printed."""
    read = COUNTED.read(Run(Path(workspace), run_name))
    rates = [record_from(Rate, row) for row in read["destruction_rates"] if row["transform"] == PHOTO]
    accuracies = [record_from(Rate, row) for row in read["accuracies"]]
    published = {row[:4]: row[4] for row in published_rates()}
    print("| case | method | ε | destroyed, top-1 | paper | destroyed, top-5 | paper | clean top-1 lost | paper |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rates:
        if row.top_k == 1:
            key = (row.case, row.attack, row.epsilon_8bit)
            five = next(r for r in rates if (r.case, r.attack, r.epsilon_8bit, r.top_k) == (*key, 5))
            lost = clean(accuracies, key, SOURCE) - clean(accuracies, key, PHOTO)
            cells = [row.case, METHOD_TITLES[row.attack], str(row.epsilon_8bit)]
            for found in (row, five):
                cells += [told(found), f"{100 * published[(*key, found.top_k)]:.1f}"]
            print("| " + " | ".join([*cells, f"{100 * lost:.1f}", paper_loss(key)]) + " |")


def told(row: Rate) -> str:
    """Returns a rate in per cent with its counts and 95 % interval."""
    if row.rate is None:
        return "n/a"
    return f"{100 * row.rate:.1f} ({row.n_hit}/{row.n_eligible}; {100 * row.low:.0f}–{100 * row.high:.0f})"


def clean(accuracies: list[Rate], key: tuple[str, str, int], transform: str) -> float:
    """Returns the share of a cell's clean images that are classified right, top-1."""
    wanted = (*key, "clean", transform, 1)
    row = next(r for r in accuracies if (r.case, r.attack, r.epsilon_8bit, r.variant, r.transform, r.top_k) == wanted)
    return row.rate


def paper_loss(key: tuple[str, str, int]) -> str:
    """Returns the points of clean top-1 accuracy that the paper's photos lost."""
    table = {"average": PAPER_TABLE_1, "prefiltered": PAPER_TABLE_2}[key[0]]
    row = next(r for r in table if (r.attack, r.epsilon_8bit) == key[1:])
    return f"{row.source_clean_top1 - row.photo_clean_top1:.1f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
