"""Photos, scans and videos become pictures: upright, at the resolution that they hold, the sharpest frames first."""

import io
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hostile_files import encoded, pdf_of, video_bytes
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from pipeline.core.errors import BadInput
from pipeline.images import pictures as room, read_image
from pipeline.images.photo_tags import photo_tags
from pipeline.images.pictures import capture_kind, pictures, pictures_here
from pipeline.store import Run, photo_digest, photo_files, photo_trouble

# How the stored picture is made from the upright one, by EXIF's own table of what row 0 and column 0 show.
STORED = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2), 8: lambda a: np.rot90(a, -1),
}  # fmt: skip
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "heic": "HEIF", "avif": "AVIF"}


@pytest.fixture(scope="module")
def upright() -> np.ndarray:
    """Four flat quarters, no two alike, so that lossy formats keep them apart."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48], picture[:32, 48:], picture[32:, :48], picture[32:, 48:] = (200, 40, 40), (40, 200, 40), (40, 40, 200), 230
    return picture


@pytest.fixture(scope="module")
def detail() -> np.ndarray:
    rng = np.random.default_rng(1)
    return cv2.resize(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), (320, 240), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_photo_comes_in_upright_in_every_format_and_exif_orientation(
    tmp_path: Path, upright: np.ndarray, suffix: str, subtests: pytest.Subtests
) -> None:
    for orientation in range(1, 9):
        with subtests.test(orientation=orientation):
            if suffix == "heic":
                pytest.importorskip("pillow_heif").register_heif_opener()
            exif = Image.Exif()
            exif[0x0112] = orientation
            stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
            path = tmp_path / "photo.any"
            # given as bytes, HEIC writes its own kind of turn
            path.write_bytes(encoded(stored, FORMATS[suffix], exif=exif.tobytes()))
            (picture,) = pictures(path)
            assert picture.frame == "" and picture.pixels.shape == upright.shape and picture.pixels.flags.c_contiguous
            assert np.abs(picture.pixels.astype(int) - upright).mean() < 6
            assert capture_kind(path) == ("document" if suffix == "tif" else "photo")


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"subsampling": "4:4:4"}), ("JPEG", {"restart_marker_rows": 1}),
     ("WEBP", {}), ("WEBP", {"lossless": True})],
    ids=str,
)  # fmt: skip
def test_a_jpeg_or_webp_has_the_same_pixels_as_in_pillow(
    tmp_path: Path, kind: str, options: dict, subtests: pytest.Subtests
) -> None:
    for size in [(64, 64), (101, 57), (7, 3), (1, 1)]:
        with subtests.test(size=size):
            noise = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            path = tmp_path / "a.jpg"
            path.write_bytes(encoded(Image.fromarray(noise), kind, quality=83, **options))
            with Image.open(path) as image:
                np.testing.assert_array_equal(read_image(path).pixels, np.asarray(image))


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=str)
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_cut_jpeg_with_a_thumbnail_is_refused(tmp_path: Path, detail: np.ndarray, options: dict, kept: float):
    thumbnail = encoded(Image.fromarray(detail[:60, :80]), "JPEG")
    whole = encoded(Image.fromarray(detail), "JPEG", **options)
    app = b"\xff\xe5" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:2] + app + whole[2:])
    assert len(list(pictures(path))) == 1
    path.write_bytes((whole[:2] + app + whole[2:])[: len(app) + int(kept * len(whole))])
    with pytest.raises(BadInput, match="truncated"):
        list(pictures(path))


def test_what_a_camera_appends_to_a_jpeg_does_not_matter(tmp_path: Path, detail: np.ndarray) -> None:
    whole = encoded(Image.fromarray(detail), "JPEG")
    (tmp_path / "a.jpg").write_bytes(whole)
    (tmp_path / "b.jpg").write_bytes(whole + b"SEFH" + bytes(3000) + b"\0\0\0\x18ftypmp42")
    first, second = (next(pictures(tmp_path / name)) for name in ("a.jpg", "b.jpg"))
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_every_page_of_a_tiff_is_a_picture_turned_by_its_own_tag(tmp_path: Path, upright: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.ascontiguousarray(STORED[6](upright)))
    Image.fromarray(upright).save(tmp_path / "a.tif", save_all=True, append_images=[turned], exif=exif)
    found = list(pictures(tmp_path / "a.tif"))
    assert [picture.frame for picture in found] == ["page 1", "page 2"]
    np.testing.assert_array_equal(found[1].pixels, upright)
    assert not any("first of" in note for picture in found for note in picture.notes)


def test_a_damaged_page_does_not_keep_the_others_from_coming_and_is_told(tmp_path: Path, upright: np.ndarray) -> None:
    pages = [Image.fromarray(np.roll(upright, i)) for i in range(3)]
    data = bytearray(encoded(pages[0], "TIFF", compression="tiff_adobe_deflate", save_all=True, append_images=pages[1:]))
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        (strip,) = image.tag_v2[273][:1]
    data[strip : strip + 20] = bytes(20)
    (tmp_path / "a.tif").write_bytes(data)
    reader, frames = pictures(tmp_path / "a.tif"), []
    with pytest.raises(BadInput, match="page 2"):
        frames.extend(picture.frame for picture in reader)
    assert frames == ["page 1", "page 3"]


@pytest.mark.parametrize("dpi", [75, 150, 203, 300, 599.5])
def test_a_scanned_pdf_comes_back_with_the_very_pixels_of_the_scan(tmp_path: Path, detail: np.ndarray, dpi: float) -> None:
    (tmp_path / "scan").write_bytes(pdf_of(Image.fromarray(detail), Image.fromarray(detail[::-1]), dpi=dpi))
    found = list(pictures(tmp_path / "scan"))
    assert [picture.frame for picture in found] == ["page 1", "page 2"] and capture_kind(tmp_path / "scan") == "document"
    np.testing.assert_array_equal(found[0].pixels, detail)
    np.testing.assert_array_equal(found[1].pixels, detail[::-1])


@pytest.mark.parametrize("kind", ["form", "form in a form", "form with a matrix"])
def test_a_scan_in_a_form_has_the_resolution_that_it_has_on_the_page(tmp_path: Path, detail: np.ndarray, kind: str) -> None:
    """Scanner programs lay a bitmap of one point a pixel into a form, and shrink the form."""

    (height, width), shrunk = detail.shape[:2], 72 / 300
    document = canvas.Canvas(str(tmp_path / "a.pdf"), pagesize=(width * shrunk, height * shrunk), pageCompression=0)
    document.beginForm("scan", 0, 0, width, height)
    document.drawImage(ImageReader(Image.fromarray(detail)), 0, 0, width, height)
    document.endForm()
    name, left = "scan", shrunk
    if kind == "form in a form":
        document.beginForm("outer", 0, 0, width / 2, height / 2)
        document.scale(0.5, 0.5)
        document.doForm("scan")
        document.endForm()
        name, left = "outer", 2 * shrunk
    if kind != "form with a matrix":
        document.scale(left, left)
    document.doForm(name)
    document.showPage()
    document.save()
    if kind == "form with a matrix":
        content = (tmp_path / "a.pdf").read_bytes()
        assert content.count(b"/Matrix [ 1 0 0 1 0 0 ]") == 1
        (tmp_path / "a.pdf").write_bytes(content.replace(b"/Matrix [ 1 0 0 1 0 0 ]", b"/Matrix [.24 0 0 .24 0 0]"))
    (found,) = pictures(tmp_path / "a.pdf")
    assert found.scan_dpi == pytest.approx(300, abs=0.01)
    np.testing.assert_array_equal(found.pixels, detail)


def test_the_largest_bitmap_of_a_page_sets_its_resolution(tmp_path: Path, detail: np.ndarray) -> None:

    document = canvas.Canvas(str(tmp_path / "a.pdf"), pagesize=(400, 300))
    document.drawImage(ImageReader(Image.fromarray(detail)), 40, 30, 160, 120)
    document.drawImage(ImageReader(Image.fromarray(detail[:40, :40])), 300, 200, 5, 5)
    document.drawString(220, 50, "a caption")
    document.save()
    (picture,) = pictures(tmp_path / "a.pdf")
    assert picture.pixels.shape == (600, 800, 3)
    np.testing.assert_array_equal(picture.pixels[600 - 60 - 240 : 600 - 60, 80:400], detail)


@pytest.mark.parametrize(
    ("size_pt", "expected"),
    [((72, 144), (600, 300)), ((1e5, 1e5), (7742, 7742))],
    ids=["drawing-at-300-dpi", "enormous-page"],
)
def test_a_pdf_page_is_never_larger_than_the_limit(tmp_path: Path, size_pt: tuple[float, float], expected: tuple) -> None:

    document = canvas.Canvas(str(tmp_path / "a.pdf"), pagesize=size_pt)
    document.drawString(10, 10, "no bitmap")
    document.save()
    (picture,) = pictures(tmp_path / "a.pdf")
    height, width = picture.pixels.shape[:2]
    assert abs(height - expected[0]) <= 1 and abs(width - expected[1]) <= 1 and height * width <= room.MAX_PIXELS


def test_a_pdf_with_a_password_says_so(tmp_path: Path) -> None:

    document = canvas.Canvas(str(tmp_path / "a.pdf"), encrypt="secret")
    document.drawString(10, 10, "a")
    document.save()
    with pytest.raises(BadInput, match="without a password"):
        list(pictures(tmp_path / "a.pdf"))


def film(detail: np.ndarray, n_frames: int, sharp: set[int], step_px: int = 8) -> list[np.ndarray]:
    """A pan over a picture, 20 frames a second, out of focus but for some frames that are also darker."""
    frames = []
    for i in range(n_frames):
        view = np.roll(detail, i * step_px, axis=1)
        frames.append((view * 0.4).astype(np.uint8) if i in sharp else cv2.GaussianBlur(view, (0, 0), 1.0))
    return frames


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "mp4v"), ("mov", "mp4v"), ("mkv", "mp4v"), ("avi", "MJPG"), ("webm", "VP80")]
)
def test_of_each_half_second_the_sharpest_frame_is_taken(tmp_path: Path, detail: np.ndarray, suffix: str, codec: str) -> None:
    sharp = {3, 16, 24, 37}
    data = video_bytes(film(detail, 40, sharp), tmp_path / f"v.{suffix}", codec)
    if not data:
        pytest.skip(f"this OpenCV cannot write {codec}")
    (tmp_path / "clip.dat").write_bytes(data)
    assert capture_kind(tmp_path / "clip.dat") == "video"
    assert [picture.frame for picture in pictures(tmp_path / "clip.dat")] == ["0.15 s", "0.80 s", "1.20 s", "1.85 s"]


def test_a_frame_is_the_picture_at_its_time(tmp_path: Path, detail: np.ndarray) -> None:
    frames = film(detail, 20, {7, 12})
    video_bytes(frames, tmp_path / "v.avi", "MJPG")
    first, second = pictures(tmp_path / "v.avi")
    for picture, i in ((first, 7), (second, 12)):
        difference = [np.abs(picture.pixels.astype(int) - frame).mean() for frame in frames]
        assert picture.frame == f"{i / 20:.2f} s" and np.argmin(difference) == i and difference[i] < 12


def test_frames_that_look_alike_are_taken_once_unless_they_become_sharper(tmp_path: Path, detail: np.ndarray) -> None:
    page = 160 + detail // 4
    still, blurred = [page] * 20, [cv2.GaussianBlur(page, (0, 0), 1.2)] * 20
    video_bytes(still * 3, tmp_path / "still.mp4")
    assert len(list(pictures(tmp_path / "still.mp4"))) == 1
    video_bytes(blurred + still * 2, tmp_path / "focus.mp4")
    found = [float(picture.frame.split()[0]) for picture in pictures(tmp_path / "focus.mp4")]
    assert len(found) == 2 and found[0] < 1 <= found[1] < 2


def test_a_long_video_gives_frames_from_its_whole_length(tmp_path: Path, detail: np.ndarray) -> None:
    small = np.ascontiguousarray(detail[:120, :160])
    video_bytes(film(small, 20 * 90, set(), 3), tmp_path / "long.mp4")
    at_s = np.array([float(picture.frame.split()[0]) for picture in pictures(tmp_path / "long.mp4")])
    assert 50 <= len(at_s) <= 60 and at_s[-1] > 87
    assert np.diff(at_s).min() > 0.9 and np.diff(at_s).max() < 2.1


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_video_is_turned_as_its_phone_says(tmp_path: Path, upright: np.ndarray, degrees: int) -> None:
    """A track's matrix tells by how much a player turns the picture clockwise."""
    data = bytearray(video_bytes([upright] * 20, tmp_path / "v.mp4"))
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    at = data.index(b"tkhd") + 4 + 40
    fixed = [cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30]
    data[at : at + 36] = struct.pack(">9i", *fixed)
    (tmp_path / "v.mp4").write_bytes(data)
    (picture,) = pictures(tmp_path / "v.mp4")
    expected = np.rot90(upright, -degrees // 90)
    assert picture.pixels.shape == expected.shape
    assert np.abs(picture.pixels.astype(int) - expected).mean() < 12


@pytest.mark.parametrize("kind", ["video", "pdf", "tiff"])
def test_reading_stops_with_a_note_when_its_time_is_over(
    tmp_path: Path, detail: np.ndarray, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Image.fromarray(detail)
    if kind == "video":
        video_bytes(film(detail, 60, set()), tmp_path / "a.mp4")
        path = tmp_path / "a.mp4"
    else:
        path = tmp_path / "a"
        path.write_bytes(
            pdf_of(page, page, page) if kind == "pdf" else encoded(page, "TIFF", save_all=True, append_images=[page])
        )
    assert not any(picture.notes for picture in pictures(path))
    monkeypatch.setattr(room, "MAX_READ_S", 0.0)
    found = list(pictures_here(path))
    assert len(found) == 1 and "not read" in found[0].notes[-1]


@pytest.mark.parametrize("name", [b"%03d.mp4", b"caf\xe9.mp4", b"a\nb.mp4", b"concat:x|y.mp4"], ids=repr)
def test_a_videos_name_means_nothing(tmp_path: Path, detail: np.ndarray, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(video_bytes([detail] * 5, tmp_path / "v.mp4"))
    assert len(list(pictures(path))) == 1


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(
    tmp_path: Path, detail: np.ndarray, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_PIXELS", 70_000)
    monkeypatch.setattr(room, "MAX_JPEG_PIXELS", 70_000)
    (tmp_path / "a").write_bytes(encoded(Image.fromarray(detail), FORMATS[kind]))
    with pytest.raises(BadInput, match="megapixels"):
        list(pictures_here(tmp_path / "a"))


def test_only_one_picture_is_read_at_a_time(tmp_path: Path, detail: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    whole = room._rendered
    monkeypatch.setattr(room, "_rendered", lambda page: read.append(1) or whole(page))
    (tmp_path / "a.pdf").write_bytes(pdf_of(*[Image.fromarray(detail)] * 3))
    reader = pictures_here(tmp_path / "a.pdf")
    assert not read
    next(reader)
    assert len(read) == 1


@pytest.mark.parametrize("name", ["JPEG", "HEIF", "PNG"])
def test_the_focal_length_is_read_where_it_makes_sense(tmp_path: Path, name: str, subtests: pytest.Subtests) -> None:
    for value, expected in [(26, 26.0), (0, None), (-3, None), (None, None), ("wide", None), ((1, 2), None)]:
        with subtests.test(value=value, expected=expected):
            if name == "HEIF":
                pytest.importorskip("pillow_heif").register_heif_opener()
            exif = Image.Exif()
            exif[0x010F] = "Maker"
            if value is not None:
                try:
                    exif.get_ifd(0x8769)[0xA405] = value
                    (tmp_path / "a").write_bytes(encoded(Image.new("RGB", (64, 64)), name, exif=exif))
                except struct.error:
                    pytest.skip("such a value cannot be written")
            else:
                (tmp_path / "a").write_bytes(encoded(Image.new("RGB", (64, 64)), name, exif=exif))
            tags = photo_tags(tmp_path / "a")
            assert (tags.device, tags.focal_35mm_mm) == ("Maker", expected)


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(BadInput):
        list(pictures(tmp_path / "a.jpg"))
    assert capture_kind(tmp_path / "a.jpg") == "" and photo_tags(tmp_path / "a.jpg").device == ""


def entries(tmp_path: Path) -> Run:
    run = Run(tmp_path, "r")
    (run.photos / "trip").mkdir(parents=True)
    (tmp_path / "away").mkdir()
    for path in (run.photos / "trip" / "a.jpg", tmp_path / "away" / "secret.jpg", tmp_path / "photos-of-mine.jpg"):
        path.write_bytes(b"picture")
    links = {
        "inside.jpg": "trip/a.jpg", "out.jpg": "../../../away/secret.jpg", "out-folder": str(tmp_path / "away"),
        "inside-folder": "trip", "up": "..", "dangling.jpg": "nothing.jpg", "chain.jpg": "out.jpg", "trip/back": "..",
        "dangling-out.jpg": "/nothing/there.jpg",
    }  # fmt: skip
    for name, target in links.items():
        (run.photos / name).symlink_to(target)
    (run.photos / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(run.photos / "pipe.jpg")
    return run


def test_every_entry_is_listed_once_and_no_link_is_walked(tmp_path: Path) -> None:
    run = entries(tmp_path)
    found = {path.relative_to(run.photos).as_posix(): photo_trouble(run, path) for path in photo_files(run)}
    reasons = {name: trouble and trouble[0] for name, trouble in found.items()}
    assert {name for name, reason in reasons.items() if reason is None} == {"trip/a.jpg", "inside.jpg"}
    assert {name for name, reason in reasons.items() if reason == "linked"} == {
        "out.jpg", "out-folder", "up", "chain.jpg", "dangling-out.jpg",
    }  # fmt: skip
    assert {name for name, reason in reasons.items() if reason == "unreadable"} == {"dangling.jpg", "loop.jpg", "pipe.jpg"}


def test_the_digest_of_what_is_not_opened_tells_where_it_leads_and_stays(tmp_path: Path) -> None:
    run = entries(tmp_path)
    digests = {path.name: photo_digest(run, path) for path in photo_files(run)}
    assert digests["inside.jpg"] == digests["a.jpg"] and len(set(digests.values())) == len(digests) - 1
    (tmp_path / "away" / "secret.jpg").write_bytes(b"changed")
    assert digests == {path.name: photo_digest(run, path) for path in photo_files(run)}
    (run.photos / "out.jpg").unlink()
    (run.photos / "out.jpg").symlink_to("../../../photos-of-mine.jpg")
    assert photo_digest(run, run.photos / "out.jpg") != digests["out.jpg"]


def test_the_photos_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    run = Run(tmp_path / "work", "r")
    run.captures.mkdir(parents=True)
    (tmp_path / "camera").mkdir()
    (tmp_path / "camera" / "a.jpg").write_bytes(b"picture")
    (tmp_path / "camera" / "b.jpg").symlink_to("a.jpg")
    run.photos.symlink_to(tmp_path / "camera")
    assert [photo_trouble(run, path) for path in photo_files(run)] == [None, None]
