"""Whatever a phone or a scanner produces becomes pictures: photos, scanned PDFs and TIFFs, the best frames of videos."""

import math
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.errors import BadInput
from pipeline.images import from_pillow, image_format, read_image, readable_formats, shown

PHOTO, PAGES, PDF, VIDEO = "photo", "pages", "pdf", "video"
MAX_PIXELS = 60_000_000
_MAX_PAGES = 500
_MAX_DPI, _PLAIN_DPI = 600, 300
_MAX_SECONDS = 120.0
_WINDOW_S = 0.5
_MAX_FRAMES = 60
_MAX_FRAMES_READ = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture of a file: `pixels` uint8 (H, W, 3) RGB; `frame` "" for a photo, "page 3" of a scan, "1.40 s" of a video."""

    frame: str
    pixels: np.ndarray


def capture_kind(path: str | Path) -> str:
    """Returns what a file's content announces: PHOTO, PAGES (a TIFF of several), PDF or VIDEO; PHOTO if nothing."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(1024)
    except (OSError, ValueError):
        return PHOTO
    if b"%PDF-" in head:
        return PDF
    name = image_format(path)
    if name == "TIFF":
        return PAGES if _n_frames(Path(path)) > 1 else PHOTO
    if name:
        return PHOTO
    is_movie = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
    is_other = head[:4] == b"\x1a\x45\xdf\xa3" or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
    return VIDEO if is_movie or is_other else PHOTO


def pictures(path: str | Path) -> Iterator[Picture]:
    """Yields the pictures of a file one after the other, so that one is in memory at a time.

    A photo is one picture, upright by its EXIF tag. A scan gives every page at the resolution of the image in it. A video gives
    the sharpest frame of every half second, sixty at most over its length, without those that repeat the one before.

    Raises:
        BadInput: the file cannot be read, or not to its end: what came before is good.
    """
    path = Path(path)
    kind = capture_kind(path)
    if kind == PDF:
        yield from _pdf_pages(path)
    elif kind == PAGES:
        yield from _tiff_pages(path)
    elif kind == VIDEO:
        yield from _video_frames(path)
    else:
        yield Picture("", read_image(path).pixels)


def _n_frames(path: Path) -> int:
    try:
        with warnings.catch_warnings(), Image.open(path, formats=("TIFF",)) as image:
            warnings.simplefilter("ignore")
            return getattr(image, "n_frames", 1)
    except Exception:  # decoders raise anything on hostile bytes; read_image then says what is wrong
        return 1


def _tiff_pages(path: Path) -> Iterator[Picture]:
    with _reading(path), Image.open(path, formats=readable_formats(path)) as image:
        for number in range(min(image.n_frames, _MAX_PAGES)):
            image.seek(number)
            _check_size(path, *image.size)
            yield Picture(f"page {number + 1}", from_pillow(image.copy()).pixels)


def _pdf_pages(path: Path) -> Iterator[Picture]:
    import pypdfium2

    with _reading(path), pypdfium2.PdfDocument(path) as document:
        for number in range(min(len(document), _MAX_PAGES)):
            page = document[number]
            width, height = page.get_size()
            if not (1 <= width < 1e5 and 1 <= height < 1e5):
                raise BadInput(f"{shown(path)}: page {number + 1} has no size that paper has.")
            scale = min(_scan_dpi(page) / 72, math.sqrt(MAX_PIXELS / (width * height)))
            pixels = page.render(scale=scale * (1 - 1e-6), rev_byteorder=True).to_numpy()
            yield Picture(f"page {number + 1}", np.ascontiguousarray(pixels[..., :3]))


def _scan_dpi(page: object) -> float:
    """Returns the resolution of the finest image on a page, so that a scan's own pixels come out; 300 where there is none."""
    import pypdfium2.raw as pdfium

    best = 0.0
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = item.get_bounds()
        columns, rows = item.get_px_size()
        if right > left and top > bottom:
            best = max(best, 72 * columns / (right - left), 72 * rows / (top - bottom))
    return min(best, _MAX_DPI) if best else _PLAIN_DPI


def _video_frames(path: Path) -> Iterator[Picture]:
    """Reads the film twice: once small, to learn which frames are sharp, and once to fetch them."""
    with _reading(path):
        chosen = _sharpest(path)
        if not chosen:
            raise BadInput(f"{shown(path)} is a video without a frame that can be read.", "Export it as MP4, or take photos.")
        for number, second, frame in _decoded(path, set(chosen)):
            if number in chosen:
                yield Picture(f"{second:.2f} s", cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def _sharpest(path: Path) -> dict[int, float]:
    """Returns the numbers of the frames to take and how sharp they are."""
    best: dict[int, tuple[float, int, np.ndarray]] = {}
    for number, second, frame in _decoded(path):
        small = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32)
        across, down = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
        sharp = float((across**2 + down**2).mean() / max(small.mean(), 1.0) ** 2)
        window = int(second / _WINDOW_S)
        if window not in best or sharp > best[window][0]:
            best[window] = (sharp, number, cv2.resize(small, (64, 64), interpolation=cv2.INTER_AREA))
    kept: list[tuple[float, int, np.ndarray]] = []
    for _, entry in sorted(best.items()):
        if kept and np.abs(entry[2] - kept[-1][2]).mean() < 1.0:
            kept[-1] = max(kept[-1], entry, key=lambda one: one[0])
        else:
            kept.append(entry)
    step = max(1.0, len(kept) / _MAX_FRAMES)
    groups: dict[int, list[tuple[float, int, np.ndarray]]] = {}
    for place, entry in enumerate(kept):
        groups.setdefault(int(place / step), []).append(entry)
    return {number: sharp for sharp, number, _ in (max(group, key=lambda one: one[0]) for group in groups.values())}


def _decoded(path: Path, wanted: set[int] | None = None) -> Iterator[tuple[int, float, np.ndarray]]:
    """Yields (number, second, BGR frame) of every frame, or of those wanted, within the limits of time and size."""
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not film.isOpened():
            return
        _check_size(path, film.get(cv2.CAP_PROP_FRAME_WIDTH), film.get(cv2.CAP_PROP_FRAME_HEIGHT))
        film.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        rate = film.get(cv2.CAP_PROP_FPS)
        rate = rate if 1 <= rate <= 1000 else 30.0
        deadline = time.monotonic() + _MAX_SECONDS / 2
        last = max(wanted) if wanted else _MAX_FRAMES_READ
        for number in range(min(last + 1, _MAX_FRAMES_READ)):
            if time.monotonic() > deadline or not film.grab():
                return
            if wanted is not None and number not in wanted:
                continue
            read, frame = film.retrieve()
            if read and frame is not None and frame.ndim == 3:
                yield number, number / rate, frame
    finally:
        film.release()


def _check_size(path: Path, width: float, height: float) -> None:
    if width * height > 4 * MAX_PIXELS or width < 0 or height < 0:
        raise BadInput(f"{shown(path)} claims absurd dimensions ({width:.0f} x {height:.0f}).")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns whatever a decoder raises on hostile bytes into BadInput."""
    try:
        yield
    except (BadInput, GeneratorExit):
        raise
    except Exception as error:
        words = re.sub(r"\s+", " ", str(error)).strip()[:120] or type(error).__name__
        raise BadInput(f"{shown(path)} is damaged: {shown(words)}.", "Copy or export it again.") from error
