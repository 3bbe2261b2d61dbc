"""The page that shows a printout on a screen: one picture pixel is one screen pixel, whatever the system's scaling."""

from html import escape
from importlib.resources import files
from string import Template

from pipeline.physical.printing.document import screen_page_name
from pipeline.records import Printout


def screen_html(printout: Printout) -> str:
    """Returns the HTML page that shows the pages of a printout for the screen, one at a time; it lies beside their pictures."""
    scale = printout.dpi / 25.4
    names = [screen_page_name(page).rpartition("/")[2] for page in range(1, printout.n_pages + 1)]
    page = Template((files("pipeline.physical.printing") / "screen.html").read_text(encoding="utf-8"))
    return page.substitute(
        run=escape(printout.run),
        code=printout.run_code,
        n_pages=printout.n_pages,
        pages=names,
        width=round(printout.page_width_mm * scale),
        height=round(printout.page_height_mm * scale),
    )
