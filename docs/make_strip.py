"""Draws docs/strip.png, the picture at the top of the README, from the sample run: `python docs/make_strip.py`."""

from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from pipeline.images import read_image, read_png
from pipeline.records import Pair
from pipeline.store import Run
from pipeline.store.artefacts import OVERLAYS, PAIRS, PREDICTIONS, SELECTION, VIEWS

ROOT = Path(__file__).parents[1]
TILE_PX, PAGE_PX, GAP_PX, CAPTION_PX = 300, 214, 34, 62
INK, GREY, RIGHT, WRONG = (23, 32, 42), (110, 118, 126), (0, 122, 94), (200, 70, 20)
ATTACK = "bim"


def main() -> None:
    """Takes the first pair of the attack whose adversarial photo still fools the model."""
    run = Run(ROOT, "sample")
    names = SELECTION.read(run)["class_names"]
    predictions = {row.view_id: row for row in PREDICTIONS.read(run)}
    views = VIEWS.read(run)
    pairs = [pair for pair in PAIRS.read(run) if pair.attack == ATTACK]
    photo = {(view.pair_id, view.variant): view for view in views if view.transform == "photo"}

    def fooled(pair: Pair) -> bool:
        return predictions[photo[pair.pair_id, "adversarial"].view_id].labels[0] != pair.true_label

    pair = next(pair for pair in pairs if fooled(pair))
    clean, adversarial = photo[pair.pair_id, "clean"], photo[pair.pair_id, "adversarial"]
    overlay = next(path for path in sorted(OVERLAYS.path(run).glob("*.jpg")) if path.stem.endswith(clean.capture_id[:6]))
    tiles = [
        (read_png(run.printouts / pair.clean_path), TILE_PX, "clean file", predictions[f"clean/{pair.image_id}/source"]),
        (read_png(run.printouts / pair.adversarial_path), TILE_PX, f"adversarial file, ε = {pair.epsilon_8bit}",
         predictions[f"{pair.pair_id}/source"]),
        (read_image(overlay).pixels, PAGE_PX, "printed, photographed", None),
        (read_png(run.captures / clean.path), TILE_PX, "photo of the clean one", predictions[clean.view_id]),
        (read_png(run.captures / adversarial.path), TILE_PX, "photo of the adversarial one", predictions[adversarial.view_id]),
    ]  # fmt: skip
    width = sum(width for _, width, _, _ in tiles) + GAP_PX * (len(tiles) + 1)
    strip = Image.new("RGB", (width, TILE_PX + CAPTION_PX + 2 * GAP_PX), "white")
    drawing, x = ImageDraw.Draw(strip), GAP_PX
    for place, (pixels, tile_width, caption, prediction) in enumerate(tiles):
        _paste(strip, pixels, x, tile_width)
        if place in (2, 3):
            _arrow(drawing, x - GAP_PX / 2, GAP_PX + TILE_PX / 2)
        drawing.text((x, GAP_PX + TILE_PX + 8), caption, INK, _font(17))
        if prediction:
            is_right = prediction.labels[0] == prediction.true_label
            said = f"{'✓' if is_right else '✗'} {names[prediction.labels[0]]} {prediction.probabilities[0]:.0%}"
            drawing.text((x, GAP_PX + TILE_PX + 33), said, RIGHT if is_right else WRONG, _font(19, bold=True))
        else:
            drawing.text((x, GAP_PX + TILE_PX + 33), "simulated printer and phone", GREY, _font(15))
        x += tile_width + GAP_PX
    strip.save(ROOT / "docs" / "strip.png", optimize=True)


def _paste(strip: Image.Image, pixels: np.ndarray, x: int, width: int) -> None:
    picture = Image.fromarray(pixels)
    height = round(picture.height * width / picture.width)
    enlarges = width > picture.width
    picture = picture.resize((width, height), Image.Resampling.NEAREST if enlarges else Image.Resampling.LANCZOS)
    strip.paste(picture.crop((0, 0, width, min(height, TILE_PX))), (x, GAP_PX + max(0, (TILE_PX - height) // 2)))


def _arrow(drawing: ImageDraw.ImageDraw, x: float, y: float) -> None:
    drawing.line([(x - 11, y), (x + 4, y)], GREY, 3)
    drawing.polygon([(x + 11, y), (x + 2, y - 7), (x + 2, y + 7)], GREY)


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_manager.findfont(f"DejaVu Sans:{'bold' if bold else 'normal'}"), size)


if __name__ == "__main__":
    main()
