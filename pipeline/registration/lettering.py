"""Text that fits the room there is, on overlays and contact sheets."""

from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_JOINT = " · "


@cache
def font(size_px: int) -> Font:
    """Returns Pillow's own font, the same on every machine."""
    return ImageFont.load_default(size=size_px)


def shortened(text: str, face: Font, room_px: float) -> str:
    """Returns as much of a text as fits: whole parts between " · " from the front, else letters with "..."; "" for no room."""
    if face.getlength(text) <= room_px:
        return text
    if _JOINT in text:
        return shortened(text.rpartition(_JOINT)[0], face, room_px)
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if face.getlength(text[:middle] + "...") <= room_px else (low, middle - 1)
    return text[:low] + "..." if low else ""


def wrapped(text: str, face: Font, room_px: float, max_lines: int) -> list[str]:
    """Returns a text in lines of at most `room_px`, broken between words; the last line ends in "..." where there are too many."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and face.getlength(longer) > room_px:
            lines.append(word)
        else:
            lines[-1] = longer
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        lines[-1] += " ..."
    return lines
