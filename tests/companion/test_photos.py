"""A photo lands whole and unchanged or not at all, is read once, and is answered in words and on the grid."""

import asyncio
import io
import re
import shutil
import struct
import time
from pathlib import Path

import cv2
import hostile_files
import numpy as np
import pytest
from phone_page import a_client, a_desk, pages_to_photograph
from PIL import Image

from pipeline.companion import app, desk as desks, reading, uploads
from pipeline.companion.board import AGAIN, GOOD, NOTHING
from pipeline.companion.gate import Keys
from pipeline.companion.reading import Readers
from pipeline.companion.refusals import Refusal
from pipeline.document.formats import ranges
from pipeline.engine import Context
from pipeline.physical.registration.photo_reading import PhotoFile
from pipeline.settings.reading import load_experiment
from pipeline.stages import crop
from pipeline.stages.crop import KeptPages
from pipeline.stages.graph import run_stage
from pipeline.store import Run

KEYS = Keys()
JSON = {"accept": "application/json"}


@pytest.fixture
def taken(tiny, tmp_path):
    """A photo of each of the two pages, which the phone has; the workspace around them has only the printout."""
    return pages_to_photograph(tiny, tmp_path)


@pytest.fixture
def desk(taken, tmp_path, monkeypatch):
    return a_desk(tmp_path, monkeypatch)


@pytest.fixture
def phone(desk):
    with a_client(desk, KEYS) as client:
        yield client


def send(phone, content, **headers):
    return phone.post("/photos", content=content, headers=JSON | headers)


def lying(desk) -> list[Path]:
    """Every file in the photos folder, hidden ones too."""
    return sorted(path for path in desk.run.photos.rglob("*") if path.is_file())


