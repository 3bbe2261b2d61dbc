"""What a photo's EXIF says of the camera and of the moment."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from pipeline.core.errors import InkproofError
from pipeline.images.formats import readable_formats
from pipeline.images.limits import limited


@dataclass(frozen=True, slots=True)
class PhotoTags:
    """What a photo's EXIF says of the device and of the moment, "" where nothing; `focal_35mm_mm` None where nothing sane.

    `maker` and `software` are those that wrote the file. `scan_dpi` is the resolution in the file's header; None where the file
    has none, or a focal length: a camera's is made up. `distance_mm` is how far away the camera says that its subject is.
    """

    device: str
    taken_at: str
    focal_35mm_mm: float | None = None
    scan_dpi: float | None = None
    maker: str = ""
    software: str = ""
    distance_mm: float | None = None


def photo_tags(path: Path) -> PhotoTags:
    """Returns the EXIF maker, model, time and focal length of a photo, whatever state the file is in."""
    if not path.is_file():  # opening a pipe would wait for ever
        return PhotoTags("", "")
    try:
        return next(limited(f"{__name__}:tags_here", path))
    except InkproofError:  # its header is too much for its decoder
        return PhotoTags("", "")


def tags_here(path: Path) -> Iterator[PhotoTags]:
    """Yields what `photo_tags` returns, read in this process."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=readable_formats(path)) as image:
                exif = image.getexif()
                details = exif.get_ifd(ExifTags.IFD.Exif)
                dpi = image.info.get("dpi")
    except Exception:  # decoders raise anything on hostile bytes, and a photo without tags is still a photo
        yield PhotoTags("", "")
        return
    maker, model, software = (
        _plain_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software)
    )
    taken_at = _plain_text(details.get(ExifTags.Base.DateTimeOriginal)) or _plain_text(exif.get(ExifTags.Base.DateTime))
    focal = details.get(ExifTags.Base.FocalLengthIn35mmFilm)
    focal_mm = float(focal) if isinstance(focal, int | float) and 5 <= focal <= 1000 else None
    is_camera = focal is not None or details.get(ExifTags.Base.FocalLength) is not None
    device = " ".join(filter(None, (maker, model)))
    distance_mm = _distance_mm(details.get(ExifTags.Base.SubjectDistance))
    yield PhotoTags(device, taken_at, focal_mm, None if is_camera else _scan_dpi(dpi), maker, software, distance_mm)


def _distance_mm(metres: object) -> float | None:
    """Returns a distance that a page may be photographed from; 0 and infinity stand for one that is not known."""
    try:
        found_mm = 1000 * float(metres)  # type: ignore[arg-type]
    except (TypeError, ValueError, ArithmeticError):
        return None
    return found_mm if 50 <= found_mm <= 5000 else None


def _scan_dpi(dpi: object) -> float | None:
    """Returns a resolution that a scanner may have had; 72 and 96 stand in files that nobody measured."""
    try:
        across, down = map(float, dpi if isinstance(dpi, tuple) else ())
    except (TypeError, ValueError, ArithmeticError):
        return None
    return across if across == down and 100 <= across <= 10_000 else None


def _plain_text(value: object) -> str:
    return "".join(char for char in str(value or "") if char.isprintable()).strip()[:80]
