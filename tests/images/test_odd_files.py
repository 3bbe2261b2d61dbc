"""Raw files, motion photos, gain maps, HDR pictures and cut files: read in full and right, or refused by name."""

import io
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from hostile_files import encoded, png_bytes, video_bytes
from PIL import Image

from pipeline.core.errors import BadInput
from pipeline.images import NoReader, image_format, missing_reader
from pipeline.images.code_points import code_points
from pipeline.images.pictures import capture_kind, pictures

tifffile = pytest.importorskip("tifffile")
pillow_heif.register_heif_opener()
GAIN = np.array([0.5, 1.0, 0.6])  # of red, green and blue in the sensor, for light that is neutral


@pytest.fixture(scope="module")
def detail() -> np.ndarray:
    rng = np.random.default_rng(1)
    return cv2.resize(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)


def dng_bytes(rgb: np.ndarray) -> bytes:
    """A DNG as a phone writes one: a thumbnail first, and below it the sensor's RGGB mosaic of an sRGB picture."""
    light = (rgb / 255.0) ** 2.2 * GAIN
    sensor = light[..., 1].copy()
    sensor[::2, ::2], sensor[1::2, 1::2] = light[::2, ::2, 0], light[1::2, 1::2, 2]
    matrix = np.diag(GAIN) @ np.linalg.inv([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    tags = [
        (271, "s", 0, "Maker", True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Maker One", True),
        (50721, "2i", 9, [n for value in matrix.ravel() for n in (round(value * 10_000), 10_000)], True),
        (50728, "2I", 3, [n for value in GAIN for n in (round(value * 1000), 1000)], True),
        (50778, "H", 1, 21, True),
    ]
    mosaic = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True), (50717, "H", 1, 65535, True)]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(rgb[::8, ::8].copy(), photometric="rgb", subifds=1, subfiletype=1, extratags=tags, metadata=None)
        file.write(np.uint16(sensor * 65535), photometric=32803, subfiletype=0, extratags=mosaic, metadata=None)
    return buffer.getvalue()


def sensor_tiff(make: str, photometric: int = 32803) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        tags = [(271, "s", 0, make, True)]
        file.write(np.zeros((8, 8, 3), np.uint8), photometric="rgb", subifds=1, extratags=tags, metadata=None)
        file.write(np.zeros((16, 16), np.uint16), photometric=photometric, metadata=None)
    return buffer.getvalue()


RAW = {
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(100),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100),
    "RAF": b"FUJIFILMCCD-RAW 0201FF383501" + bytes(100),
    "ORF": b"IIRO\x08\0\0\0" + bytes(100),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(100),
    "NEF": sensor_tiff("NIKON CORPORATION"),
    "ARW": sensor_tiff("SONY"),
    "PEF": sensor_tiff("PENTAX"),
    "RAW": sensor_tiff("Nobody"),
    "DNG": dng_bytes(np.full((64, 64, 3), 128, np.uint8)),
}


