"""The gallery on the page: every pair with its pictures, its guesses and its outcome, and the choices that filter it."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from pipeline.report.blocks import Gallery
from pipeline.report.content import GalleryItem, GalleryView
from pipeline.report.gallery import difference_picture
from pipeline.report.web.plots import is_small, picture_uri
from pipeline.report.words import CASE_TITLES, attack_order, attack_title, cell_title, count, epsilon_title, percent

SURVIVED = "survived the photograph"
DESTROYED = "destroyed by the photograph"
NOT_PHOTOGRAPHED = "no photograph"
NOT_WORKING = "no working attack as a file"
_OUTCOMES = (SURVIVED, DESTROYED, NOT_PHOTOGRAPHED, NOT_WORKING)
_MARKS = {SURVIVED: "wrong", DESTROYED: "right"}


def gallery_html(block: Gallery) -> str:
    """Returns the pairs with a form above them; a choice is offered only where the pairs differ in it."""
    pairs = "".join(_pair(item, block) for item in block.items)
    return f'<div class="gallery">{_form(block.items)}{pairs}</div>'


def outcome(item: GalleryItem) -> str:
    """Returns what the photograph made of an attack (top-1). An attack that does not work as a file cannot be destroyed."""
    if not item.clean.is_correct or item.adversarial.is_correct:
        return NOT_WORKING
    if item.photo_adversarial is None:
        return NOT_PHOTOGRAPHED
    return DESTROYED if item.photo_adversarial.is_correct else SURVIVED


def _form(items: Sequence[GalleryItem]) -> str:
    cases = {case for item in items for case in item.cases}
    found = {outcome(item) for item in items}
    choices = (
        ("attack", "Attack", [(name, attack_title(name)) for name in attack_order(item.attack for item in items)]),
        ("epsilon", "ε", [(str(value), epsilon_title(value)) for value in sorted({item.epsilon_8bit for item in items})]),
        ("outcome", "Outcome", [(name, name) for name in _OUTCOMES if name in found]),
        ("cases", "Case", [(case, title) for case, title in CASE_TITLES.items() if case in cases]),
    )
    selects = "".join(_select(*choice) for choice in choices if len(choice[2]) > 1)
    if not selects:
        return ""
    n_pairs = count(len(items), "pair")
    return (
        f'<form class="filter" aria-label="Filter the gallery" hidden>{selects}<button type="reset">Show all</button>'
        f'<output aria-live="polite">{n_pairs}</output></form>'
    )


def _select(name: str, label: str, options: Iterable[tuple[str, str]]) -> str:
    listed = "".join(f'<option value="{escape(value)}">{escape(title)}</option>' for value, title in options)
    return f'<label>{label} <select name="{name}" autocomplete="off"><option value="">all</option>{listed}</select></label>'


def _pair(item: GalleryItem, block: Gallery) -> str:
    difference, factor = difference_picture(item)
    tiles: list[tuple[str, GalleryView | np.ndarray | None]] = [
        ("clean", item.clean),
        ("adversarial", item.adversarial),
        (f"difference × {factor}", difference),
    ]
    if block.has_photos:
        tiles += [("photo of clean", item.photo_clean), ("photo of adversarial", item.photo_adversarial)]
    name = item.true_name.split(",")[0].strip() or item.true_name
    cases = ", ".join(CASE_TITLES.get(case, case) for case in item.cases)
    facts = [cell_title(item.attack, item.epsilon_8bit), item.image_id, *([cases] if cases else [])]
    result = outcome(item)
    pictures = "".join(_tile(label, view, name, block.largest_px) for label, view in tiles)
    return (
        f'<article class="pair" data-attack="{escape(item.attack)}" data-epsilon="{item.epsilon_8bit}" '
        f'data-outcome="{result}" data-cases="{escape(" ".join(item.cases))}">'
        f'<h3>{escape(name)} <span class="facts">{escape(" · ".join(facts))}</span>'
        f'<span class="outcome {_MARKS.get(result, "")}">{result}</span></h3>'
        f'<div class="pictures" style="--n-tiles:{len(tiles)}">{pictures}</div></article>'
    )


def _tile(label: str, view: GalleryView | np.ndarray | None, name: str, largest_px: int) -> str:
    caption = f"<figcaption>{label}</figcaption>"
    if view is None:
        return f'<figure>{caption}<div class="missing">no photograph</div></figure>'
    pixels = view if isinstance(view, np.ndarray) else view.pixels
    kind = ' class="pixelated"' if is_small(pixels) else ""
    height, width = pixels.shape[:2]
    picture = (
        f'<img{kind} src="{picture_uri(pixels, largest_px)}" width="{width}" height="{height}" loading="lazy" '
        f'alt="{escape(f"{label}, {name}")}">'
    )
    return f"<figure>{caption}{picture}{_guesses(view) if isinstance(view, GalleryView) else ''}</figure>"


def _guesses(view: GalleryView) -> str:
    lines = "".join(
        f"<li><span>{escape(name.split(',')[0])}</span> <b>{percent(probability, 0)}</b></li>"
        for name, probability in view.predictions[:3]
    )
    is_right = "right" if view.is_correct else "wrong"
    return f'<ol class="guesses {is_right}" aria-label="guesses, the first is {is_right}">{lines}</ol>'
