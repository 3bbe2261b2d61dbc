"""The paper beside a run: its Tables 1 to 3 and Fig. 6, and which of its observations hold, as a section and as a text."""

from collections.abc import Sequence
from dataclasses import asdict

from matplotlib.figure import Figure as Plot
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from pipeline.document import figures
from pipeline.document.blocks import Block, Figure, Findings, Subheading, TableBlock, TextTable, numbered, plain
from pipeline.document.formats import count, p_value, span
from pipeline.document.theme import INK, QUIET, RULE
from pipeline.records import CASES, DIGITAL, SIMULATED, VERDICTS, FindingRow
from pipeline.report.content import ReferenceRate, ReportContent, StudyPart
from pipeline.report.rate_figures import per_cent, transform_curves
from pipeline.report.words import CASE_TITLES, attack_style
from pipeline.studies.claims import TEST_TITLES, VERDICT_TITLES
from pipeline.studies.kurakin2016.findings import claims_of, told_findings
from pipeline.studies.kurakin2016.published import LOST_PHOTOS, METHOD_TITLES, METHODS, TEXTS, published_rates
from pipeline.studies.kurakin2016.tables import PaperRow, figure_6_rates, figure_6_table, paper_rows, paper_tables
from pipeline.studies.study import Reproduction

_OBSERVED = "What Kurakin et al. (2016) observed, tested on these photographs"
_OBSERVED_DIGITAL = "What Kurakin et al. (2016) observed at ε 16 on random images, tested on these transforms"
_HEADER = ("Observation", "Verdict", "n", "p (corrected)", "Test")


def study_part(content: ReportContent, reference: str) -> StudyPart:
    """Returns what the study says in a run's report, its own section only where the run reproduces it."""
    observed: dict[str, tuple[Block, ...]] = {
        origin: (
            Subheading(_OBSERVED_DIGITAL if origin == DIGITAL else _OBSERVED),
            Findings(told_findings(content, origin)),
        )
        for origin in (*content.photo_origins, DIGITAL)
    }
    rates = tuple(ReferenceRate(*row) for row in published_rates())
    lost = f"; Kurakin et al. lost {LOST_PHOTOS}"
    return StudyPart(reference, lost, rates, observed, reproduction_section(content) if content.reproduces else ())


def reproduction(content: ReportContent) -> Reproduction:
    """Returns the paper's numbers beside the run's as files."""
    rows = paper_rows(content)
    told = {
        "paper": content.reproduces,
        "run": content.run,
        "photographs": content.main_origin if content.photo_origins else None,
        "what_differs": what_differs(content),
        "tables": [asdict(row) | {"is_within": row.is_within} for row in rows],
        "figure_6": [asdict(row) for row in figure_6_rates(content)],
        "findings": [asdict(row) for row in content.findings],
    }
    return Reproduction(reproduction_text(content), PaperRow, rows, told)


def reproduction_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns what the paper found beside what this run found."""
    rows = paper_rows(content)
    blocks: list[Block] = [plain(sentence) for sentence in what_differs(content)]
    blocks += [Subheading("Which of its observations hold"), plain(_tally(content)), findings_block(content)]
    if any(row.table == 3 and row.n for row in rows):
        n = span(row.n for row in rows if row.table == 3 and row.n)
        caption = TEXTS["scatter"].format(n=n)
        blocks += [Subheading("Tables 1 to 3"), Figure("paper-rates", paper_scatter(rows), caption)]
    remark = "Simulated photographs." if content.main_origin == SIMULATED else "Real photographs."
    blocks += numbered(paper_tables(rows), remark)
    if (curves := figure_6_rates(content)) and (table := figure_6_table(content)):
        case, epsilon = curves[0].case, max(row.epsilon_8bit for row in curves)
        caption = TEXTS["figure-6"].format(case=CASE_TITLES[case], epsilon=epsilon)
        plot = transform_curves(curves, case, epsilon)
        for panel in plot.axes:
            if panel.get_title(loc="left") in ("Brightness", "Contrast"):
                for bound in (5, 20):
                    panel.axhline(bound, color=QUIET, linewidth=0.8, linestyle=":")
        blocks += [Subheading("Fig. 6"), Figure("paper-figure-6", plot, caption), TableBlock("table-r6", table)]
    return tuple(blocks)


def what_differs(content: ReportContent) -> list[str]:
    """Returns the sentences that say what this run is beside the paper's experiment, simulated or stand-in first."""
    told = []
    if content.main_origin == SIMULATED and content.photo_origins:
        told.append(TEXTS["simulated"])
    elif not content.photo_origins:
        told.append("No photograph has been judged yet, so there are no photographs to compare.")
    if content.dataset.name.startswith("builtin:"):
        told.append(TEXTS["builtin"].format(content=content))
    return [*told, TEXTS["paper"].format(content=content)]


