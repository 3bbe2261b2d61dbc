"""What kind of picture a file is, and whether this machine can read it; messages show paths as one printable line."""

import errno
import re
import traceback
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images.raw import RAW_FORMATS, raw_kind

# Pillow would also try EPS (which starts Ghostscript), PDF and scientific formats; none of them is a photograph.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"), (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"), (b"\xff\x0a", "JXL"), (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
)  # fmt: skip
_READ_BY_NOTHING = ("JXL",)
# Lack of rights, of memory, of open files: the same file may be read another time.
_PASSING = (errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class NoReader(BadInput):
    """This machine cannot read a file now, for want of a plug-in, of memory or of rights; the file itself may be sound."""

    exit_code = 4


def image_format(path: str | Path) -> str:
    """Returns the format that a file's first bytes announce, "" where they announce no image (of a TIFF, its tags too)."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(32)
            if raw := raw_kind(file):
                return raw
    except (OSError, ValueError):
        return ""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if re.match(rb"P[1-6][\s#]", head):
        return "PPM"
    if head[4:8] == b"ftyp":
        if re.search(rb"avi[fs]", head[8:]):
            return "AVIF"
        if re.search(rb"hei[cfmsx]|hev[cmsx]|mif1|msf1", head[8:]):
            return "HEIF"
    return ""


def readable_formats(path: Path) -> tuple[str, ...]:
    """Returns the formats that Pillow may try on a file. HEIC needs a plug-in, which is asked for only when it is met.

    Raises:
        NoReader: nothing on this machine reads the kind of picture that the file announces.
    """
    check_reader(path)
    Image.init()
    formats = tuple(name for name in FORMATS if name in Image.OPEN)  # a build of Pillow may lack AVIF or JPEG 2000
    if image_format(path) != "HEIF":
        return formats
    import pillow_heif

    pillow_heif.register_heif_opener()
    return (*formats, "HEIF")


def check_reader(path: str | Path) -> None:
    """Raises NoReader where nothing on this machine reads the kind of picture that a file announces."""
    if missing := missing_reader(path):
        what_to_do = "Export" if image_format(path) in _READ_BY_NOTHING else "Install it, or export"
        raise NoReader(f"{shown(path)} is {missing}.", f"{what_to_do} the picture as JPEG.")


def missing_reader(path: str | Path) -> str:
    """Returns which picture a file is that nothing on this machine reads, as a phrase after "is"; "" for any other file."""
    name = image_format(path)
    if name == "HEIF":
        return "" if find_spec("pillow_heif") else "a HEIC picture, which needs a plug-in (pip install pillow-heif)"
    if name in RAW_FORMATS:
        developer = 'which needs LibRaw to be developed (pip install "inkproof[raw]")'
        return "" if find_spec("rawpy") else f"a camera's raw file ({name}), {developer}"
    if name in _READ_BY_NOTHING:
        return f"a picture of the kind {name}, which is not read"
    Image.init()
    return f"a picture of the kind {name}, which needs a Pillow that reads it" if name and name not in Image.OPEN else ""


def picture_files(place: Path) -> list[Path]:
    """Returns the pictures that a path means: the file itself, or those in a folder, sorted by name.

    Raises:
        BadInput: there is no such path, or the folder holds no picture.
    """
    if not place.is_dir():
        if not image_format(place):
            raise BadInput(f"{shown(place)}: no such picture or folder.", "Give a JPEG or PNG file, or a folder of them.")
        return [place]
    found = [path for path in sorted(place.iterdir()) if path.is_file() and image_format(path)]
    if not found:
        raise BadInput(f"{shown(place)}: a folder without pictures.", "Put JPEG or PNG files into it.")
    return found


def shown(path: str | Path) -> str:
    """Returns a path as one printable line, also where a file name holds line breaks or bytes that are no text."""
    text = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def unreadable(path: Path, error: BaseException, what: str = "is damaged") -> BadInput:
    """Returns the error that says why a decoder failed on a file, which may raise anything."""
    is_memory = wants_memory(error)
    if is_memory or (isinstance(error, OSError) and error.errno in _PASSING):
        return NoReader(f"{shown(path)} cannot be read now: {'not enough memory' if is_memory else reason(error)}.")
    return BadInput(f"{shown(path)} {what}: {reason(error)}.", "Copy or export it again.")


def wants_memory(error: BaseException) -> bool:
    """Returns whether a decoder failed for want of memory, which each library says in its own way."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in words for sign in ("bad_alloc", "out of memory", "insufficient memory"))


def reason(error: BaseException) -> str:
    """Returns an error's first line, without a full stop."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, SystemExit):
        return f"it ends the program, with {error.code!r}"
    words = str(error).strip().splitlines()
    return shown(words[0].rstrip(".")) if words else type(error).__name__


def fault(error: BaseException) -> str:
    """Returns in one line what was raised that nobody expected, and where: for whoever will mend it."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in place)
    return f"{type(error).__name__}: {reason(error)}{where}"