def answered(desk, n: int):
    """Waits until so many photos are answered, and returns the answers, the newest first."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < 20:
        if len(desk.board.answers) >= n and not desk.board.n_reading:
            return desk.board.answers
        time.sleep(0.02)
    raise AssertionError(desk.board)


def changed(photo: Path, change) -> bytes:
    """Returns a photo with other pixels and its own EXIF."""
    content = io.BytesIO()
    with Image.open(photo) as image:
        pixels = np.clip(change(np.asarray(image).astype(np.float32)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(content, "JPEG", quality=90, exif=image.info["exif"])
    return content.getvalue()


def test_a_photo_lands_unchanged_under_a_name_of_the_server_s_and_is_answered(desk, phone, taken):
    answer = send(phone, taken[0].read_bytes(), **{"content-disposition": 'attachment; filename="../../evil.sh"'})
    assert answer.status_code == 201 and answer.json()["is_new"]
    (photo,) = lying(desk)
    assert re.fullmatch(r"phone-\d{8}-\d{6}-[0-9a-f]{8}\.jpg", photo.name) and photo.read_bytes() == taken[0].read_bytes()
    (told,) = answered(desk, 1)
    assert (told.verdict, told.title, told.id, told.pages) == (GOOD, "Page 1: good", answer.json()["photo"], (1,))
    page = phone.get("/").text
    assert "Page 1: good" in page and "Missing: 2." in page and "SIMULATED" in page
    overlay = phone.get(f"/overlays/{told.id}/0")
    assert overlay.headers["content-type"] == "image/jpeg" and overlay.content.startswith(b"\xff\xd8\xff")
    assert phone.get(f"/overlays/{told.id}/1").status_code == 404
    assert {path.name for path in desk.run.photos.parents[2].iterdir()} >= {"captures", "printouts"}
    assert not list(desk.run.photos.parents[2].rglob("evil*"))


def test_the_same_photo_twice_is_kept_once(desk, phone, taken):
    first, second = (send(phone, taken[0].read_bytes()) for _ in range(2))
    assert (second.status_code, second.json()) == (200, {"photo": first.json()["photo"], "is_new": False})
    assert len(lying(desk)) == 1 and len(answered(desk, 1)) == 1


def test_a_photo_that_a_person_removed_may_come_again(desk, phone, taken):
    send(phone, taken[0].read_bytes())
    answered(desk, 1)
    lying(desk)[0].unlink()
    assert send(phone, taken[0].read_bytes()).status_code == 201 and len(lying(desk)) == 1


def test_the_crop_stage_reads_no_photo_again_and_the_next_server_neither(desk, phone, taken, tmp_path, monkeypatch):
    for photo in taken:
        send(phone, photo.read_bytes())
    before = answered(desk, 2)

    def never(*_: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(crop, "read_file", never)
    monkeypatch.setattr("phone_page.read_file", never)
    with a_client(a_desk(tmp_path, monkeypatch), KEYS) as again:
        assert "All pages are in." in again.get("/").text
    experiment = load_experiment(tmp_path / "small.toml", ("photograph.by=camera",))
    state = run_stage("crop", experiment, Run(tmp_path, "small"), Context())
    assert (state.summary["n_photos"], state.summary["n_pages_found"], state.summary["missing_pages"]) == (2, 2, [])
    assert {answer.verdict for answer in before} == {GOOD}


def test_what_lay_in_the_folder_before_is_answered_too_and_remains_of_a_kill_are_removed(taken, tmp_path, monkeypatch):
    desk = a_desk(tmp_path, monkeypatch)
    desk.run.photos.mkdir(parents=True)
    shutil.copy(taken[1], desk.run.photos / "IMG_0042.jpg")
    (desk.run.photos / ".inkproof-abc.partial").write_bytes(b"\xff\xd8\xff half a photo")
    with a_client(desk, KEYS):
        (told,) = answered(desk, 1)
    assert told.title == "Page 2: good" and [path.name for path in lying(desk)] == ["IMG_0042.jpg"]


def test_bad_photos_are_answered_with_what_is_wrong_and_what_to_do(desk, phone, taken):
    send(phone, changed(taken[0], lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 12)))
    assert answered(desk, 1)[0].verdict == NOTHING and "tap on the paper to focus" in answered(desk, 1)[0].advice[0]
    send(phone, changed(taken[0], lambda pixels: pixels * 0.08))
    told = answered(desk, 2)[0]
    assert told.verdict == AGAIN and told.title == "Page 1: usable, but a better photo would help"
    assert "more light" in told.advice[0] and "Worth taking again: 1." in phone.get("/").text
    assert desk.board.told == "1 of 2 pages; missing 2"
    send(phone, taken[0].read_bytes())
    assert answered(desk, 3)[0].title == "Page 1: good" and desk.board.n_again == 0
    assert desk.board.answers[1].title == "Page 1: a better photo is there already"


ODD = {
    "nothing": (b"", 400, "empty"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 415, "not a photo"),
    "a web page": (b"<!doctype html><script>alert(1)</script>", 415, "not a photo"),
    "a PDF": (b"%PDF-1.7\n" + bytes(2000), 415, "photos folder at the computer"),
    "a film": (b"\0\0\0\x18ftypisom" + bytes(2000), 415, "photos folder at the computer"),
    "a program": (b"\x7fELF" + bytes(2000), 415, "not a photo"),
    "an archive": (b"PK\x03\x04" + bytes(2000), 415, "not a photo"),
    "text": (b"GET / HTTP/1.1\r\n\r\n", 415, "not a photo"),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_no_photo_gets_a_sentence_and_leaves_nothing(desk, phone, what):
    content, code, words = ODD[what]
    answer = send(phone, content, **{"content-type": "image/jpeg"})
    told = answer.json()
    assert answer.status_code == code and words in f"{told['message']} {told['hint']}" and told["message"].endswith(".")
    assert lying(desk) == [] and desk.board.answers == ()


def test_a_bomb_is_kept_as_it_came_and_answered_with_a_sentence(desk, phone):
    bomb = hostile_files.png_bytes(50_000, 50_000, bytes(1000))
    assert send(phone, bomb).status_code == 201
    (told,) = answered(desk, 1)
    assert told.verdict == NOTHING and "absurd dimensions" in told.advice[0] and told.advice[0].endswith(".")
    assert desk.board.told == "0 of 2 pages; missing 1, 2"


class Pixels:
    """Readers whose processes are made up: how large a photo is stands in its name, and reading takes a moment."""

    def __init__(self, n: int) -> None:
        self.readers, self.under_way, self.seen = Readers(n, None), [], []
        self.readers._tried = self._tried

    async def _tried(self, function, photo):
        size = int(photo.name)
        if function is reading._n_pixels:
            return size
        self.under_way.append(size)
        self.seen.append(sorted(self.under_way))
        await asyncio.sleep(0.01)
        self.under_way.remove(size)
        return [size]

    def read(self, *sizes: int):
        async def all_of_them():
            photos = [PhotoFile(Path(str(size)), str(size), "0" * 64, "", None, None) for size in sizes]
            return await asyncio.gather(*map(self.readers.read, photos))

        return asyncio.run(all_of_them())


def test_a_large_photo_is_read_alone_and_so_is_one_of_unknown_size():
    pixels = Pixels(2)
    small, large, unknown = 12_000_000, 48_000_000, 0
    assert pixels.read(small, small + 1, large, small + 2, unknown, small + 3) == [
        [size] for size in (small, small + 1, large, small + 2, unknown, small + 3)
    ]
    assert all(len(together) == 1 for together in pixels.seen if {large, unknown} & set(together))
    assert any(len(together) == 2 for together in pixels.seen)


def test_a_photo_that_would_take_too_much_memory_is_not_decoded_and_the_run_may_still_read_it(desk, taken, monkeypatch):
    content = taken[0].read_bytes()
    at = content.index(b"\xff\xc0")  # the start of frame, with height and width
    (taken[0].parent / "large.jpg").write_bytes(content[: at + 5] + struct.pack(">HH", 10_000, 11_900) + content[at + 9 :])
    photo = PhotoFile(taken[0].parent / "large.jpg", "large.jpg", "0" * 64, "key", None, None)
    readers = Readers(1, None)
    try:
        (fresh,) = asyncio.run(readers.read(photo))
    finally:
        readers.end()
    assert fresh.page.capture.trouble == "it has 119.0 megapixels: photograph with 60 at most"
    assert KeptPages(desk.run).put(photo, [fresh], desk._hashes) and KeptPages(desk.run).get(photo) is None


def test_a_photo_that_says_that_it_is_too_large_is_refused_before_it_is_read(desk, phone, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    answer = send(phone, b"\xff\xd8\xff" + bytes(1000))
    assert answer.status_code == 413 and "larger than" in answer.json()["message"] and lying(desk) == []


def test_a_photo_that_turns_out_to_be_too_large_leaves_nothing(desk, phone, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    answer = send(phone, iter([b"\xff\xd8\xff", bytes(900), bytes(900)]))
    assert answer.status_code == 413 and lying(desk) == []


def test_a_nearly_full_disk_takes_no_photo(desk, phone, monkeypatch):
    monkeypatch.setattr(uploads, "LEAST_FREE_MB", 10**9)
    answer = send(phone, b"\xff\xd8\xff")
    assert answer.status_code == 507 and "disk" in answer.json()["message"] and lying(desk) == []


@pytest.mark.parametrize("limit", ["IDLE_S", "WHOLE_S"])
def test_a_photo_that_comes_too_slowly_is_dropped(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(uploads, limit, 0.05)

    async def slow():
        while True:
            yield b"\xff\xd8\xff"
            await asyncio.sleep(0.02 if limit == "WHOLE_S" else 10)

    with pytest.raises(Refusal, match="too slowly"):
        asyncio.run(uploads.receive(slow(), None, tmp_path, {}))
    assert list(tmp_path.iterdir()) == []


def test_of_the_same_photo_twice_at_once_one_is_kept(tmp_path, taken):
    content, have = taken[0].read_bytes(), {}

    async def body():
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]
            await asyncio.sleep(0)

    async def both():
        return await asyncio.gather(*(uploads.receive(body(), None, tmp_path / "taken", have) for _ in range(2)))

    assert sorted(is_new for _, is_new in asyncio.run(both())) == [False, True]
    assert len(list((tmp_path / "taken").glob("phone-*"))) == 1


def test_one_photo_too_many_on_its_way_waits(phone, monkeypatch):
    monkeypatch.setattr(app, "MOST_UPLOADS", 0)
    answer = send(phone, b"\xff\xd8\xff")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "3" and answer.json()["wait_s"] == 3


def test_too_many_photos_from_one_phone_wait(taken, tmp_path, monkeypatch):
    monkeypatch.setattr(app, "UPLOADS", (3, 0.0))
    with a_client(a_desk(tmp_path, monkeypatch), KEYS) as phone:
        assert [send(phone, b"").status_code for _ in range(5)] == [400] * 3 + [429] * 2


def test_when_every_page_is_in_it_says_so_and_the_run_may_go_on(taken, tmp_path, monkeypatch):
    monkeypatch.setattr(desks, "_GOODBYE_S", 0.05)
    desk = a_desk(tmp_path, monkeypatch, then_run=True)
    with a_client(desk, KEYS) as phone:
        send(phone, taken[0].read_bytes())
        answered(desk, 1)
        early = phone.post("/finish", headers=JSON)
        assert early.status_code == 409 and "Not all pages" in early.json()["message"]
        send(phone, taken[1].read_bytes())
        answered(desk, 2)
        assert "All pages are in." in phone.get("/").text
        began_s = time.monotonic()
        while not desk.is_finished.is_set() and time.monotonic() - began_s < 10:
            time.sleep(0.02)
        assert desk.is_finished.is_set() and "You can close this page" in phone.get("/").text


def test_a_page_worth_taking_again_keeps_it_open_until_a_person_says_that_it_is_good_enough(taken, tmp_path, monkeypatch):
    monkeypatch.setattr(desks, "_GOODBYE_S", 0.05)
    desk = a_desk(tmp_path, monkeypatch, then_run=True)
    with a_client(desk, KEYS) as phone:
        send(phone, taken[0].read_bytes())
        send(phone, changed(taken[1], lambda pixels: pixels * 0.08))
        answered(desk, 2)
        time.sleep(0.3)
        assert not desk.is_finished.is_set() and "Good enough: go on with the run" in phone.get("/").text
        assert phone.post("/finish", headers=JSON).status_code == 200
        began_s = time.monotonic()
        while not desk.is_finished.is_set() and time.monotonic() - began_s < 10:
            time.sleep(0.02)
        assert desk.is_finished.is_set()


def test_what_a_reader_does_not_expect_costs_one_photo(desk, phone, taken, monkeypatch):
    async def fails(photo):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(desk._readers, "read", fails)
    send(phone, taken[0].read_bytes())
    (told,) = answered(desk, 1)
    assert told.verdict == NOTHING and "no space left" in told.advice[0] and len(lying(desk)) == 1


NUMBERS = {"": [], "3": [3], "3, 4": [3, 4], "3–5": [5, 4, 3], "1, 2, 4, 7–9": [1, 2, 4, 7, 8, 9]}


@pytest.mark.parametrize("words", NUMBERS)
def test_numbers_are_told_in_ranges(words):
    assert ranges(NUMBERS[words]) == words
