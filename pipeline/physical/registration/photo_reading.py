"""What comes out of one file in the photos folder: every page in every picture of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.images import NoReader, read_png
from pipeline.images.photo_tags import PhotoTags, photo_tags
from pipeline.images.pictures import PHOTO, VIDEO, capture_kind, pictures
from pipeline.physical.registration.page_reading import (
    FreshPage,
    Reading,
    ReadPage,
    Truth,
    capture_id,
    discarded,
    read_pages,
    signal_kept,
)
from pipeline.physical.simulator import is_simulated
from pipeline.records import CAMERA, SIMULATED, Capture
from pipeline.store import file_hash


@dataclass(frozen=True)
class PhotoFile:
    """One file in the photos folder.

    `key` names everything that its result depends on; `truth` are the numbers of the simulator's own page map, where it made the
    photo; `trouble` is (reason, detail) where the file must not be opened.
    """

    path: Path
    name: str
    sha256: str
    key: str
    truth: Truth | None
    trouble: tuple[str, str] | None


def read_file(photo: PhotoFile, reading: Reading) -> list[FreshPage]:
    """Returns every page in every picture of a file; of a video only each page's best frame."""
    blank = _capture(photo, PhotoTags("", ""), is_made_by_simulator=False)
    if photo.trouble:
        return [FreshPage(ReadPage(blank, discards=(discarded(blank, *photo.trouble),)))]
    tags = photo_tags(photo.path)
    kind = capture_kind(photo.path)
    simulated = photo.truth is not None or (kind == PHOTO and is_simulated(photo.path.read_bytes()))
    capture, is_video = _capture(photo, tags, simulated), kind == VIDEO
    pages: list[FreshPage] = []
    best: dict[int | None, FreshPage] = {}
    try:
        for picture in pictures(photo.path):
            for fresh in read_pages(picture, capture, reading, photo.truth, tags.focal_35mm_mm):
                number = fresh.page.capture.page
                if not is_video:
                    pages.append(fresh)
                elif number not in best or _worth(fresh.page) > _worth(best[number].page):
                    best[number] = fresh
    except BadInput as error:
        detail = str(error).replace(str(photo.path), photo.name)
        reason = "no-reader" if isinstance(error, NoReader) else "unreadable"
        pages.append(FreshPage(ReadPage(capture, discards=(discarded(capture, reason, detail),))))
    if any(fresh.page.views for fresh in best.values()):
        best.pop(None, None)  # frames between two pages show none, which is nothing to tell
    return pages + [best[page] for page in sorted(best, key=lambda page: page or 0)]


def read_files(paths: Iterable[Path], reading: Reading) -> list[FreshPage]:
    """Returns every page in every picture of some files, wherever they lie.

    Raises:
        BadInput: there is no such file.
    """
    found: list[FreshPage] = []
    for path in paths:
        if not path.is_file():
            raise BadInput(f"{path}: there is no such photo.")
        found += read_file(PhotoFile(path, path.name, file_hash(path), "", None, None), reading)
    return found


def printed_image(folder: Path, path: str) -> np.ndarray:
    """Returns an image as it was printed, uint8 (H, W, 3), by its path below a run's printouts: what `Reading.printed` needs.

    Raises:
        BadInput: it is missing, or damaged.
    """
    return read_png(folder / path)


def _capture(photo: PhotoFile, tags: PhotoTags, is_made_by_simulator: bool) -> Capture:
    return Capture(
        capture_id=capture_id(photo.sha256),
        photo=photo.name,
        frame="",
        sha256=photo.sha256,
        device=tags.device,
        taken_at=tags.taken_at,
        origin=SIMULATED if is_made_by_simulator else CAMERA,
        width_px=0,
        height_px=0,
        page=None,
        n_codes=0,
        n_points=0,
        reprojection_rms_px=None,
        photo_from_page=None,
        residual_px=(),
        tilt_deg=None,
        colour="",
        trouble="",
        counts=False,
        scan_dpi=tags.scan_dpi,
    )


def _worth(page: ReadPage) -> tuple[int, float]:
    return len(page.views), median(signal_kept(row) for row in page.quality) if page.quality else 0.0
