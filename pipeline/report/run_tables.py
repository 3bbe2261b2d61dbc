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
    cells = ordered_cells(by_cell)
    body = [
        [
            Cell(CASE_TITLES[fill.case]),
            *(Cell(str(n)) for n in (fill.n_wanted, fill.n_found, fill.n_tried)),
            Cell("yes" if fill.n_found >= fill.n_wanted else f"{fill.n_wanted - fill.n_found} short"),
        ]
        for fill in map(by_cell.__getitem__, cells)
    ]
    columns = [stub("Case"), *map(Column, ("wanted", "found", "looked at", "filled"))]
    return cell_table("S1", "Images drawn per cell", columns, cells, body, "")


def perturbation_table(pairs: Iterable[Pair]) -> Table:
    """Returns how far the saved adversarial files of each attack and ε are from their clean files, and what they cost."""
    by_cell = _by_cell(pairs)
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
        for group in by_cell.values()
    ]
    columns = [Column("pairs"), Column("L∞", "Largest")]
    columns += [Column(header, "Mean") for header in ("L2", "pixels", "SSIM")]
    columns += [Column(header, "Passes per image") for header in ("forward", "backward")]
    note = (
        "Distances of the saved files in 8-bit units; pixels: how many differ in any channel (L0). SSIM is 1 where two images "
        "are equal (Wang et al. 2004)."
    )
    return cell_table("S2", "Adversarial files and their distance from the clean ones", columns, list(by_cell), body, note)


def rounding_table(pairs: Iterable[Pair]) -> Table | None:
    """Returns what rounding to 8 bits did to the results of minimum-norm attacks, None where the run has no such attack."""
    by_cell = _by_cell(pair for pair in pairs if pair.rounding)
    if not by_cell:
        return None
    words = {cell: [pair.rounding for pair in group] for cell, group in by_cell.items()}
    body = [[Cell(str(len(said))), *(Cell(str(said.count(word))) for word in ROUNDING)] for said in words.values()]
    columns = [Column("pairs"), *(Column(word.replace("-", " ")) for word in ROUNDING)]
    note = (
        "Attacks that look for the smallest change end just behind the decision boundary, where rounding to whole levels can "
        "undo them. Kept: the rounded image fools. Repaired: rounding undid the attack, and a search over neighbouring 8-bit "
        "values mended it. Lost, not found: the clean image is saved, which never counts as an attack."
    )
    return cell_table("S3", "Minimum-norm attacks after rounding to 8 bits", columns, list(by_cell), body, note)


def quality_table(quality: Iterable[CaptureQuality], n_rows: int = 48) -> Table:
    """Returns how well each photograph was registered; of more than `n_rows` those with the largest reprojection error."""
    quality = tuple(quality)
    worst_first = sorted(range(len(quality)), key=lambda place: -(quality[place].reprojection_rms_px or 0.0))
    shown = tuple(quality[place] for place in sorted(worst_first[:n_rows]))
    errors = (Column(header, "Error, px") for header in ("reprojection", "registration"))
    columns = (stub("Photo"), Column("page"), Column("codes"), *errors, Column("sharpness"), Column("px per px"))
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


def _by_cell(pairs: Iterable[Pair]) -> dict[tuple[str, str, int], list[Pair]]:
    """The pairs of each attack and ε, whatever their cases, in the order of tables."""
    found: dict[tuple[str, str, int], list[Pair]] = {}
    for pair in pairs:
        found.setdefault(("", pair.attack, pair.epsilon_8bit), []).append(pair)
    return {cell: found[cell] for cell in ordered_cells(found)}


def _decimal(value: float | None, digits: int) -> str:
    if value is None:
        return DASH
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.0f}"
