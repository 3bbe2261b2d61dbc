"""The gallery on the page: every row with its pictures, their guesses and its outcome, and the choices that filter the rows."""

from html import escape

from pipeline.document.blocks import Choice, Gallery, Picture, PictureRow
from pipeline.document.formats import count, first_name, percent
from pipeline.document.html.plots import is_small, picture_uri


def gallery_html(block: Gallery) -> str:
    """Returns the rows with a form above them where there is anything to choose."""
    return f'<div class="gallery">{_form(block)}{"".join(_row(row, block) for row in block.rows)}</div>'


def _form(block: Gallery) -> str:
    if not block.choices:
        return ""
    return (
        f'<form class="filter" aria-label="Filter the gallery" hidden>{"".join(map(_select, block.choices))}'
        f'<button type="reset">Show all</button><output aria-live="polite">{count(len(block.rows), block.noun)}</output></form>'
    )


def _select(choice: Choice) -> str:
    listed = "".join(f'<option value="{escape(value)}">{escape(title)}</option>' for value, title in choice.options)
    return (
        f'<label>{choice.title} <select name="{choice.key}" autocomplete="off"><option value="">all</option>{listed}'
        "</select></label>"
    )


def _row(row: PictureRow, block: Gallery) -> str:
    name = first_name(row.name)
    tags = " ".join(f'data-{key}="{escape(" ".join(values))}"' for key, values in row.tags.items())
    mark = "" if row.mark == "open" else row.mark
    pictures = "".join(_picture(picture, name, block) for picture in row.pictures)
    return (
        f'<article class="pair" {tags}>'
        f'<h3>{escape(name)} <span class="facts">{escape(" · ".join(row.facts))}</span>'
        f'<span class="outcome {mark}">{row.outcome}</span></h3>'
        f'<div class="pictures" style="--n-tiles:{len(row.pictures)}">{pictures}</div></article>'
    )


def _picture(picture: Picture, name: str, block: Gallery) -> str:
    caption = f"<figcaption>{picture.label}</figcaption>"
    if picture.pixels is None:
        return f'<figure>{caption}<div class="missing">{block.missing}</div></figure>'
    kind = ' class="pixelated"' if is_small(picture.pixels) else ""
    height, width = picture.pixels.shape[:2]
    shown = (
        f'<img{kind} src="{picture_uri(picture.pixels, block.largest_px)}" width="{width}" height="{height}" loading="lazy" '
        f'alt="{escape(f"{picture.label}, {name}")}">'
    )
    return f"<figure>{caption}{shown}{_guesses(picture) if picture.is_right is not None else ''}</figure>"


def _guesses(picture: Picture) -> str:
    lines = "".join(
        f"<li><span>{escape(first_name(name))}</span> <b>{percent(share, 0)}</b></li>" for name, share in picture.guesses[:3]
    )
    is_right = "right" if picture.is_right else "wrong"
    return f'<ol class="guesses {is_right}" aria-label="guesses, the first is {is_right}">{lines}</ol>'
