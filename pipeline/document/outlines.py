"""Font files for reportlab, which embeds TrueType outlines alone: of a font of cubic ones the letters used are converted."""

import io
import re
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont as FontFile
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable
from reportlab.pdfbase.pdfmetrics import TypeFace
from reportlab.pdfbase.ttfonts import FF_SYMBOLIC, TTEncoding, TTFont, TTFontFace

_LARGEST_ERROR_EM = 0.001  # of a converted curve


def outline_font(name: str, path: str) -> TTFont:
    """Returns a font for reportlab from a TrueType or OpenType file, the first of a collection; only letters used are embedded.

    Raises:
        TTFError, OSError, ValueError, KeyError: it has no outlines (colour pictures), or is damaged.
    """
    with open(path, "rb") as file:
        head = file.read(4)
    if head in (b"OTTO", b"ttcf"):
        found = FontFile(path, fontNumber=0, lazy=True)
        if "CFF " in found:
            return _CubicFont(name, path, found)
    return EmbeddedFont(name, path, asciiReadable=False)


class EmbeddedFont(TTFont):
    """Reportlab's font, with numbers above U+FFFF written as PDF wants them (PDF 32000-1, 9.10.3), so that they can be copied."""

    def addObjects(self, doc: Any) -> None:
        super().addObjects(doc)
        for name, found in doc.idToObject.items():
            if name.startswith("toUnicodeCMap:") and name.endswith(f"+{self.face.name.decode()}"):
                found.content = re.sub("<([0-9A-F]{5,6})>", _as_utf16, found.content)


def _as_utf16(code: re.Match[str]) -> str:
    return f"<{chr(int(code[1], 16)).encode('utf-16-be').hex().upper()}>"


class _CubicFont(EmbeddedFont):
    """What reportlab's own class is, with a face that it cannot read by itself."""

    def __init__(self, name: str, path: str, file: FontFile) -> None:
        self.fontName, self.face, self.encoding = name, _CubicFace(path, file), TTEncoding()
        self.state: WeakKeyDictionary[object, object] = WeakKeyDictionary()
        self._asciiReadable = self.shapable = False


class _CubicFace(TTFontFace):
    """The measures of a face in 1/1000 em, by character where reportlab asks so, and its letters as quadratic curves."""

    subfontNameX = b""

    def __init__(self, path: str, file: FontFile) -> None:
        TypeFace.__init__(self, None)
        self.filename, self._file = path, file
        self.name = str(file["name"].getDebugName(6)).encode("ascii", "ignore")
        scale = 1000 / file["head"].unitsPerEm
        head, os2, widths = file["head"], file["OS/2"], file["hmtx"]
        self.bbox = [round(edge * scale) for edge in (head.xMin, head.yMin, head.xMax, head.yMax)]
        self.ascent, self.descent = os2.sTypoAscender * scale, os2.sTypoDescender * scale
        self.capHeight = getattr(os2, "sCapHeight", os2.sTypoAscender) * scale
        self.stemV, self.italicAngle, self.flags = 50 + int((os2.usWeightClass / 65) ** 2), file["post"].italicAngle, FF_SYMBOLIC
        self._glyphs: dict[int, str] = file.getBestCmap()
        self.charToGlyph = self._glyphs
        self.charWidths = {code: widths[glyph][0] * scale for code, glyph in self._glyphs.items()}
        self.defaultWidth = widths[".notdef"][0] * scale

    def makeSubset(self, subset: Sequence[int]) -> bytes:
        """Returns a TrueType file in which byte n of a text is the letter `subset[n]`."""
        outlines, units = self._file.getGlyphSet(), self._file["head"].unitsPerEm
        names = dict.fromkeys([".notdef", *(self._glyphs.get(code, ".notdef") for code in subset)])
        glyphs = {}
        for name in names:
            pen = TTGlyphPen(None)
            outlines[name].draw(Cu2QuPen(pen, _LARGEST_ERROR_EM * units, reverse_direction=True))
            glyphs[name] = pen.glyph()
        builder = FontBuilder(units, isTTF=True)
        builder.setupGlyphOrder(list(names))
        builder.setupGlyf(glyphs)
        widths = self._file["hmtx"]
        builder.setupHorizontalMetrics({name: (widths[name][0], getattr(glyph, "xMin", 0)) for name, glyph in glyphs.items()})
        builder.setupHorizontalHeader(ascent=round(self.ascent), descent=round(self.descent))
        builder.setupPost(keepGlyphNames=False)
        builder.setupCharacterMap({})
        table = CmapSubtable.newSubtable(6)
        table.platformID, table.platEncID, table.language = 1, 0, 0
        table.cmap = {place: self._glyphs.get(code, ".notdef") for place, code in enumerate(subset)}
        builder.font["cmap"].tables = [table]
        builder.font["head"].created = builder.font["head"].modified = 0
        buffer = io.BytesIO()
        builder.font.recalcTimestamp = False
        builder.save(buffer)
        return buffer.getvalue()
