"""The one run that is served: takes in what lies in its photos folder, has it read, and tells whoever watches."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.companion import uploads
from pipeline.companion.board import Answer, Board, answer_id, board_of
from pipeline.companion.reading import Readers, failed
from pipeline.companion.refusals import Refusal
from pipeline.images.formats import fault
from pipeline.physical.registration.page_reading import Reading, ReadPage
from pipeline.physical.registration.photo_reading import PhotoFile, printed_images
from pipeline.settings import Experiment
from pipeline.stages.crop import KeptPages, photos_to_read
from pipeline.store import Run
from pipeline.store.artefacts import LAYOUT, PAIRS
from pipeline.store.files import remove_partial

# So long after the last page is in, the page says so before the server ends.
_GOODBYE_S = 6.0


class Desk:
    """What has come and what was read of it; all of it is found again in the run's folders by the next one.

    `then_run` says that the run goes on when every page is in; `is_finished` is set when this server's work is done.
    """

    def __init__(self, experiment: Experiment, run: Run, n_readers: int, then_run: bool, tell: Callable[[str], None]) -> None:
        self.experiment, self.run, self.then_run, self._tell = experiment, run, then_run, tell
        self._printout = LAYOUT.read(run)
        pairs = {pair.pair_id: pair for pair in PAIRS.read(run)}
        reading = Reading(self._printout, pairs, experiment.capture, printed_images(run.printouts, self._printout))
        warm_up = next((run.printouts / one.path for one in self._printout.placements), None)
        self._readers, self._kept, self._hashes = Readers(n_readers, reading, warm_up), KeptPages(run), run.hashes()
        self._read: dict[str, tuple[PhotoFile, list[ReadPage] | None]] = {}
        self._have: dict[str, Path] = {}
        self._looks, self._changes, self._tasks = asyncio.Lock(), asyncio.Condition(), set[asyncio.Task[None]]()
        self.board = self._board()
        self.version, self.is_closing, self.is_finished = 0, False, asyncio.Event()

    async def open(self) -> None:
        """Takes in what lies in the folder already, and gets ready to read."""
        self.run.make_folders()
        self.run.photos.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(remove_partial, self.run.photos)
        await self._look()
        self._begin(self._readers.start())
        self._begin(self._ends_when_all_is_in())

    async def close(self) -> None:
        """Ends whatever is under way; what is kept is complete or absent."""
        for task in list(self._tasks):
            task.cancel()
        self._readers.end()
        await self._say_change(is_last=True)
        await asyncio.to_thread(self._hashes.keep)

    async def take(self, body: AsyncIterator[bytes], said_bytes: int | None) -> tuple[str, bool]:
        """Puts a photo into the folder; returns what it is called in addresses, and whether it is a new one.

        Raises:
            Refusal: it is not taken; nothing of it stays.
        """
        if len(self._read) >= uploads.MOST_PHOTOS:
            raise Refusal(507, f"This run has {uploads.MOST_PHOTOS} photos already.", "Remove some in the run's photos folder.")
        sha256, is_new = await uploads.receive(body, said_bytes, self.run.photos, self._have)
        await self._look()
        if not is_new:
            self._tell(f"{self._have[sha256].name}: sent once more, and kept once")
        return answer_id(sha256), is_new

    def overlay(self, answer: str, place: int) -> Path | None:
        """Returns the picture with what was found in a photo, None where there is none."""
        found = next((one for one in self.board.answers if one.id == answer), None)
        return self.run.captures / found.overlays[place] if found and 0 <= place < len(found.overlays) else None

    def answer(self, answer: str) -> Answer | None:
        """Returns what is said of a photo now, None where there is no such photo."""
        return next((one for one in self.board.answers if one.id == answer), None)

    def finish(self) -> None:
        """Ends the server although some pages could be better."""
        if not (self.then_run and self.board.all_in):
            raise Refusal(409, "Not all pages are in yet.", "Photograph the missing ones first.")
        self._begin(self._says_goodbye())

    async def changed(self, seen: int, within_s: float) -> int:
        """Returns the version of the board as soon as it is another one than was seen, or after a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._changes:
                await self._changes.wait_for(lambda: self.version != seen or self.is_closing)
        return self.version

    async def _look(self) -> None:
        """Takes in what has come into the folder, whoever put it there, and leaves out what is gone."""
        async with self._looks:
            photos, _, _ = await asyncio.to_thread(photos_to_read, self.run, True, self.experiment.capture, self._hashes)
            lying = {photo.sha256: photo for photo in photos}
            self._have |= {photo.sha256: photo.path for photo in photos}
            self._read = {sha256: entry for sha256, entry in self._read.items() if sha256 in lying}
            for sha256, photo in lying.items():
                if sha256 not in self._read:
                    self._read[sha256] = photo, await asyncio.to_thread(self._kept.get, photo)
                    if self._read[sha256][1] is None:
                        self._begin(self._reads(photo))
        await self._say_change()

    async def _reads(self, photo: PhotoFile) -> None:
        began_s = time.monotonic()
        try:
            fresh = await self._readers.read(photo)
            pages = await asyncio.to_thread(self._kept.put, photo, fresh, self._hashes)
        except Exception as error:  # such as a full disk: the photo is safe, and is read again by the next one
            pages = [failed(photo, fault(error))]
        if self._read.pop(photo.sha256, None):
            self._read[photo.sha256] = photo, pages  # now the last that was answered
            await self._say_change()
            told = self.answer(answer_id(photo.sha256))
            if told is not None:
                said = " ".join((f"{told.title}.", *told.advice))
                self._tell(f"{photo.name}: {said} ({time.monotonic() - began_s:.1f} s) — {self.board.told}")

    async def _ends_when_all_is_in(self) -> None:
        while self.then_run and not self.is_closing:
            board, seen = self.board, self.version
            if board.all_in and not board.n_again and not board.n_reading:
                self._begin(self._says_goodbye())
                return
            await self.changed(seen, 60.0)

    async def _says_goodbye(self) -> None:
        await asyncio.sleep(_GOODBYE_S)
        await self._say_change(is_last=True)
        await asyncio.sleep(0.5)  # the last word goes out to every browser
        self.is_finished.set()

    async def _say_change(self, is_last: bool = False) -> None:
        async with self._changes:
            self.board = self._board()
            self.version, self.is_closing = self.version + 1, self.is_closing or is_last
            self._changes.notify_all()

    def _board(self) -> Board:
        return board_of(self.run.name, self._printout, self._read, self.experiment.capture.count == "all")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
