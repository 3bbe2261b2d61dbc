"""Whatever a phone, a scanner or a person puts into the photos folder, picture by picture: photos, pages, frames of videos."""

import math
import os
import stat
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from pipeline.core.errors import BadInput, InkproofError
from pipeline.images.code_points import code_points
from pipeline.images.formats import NoReader, check_reader, image_format, reason, shown, unreadable
from pipeline.images.limits import limited
from pipeline.images.reading import MAX_PIXELS, read_image

PHOTO, DOCUMENT, VIDEO = "photo", "document", "video"
# Phones go further than that, and a JPEG takes no memory beyond its pixels while it is decoded.
MAX_JPEG_PIXELS = 120_000_000
# Its decoder takes 16 bytes a pixel and calls what is too large for it damaged.
MAX_JPEG_2000_PIXELS = 30_000_000
MAX_READ_S = 120.0
MAX_FRAMES = 60
MAX_PAGES = 500
_MAX_DPI = 600
_DPI_OF_DRAWINGS = 300
_MAX_SIDE_PX = 65_000
_MAX_BITMAPS = 1000
_INSET_PX = 0.02
_WINDOW_S = 0.5
_LOOKS_PER_WINDOW = 16
_LONGEST_CREDIBLE_S = 4 * 3600.0
_SHARPNESS_SIDE_PX = 1280
_LIKENESS_SIDE_PX = 64
_NEARLY_IDENTICAL_8BIT = 1.0
_NOTABLY_SHARPER = 1.2


@dataclass(frozen=True, slots=True)
class Picture:
    """`frame`: "" for a photo, "page 3" of a document, "1.40 s" of a video. `pixels`: uint8 (H, W, 3) RGB. `notes`: phrases.

    `scan_dpi`: pixels an inch of paper, where a PDF says how large its scan is.
    """

    frame: str
    pixels: np.ndarray
    notes: tuple[str, ...] = ()
    scan_dpi: float | None = None


def pictures(path: str | Path) -> Iterator[Picture]:
    """Yields the pictures in a file, one in memory at a time.

    A photo gives one. A PDF, or a TIFF of several pages, gives one a page; a PDF's page with the pixels of its largest bitmap. A
    video gives the sharpest frame of each half second, or of `MAX_FRAMES` half seconds spread over its length, without those that
    look like the one before. Once decoding took `MAX_READ_S`, the rest is left out with a note. A damaged page does not keep the
    others from coming: it is told after them. All of it is read in a child process (`limited`).

    Raises:
        BadInput: the file, or a page of it, cannot be read, or takes too much memory or time.
    """
    path = Path(path)
    if path.is_file():  # opening a pipe would wait for ever
        check_reader(path)
    yield from limited(f"{__name__}:pictures_here", path)


def pictures_here(path: Path) -> Iterator[Picture]:
    """Yields what `pictures` yields, read in this process."""
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        kind = capture_kind(path)
        if not is_file or kind in (PHOTO, ""):
            yield _photo(path)
        elif kind == VIDEO:
            yield from _frames(path, _Stopwatch())
        elif image_format(path) == "TIFF":
            yield from _tiff_pages(path, _Stopwatch())
        else:
            yield from _pdf_pages(path, _Stopwatch())
    except InkproofError:
        raise
    except Exception as error:  # decoders raise anything on hostile bytes
        raise unreadable(path, error, "cannot be read") from error


