"""The section about what was attacked: how many images there were, which cells were filled, how far the files moved."""

from pipeline.document.blocks import Block, Prose, TableBlock, plain
from pipeline.document.formats import count
from pipeline.report.content import ReportContent
from pipeline.report.run_tables import perturbation_table, rounding_table, selection_table


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
        blocks += [_filled(content), TableBlock("table-s1", selection_table(content.fills))]
    if content.pairs:
        blocks.append(TableBlock("table-s2", perturbation_table(content.pairs)))
        if rounded := rounding_table(content.pairs):
            blocks.append(TableBlock("table-s3", rounded))
    return tuple(blocks)


def _filled(content: ReportContent) -> Prose:
    short = [fill for fill in content.fills if fill.n_found < fill.n_wanted]
    if not short:
        return Prose("Every cell was filled.")
    empty = sum(fill.n_found == 0 for fill in short)
    none_found = f" {count(empty, 'cell')} found none at all and {'is' if empty == 1 else 'are'} shown as n/a or a dash."
    return Prose(
        f"<b>{len(short)} of {count(len(content.fills), 'cell')} could not be filled</b>: the table says how far."
        f"{none_found if empty else ''}"
    )
