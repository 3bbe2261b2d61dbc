"""Text that fits the room there is, on overlays and contact sheets."""

from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
JOINT = " · "


@cache
def font(size_px: int) -> Font:
    """Returns Pillow's own font, the same on every machine."""
    return ImageFont.load_default(size=size_px)


def shortened(text: str, face: Font, room_px: float) -> str:
    """Returns as much of a text as fits: parts between " · " from the front, the end of a path, or letters with "..."."""
    if face.getlength(text) <= room_px:
        return text
    if JOINT in text:
        return shortened(text.rpartition(JOINT)[0], face, room_px)
    if "/" in text:
        return shortened(text.rpartition("/")[2], face, room_px)
    while text and face.getlength(text.rstrip() + "...") > room_px:
        text = text[:-1]
    return text.rstrip() + "..." if text else ""


def wrapped(text: str, face: Font, room_px: float, max_lines: int, joint: str = " ") -> list[str]:
    """Returns a text in lines of at most `room_px`, broken at joints; what is too much or too long ends in "..."."""
    lines: list[str] = []
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
