"""Text that fits the room there is, on overlays and contact sheets."""

import io
import unicodedata
from functools import cache, lru_cache
from typing import Protocol

import numpy as np
from fontTools.ttLib import TTFont as FontFile
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
JOINT = " · "
_BELOW_PX = 6


class Face(Protocol):
    """What tells how long a text is in px: a font of Pillow's, or `Letters`."""

    def getlength(self, text: str) -> float: ...


class Letters:
    """The letters of Pillow's own font at one size, each drawn once and then set side by side: a tenth of its time for a text."""

    def __init__(self, size_px: int) -> None:
        self._font, self._height_px, self._drawn = font(size_px), size_px + _BELOW_PX, dict[str, np.ndarray]()

    def getlength(self, text: str) -> float:
        """Returns how wide a text is, px."""
        return sum([self._letter(letter).shape[1] for letter in text])

    def written(self, text: str, colour: tuple[int, int, int], ground: tuple[int, int, int]) -> np.ndarray:
        """Returns a text on one line, uint8 (size + 6, length, 3)."""
        ink = np.concatenate([self._letter(letter) for letter in text] or [np.zeros((self._height_px, 0), np.uint8)], axis=1)
        return _blends(colour, ground)[ink]

    def _letter(self, letter: str) -> np.ndarray:
        if letter not in self._drawn:
            drawn = Image.new("L", (round(self._font.getlength(letter)), self._height_px))
            ImageDraw.Draw(drawn).text((0, 1), letter, font=self._font, fill=255)
            self._drawn[letter] = np.array(drawn)
        return self._drawn[letter]


@cache
def font(size_px: int) -> Font:
    """Returns Pillow's own font, the same on every machine."""
    return ImageFont.load_default(size=size_px)


@lru_cache(maxsize=64)
def _blends(colour: tuple[int, int, int], ground: tuple[int, int, int]) -> np.ndarray:
    """Returns the colours from a ground, at 0, to another one, at 255, uint8 (256, 3)."""
    return np.rint(np.linspace(ground, colour, 256)).astype(np.uint8)


@cache
def letters(size_px: int) -> Letters:
    """Returns the letters of one size."""
    return Letters(size_px)


def shortened(text: str, face: Face, room_px: float) -> str:
    """Returns as much of a text as fits: parts between " · " from the front, the end of a path, or letters with "..."."""
    text = _written_out(text)
    if face.getlength(text) <= room_px:
        return text
    if JOINT in text:
        return shortened(text.rpartition(JOINT)[0], face, room_px)
    if "/" in text:
        return shortened(text.rpartition("/")[2], face, room_px)
    while text and face.getlength(text.rstrip() + "...") > room_px:
        text = text[:-1]
    return text.rstrip() + "..." if text else ""


def wrapped(text: str, face: Face, room_px: float, max_lines: int, joint: str = " ") -> list[str]:
    """Returns a text in lines of at most `room_px`, broken at joints; what is too much or too long ends in "..."."""
    lines: list[str] = []
    text = _written_out(text)
    for part in text.split(joint):
        longer = f"{lines[-1]}{joint}{part}" if lines else part
        if lines and face.getlength(longer) <= room_px:
            lines[-1] = longer
        else:
            lines.append(part)
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        lines[-1] += " ..."
    return [shortened(line, face, room_px) for line in lines]


def _written_out(text: str) -> str:
    """Returns a text in letters of the font: those that it lacks without their accents, or as numbers such as U+732B."""
    if text.isascii() or not _known():
        return text
    return "".join(map(_spelt, unicodedata.normalize("NFC", text))).strip()


@lru_cache(maxsize=4096)
def _spelt(letter: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
    has_bare = bool(bare) and _known().issuperset(map(ord, bare))
    return letter if ord(letter) in _known() else bare if has_bare else f"U+{ord(letter):04X} "


@cache
def _known() -> frozenset[int]:
    """Returns the letters of Pillow's own font; nothing where Pillow does not say."""
    data = getattr(font(12), "font_bytes", b"")
    return frozenset(FontFile(io.BytesIO(data)).getBestCmap()) if data else frozenset()
