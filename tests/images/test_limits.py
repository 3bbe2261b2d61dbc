"""A file may take so much memory and time and no more, may crash its decoder, and costs no other file anything."""

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images import NoReader, limits
from pipeline.images.limits import limited
from pipeline.images.pictures import pictures

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path("a file")
OPTIONS = {
    "avif": {"quality": 30, "speed": 10},
    "heic": {"quality": 30, "enc_params": {"preset": "ultrafast"}},
    "webp": {"method": 0},
    "png": {"compress_level": 1},
}


def numbers(path: Path, n: int) -> Iterator[np.ndarray]:
    for number in range(n):
        yield np.full((300, 400, 3), number, np.uint8)


def taking(path: Path, what: str) -> Iterator[int]:
    yield 1
    match what:
        case "memory":
            yield len([np.ones(10_000_000, np.uint8) for _ in range(10_000)])
        case "time":
            while True:
                pass
        case "patience":
            time.sleep(1000)
        case "crash":
            os.abort()
        case "surprise":
            raise KeyError("what a decoder does not expect")
        case "words":
            os.write(2, b"a decoder speaks")
            os.write(1, b"and again")
            yield limits.told()


KEPT: list[np.ndarray] = []


def kept(path: Path, n_mb: int) -> Iterator[int]:
    KEPT.append(np.ones(n_mb << 20, np.uint8))
    yield sum(array.nbytes for array in KEPT) >> 20


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(limited(f"{__name__}:numbers", HERE, 0)) == []  # the process is there, and has imported this file
    monkeypatch.setattr(limits, "MAX_READ_MB", 100)
    monkeypatch.setattr(limits, "MAX_READ_CPU_S", 1)
    monkeypatch.setattr(limits, "_PATIENCE", 2)


@pytest.mark.parametrize(
    ("what", "told"),
    [("memory", "100 MB"), ("time", "more than 1 s"), ("patience", "more than 1 s"), ("crash", "ends its decoder"),
     ("surprise", "does not expect")],
)  # fmt: skip
def test_what_takes_too_much_or_crashes_is_refused_and_the_next_file_is_read(
    narrow: None, monkeypatch: pytest.MonkeyPatch, what: str, told: str
) -> None:
    found = []
    with pytest.raises(BadInput, match=told):
        found.extend(limited(f"{__name__}:taking", HERE, what))
    assert found == [1]
    monkeypatch.setattr(limits, "_PATIENCE", 60)  # a new process starts
    assert len(list(limited(f"{__name__}:numbers", HERE, 2))) == 2


def test_items_come_as_they_were_made_and_two_files_may_be_read_by_turns() -> None:
    first, second = limited(f"{__name__}:numbers", HERE, 3), limited(f"{__name__}:numbers", HERE, 3)
    for number, pair in enumerate(zip(first, second, strict=True)):
        for array in pair:
            np.testing.assert_array_equal(array, np.full((300, 400, 3), number, np.uint8))
            array[:] = 9  # they are the reader's own


def test_what_decoders_say_is_kept_from_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    *_, told = limited(f"{__name__}:taking", HERE, "words")
    assert told == "a decoder speaksand again"
    assert capfd.readouterr() == ("", "")


def test_where_no_process_can_be_started_the_file_may_be_read_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_children", {})
    monkeypatch.setattr(sys, "executable", "/nothing/here")
    with pytest.raises(NoReader, match="no process"):
        next(limited(f"{__name__}:numbers", HERE, 1))


def test_a_process_that_was_forked_off_reads_with_a_child_of_its_own() -> None:
    reader = limited(f"{__name__}:numbers", HERE, 3)
    assert next(reader)[0, 0, 0] == 0
    code = os.fork()
    if not code:
        is_right = [array[0, 0, 0] for array in limited(f"{__name__}:numbers", HERE, 3)] == [0, 1, 2]
        limits._end()
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(code, 0)[1]) == 0
    assert [array[0, 0, 0] for array in reader] == [1, 2]


def strokes_pdf(n_strokes: int) -> bytes:
    """A PDF of a few kilobytes, for its page's strokes are deflated twice."""
    stroke = b"1 1 m 9 9 l S\n"
    inner, outer = zlib.compressobj(9), zlib.compressobj(9)
    piece, rest = stroke * 10_000, n_strokes
    content = bytearray()
    while rest > 0:
        content += outer.compress(inner.compress(piece))
        rest -= 10_000
    content += outer.compress(inner.flush()) + outer.flush()
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R>>"
    head = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    filters = b"<</Filter[/FlateDecode/FlateDecode]/Length %d>>stream\n" % len(content)
    body = b"3 0 obj" + page + b"endobj\n4 0 obj" + filters + bytes(content) + b"\nendstream endobj\n"
    return head + body + b"trailer<</Root 1 0 R>>\n"


def test_a_small_pdf_of_many_strokes_costs_no_more_than_the_limits(narrow: None, tmp_path: Path) -> None:
    (tmp_path / "a few.pdf").write_bytes(strokes_pdf(10_000))
    assert len(list(pictures(tmp_path / "a few.pdf"))) == 1
    (tmp_path / "many.pdf").write_bytes(data := strokes_pdf(3_000_000))
    assert len(data) < 3000
    with pytest.raises(BadInput, match=r"many.pdf .*(more than|its decoder)"):
        list(pictures(tmp_path / "many.pdf"))


@pytest.mark.slow
def test_sixty_million_strokes_take_at_most_what_a_photo_may(tmp_path: Path) -> None:
    (tmp_path / "many.pdf").write_bytes(strokes_pdf(60_000_000))
    code = (
        "import sys, time; from pathlib import Path\n"
        "from pipeline.core.errors import BadInput\nfrom pipeline.core.memory import peak_bytes\n"
        "from pipeline.images.pictures import pictures\n"
        "began = time.monotonic()\n"
        "try: list(pictures(Path(sys.argv[1])))\n"
        "except BadInput as error: print(error, file=sys.stderr)\n"
        "print(time.monotonic() - began, peak_bytes(with_children=True) / 2**20)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "many.pdf")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    seconds, taken_mb = map(float, done.stdout.split())
    assert "many.pdf" in done.stderr and seconds < 70 and taken_mb < 800


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "heic", "avif", "jp2"])
def test_a_large_photo_is_read_within_the_limits(tmp_path: Path, suffix: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))
    path = tmp_path / f"a.{suffix}"
    small.resize((6000, 4000)).save(path, **OPTIONS.get(suffix, {}))
    (picture,) = pictures(path)
    assert picture.pixels.shape == (4000, 6000, 3)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "heic", "avif", "jp2"])
def test_a_photo_of_48_megapixels_is_read_or_refused_for_its_size(tmp_path: Path, suffix: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (63, 84, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    path, options = tmp_path / f"a.{suffix}", OPTIONS.get(suffix, {})
    small.resize((8064, 6048)).save(path, **options, **({} if suffix == "jp2" else {"exif": exif.tobytes()}))
    if suffix == "jp2":
        with pytest.raises(BadInput, match="49 megapixels"):
            list(pictures(path))
        return
    (picture,) = pictures(path)
    assert picture.pixels.shape == (8064, 6048, 3)


@pytest.mark.slow
def test_what_libraries_keep_of_one_file_after_the_other_is_given_back() -> None:
    """As libheif keeps a part of every HEIC that is made of tiles, like those of phones."""
    assert [next(limited(f"{__name__}:kept", HERE, 50)) for _ in range(8)][-1] < 250
