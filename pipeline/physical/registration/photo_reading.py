"""What comes out of one file in the photos folder: every page in every picture of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.images import NoReader, read_png
from pipeline.images.formats import fault, shown
from pipeline.images.photo_tags import PhotoTags, photo_tags
from pipeline.images.pictures import PHOTO, VIDEO, capture_kind, pictures
from pipeline.physical.registration.page_reading import FreshPage, Reading, ReadPage, Truth, capture_id, discarded, read_pages
from pipeline.physical.simulator import is_simulated
from pipeline.records import CAMERA, SIMULATED, Capture
from pipeline.store import file_hash, saved_image


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
    simulated = photo.truth is not None or (kind == PHOTO and is_simulated(tags.maker, tags.software))
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
    except Exception as error:  # whatever a library does not expect in one photo must not cost the others
        pages.append(FreshPage(ReadPage(capture, discards=(discarded(capture, "failed", fault(error)),))))
    if any(fresh.page.views for fresh in best.values()):
        best.pop(None, None)  # frames between two pages show none, which is nothing to tell
    return pages + [best[page] for page in sorted(best, key=lambda page: page or 0)]


def read_files(paths: Iterable[Path], reading: Reading) -> list[FreshPage]:
    """Returns every page in every picture of some files, wherever they lie; BadInput where there is no such file."""
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
    return read_png(saved_image(folder, path), shown(folder / path))


def _capture(photo: PhotoFile, tags: PhotoTags, is_made_by_simulator: bool) -> Capture:
    origin = SIMULATED if is_made_by_simulator else CAMERA
    of_file = capture_id(photo.sha256), photo.name, "", photo.sha256, tags.device, tags.taken_at, origin
    return Capture(*of_file, scan_dpi=tags.scan_dpi)


def _worth(page: ReadPage) -> tuple[int, float]:
    return len(page.views), page.signal_kept
