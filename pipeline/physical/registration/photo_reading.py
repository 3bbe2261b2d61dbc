"""What comes out of one file in the photos folder: every page in every picture of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.images import NoReader, read_png
from pipeline.images.formats import fault, shown
from pipeline.images.photo_tags import PhotoTags, photo_tags
from pipeline.images.pictures import PHOTO, VIDEO, capture_kind, pictures
from pipeline.physical.registration.page_reading import FreshPage, Reading, ReadPage, Truth, capture_id, discarded, read_pages
from pipeline.physical.simulator import is_simulated
from pipeline.records import CAMERA, SIMULATED, Capture, Printout
from pipeline.store import file_hash, saved_image
from pipeline.store.artefacts import LAYOUT
from pipeline.store.pictures import holding


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


def printed_images(folder: Path, printout: Printout) -> Callable[[str], np.ndarray]:
    """Returns what gives an image as it was printed, uint8 (H, W, 3), by its path below a run's printouts, `folder`.

    It is what `Reading.printed` needs, raises BadInput where an image is missing or damaged, and can be sent to a worker.
    """
    files = holding(folder, {placement.path for placement in printout.placements})
    return partial(_printed, folder / LAYOUT.name, files)


def _printed(layout: Path, files: Sequence[Path], path: str) -> np.ndarray:
    """Returns a picture from the folder of a layout; the files that hold all pictures are named so that they come along."""
    return read_png(saved_image(layout.parent, path), shown(layout.parent / path))


def _capture(photo: PhotoFile, tags: PhotoTags, is_made_by_simulator: bool) -> Capture:
    origin = SIMULATED if is_made_by_simulator else CAMERA
    of_file = capture_id(photo.sha256), photo.name, "", photo.sha256, tags.device, tags.taken_at, origin
    return Capture(*of_file, scan_dpi=tags.scan_dpi)


def _worth(page: ReadPage) -> tuple[int, float]:
    return len(page.views), page.signal_kept
