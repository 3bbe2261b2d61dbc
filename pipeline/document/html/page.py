"""A document's page: what it says is the sections' own, in the PDF's order and with the PDF's numbers."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from pipeline.document import blocks, figures, theme
from pipeline.document.blocks import Block, Finding, Head, Section
from pipeline.document.formats import tied
from pipeline.document.html.pairs import gallery_html
from pipeline.document.html.plots import inline_svg
from pipeline.document.html.tables import table_html, text_table_html

_COLOURS = {
    "paper": "#ffffff",
    "ink": theme.INK,
    "quiet": theme.QUIET,
    "rule": theme.RULE,
    "pale": theme.PALE,
    "accent": theme.ACCENT,
    "right": theme.RIGHT,
    "wrong": theme.WRONG,
    "band": theme.BAND,
    "band-ink": theme.BAND_INK,
}
# Nothing is fetched from anywhere, whatever a class name or a title holds.
_POLICY = (
    "default-src 'none'",
    "img-src data:",
    "style-src 'unsafe-inline'",
    "script-src 'unsafe-inline'",
    "base-uri 'none'",
    "form-action 'none'",
)


def build_page(head: Head, sections: Sequence[Section]) -> bytes:
    """Returns a document as one HTML file: the same bytes for the same content, and nothing in it asks for another file."""
    writer = _Writer(head.title)
    written = "".join(writer.section(part, place) for place, part in enumerate(sections, 1))
    words, title = head.band, escape(head.title)
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{"; ".join(_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ {"; ".join(f"--{name}: {colour}" for name, colour in _COLOURS.items())} }}
{f'@page {{ @top-center {{ content: "{words}"; font: 700 8pt sans-serif }} }}' if words else ""}
{_packaged("style.css")}</style>
</head>
<body>
{f'<p class="band" role="note">{escape(words)}</p>' if words else ""}
<nav aria-label="Contents">{_contents(writer.headings)}</nav>
<main>
{written}</main>
<script>
{_packaged("script.js")}</script>
</body>
</html>
"""
    return text.encode("utf-8")


def _contents(headings: Sequence[tuple[str, str, list[tuple[str, str]]]]) -> str:
    lines = []
    for key, title, inner in headings:
        below = "".join(f'<li><a href="#{identifier}">{escape(text)}</a></li>' for identifier, text in inner)
        lines.append(f'<li><a href="#{key}">{escape(title)}</a>{f"<ul>{below}</ul>" if below else ""}</li>')
    return f"<h2>Contents</h2><ol>{''.join(lines)}</ol>"


def _packaged(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


class _Writer:
    """Writes the blocks one after the other; figures are numbered in the order in which they appear."""

    def __init__(self, title: str) -> None:
        self._title = title
        self.headings: list[tuple[str, str, list[tuple[str, str]]]] = []
        self._figure_numbers = itertools.count(1)
        self._identifiers: set[str] = set()
        self._writers: dict[type, Callable[[Any], str]] = {
            blocks.Subheading: self._subheading,
            blocks.Formula: self._formula,
            blocks.Figure: self._figure,
            blocks.TableBlock: lambda block: table_html(block, self._identifier(block.name)),
            blocks.TextTable: lambda block: text_table_html(block, self._identifier(block.name)),
            blocks.Findings: lambda block: f'<ul class="findings">{"".join(map(_finding, block.found))}</ul>',
            blocks.Gallery: gallery_html,
            blocks.Tiles: _tiles,
            blocks.Code: lambda block: f'<pre class="scroll" tabindex="0"><code>{escape(block.text)}</code></pre>',
        }

    def section(self, part: Section, place: int) -> str:
        """The first stands beneath the document's title and not beneath one of its own."""
        key = self._identifier(part.key)
        self.headings.append((key, part.title, []))
        heading = f"<h2>{place}&ensp;{escape(part.title)}</h2>" if place > 1 else f"<h1>{escape(self._title)}</h1>"
        return f'<section id="{key}">\n{heading}\n{"".join(self._blocks(part.blocks))}</section>\n'

    def _blocks(self, parts: Sequence[Block]) -> Iterator[str]:
        for style, group in itertools.groupby(parts, lambda block: block.style if isinstance(block, blocks.Prose) else None):
            if style is None:
                yield from (f"{self._writers[type(block)](block)}\n" for block in group)
            elif style == "bullet":
                yield f"<ul>{''.join(f'<li>{_markup(block.markup)}</li>' for block in group)}</ul>\n"
            else:
                yield from (f'<p class="{style}">{_markup(block.markup)}</p>\n' for block in group)

    def _subheading(self, block: blocks.Subheading) -> str:
        key, _, inner = self.headings[-1]
        identifier = self._identifier(f"{key}-{block.text}")
        inner.append((identifier, block.text))
        return f'<h3 id="{identifier}">{escape(block.text)}</h3>'

    def _formula(self, block: blocks.Formula) -> str:
        drawn = inline_svg(figures.formula(block.mathtext), self._identifier("formula"), block.spoken, text_as_paths=True)
        return f'<div class="formula">{drawn}</div>'

    def _figure(self, block: blocks.Figure) -> str:
        identifier = self._identifier(f"figure-{block.name}")
        drawn = inline_svg(block.plot, identifier, block.spoken or block.caption)
        caption = f"<b>Figure {next(self._figure_numbers)}.</b> {escape(tied(block.caption))}"
        return (
            f'<figure class="plot" id="{identifier}"><div class="scroll">{drawn}</div><figcaption>{caption}</figcaption></figure>'
        )

    def _identifier(self, name: str) -> str:
        """An anchor made of a name; one that is taken gets a number, for names of attacks are the user's."""
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "part"
        candidates = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
        identifier = next(candidate for candidate in candidates if candidate not in self._identifiers)
        self._identifiers.add(identifier)
        return identifier


def _markup(text: str) -> str:
    """Keeps `<b>` and `</b>`; anything else that looks like a tag is shown as the text it is."""
    parts = re.split(r"(</?b>)", tied(text))
    return "".join(part if place % 2 else part.replace("<", "&lt;").replace(">", "&gt;") for place, part in enumerate(parts))


def _tiles(block: blocks.Tiles) -> str:
    tiles = (f"<li><b>{escape(tied(tile.value))}</b> <span>{escape(tile.label)}</span></li>" for tile in block.tiles)
    return f'<ul class="tiles">{"".join(tiles)}</ul>'


def _finding(finding: Finding) -> str:
    lines = "".join(f"<li>{escape(tied(line))}</li>" for line in finding.evidence)
    evidence = f"<ul>{lines}</ul>" if lines else ""
    return (
        f'<li><span class="verdict {finding.mark}">{escape(finding.verdict)}</span><div><p>{escape(tied(finding.statement))} '
        f'<span class="quiet">{escape(finding.counted)}</span></p>{evidence}</div></li>'
    )
