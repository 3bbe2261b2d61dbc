"""Tables on the page, made so that the script can sort them and a wide one can be pushed sideways on a narrow screen."""

from collections.abc import Iterator
from html import escape

from pipeline.document.blocks import TableBlock, TextTable
from pipeline.document.formats import tied
from pipeline.document.tables import Cell, Column, Table, group_spans


def table_html(block: TableBlock, identifier: str) -> str:
    """Returns caption, table and note. A name that stands for the rows beneath it too is in them all, unseen until sorted."""
    table = block.table
    remark = f" {block.remark}" if block.remark else ""
    caption = f"<b>Table {escape(table.number)}.</b> {escape(table.title)}.{escape(remark)}"
    note = f'<p class="note">{escape(tied(table.note))}</p>' if table.note else ""
    return (
        f'<figure class="table" id="{identifier}"><figcaption id="{identifier}-caption">{caption}</figcaption>'
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{identifier}-caption">'
        f'<table class="sortable">{_head(table)}<tbody>{"".join(_rows(table))}</tbody></table></div>{note}</figure>'
    )


def text_table_html(block: TextTable, identifier: str) -> str:
    """Returns a table of wrapped text; without a header the first column names the rows."""
    columns = "".join(f'<col style="width:{100 * width:.1f}%">' for width in block.widths)
    header = "".join(f'<th scope="col" data-sort="text">{escape(text)}</th>' for text in block.header)
    head = f"<thead><tr>{header}</tr></thead>" if block.header else ""
    first = "<td>{}</td>" if block.header else '<th scope="row">{}</th>'
    templates = [first, *["<td>{}</td>"] * (len(block.widths) - 1)]
    body = "".join(
        "<tr>" + "".join(template.format(escape(text)) for template, text in zip(templates, row, strict=True)) + "</tr>"
        for row in block.rows
    )
    kind = "text sortable" if block.header else "text"
    return (
        f'<div class="scroll" id="{identifier}" role="region" tabindex="0" aria-label="{escape(block.name)}">'
        f'<table class="{kind}" style="--n-columns:{len(block.widths)}"><colgroup>{columns}</colgroup>{head}'
        f"<tbody>{body}</tbody></table></div>"
    )


def _head(table: Table) -> str:
    rows = []
    if any(column.group for column in table.columns):
        cells = (
            f'<th scope="colgroup" colspan="{stop - start}"><span>{escape(group)}</span></th>'
            if group
            else f'<td colspan="{stop - start}"></td>'
            for start, stop, group in group_spans(table.columns)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    rows.append(f"<tr>{''.join(map(_header, table.columns))}</tr>")
    return f"<thead>{''.join(rows)}</thead>"


def _header(column: Column) -> str:
    kind = "number" if column.is_number else "text"
    return f'<th scope="col" data-sort="{kind}" class="{kind}">{escape(column.header)}</th>'


def _rows(table: Table) -> Iterator[str]:
    above = [""] * len(table.columns)
    for place, row in enumerate(table.rows):
        repeated = [text if column.is_stub and not cell.text else "" for cell, column, text in zip(row, table.columns, above)]
        above = [cell.text or text for cell, text in zip(row, repeated)]
        opening = '<tr class="rule">' if place in table.rules else "<tr>"
        yield f"{opening}{''.join(map(_cell, row, table.columns, repeated))}</tr>"


def _cell(cell: Cell, column: Column, repeated: str) -> str:
    """An empty stub says "as above", which sorted rows must say for themselves: `repeated` is what stands above."""
    kind = "number" if column.is_number else "text"
    text = f'<span class="repeated">{escape(repeated)}</span>' if repeated else escape(cell.text)
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    return f'<td class="{kind}">{text}{note}</td>'