def capture_kind(path: str | Path) -> str:
    """Returns "photo", "document" or "video" by a file's first bytes, "" where they announce none of these."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ""
        with open(path, "rb") as file:
            head = file.read(1024)
    except (OSError, ValueError):
        return ""
    if name := image_format(path):
        return DOCUMENT if name == "TIFF" else PHOTO
    if b"%PDF-" in head:
        return DOCUMENT
    is_quicktime = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return VIDEO if is_quicktime or is_avi or head.startswith(b"\x1aE\xdf\xa3") else ""


class _Stopwatch:
    """Counts the time spent in decoders, not what the caller does between two pictures."""

    def __init__(self) -> None:
        self._spent_s, self._started_s = 0.0, math.inf

    def __enter__(self) -> None:
        self._started_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._spent_s, self._started_s = self._spent_s + time.monotonic() - self._started_s, math.inf

    @property
    def is_over(self) -> bool:
        return self._spent_s + max(time.monotonic() - self._started_s, 0.0) > MAX_READ_S


def _photo(path: Path) -> Picture:
    name = image_format(path) if path.is_file() else ""
    most = {"JPEG": MAX_JPEG_PIXELS, "JPEG2000": MAX_JPEG_2000_PIXELS}.get(name, MAX_PIXELS)
    loaded = read_image(path, max_pixels=most)
    return Picture("", loaded.pixels, loaded.notes)


def _tiff_pages(path: Path, stopwatch: _Stopwatch) -> Iterator[Picture]:
    with stopwatch:
        n_pages = _n_tiff_pages(path)
    if n_pages < 2:
        yield _photo(path)
        return

    def page(number: int) -> Picture:
        loaded = read_image(path, number, MAX_PIXELS)
        return Picture(f"page {number + 1}", loaded.pixels, loaded.notes)

    yield from _pages(path, n_pages, page, stopwatch)


def _n_tiff_pages(path: Path) -> int:
    """How many pages can be found; the table of pages may be a loop, or cut off."""
    n_pages = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("TIFF",)) as image:
                while n_pages <= MAX_PAGES:
                    image.seek(n_pages)
                    n_pages += 1
    except Exception:  # the end, or damage, which `read_image` explains
        pass
    return n_pages


def _pages(path: Path, n_pages: int, read: Callable[[int], Picture], stopwatch: _Stopwatch) -> Iterator[Picture]:
    troubles = []
    for number in range(min(n_pages, MAX_PAGES)):
        is_last = number + 1 == n_pages
        try:
            with stopwatch:
                picture = read(number)
        except BadInput as error:
            if n_pages == 1 or isinstance(error, NoReader):
                raise
            troubles.append(f"page {number + 1} ({error.message.removeprefix(shown(path)).strip(' :.')})")
        else:
            stops = not is_last and (stopwatch.is_over or number + 1 == MAX_PAGES)
            note = (f"the pages after it were not read (of {n_pages})",) if stops else ()
            yield replace(picture, notes=(*picture.notes, *note))
        if stopwatch.is_over:
            break
    if troubles:
        more = f" and {len(troubles) - 3} more" if len(troubles) > 3 else ""
        raise BadInput(f"{shown(path)}: not every page can be read: {', '.join(troubles[:3])}{more}.", "Scan them again.")


def _pdf_pages(path: Path, stopwatch: _Stopwatch) -> Iterator[Picture]:
    import pypdfium2

    with path.open("rb") as file:
        try:
            document = pypdfium2.PdfDocument(file)
        except pypdfium2.PdfiumError as error:
            hint = "Save it without a password." if "password" in str(error).lower() else "Export it again, or as JPEG."
            raise BadInput(f"{shown(path)} is a PDF that cannot be opened: {reason(error)}.", hint) from error
        with closing(document):
            if not len(document):
                raise BadInput(f"{shown(path)} is a PDF without pages.")
            yield from _pages(path, len(document), lambda number: _pdf_page(document, number), stopwatch)


def _pdf_page(document: Any, number: int) -> Picture:
    import pypdfium2

    try:
        with closing(document[number]) as page:
            pixels, scan_dpi = _rendered(page)
    except pypdfium2.PdfiumError as error:
        raise BadInput(f"It cannot be rendered: {reason(error)}.", "Export it again, or as JPEG.") from error
    return Picture(f"page {number + 1}", pixels, scan_dpi=scan_dpi)


def _rendered(page: Any) -> tuple[np.ndarray, float | None]:
    width_pt, height_pt = page.get_size()
    if not (math.isfinite(width_pt * height_pt) and min(width_pt, height_pt) > 0):
        raise BadInput("It has no size.")
    scan_px_per_pt = _scan_px_per_pt(page)
    scale = min(
        scan_px_per_pt or _DPI_OF_DRAWINGS / 72,
        _MAX_DPI / 72,
        math.sqrt(0.999 * MAX_PIXELS / (width_pt * height_pt)),
        _MAX_SIDE_PX / max(width_pt, height_pt),
    )
    # pdfium rounds a page's size in pixels up, so that without the tiny reduction a whole number may become the next one.
    with closing(page.render(scale=scale * (1 - 1e-6), rev_byteorder=True)) as bitmap:
        layers = bitmap.to_numpy()
        if layers.ndim == 2 or layers.shape[2] == 1:
            pixels = np.repeat(layers.reshape(*layers.shape[:2], 1), 3, axis=2)
        else:
            pixels = np.array(layers[..., :3], order="C")
    return pixels, 72 * scale if scan_px_per_pt else None


def _scan_px_per_pt(page: Any) -> float | None:
    """The resolution of the largest bitmap on a page, which is what a scanner put there; None where there is none."""
    import pypdfium2.raw as pdfium
    from pypdfium2 import PdfMatrix

    scan, scan_px = None, (0, 0)
    for image in islice(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE]), _MAX_BITMAPS):
        size_px = image.get_px_size()
        if math.prod(size_px) > MAX_JPEG_PIXELS:
            raise BadInput(f"It holds a bitmap of {math.prod(size_px) / 1e6:.0f} megapixels.", "Scan at 600 dpi or less.")
        if math.prod(size_px) > math.prod(scan_px):
            scan, scan_px = image, size_px
    if scan is None:
        return None
    in_page, form = scan.get_matrix(), scan.container
    while form is not None:  # a form, or one within another, is laid on the page by a matrix of its own
        in_page, form = in_page.multiply(form.get_matrix()), form.container
    width_pt, height_pt = math.hypot(in_page.a, in_page.b), math.hypot(in_page.c, in_page.d)
    if not (math.isfinite(width_pt * height_pt) and min(width_pt, height_pt) > 0):
        return None
    # pdfium widens a bitmap outward to whole pixels; so drawn a little too small, it keeps its own pixels on pages of any size.
    a, b, c, d, e, f = scan.get_matrix().get()
    less_x, less_y = _INSET_PX / scan_px[0], _INSET_PX / scan_px[1]
    e, f = e + (a * less_x + c * less_y) / 2, f + (b * less_x + d * less_y) / 2
    scan.set_matrix(PdfMatrix(a * (1 - less_x), b * (1 - less_x), c * (1 - less_y), d * (1 - less_y), e, f))
    return max(scan_px[0] / width_pt, scan_px[1] / height_pt)


@dataclass
class _Frame:
    at_s: float
    bgr: np.ndarray
    sharpness: float
    thumbnail: np.ndarray


def _frames(path: Path, stopwatch: _Stopwatch) -> Iterator[Picture]:
    if (codes := code_points(path)) and codes.hdr:
        raise BadInput(f"{shown(path)} is an HDR video ({codes.hdr}).", "Film it without HDR, or take photos.")
    taken, n_taken = None, 0
    with path.open("rb") as file, closing(_Film(path, file, stopwatch)) as film:
        while film.is_on and n_taken < MAX_FRAMES:
            with stopwatch:
                best = film.sharpest_of_a_window(stopwatch)
                film.skip()
            stops = film.is_on and (stopwatch.is_over or (n_taken + 1 == MAX_FRAMES and not film.is_spread))
            if best and (taken is None or not _is_alike(best, taken)):
                note = (f"what comes after {best.at_s:.2f} s was not read",) if stops else ()
                yield Picture(f"{best.at_s:.2f} s", np.ascontiguousarray(best.bgr[..., ::-1]), note)
                taken, n_taken = replace(best, bgr=best.bgr[:0]), n_taken + 1
            if stopwatch.is_over:
                break
    if taken is None:
        raise BadInput(f"{shown(path)} is a video of which no picture can be decoded.", "Export it again as MP4 (H.264).")


class _Film:
    """A video that is wound forward; the frame at `at_s` is decoded, `is_on` tells that there is one."""

    def __init__(self, path: Path, file: BinaryIO, stopwatch: _Stopwatch) -> None:
        import cv2

        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        self.is_on, self.at_s = False, 0.0
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        with stopwatch:
            # A name may be no text, or look like an address or a pattern to FFmpeg; an open file's number never does.
            name = f"/dev/fd/{file.fileno()}" if os.path.exists("/dev/fd") else file.name  # Windows has no such names
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            cv2.utils.logging.setLogLevel(level)
            if self._capture.isOpened():
                self._begin(path)

    def _begin(self, path: Path) -> None:
        import cv2

        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # not the default in every OpenCV
        pixels = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH) * self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if not pixels <= MAX_PIXELS:
            self.close()
            raise BadInput(f"{shown(path)} is a video of {pixels / 1e6:.0f} megapixels.", "Export it smaller.")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self._step_s = 1 / rate if 1 <= rate <= 1000 else 1 / 30
        length_s = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) * self._step_s
        self._every_s = length_s / MAX_FRAMES if _WINDOW_S * MAX_FRAMES < length_s < _LONGEST_CREDIBLE_S else _WINDOW_S
        self._started_s = 0.0
        self._wind(-self._step_s)

    @property
    def is_spread(self) -> bool:
        return self._every_s > _WINDOW_S

    def sharpest_of_a_window(self, stopwatch: _Stopwatch) -> _Frame | None:
        """Winds half a second on; returns its sharpest frame."""
        best: _Frame | None = None
        looked_s, self._started_s = -math.inf, self.at_s
        while self.is_on and self.at_s < self._started_s + _WINDOW_S - self._step_s / 2 and not (best and stopwatch.is_over):
            if self.at_s - looked_s >= _WINDOW_S / _LOOKS_PER_WINDOW:
                looked_s = self.at_s
                has_frame, bgr = self._capture.retrieve()
                if has_frame and bgr.ndim == 3 and bgr.size <= 3 * MAX_PIXELS:
                    frame = _Frame(self.at_s, bgr, *_sharpness(bgr))
                    best = frame if best is None or frame.sharpness > best.sharpness else best
            self._wind(self.at_s)
        return best

    def skip(self) -> None:
        """Winds to the next window, where not every half second is looked at."""
        import cv2

        next_s = self._started_s + self._every_s
        if self.is_on and next_s > self.at_s + self._step_s:
            self._capture.set(cv2.CAP_PROP_POS_MSEC, next_s * 1000)
            self._wind(self.at_s)

    def close(self) -> None:
        self._capture.release()

    def _wind(self, from_s: float) -> None:
        import cv2

        self.is_on = self._capture.grab()
        told_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self.at_s = told_s if from_s < told_s < math.inf else from_s + self._step_s


def _sharpness(bgr: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean squared gradient over the variance, of which exposure cancels out; and a thumbnail without its mean."""
    import cv2

    grey = cv2.cvtColor(_reduced(bgr, _SHARPNESS_SIDE_PX), cv2.COLOR_BGR2GRAY)
    thumbnail = _reduced(grey, _LIKENESS_SIDE_PX).astype(np.float32)
    grey = grey.astype(np.float32)
    squares = [float(np.square(np.diff(grey, axis=axis)).mean()) for axis in (0, 1) if grey.shape[axis] > 1]
    return sum(squares) / max(float(grey.var()), 1.0), thumbnail - thumbnail.mean()


def _reduced(pixels: np.ndarray, side_px: int) -> np.ndarray:
    import cv2

    scale = side_px / max(pixels.shape[:2])
    size = [max(1, round(length * scale)) for length in pixels.shape[1::-1]]
    return pixels if scale >= 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _is_alike(frame: _Frame, taken: _Frame) -> bool:
    """Whether a frame shows what the one taken before it shows, no sharper."""
    if frame.thumbnail.shape != taken.thumbnail.shape or frame.sharpness > _NOTABLY_SHARPER * taken.sharpness:
        return False
    return float(np.abs(frame.thumbnail - taken.thumbnail).mean()) < _NEARLY_IDENTICAL_8BIT
