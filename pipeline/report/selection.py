"""The section about what was attacked: how many images there were, which cells were filled, how far the files moved."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from pipeline.document.blocks import Block, Prose, TableBlock, plain
from pipeline.document.formats import count
from pipeline.document.tables import Column, Table, filled, stub
from pipeline.records import ROUNDING, CellFill, Pair
from pipeline.report.cell_tables import cell_of, cell_table, ordered_cells
from pipeline.report.content import ReportContent
from pipeline.report.words import CASE_TITLES, TEXTS


def selection_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns the numbers of images and pairs, the cells that fell short, and the tables of cells and of distances."""
    dataset, model = content.dataset, content.model
    rejected = f" {count(dataset.n_rejected, 'file')} could not be used." if dataset.n_rejected else ""
    text = (
        f"{dataset.name} offers {count(dataset.n_images, 'image')} of {count(dataset.n_classes, 'class', 'classes')}.{rejected} "
        f"Images are brought to the model's input of {model.input_size_px[0]} × {model.input_size_px[1]} pixels before they are "
        f"attacked. {count(len(content.pairs), 'pair')} of a clean and an adversarial image "
        f"{'was' if len(content.pairs) == 1 else 'were'} made."
    )
    blocks: list[Block] = [plain(text)]
    if content.fills:
        short = [fill for fill in content.fills if fill.n_found < fill.n_wanted]
        empty = sum(fill.n_found == 0 for fill in short)
        none = f" {count(empty, 'cell')} found none at all and {'is' if empty == 1 else 'are'} shown as n/a or a dash."
        unfilled = f"<b>{len(short)} of {count(len(content.fills), 'cell')} could not be filled</b>: the table says how far."
        told = unfilled + (none if empty else "") if short else "Every cell was filled."
        blocks += [Prose(told), TableBlock("table-s1", selection_table(content.fills))]
    if content.pairs:
        blocks.append(TableBlock("table-s2", perturbation_table(content.pairs)))
        if rounded := rounding_table(content.pairs):
            blocks.append(TableBlock("table-s3", rounded))
    return tuple(blocks)


def selection_table(fills: Iterable[CellFill]) -> Table:
    """Returns what was drawn for each cell, and how many candidates were looked at for it."""
    by_cell = {cell_of(fill): fill for fill in fills}
    cells = ordered_cells(by_cell)
    columns, body = filled(
        [
            (stub("Case"), lambda fill: CASE_TITLES[fill.case]),
            (Column("wanted"), lambda fill: str(fill.n_wanted)),
            (Column("found"), lambda fill: str(fill.n_found)),
            (Column("looked at"), lambda fill: str(fill.n_tried)),
            (Column("filled"), lambda fill: "yes" if (n := fill.n_wanted - fill.n_found) <= 0 else f"{n} short"),
        ],
        [by_cell[cell] for cell in cells],
    )
    return cell_table("S1", "Images drawn per cell", columns, cells, body, "")


def perturbation_table(pairs: Iterable[Pair]) -> Table:
    """Returns how far the saved adversarial files of each attack and ε are from their clean files, and what they cost."""
    by_cell = _by_cell(pairs)
    columns, body = filled(
        [
            (Column("pairs"), lambda group: str(len(group))),
            (Column("L∞", "Largest"), lambda group: str(max(pair.linf_8bit for pair in group))),
            (Column("L2", "Mean"), lambda group: f"{fmean(pair.l2_8bit for pair in group):.0f}"),
            (Column("pixels", "Mean"), lambda group: f"{fmean(pair.n_changed_pixels for pair in group):.0f}"),
            (Column("SSIM", "Mean"), lambda group: f"{fmean(pair.ssim for pair in group):.3f}"),
            (Column("forward", "Passes per image"), lambda group: f"{fmean(pair.n_forward for pair in group):.0f}"),
            (Column("backward", "Passes per image"), lambda group: f"{fmean(pair.n_backward for pair in group):.0f}"),
        ],
        by_cell.values(),
    )
    note = TEXTS["distances"]
    return cell_table("S2", "Adversarial files and their distance from the clean ones", columns, list(by_cell), body, note)


def rounding_table(pairs: Iterable[Pair]) -> Table | None:
    """Returns what rounding to 8 bits did to the results of minimum-norm attacks, None where the run has no such attack."""
    by_cell = _by_cell(pair for pair in pairs if pair.rounding)
    if not by_cell:
        return None
    words = {cell: [pair.rounding for pair in group] for cell, group in by_cell.items()}
    counted = [(Column(word.replace("-", " ")), lambda said, word=word: str(said.count(word))) for word in ROUNDING]
    columns, body = filled([(Column("pairs"), lambda said: str(len(said))), *counted], words.values())
    note = TEXTS["rounding"]
    return cell_table("S3", "Minimum-norm attacks after rounding to 8 bits", columns, list(by_cell), body, note)


def _by_cell(pairs: Iterable[Pair]) -> dict[tuple[str, str, int], list[Pair]]:
    """The pairs of each attack and ε, whatever their cases, in the order of tables."""
    found = defaultdict(list)
    for pair in pairs:
        found["", pair.attack, pair.epsilon_8bit].append(pair)
    return {cell: found[cell] for cell in ordered_cells(found)}
