"""What the page shows, from what was read of the photos: an answer to every photo, and how it stands with every page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.document.formats import ranges
from pipeline.physical.registration.page_reading import ReadPage
from pipeline.physical.registration.photo_lines import crops_to_do, pages_to_do
from pipeline.physical.registration.photo_reading import PhotoFile
from pipeline.records import DISCARD_REASONS, SIMULATED, Discard, Printout
from pipeline.stages.crop import chosen_pages

READING, GOOD, AGAIN, NOTHING = "reading", "good", "again", "nothing"
DONE, MISSING = "done", "missing"
_ID_CHARS = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of one photo: `verdict` is READING, GOOD, AGAIN (used, but another would be better) or NOTHING (not used).

    `overlays` are the pictures with what was found, by their paths below the captures: one a photo, of films and scans several.
    """

    id: str
    name: str
    verdict: str
    title: str
    advice: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One page of the printout: `state` is DONE, AGAIN or MISSING; `answer` the id of the photo that counts, "" without one."""

    page: int
    state: str
    advice: str
    answer: str


@dataclass(frozen=True, slots=True)
class Board:
    """All that the page shows; `answers` are the newest first."""

    run: str
    cells: tuple[Cell, ...]
    answers: tuple[Answer, ...]
    n_simulated: int = 0

    @property
    def n_in(self) -> int:
        return sum(cell.state != MISSING for cell in self.cells)

    @property
    def n_again(self) -> int:
        return sum(cell.state == AGAIN for cell in self.cells)

    @property
    def n_reading(self) -> int:
        return sum(answer.verdict == READING for answer in self.answers)

    @property
    def all_in(self) -> bool:
        return self.n_in == len(self.cells)

    @property
    def missing(self) -> str:
        """The missing pages' numbers, as "5, 8, 11–16"."""
        return ranges(cell.page for cell in self.cells if cell.state == MISSING)

    @property
    def again(self) -> str:
        """The numbers of the pages of which another photo would be better."""
        return ranges(cell.page for cell in self.cells if cell.state == AGAIN)

    @property
    def told(self) -> str:
        """How many pages there are and which are missing, in one line."""
        return f"{self.n_in} of {len(self.cells)} pages" + ("" if self.all_in else f"; missing {self.missing}")


def board_of(
    run: str, printout: Printout, read: Mapping[str, tuple[PhotoFile, Sequence[ReadPage] | None]], count_all: bool
) -> Board:
    """Returns the board of what was read of each photo, by its hash in the order in which they came; None while it is read."""
    pages = [page for _, found in read.values() for page in found or ()]
    captures, _, discards = chosen_pages(pages, count_all, origins_apart=False)
    quality = [row for page in pages for row in page.quality]
    to_do = dict(pages_to_do(printout, captures, discards, quality))
    counted = {one.page: one.sha256 for one in captures if one.counts}
    tried = {one.page for one in captures}
    cells = []
    for page in range(1, printout.n_pages + 1):
        state = MISSING if page not in counted else AGAIN if page in to_do else DONE
        advice = to_do.get(page, "") if page in tried else ""
        cells.append(Cell(page, state, _sentence(advice), answer_id(counted.get(page, ""))))
    unused = {row.capture_id: row for row in discards if not row.pair_id}
    answers = tuple(_answer(photo, found, unused) for photo, found in reversed(list(read.values())))
    return Board(run, tuple(cells), answers, sum(one.counts and one.origin == SIMULATED for one in captures))


def answer_id(sha256: str) -> str:
    """Returns what a photo is called in addresses."""
    return sha256[:_ID_CHARS]


def _answer(photo: PhotoFile, found: Sequence[ReadPage] | None, unused: Mapping[str, Discard]) -> Answer:
    about = answer_id(photo.sha256), photo.name
    if found is None:
        return Answer(*about, READING, "Being read")
    used = [page for page in found if page.views]
    overlays = tuple(dict.fromkeys(page.overlay for page in found if page.overlay))
    if not used:
        whys = dict.fromkeys(_why_nothing(page, photo.name) for page in found)
        shown = sorted({page.capture.page for page in found if page.capture.page})
        return Answer(*about, NOTHING, f"{_named(shown)}: not usable" if shown else "Not usable", tuple(whys), overlays)
    numbers = sorted({page.capture.page for page in used if page.capture.page})
    advice, is_beaten = [], []
    for page in used:
        lost = [row for row in page.discards if row.pair_id]
        words = [page.capture.trouble, crops_to_do(page.quality, lost)]
        advice += [_sentence(word) for word in words if word]
        is_beaten.append(page.capture.capture_id in unused)
    if all(is_beaten):
        return Answer(*about, GOOD, f"{_named(numbers)}: a better photo is there already", (), overlays, tuple(numbers))
    verdict = AGAIN if advice else GOOD
    title = f"{_named(numbers)}: {'usable, but a better photo would help' if advice else 'good'}"
    return Answer(*about, verdict, title, tuple(dict.fromkeys(advice)), overlays, tuple(numbers))


def _why_nothing(page: ReadPage, name: str) -> str:
    if page.capture.trouble:
        return _sentence(page.capture.trouble)
    reason = next(iter(page.discards), None)
    if reason is None:
        return "No image of it could be cropped."
    detail = f" ({reason.detail.replace(name, 'it').rstrip('.')})" if reason.detail and not reason.pair_id else ""
    return _sentence(DISCARD_REASONS[reason.reason] + detail)


def _named(pages: Sequence[int]) -> str:
    return f"Page{'s' * (len(pages) > 1)} {ranges(pages)}"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if not words or words.endswith(".") else ".")