def findings_block(content: ReportContent) -> TextTable:
    """Returns the tested observations as a table: verdict, n, corrected p (of the opposite where that is what holds), test."""
    rows = tuple(_finding_cells(*found) for found in _wholes(content))
    return TextTable("paper-findings", _HEADER, rows, (0.36, 0.15, 0.19, 0.12, 0.18))


def reproduction_text(content: ReportContent) -> str:
    """Returns the section as Markdown."""
    kind = "simulated photographs" if content.main_origin == SIMULATED else "real photographs"
    kind = kind if content.photo_origins else "no photographs yet"
    stand_in = ", built-in images" if content.dataset.name.startswith("builtin:") else ""
    parts = [f"# Kurakin et al. 2016 beside {content.run} ({kind}{stand_in})", *what_differs(content)]
    found = findings_block(content)
    parts += ["## Which of its observations hold", _tally(content), _markdown(found.header, found.rows)]
    for table in filter(None, (*paper_tables(paper_rows(content)), figure_6_table(content))):
        header = [f"{column.group} {column.header}".strip() for column in table.columns]
        rows = [[f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row] for row in table.rows]
        parts += [f"## {table.title}", _markdown(header, rows), table.note]
    return "\n\n".join(parts) + "\n"


@figures.styled
def paper_scatter(rows: Sequence[PaperRow]) -> Plot:
    """Returns the paper's destruction rates against this run's with 95 % intervals, one panel a case."""
    rows = [row for row in rows if row.table == 3 and row.n]
    cases = [case for case in CASES if any(row.case == case for row in rows)]
    plot = Plot(figsize=(figures.WIDTH_IN, 3.4), layout="constrained")
    panels = plot.subplots(1, len(cases), squeeze=False)[0]
    for panel, case in zip(panels, cases, strict=True):
        panel.plot([0, 100], [0, 100], color=RULE, linewidth=0.9, zorder=0)
        for row in (row for row in rows if row.case == case):
            colour, marker = attack_style(row.attack, METHODS)
            x, y = 100 * row.paper, per_cent(row.rate)
            panel.plot([x, x], [per_cent(row.low), per_cent(row.high)], color=colour, linewidth=0.9, alpha=0.7)
            panel.plot(x, y, marker, mec=colour, mfc=colour if row.top_k == 1 else "white", ms=4.6)
            panel.annotate(f"{row.epsilon_8bit}", (x, y), (4, 3), textcoords="offset points", fontsize=5.4, color=QUIET)
        panel.set(title=CASE_TITLES[case].capitalize(), xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
        panel.set_xlabel("the paper's destruction rate (small number: ε)")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(PercentFormatter(100, decimals=0))
    panels[0].set_ylabel("this run's destruction rate")
    handles = []
    for attack, title in METHOD_TITLES.items():
        if any(row.attack == attack for row in rows):
            colour, marker = attack_style(attack, METHODS)
            handles.append(Line2D([], [], ls="none", marker=marker, color=colour, label=title))
    for k, face in ((1, INK), (5, "white")):
        handles.append(Line2D([], [], ls="none", marker="o", mec=INK, mfc=face, label=f"top-{k}"))
    plot.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return plot


def _wholes(content: ReportContent) -> list[tuple[str, FindingRow]]:
    """Returns the title and the test of every observation, first those on photographs."""
    rows = {(row.finding, row.origin): row for row in content.findings if not row.part}
    claims = [(claim, origin) for origin in (content.main_origin, DIGITAL) for claim in claims_of(content, origin)]
    return [(claim.title, row) for claim, origin in claims if (row := rows.get((claim.key, origin)))]


def _tally(content: ReportContent) -> str:
    wholes = [row for _, row in _wholes(content)]
    held, not_held, open_ = (sum(row.verdict == verdict for row in wholes) for verdict in VERDICTS)
    return (
        f"Of {count(len(wholes), 'observation')} of Kurakin et al. {held} held and {not_held} did not; for {open_} there are not "
        "enough images to tell. p is one-sided, and corrected (Holm) over the observations on photographs and over those on "
        "transforms."
    )


def _finding_cells(title: str, row: FindingRow) -> tuple[str, ...]:
    verdict, test = VERDICT_TITLES[row.verdict], TEST_TITLES[row.test]
    if row.n == 0:
        return title, verdict, "nothing to test", p_value(None), test
    is_against = row.verdict == "not_held"
    p = p_value(row.p_against_holm if is_against else row.p_holm)
    n = f"{row.n} of {count(row.n_images, 'image')}"
    if row.n_for is not None:
        n += f", {row.n_for} for, {row.n_against} against"
    return title, verdict, n, f"{p}{' (opposite)' if is_against else ''}", test


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
