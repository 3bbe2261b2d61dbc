"""The tables of what a run is made of: the images drawn, the adversarial files, and the photographs."""

from collections.abc import Iterable
from statistics import fmean

from pipeline.document.formats import DASH, middle_cut
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import CORNERS, ROUNDING, CellFill, Pair
from pipeline.report.cell_tables import RowKey, cell_table, ordered_cells
from pipeline.report.content import CaptureQuality
from pipeline.report.words import CASE_TITLES


def selection_table(fills: Iterable[CellFill]) -> Table:
    """Returns what was drawn for each cell, and how many candidates were looked at for it."""
    by_cell = {(fill.case, fill.attack, fill.epsilon_8bit): fill for fill in fills}
    fills = [by_cell[cell] for cell in ordered_cells(by_cell)]
    body = [
        [
            Cell(CASE_TITLES[fill.case]),
            Cell(str(fill.n_wanted)),
            Cell(str(fill.n_found)),
            Cell(str(fill.n_tried)),
            Cell("yes" if fill.n_found >= fill.n_wanted else f"{fill.n_wanted - fill.n_found} short"),
        ]
        for fill in fills
    ]
    headers = ("wanted", "found", "looked at", "filled")
    columns = [stub("Case"), *(Column(header) for header in headers)]
    return cell_table("S1", "Images drawn per cell", columns, [(f.case, f.attack, f.epsilon_8bit) for f in fills], body, "")


def perturbation_table(pairs: Iterable[Pair]) -> Table:
    """Returns how far the saved adversarial files of each attack and ε are from their clean files, and what they cost."""
    by_cell: dict[tuple[str, str, int], list[Pair]] = {}
    for pair in pairs:
        by_cell.setdefault(("", pair.attack, pair.epsilon_8bit), []).append(pair)
    cells = ordered_cells(by_cell)
    body = [
        [
            Cell(str(len(group))),
            Cell(str(max(pair.linf_8bit for pair in group))),
            Cell(f"{fmean(pair.l2_8bit for pair in group):.0f}"),
            Cell(f"{fmean(pair.n_changed_pixels for pair in group):.0f}"),
            Cell(f"{fmean(pair.ssim for pair in group):.3f}"),
            Cell(f"{fmean(pair.n_forward for pair in group):.0f}"),
            Cell(f"{fmean(pair.n_backward for pair in group):.0f}"),
        ]
        for group in (by_cell[cell] for cell in cells)
    ]
    columns = [
        Column("pairs"),
        Column("L∞", "Largest"),
        Column("L2", "Mean"),
        Column("pixels", "Mean"),
        Column("SSIM", "Mean"),
        Column("forward", "Passes per image"),
        Column("backward", "Passes per image"),
    ]
    note = (
        "Distances of the saved files in 8-bit units; pixels: how many differ in any channel (L0). SSIM is 1 where two images "
        "are equal (Wang et al. 2004)."
    )
    return cell_table("S2", "Adversarial files and their distance from the clean ones", columns, cells, body, note)


def rounding_table(pairs: Iterable[Pair]) -> Table | None:
    """Returns what rounding to 8 bits did to the results of minimum-norm attacks, None where the run has no such attack."""
    by_cell: dict[tuple[str, str, int], list[str]] = {}
    for pair in pairs:
        if pair.rounding:
            by_cell.setdefault(("", pair.attack, pair.epsilon_8bit), []).append(pair.rounding)
    cells = ordered_cells(by_cell)
    if not cells:
        return None
    body = [[Cell(str(len(by_cell[cell]))), *(Cell(str(by_cell[cell].count(word))) for word in ROUNDING)] for cell in cells]
    columns = [Column("pairs"), *(Column(word.replace("-", " ")) for word in ROUNDING)]
    note = (
        "Attacks that look for the smallest change end just behind the decision boundary, where rounding to whole levels can "
        "undo them. Kept: the rounded image fools. Repaired: rounding undid the attack, and a search over neighbouring 8-bit "
        "values mended it. Lost, not found: the clean image is saved, which never counts as an attack."
    )
    return cell_table("S3", "Minimum-norm attacks after rounding to 8 bits", columns, cells, body, note)


def quality_table(quality: Iterable[CaptureQuality], n_rows: int = 48) -> Table:
    """Returns how well each photograph was registered; of more than `n_rows` those with the largest reprojection error."""
    quality = tuple(quality)
    worst_first = sorted(range(len(quality)), key=lambda place: -(quality[place].reprojection_rms_px or 0.0))
    shown = tuple(quality[place] for place in sorted(worst_first[:n_rows]))
    columns = (
        stub("Photo"),
        Column("page"),
        Column("codes"),
        Column("reprojection", "Error, px"),
        Column("registration", "Error, px"),
        Column("sharpness"),
        Column("px per px"),
    )
    rows = tuple(
        (
            Cell(middle_cut(photo.photo, 34)),
            Cell(DASH if photo.page is None else str(photo.page)),
            Cell(f"{photo.n_codes}/{len(CORNERS)}"),
            Cell(_decimal(photo.reprojection_rms_px, 2)),
            Cell(_decimal(photo.registration_error_px, 3)),
            Cell(_decimal(photo.sharpness, 3)),
            Cell(_decimal(photo.photo_px_per_image_px, 2)),
        )
        for photo in shown
    )
    note = (
        "Reprojection is the RMS distance of the codes' corners, in photo pixels; registration, in crop pixels, is known in "
        "simulation only. px per px: photo pixels per image pixel."
    )
    if len(quality) > n_rows:
        note += f" Listed are the {n_rows} of {len(quality)} with the largest reprojection error; captures.parquet has all."
    keys = tuple(RowKey(photo=photo.photo) for photo in shown)
    return Table("Q1", "Photographs and how well they were registered", columns, rows, note, keys=keys)


def _decimal(value: float | None, digits: int) -> str:
    if value is None:
        return DASH
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.0f}"
