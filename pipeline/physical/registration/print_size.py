"""How large a run's pages were printed, in one line: measured where a file tells how large what it shows is, else not known."""

import math
from collections.abc import Callable, Sequence
from statistics import median

from pipeline.images.photo_tags import PhotoTags
from pipeline.physical.registration.quality import DIAGONAL_35MM_MM, MAX_SCAN_TILT_DEG, print_scale, px_per_mm
from pipeline.records import SIMULATED, Capture, Printout

NOT_KNOWN = (
    "print scale not known from these photos: measure the bar on a page, which must be 100 mm, "
    "or photograph one page with a ruler along its edge"
)


def print_size_words(captures: Sequence[Capture], printout: Printout, tags_of: Callable[[str], PhotoTags]) -> str:
    """Returns one line about the printed size, "" where nobody printed anything.

    A scanner writes its resolution into the file, which is exact. A ruler beside the page tells the size to some tenths of a per
    cent. A phone that writes its focal length and its distance to the page tells it as closely as it knows that distance: to a
    few per cent. Nothing else in a photo tells it, for the codes shrink with their page.

    Args:
        captures: those that count. tags_of: what the EXIF of a photo says, by its name.
    """
    taken = [capture for capture in captures if capture.counts and capture.origin != SIMULATED]
    if not taken or printout.medium != "paper":
        return ""
    seen = [found for capture in taken if (found := print_scale(capture, printout)) is not None]
    measured = [(found.scale, found.error) for found in seen if found.scale is not None]
    scanned = [scale for scale, error in measured if not error]
    if scanned:
        return f"printed at {100 * median(scanned):.1f} % of its size, by the scanner's resolution ({_pages(scanned)})"
    if measured:
        size, error = (100 * median(values) for values in zip(*measured, strict=True))
        return f"printed at {size:.1f} % of its size (± {error:.1f}), by the ruler beside the page ({_pages(measured)})"
    by_phone = [scale for capture in taken if (scale := _by_distance(capture, printout, tags_of(capture.photo))) is not None]
    if by_phone:
        told = f"printed at about {100 * median(by_phone):.0f} % of its size, by the phone's focal length and distance"
        return f"{told}, good to a few per cent ({_pages(by_phone)})"
    return NOT_KNOWN


def _pages(values: Sequence[object]) -> str:
    return f"{len(values)} page{'s' * (len(values) != 1)}"


def _by_distance(capture: Capture, printout: Printout, tags: PhotoTags) -> float | None:
    """Returns printed size to the layout's: a pinhole shows what is `d` away at `f / d` of its size."""
    if tags.focal_35mm_mm is None or tags.distance_mm is None or (capture.tilt_deg or 0.0) > MAX_SCAN_TILT_DEG * 5:
        return None
    seen = px_per_mm(capture, printout)
    if seen is None:
        return None
    focal_px = tags.focal_35mm_mm * math.hypot(capture.width_px, capture.height_px) / DIAGONAL_35MM_MM
    return math.sqrt(seen[0] * seen[1]) * tags.distance_mm / focal_px
