"""Text of any script: in the order in which it is drawn, each letter by a font that has it; what no font has is written out."""

import os
import unicodedata
from fnmatch import fnmatch
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import arabic_reshaper
import matplotlib
from bidi import get_display
from matplotlib.font_manager import findSystemFonts, fontManager
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from pipeline.document.outlines import EmbeddedFont, outline_font

_FIRST = "DejaVuSans.ttf"
# The system's fonts that are looked into for letters that DejaVu lacks, in this order. Each has a whole script or more.
_SYSTEM_FONTS = (
    "NotoSansCJK-Regular.*", "NotoSansCJK*-Regular.*", "NotoSansSC-Regular.*", "NotoSansJP-Regular.*", "NotoSansKR-Regular.*",
    "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf", "wqy-*.ttc", "NanumGothic.ttf", "NotoSans-Regular.ttf",
    "NotoSans[A-Z]*-Regular.ttf", "NotoEmoji-Regular.ttf", "NotoEmoji*.ttf", "Symbola*.ttf", "msyh.ttc", "YuGothR.ttc",
    "malgun.ttf", "Nirmala.*", "segoeui.ttf", "seguiemj.ttf", "seguisym.ttf", "Arial Unicode.ttf", "unifont*.[ot]tf",
)  # fmt: skip
_RIGHT_TO_LEFT = ("R", "AL", "RLE", "RLO", "RLI")
_NON_JOINER = "\u200c"


class AnyScriptFont(EmbeddedFont):
    """A font of reportlab's that takes from other fonts what it lacks; text that it has by itself is set as ever.

    To reportlab each subset of a font is one of its own, so those of the other fonts are (font, subset).
    """

    def stringWidth(self, text: str, size: float, encoding: str = "utf8") -> float:
        if self._has_all(text):
            return float(super().stringWidth(text, size, encoding))
        return sum(float(TTFont.stringWidth(font, part, size)) for font, part in _runs(text, self))

    def splitString(self, text: str, doc: Any, encoding: str = "utf-8") -> list[tuple[Any, bytes]]:
        if self._has_all(text):
            return list(super().splitString(text, doc, encoding))
        split: list[tuple[Any, bytes]] = []
        for font, part in _runs(text, self):
            found = TTFont.splitString(font, part, doc)
            split += found if font is self else [((font, subset), codes) for subset, codes in found]
        return split

    def getSubsetInternalName(self, subset: Any, doc: Any) -> str:
        font, number = subset if isinstance(subset, tuple) else (self, subset)
        return str(TTFont.getSubsetInternalName(font, number, doc))

    def _has_all(self, text: str | bytes) -> bool:
        if isinstance(text, bytes) or text.isascii():
            return True
        return all(map(self.face.charToGlyph.__contains__, map(ord, text))) and not _is_right_to_left(text)


def drawable(text: str) -> str:
    """Returns a text in reading order, composed; what no font can draw is written out.

    A single letter has its name, "U+1F600 GRINNING FACE"; of several in a row there are the numbers alone.
    """
    text = unicodedata.normalize("NFC", text)
    if text.isascii():
        return text
    parts: list[str] = []
    for is_drawn, group in groupby(text, key=lambda c: c == "\n" or _is_unseen(c) or fallback_font(c) is not None):
        letters = "".join(group)
        if is_drawn:
            parts.append("".join(c for c in letters if not _is_unseen(c) or c == _NON_JOINER))
        else:
            named = " ".join(f"U+{ord(c):04X}" for c in letters)
            named += f" {unicodedata.name(letters, '')}".rstrip() if len(letters) == 1 else ""
            parts.append(named if letters == text else f"({named})")
    return "".join(parts)


def families(text: str) -> list[str]:
    """Returns the names by which matplotlib knows the fonts of a text, DejaVu Sans first; nothing where that has all of it."""
    fonts = {id(font): font for c in text if c != "\n" and (font := fallback_font(c)) is not None}
    files = [font.face.filename for font in fonts.values()]
    others = sorted(_family(file) for file in files if os.path.basename(file) != _FIRST)
    return ["DejaVu Sans", *others] if others else []


@cache
def fallback_font(character: str) -> TTFont | None:
    """Returns DejaVu Sans or the first of the system's fonts that has a letter, None where none has."""
    places = range(1 + len(_system_fonts()))
    return next((font for font in map(_font, places) if font and ord(character) in font.face.charToGlyph), None)


@cache
def _font(place: int) -> TTFont | None:
    """Returns one of the fonts, None for one of colour pictures or a damaged one."""
    own = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / _FIRST
    path = [str(own), *_system_fonts()][place]
    try:
        font = outline_font(f"InkproofFallback{place}", path)
    except (TTFError, OSError, ValueError, KeyError):
        return None
    font.face.name += b"-Fallback"  # a document may have the same font under its own name
    return font


@cache
def _system_fonts() -> tuple[str, ...]:
    files = sorted(findSystemFonts(), key=lambda path: (os.path.basename(path), path))
    by_name = {os.path.basename(path): path for path in reversed(files)}
    return tuple(dict.fromkeys(by_name[name] for pattern in _SYSTEM_FONTS for name in sorted(by_name) if fnmatch(name, pattern)))


@cache
def _family(path: str) -> str:
    fontManager.addfont(path)
    return str(next(entry.name for entry in fontManager.ttflist if entry.fname == path))


@cache
def _runs(text: str, first: TTFont) -> tuple[tuple[TTFont, str], ...]:
    """Splits a text as it is drawn from left to right into parts of one font, `first` where it has a letter."""
    has = first.face.charToGlyph
    letters = _from_left_to_right(text if all(ord(c) in has for c in text) else drawable(text))
    fonts = [first if ord(c) in has or ord(c) == 0xA0 else fallback_font(c) or first for c in letters]
    grouped = groupby(zip(fonts, letters, strict=True), key=lambda pair: id(pair[0]))
    pairs = (list(group) for _, group in grouped)
    return tuple((group[0][0], "".join(c for _, c in group)) for group in pairs)


def _from_left_to_right(text: str) -> str:
    """Returns a text in the order of drawing within an English line, Arabic letters joined."""
    if _is_right_to_left(text):
        text = str(get_display(arabic_reshaper.reshape(text), base_dir="L"))
    return "".join(c for c in text if not _is_unseen(c))


def _is_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text)


def _is_unseen(character: str) -> bool:
    """Returns whether a character stands for no shape of its own: marks of direction, joiners, variants and tones of emoji."""
    is_variant = "\ufe00" <= character <= "\ufe0f" or "\U0001f3fb" <= character <= "\U0001f3ff"
    return is_variant or unicodedata.category(character) == "Cf"