@pytest.mark.parametrize("kind", RAW)
def test_a_raw_file_is_known_by_its_content_and_refused_by_name_where_nothing_develops_it(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(RAW[kind])
    assert image_format(path) == kind and capture_kind(path) == "photo"
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert f"({kind})" in missing_reader(path)
    with pytest.raises(NoReader, match=r"inkproof\[raw\].* or export the picture as JPEG"):
        next(pictures(path))


@pytest.mark.parametrize(
    "data", [sensor_tiff("NIKON", photometric=1), b"II*\0\xff\xff\xff\x7f", b"MM\0*", b"II*\0\x08\0\0\0\xff\xff"]
)
def test_another_tiff_is_no_raw_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.dng").write_bytes(data)
    assert image_format(tmp_path / "a.dng") == "TIFF"


def test_a_dng_is_developed_in_full_size_to_the_picture_it_was_made_from(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    picture = np.zeros((128, 192, 3), np.uint8)
    picture[:64, :96], picture[:64, 96:], picture[64:, :96], picture[64:, 96:] = (200, 60, 60), (60, 190, 70), (70, 80, 180), 210
    (tmp_path / "photo").write_bytes(dng_bytes(picture))
    (found,) = pictures(tmp_path / "photo")
    assert found.pixels.shape == picture.shape and "DNG" in found.notes[0]
    for rows, columns in [(32, 48), (32, 144), (96, 48), (96, 144)]:
        seen, made = (pixels[rows - 8 : rows + 8, columns - 8 : columns + 8].mean((0, 1)) for pixels in (found.pixels, picture))
        assert np.abs(seen - made).max() < 6


def test_a_raw_file_that_cannot_be_developed_says_so(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "a.cr3").write_bytes(RAW["CR3"])
    with pytest.raises(BadInput, match=r"a.cr3.* raw file \(CR3\).* JPEG"):
        next(pictures(tmp_path / "a.cr3"))


def with_film(photo: bytes, scratch: Path, detail: np.ndarray) -> bytes:
    return photo + b"MotionPhoto_Data" + video_bytes([detail] * 4, scratch / "film.mp4")


def gain_map_xmp() -> bytes:
    """What marks a JPEG of which a part that follows it makes an HDR picture."""
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    packet += b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/></rdf:RDF></x:xmpmeta>'
    return packet


def with_auxiliary(still: Image.Image, name: bytes) -> bytes:
    """A HEIC with a turn, and an auxiliary picture that is neither alpha nor to be shown."""
    clear = still.convert("RGBA")
    clear.putalpha(still.convert("L"))
    data = encoded(clear.rotate(90, expand=True), "HEIF", quality=95, exif=turned(6))
    alpha = b"urn:mpeg:hevc:2015:auxid:1"
    assert alpha in data
    return data.replace(alpha, name.ljust(len(alpha), b"\0"))


def exif_thumbnail(jpeg: bytes) -> bytes:
    tags = b"".join(struct.pack("<HHII", *tag) for tag in [(0x103, 3, 1, 6), (0x201, 4, 1, 56), (0x202, 4, 1, len(jpeg))])
    return b"Exif\0\0II*\0\x08\0\0\0\0\0\x0e\0\0\0\x03\0" + tags + bytes(4) + jpeg


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize(
    "kind",
    [
        "motion.jpg", "motion.heic", "several.mpo", "gain-map.jpg", "gain-map.heic", "depth.heic", "thumbnail.heic", "burst.heic",
        "grid.heic", "primary-second.heic", "moving.avif", "moving.webp", "moving.png", "moving.gif", "large-thumbnail.jpg",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_of_a_photo_with_more_in_its_file_the_still_comes_in_full_size(tmp_path: Path, detail: np.ndarray, kind: str) -> None:
    still, small, large = Image.fromarray(detail), Image.fromarray(detail[::4, ::4].copy()), Image.new("RGB", (640, 480))
    jpeg, heic = encoded(still, "JPEG", quality=95), encoded(still, "HEIF", quality=95)
    data = {
        "motion.jpg": lambda: with_film(jpeg, tmp_path, detail),
        "motion.heic": lambda: with_film(heic, tmp_path, detail),
        "several.mpo": lambda: encoded(still, "MPO", save_all=True, append_images=[small, large]),
        "gain-map.jpg": lambda: encoded(still, "JPEG", quality=95, xmp=gain_map_xmp()) + encoded(small.convert("L"), "JPEG"),
        "gain-map.heic": lambda: with_auxiliary(still, b"urn:com:apple:hdrgainmap"),
        "depth.heic": lambda: with_auxiliary(still, b"urn:mpeg:hevc:2015:auxid:2"),
        "thumbnail.heic": lambda: encoded(still, "HEIF", quality=95, thumbnails=[64]),
        "burst.heic": lambda: encoded(still, "HEIF", quality=95, save_all=True, append_images=[large]),
        "grid.heic": lambda: encoded(still.rotate(90, expand=True), "HEIF", quality=95, tile_size=128, exif=turned(6)),
        "primary-second.heic": lambda: encoded(large, "HEIF", quality=95, save_all=True, append_images=[still], primary_index=1),
        "moving.avif": lambda: encoded(still, "AVIF", quality=95, save_all=True, append_images=[small.resize(still.size)]),
        "moving.webp": lambda: encoded(still, "WEBP", quality=95, save_all=True, append_images=[small.resize(still.size)]),
        "moving.png": lambda: encoded(still, "PNG", save_all=True, append_images=[small.resize(still.size)]),
        "moving.gif": lambda: encoded(still, "GIF", save_all=True, append_images=[small.resize(still.size)]),
        "large-thumbnail.jpg": lambda: encoded(still, "JPEG", quality=95, exif=exif_thumbnail(encoded(large, "JPEG"))),
    }[kind]()
    (tmp_path / "photo").write_bytes(data)
    (found,) = pictures(tmp_path / "photo")
    assert found.frame == "" and found.pixels.shape == detail.shape
    assert np.abs(found.pixels.astype(int) - detail).mean() < 12


def with_curve(data: bytes, curve: int) -> bytes:
    at = data.index(b"colrnclx") + 10
    return data[:at] + struct.pack(">H", curve) + data[at + 2 :]


def with_cicp(curve: int) -> bytes:
    data, chunk = png_bytes(4, 4, bytes(52)), b"cICP" + bytes([9, curve, 0, 1])
    return data[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


@pytest.mark.parametrize("curve", [13, 16, 18])
@pytest.mark.parametrize("suffix", ["avif", "heic", "png"])
def test_an_hdr_picture_is_refused_by_name(tmp_path: Path, detail: np.ndarray, suffix: str, curve: int) -> None:
    if suffix == "png":
        data = with_cicp(curve)
    else:
        data = with_curve(encoded(Image.fromarray(detail), {"avif": "AVIF", "heic": "HEIF"}[suffix]), curve)
    (tmp_path / "photo").write_bytes(data)
    if curve == 13:
        assert len(list(pictures(tmp_path / "photo"))) == 1
        return
    with pytest.raises(BadInput, match=rf"HDR picture \({'PQ' if curve == 16 else 'HLG'}\).*JPEG"):
        list(pictures(tmp_path / "photo"))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def heif_head(main: int, is_wide: bool) -> bytes:
    """A HEIC's boxes with a tile (1), a grid of it that names no colours (5), and three pictures with other curves (2, 3, 4)."""
    colours = b"".join(box(b"colr", b"nclx" + struct.pack(">HHHB", 9, value, 9, 128)) for value in (13, 16, 18))
    properties = box(b"ispe", bytes(12)) + colours
    numbers = {1: [1, 2], 2: [1, 3], 3: [1, 4], 4: [1, 99], 5: [1]}
    kind = ">IB2H" if is_wide else ">HB2B"
    table = b"".join(
        struct.pack(kind[: 4 + len(own)].replace("2", str(len(own))), item, len(own), *own) for item, own in numbers.items()
    )
    head = bytes([1, 0, 0, 1]) if is_wide else bytes(4)
    pairs = box(b"ipma", head + struct.pack(">I", len(numbers)) + table)
    number = ">I" if is_wide else ">H"
    made = box(b"dimg", struct.pack(number, 5) + struct.pack(">H", 1) + struct.pack(number, 1))
    references = box(b"iref", bytes([is_wide, 0, 0, 0]) + box(b"thmb", bytes(8)) + made)
    main_item = box(b"pitm", bytes([is_wide, 0, 0, 0]) + struct.pack(number, main))
    return main_item + references + box(b"iprp", box(b"ipco", properties) + pairs)


@pytest.mark.parametrize(("main", "codes"), [(1, (9, 13)), (2, (9, 16)), (3, (9, 18)), (4, None), (5, (9, 13))])
@pytest.mark.parametrize("is_wide", [False, True])
def test_only_the_main_pictures_code_points_count(tmp_path: Path, main: int, codes: tuple | None, is_wide: bool) -> None:
    """As in photos that hold their HDR rendition beside the ordinary one; a grid's tiles may name what it does not."""
    meta = bytes(4) + heif_head(main, is_wide)
    (tmp_path / "photo").write_bytes(box(b"ftyp", b"heic" + bytes(4)) + box(b"meta", meta))
    assert code_points(tmp_path / "photo") == codes


def burst(tmp_path: Path, main: int, *colours: tuple[int, int]) -> Path:
    """A HEIC of flat pictures of the same numbers, each with its own width and (primaries, curve)."""
    whole = pillow_heif.HeifFile()
    for i, (primaries, curve) in enumerate(colours):
        one = whole.add_from_pillow(Image.new("RGB", (64 + 16 * i, 64), (200, 60, 90)))
        names = ("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag")
        one.info["nclx_profile"] = dict(zip(names, (primaries, curve, 6, 1), strict=True))
    whole.save(tmp_path / "photo.heic", quality=100, chroma=444, primary_index=main, save_nclx_profile=True)
    return tmp_path / "photo.heic"


def test_a_picture_before_the_main_one_gives_it_no_colours(tmp_path: Path) -> None:
    def colour(main: int, *colours: tuple[int, int]) -> np.ndarray:
        (found,) = pictures(burst(tmp_path, main, *colours))
        assert found.pixels.shape[1] == 64 + 16 * main
        return found.pixels.mean((0, 1))

    plain, wide = colour(0, (1, 13)), colour(0, (12, 13))
    assert np.abs(plain - wide).max() > 5
    np.testing.assert_allclose(colour(1, (12, 13), (1, 13)), plain, atol=1)
    np.testing.assert_allclose(colour(1, (1, 13), (12, 13)), wide, atol=1)
    np.testing.assert_allclose(colour(1, (9, 16), (1, 13)), plain, atol=1)


@pytest.mark.parametrize(("curve", "name"), [(1, ""), (16, "PQ"), (18, "HLG")])
def test_an_hdr_film_is_refused_by_name(tmp_path: Path, detail: np.ndarray, curve: int, name: str) -> None:
    data = bytearray(video_bytes([detail] * 4, tmp_path / "film.mp4"))
    at, colour = data.index(b"moov"), box(b"colr", b"nclx" + struct.pack(">HHHB", 9, curve, 9, 0))
    assert at > data.index(b"mdat")
    data[at - 4 : at] = struct.pack(">I", int.from_bytes(data[at - 4 : at], "big") + len(colour))
    (tmp_path / "film.mp4").write_bytes(data + colour)
    if not name:
        assert len(list(pictures(tmp_path / "film.mp4"))) == 1
        return
    with pytest.raises(BadInput, match=rf"HDR video \({name}\).*without HDR"):
        list(pictures(tmp_path / "film.mp4"))


CUTS = {
    "end-mark": b"\xff\xd9",
    "zeros": bytes(3000),
    "many-zeros": bytes(300_000),
    "zeros-end-mark": bytes(3000) + b"\xff\xd9",
    "another": b"",
}


@pytest.mark.parametrize("tail", CUTS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 2}], ids=["plain", "restarts"])
def test_a_cut_jpeg_is_refused_whatever_follows_the_cut(
    tmp_path: Path, detail: np.ndarray, mode: str, options: dict, tail: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encoded(Image.fromarray(detail).convert(mode), "JPEG", quality=95, **options)
    (tmp_path / "whole.jpg").write_bytes(whole)
    assert len(list(pictures(tmp_path / "whole.jpg"))) == 1
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2] + CUTS[tail])
    with pytest.raises(BadInput, match=r"cut.jpg is (truncated|damaged).*Copy or export it again"):
        list(pictures(tmp_path / "cut.jpg"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_without_its_last_scans_is_refused(tmp_path: Path, detail: np.ndarray, mode: str) -> None:
    """A decoder says nothing where the cut lies between two scans, or where the rest of a scan would have been zeros."""
    whole = encoded(Image.fromarray(detail).convert(mode), "JPEG", quality=95, progressive=True)
    (tmp_path / "whole.jpg").write_bytes(whole)
    assert len(list(pictures(tmp_path / "whole.jpg"))) == 1
    for size in (len(whole) // 2, whole.rindex(b"\xff\xda")):
        (tmp_path / "cut.jpg").write_bytes(whole[:size] + b"\xff\xd9")
        with pytest.raises(BadInput, match="truncated"):
            list(pictures(tmp_path / "cut.jpg"))


@pytest.mark.parametrize(("padding", "mark"), [(b"abc", b"\xff\xd9"), (bytes(200), b"\xff\xdb")], ids=["end", "tables"])
def test_padding_outside_the_coded_data_is_no_damage(tmp_path: Path, detail: np.ndarray, padding: bytes, mark: bytes) -> None:
    whole = encoded(Image.fromarray(detail), "JPEG")
    at = whole.index(mark)
    (tmp_path / "a.jpg").write_bytes(whole)
    (tmp_path / "b.jpg").write_bytes(whole[:at] + padding + whole[at:])
    (plain,), (padded,) = pictures(tmp_path / "a.jpg"), pictures(tmp_path / "b.jpg")
    np.testing.assert_array_equal(plain.pixels, padded.pixels)


@pytest.mark.parametrize("data", [b"\xff\x0a" + bytes(40), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)], ids=["stream", "box"])
def test_a_jpeg_xl_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(NoReader, match="JXL"):
        list(pictures(tmp_path / "a.jpg"))
