"""The warnings of a run and about its model: which are raised, what was measured, why it matters and what to do."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.document.blocks import Block, TextTable, plain
from pipeline.document.formats import count, listed
from pipeline.document.tables import Table
from pipeline.records import PHOTO, FlagRow
from pipeline.report.cell_tables import RowKey
from pipeline.report.content import ReportContent
from pipeline.report.raised_flags import MODEL_FLAGS, RUN_FLAGS, FlagText, raised_flags, told_flag

# What marks a row of a table; flags that concern a whole run or a whole case mark none.
MARKS = {
    "few-eligible": "†",
    "not-filled": "‡",
    "many-discards": "§",
    "page-scaled": "*",
    "low-resolution": "#",
    "epsilon-exceeded": "¶",
}
_N_SHOWN, _N_SENTENCES = 2, 6


def front_page_flags(content: ReportContent) -> tuple[Block, ...]:
    """Returns what the front page says of flags: a sentence for each that is raised, the most important first."""
    raised = [
        f"**{_capital(RUN_FLAGS[name].title)}:** {told_flag(rows)}."
        for name, rows in raised_flags(content.flags).items()
        if name != "model"
    ]
    raised += [f"**{_capital(MODEL_FLAGS[flag.name].title)}**, says an examination of the model." for flag in content.model_flags]
    if not raised:
        return ()
    more = [f"{count(len(raised) - _N_SENTENCES, 'further flag')} in the section Flags."] if len(raised) > _N_SENTENCES else []
    return plain("**Read with care**"), *(plain(text, "bullet") for text in (*raised[:_N_SENTENCES], *more))


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]


def flags_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns a table of what is raised, and the names of what is not."""
    raised = {}
    for name, rows in raised_flags(content.flags).items():
        more = [f"and {len(rows) - _N_SHOWN} more"] if len(rows) > _N_SHOWN else []
        raised[name] = "; ".join([row.message for row in rows[:_N_SHOWN]] + more)
    marks = (
        f" In tables, {listed(MARKS[name] for name in raised if name in MARKS)} mark the rows that a flag concerns."
        if raised.keys() & MARKS.keys()
        else ""
    )
    return _flags("flags", RUN_FLAGS, raised, "", f"{marks} Every measured number with its limit is in flags.csv.")


def about_model(content: ReportContent) -> tuple[Block, ...]:
    """Returns what was checked of the network before it was attacked, in one sentence, and a table of what was raised."""
    is_differentiable = content.model.differentiable
    checked = {name: flag for name, flag in MODEL_FLAGS.items() if is_differentiable or not flag.needs_gradient}
    as_far = "" if is_differentiable else ", as far as that is possible without gradients"
    intro = f"Before it was attacked the network was examined on some of the images{as_far}. "
    return _flags("model-flags", checked, {flag.name: flag.detail for flag in content.model_flags}, intro)


def _flags(
    key: str, checked: Mapping[str, FlagText], raised: Mapping[str, str], intro: str, ending: str = ""
) -> tuple[Block, ...]:
    """Returns what was found of all that was checked, with the meaning of each flag that is raised and what was measured."""
    quiet = listed(flag.title for name, flag in checked.items() if name not in raised)
    if not raised:
        return (plain(f"{intro}No problem found. Checked for: {quiet}."),)
    rows = tuple(
        (
            f"{_capital(checked[name].title)} {MARKS.get(name, '')}".strip(),
            measured,
            checked[name].raised_if,
            checked[name].why,
            checked[name].what_to_do,
        )
        for name, measured in raised.items()
    )
    found = f"{count(len(raised), 'flag')} of {len(checked)} {'is' if len(raised) == 1 else 'are'} raised."
    return (
        plain(f"{intro}{found} A flag is a reason to look, not a verdict.{ending}"),
        TextTable(key, ("Flag", "Measured", "Raised if", "Why it matters", "What to do"), rows, (0.15, 0.23, 0.2, 0.22, 0.2)),
        plain(f"Not raised: {quiet}.", "note"),
    )


def marked(table: Table, rows: Iterable[FlagRow]) -> Table:
    """Returns a table with a mark beneath the ε, or the photo, of every row that a flag concerns, and a note on them."""
    candidates = [row for row in rows if row.flag in MARKS]
    concerned = [[row for row in candidates if isinstance(key, RowKey) and _concerns(row, key)] for key in table.keys]
    if not any(concerned):
        return table
    said = dict.fromkeys(row for found in concerned for row in found)
    raised = raised_flags(row for row in candidates if row in said)
    notes = (f"{MARKS[name]} {_capital(RUN_FLAGS[name].title)}: {told_flag(found)}." for name, found in raised.items())
    place = next((number for number, column in enumerate(table.columns) if column.header == "ε"), 0)
    body = []
    for cells, found in zip(table.rows, concerned, strict=True):
        marks = " ".join(MARKS[name] for name in raised_flags(found))
        body.append((*cells[:place], replace(cells[place], note=marks), *cells[place + 1 :]) if found else cells)
    return replace(table, rows=tuple(body), note=" ".join(filter(None, (table.note, *notes))))


def _concerns(row: FlagRow, key: RowKey) -> bool:
    if row.photo or key.photo:
        return row.photo == key.photo
    if not row.attack or (row.attack, row.epsilon_8bit) != (key.attack, key.epsilon_8bit):
        return False
    if row.flag == "few-eligible" and row.transform != key.transform:
        return False
    if row.flag == "many-discards" and key.transform not in (PHOTO, "accuracy"):
        return False
    return all(not one or not other or one == other for one, other in ((row.case, key.case), (row.top_k, key.top_k)))
