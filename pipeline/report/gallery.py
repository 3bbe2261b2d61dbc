"""The gallery: pairs as files, their difference and their photographs, with what became of the attack, to choose from."""

from collections.abc import Sequence

import numpy as np

from pipeline.document.blocks import Block, Choice, Gallery, Mark, Picture, PictureRow, Prose
from pipeline.document.figures import JPEG_QUALITY, embedded_px
from pipeline.report.content import GalleryItem, GalleryView, ReportContent
from pipeline.report.words import CASE_TITLES, TEXTS, attack_order, attack_title, cell_title, epsilon_title

SURVIVED = "survived the photograph"
DESTROYED = "destroyed by the photograph"
NOT_PHOTOGRAPHED = "no photograph"
NOT_WORKING = "no working attack as a file"
_OUTCOMES: dict[str, Mark] = {SURVIVED: "wrong", DESTROYED: "right", NOT_PHOTOGRAPHED: "open", NOT_WORKING: "open"}


def gallery_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns how to read the pictures, and the pictures."""
    if not content.gallery:
        return (Prose("No pair was chosen for the gallery."),)
    has_photos = any(item.photo_clean or item.photo_adversarial for item in content.gallery)
    kind = "real photographs" if content.compared else "photographs"
    photographs = f" The {kind} are shown as they were judged, cropped and straightened." if has_photos else ""
    largest_px = embedded_px((5 if has_photos else 3) * len(content.gallery))
    is_reduced = any(max(item.clean.pixels.shape) > largest_px for item in content.gallery)
    reduced = f", reduced to {largest_px} pixels" if is_reduced else ""
    intro = TEXTS["gallery"].format(photographs=photographs, quality=JPEG_QUALITY, reduced=reduced)
    return Prose(intro), gallery(content.gallery, has_photos, largest_px)


def gallery(items: Sequence[GalleryItem], has_photos: bool, largest_px: int = 320) -> Gallery:
    """Returns the pairs as rows of pictures; a choice is offered only where the pairs differ in it."""
    rows = tuple(_row(item, has_photos) for item in items)
    cases = {case for item in items for case in item.cases}
    found = {row.outcome for row in rows}
    choices = (
        Choice("attack", "Attack", tuple((name, attack_title(name)) for name in attack_order(item.attack for item in items))),
        Choice("epsilon", "ε", tuple((str(value), epsilon_title(value)) for value in sorted({i.epsilon_8bit for i in items}))),
        Choice("outcome", "Outcome", tuple((name, name) for name in _OUTCOMES if name in found)),
        Choice("cases", "Case", tuple((case, title) for case, title in CASE_TITLES.items() if case in cases)),
    )
    return Gallery(rows, "pair", "no photograph", tuple(c for c in choices if len(c.options) > 1), largest_px)


def outcome(item: GalleryItem) -> str:
    """Returns what the photograph made of an attack (top-1). An attack that does not work as a file cannot be destroyed."""
    if not item.clean.is_correct or item.adversarial.is_correct:
        return NOT_WORKING
    if item.photo_adversarial is None:
        return NOT_PHOTOGRAPHED
    return DESTROYED if item.photo_adversarial.is_correct else SURVIVED


def difference_picture(item: GalleryItem) -> tuple[np.ndarray, int]:
    """Returns (adversarial - clean) x factor around mid-grey 128 as uint8 (H, W, 3), and the factor (at most 20)."""
    difference = item.adversarial.pixels.astype(np.int32) - item.clean.pixels.astype(np.int32)
    factor = int(np.clip(127 // max(1, item.epsilon_8bit or int(np.abs(difference).max())), 1, 20))
    return np.clip(128 + factor * difference, 0, 255).astype(np.uint8), factor


def _row(item: GalleryItem, has_photos: bool) -> PictureRow:
    difference, factor = difference_picture(item)
    pictures = [
        _picture("clean", item.clean),
        _picture("adversarial", item.adversarial),
        Picture(f"difference × {factor}", difference),
    ]
    if has_photos:
        pictures += [_picture("photo of clean", item.photo_clean), _picture("photo of adversarial", item.photo_adversarial)]
    cases = ", ".join(CASE_TITLES.get(case, case) for case in item.cases)
    result = outcome(item)
    tags = {"attack": (item.attack,), "epsilon": (str(item.epsilon_8bit),), "outcome": (result,), "cases": item.cases}
    facts = (cell_title(item.attack, item.epsilon_8bit), item.image_id, *([cases] if cases else []))
    return PictureRow(item.true_name, facts, tuple(pictures), result, _OUTCOMES[result], tags)


def _picture(label: str, view: GalleryView | None) -> Picture:
    return Picture(label, None) if view is None else Picture(label, view.pixels, view.predictions, view.is_correct)
