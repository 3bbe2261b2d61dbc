"""Files that nobody should put into a photos folder, but somebody will: damaged, mislabelled, absurd, hostile."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

VIDEO_CODECS = {"mp4": "mp4v", "mov": "mp4v", "avi": "MJPG", "mkv": "mp4v", "webm": "VP80"}


def hostile_files(folder: Path, n: int, seed: int) -> list[Path]:
    """Returns `n` entries made in a folder: files, links, pipes, files in nested folders. The same seed makes the same ones.

    Two more entries, which links lead to, are made beside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    outside = folder.parent / f"{folder.name}-outside"
    outside.mkdir(exist_ok=True)
    whole = whole_files(outside)
    (outside / "secret.jpg").write_bytes(whole["jpg"])
    makers: list[Callable[[Path, int, np.random.Generator], Path]] = [
        *(_truncated(suffix, data) for suffix, data in whole.items()),
        *(_flipped(suffix, data) for suffix, data in whole.items()),
        *(_flipped_head(suffix, data) for suffix, data in whole.items()),
        *(_content(name, data) for name, data in odd_contents(whole).items()),
        _another_name(whole),
        _orientation,
        _mixed(whole),
        _link(outside / "secret.jpg"),
        _link(outside),
        _link(outside / "nothing"),
        _link(Path("nothing-here.jpg")),
        _link_to_itself,
        _pipe,
        _odd_name(whole["jpg"]),
        _nested(whole["png"]),
    ]
    rng = np.random.default_rng(seed)
    return [makers[i % len(makers)](folder, i, rng) for i in range(n)]


def whole_files(scratch: Path) -> dict[str, bytes]:
    """Returns a small undamaged file of every kind that is read, by its usual suffix."""
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (96, 72), interpolation=cv2.INTER_CUBIC)
    picture = Image.fromarray(pixels)
    files = {suffix: encoded(picture, name) for suffix, name in {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}.items()}
    files["progressive.jpg"] = encoded(picture, "JPEG", progressive=True)
    files["avif"] = encoded(picture, "AVIF")
    files["jp2"] = encoded(picture, "JPEG2000")
    files["gif"] = encoded(picture, "GIF", save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
    files["tif"] = encoded(picture, "TIFF", compression="tiff_lzw", save_all=True, append_images=[picture.rotate(180)])
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        files["heic"] = encoded(picture, "HEIF")
    except ImportError:
        pass
    files["pdf"] = pdf_of(picture)
    for suffix, codec in VIDEO_CODECS.items():
        if data := video_bytes([np.roll(pixels, 5 * i, 1) for i in range(12)], scratch / f"v.{suffix}", codec):
            files[suffix] = data
    return files


def encoded(picture: Image.Image, name: str, **options: object) -> bytes:
    """Returns a picture as the bytes of an image file."""
    buffer = io.BytesIO()
    picture.save(buffer, name, **options)
    return buffer.getvalue()


def pdf_of(*pictures: Image.Image, dpi: float = 150) -> bytes:
    """Returns a PDF with one picture a page, each filling its page."""
    buffer = io.BytesIO()
    document = canvas.Canvas(buffer)
    for picture in pictures:
        size = (picture.width * 72 / dpi, picture.height * 72 / dpi)
        document.setPageSize(size)
        document.drawImage(ImageReader(picture), 0, 0, *size)
        document.showPage()
    document.save()
    return buffer.getvalue()


def video_bytes(frames: list[np.ndarray], path: Path, codec: str = "mp4v", frames_per_s: float = 20) -> bytes:
    """Returns RGB frames as the bytes of a video, written by way of a file; b"" where OpenCV lacks the codec."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), frames_per_s, size)
    if not writer.isOpened():
        return b""
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path.read_bytes()


def odd_contents(whole: dict[str, bytes]) -> dict[str, bytes]:
    """Returns files that claim what is absurd, or are no pictures at all, by a name that says why."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photo.jpg", whole["jpg"])
    gray = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    colour = Image.open(io.BytesIO(whole["png"]))
    jpeg_sized = bytearray(whole["jpg"])
    frame_header = whole["jpg"].index(b"\xff\xc0")
    jpeg_sized[frame_header + 5 : frame_header + 9] = b"\xff\xff\xff\xff"
    gif_sized = whole["gif"][:6] + b"\xff\xff\xff\xff" + whole["gif"][10:]
    webp_sized = bytearray(encoded(colour, "WEBP"))
    webp_sized[26:30] = b"\xff\x3f\xff\x3f"
    scans = whole["progressive.jpg"]
    scan = scans.rindex(b"\xff\xda")
    return {
        "empty.jpg": b"",
        "one-byte.jpg": b"\xff",
        "soi-only.jpg": b"\xff\xd8\xff",
        "zeros.jpg": bytes(5000),
        "text.jpg": b"Not a picture.\n" * 50,
        "html.jpg": b"<!doctype html><title>Sign in</title>" * 20,
        "archive.jpg": archive.getvalue(),
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "script.svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>",
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        "ftyp-only.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2",
        "ftyp-only.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "ebml-only.mkv": b"\x1aE\xdf\xa3" + bytes(60),
        "riff-only.avi": b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(60),
        "quicktime-depths.mov": b"".join(struct.pack(">I4s", 60_000 - 8 * i, b"moov") for i in range(2000)),
        "absurd.png": png_bytes(2**31 - 1, 2**31 - 1, b"\0" * 100),
        "wide.png": png_bytes(2**31 - 1, 1, b"\0" * 100),
        "zero-wide.png": png_bytes(0, 9, b"\0" * 100),
        "bomb.png": png_bytes(8500, 8500, bytes(1_000_000)),
        "bomb-within-limits.png": png_bytes(2000, 2000, bytes(2000 * 6001)),
        "text-bomb.png": png_bytes(4, 4, bytes(52), (b"zTXt", b"a\0\0" + zlib.compress(bytes(5_000_000)))),
        "absurd.jpg": bytes(jpeg_sized),
        "absurd.gif": gif_sized,
        "absurd.webp": bytes(webp_sized),
        "many-scans.jpg": scans[:scan] + scans[scan:-2] * 300 + b"\xff\xd9",
        "absurd.tif": tiff_bytes(60_000, 60_000),
        "large.tif": tiff_bytes(20_000, 20_000),
        "page-loop.tif": tiff_bytes(4, 4, next_page=8),
        "box.pdf": whole["pdf"].replace(b"/MediaBox", b"/MediaBox [0 0 1e9 1e9] /XediaBox"),
        "no-box.pdf": whole["pdf"].replace(b"/MediaBox", b"/MediaBox [0 0 0 0] /XediaBox"),
        "hair-box.pdf": whole["pdf"].replace(b"/MediaBox", b"/MediaBox [0 0 14400 0.01] /XediaBox"),
        "bitmap-size.pdf": whole["pdf"].replace(b"/Width 96", b"/Width 999999").replace(b"/Height 72", b"/Height 999999"),
        "page-tree-loop.pdf": _minimal_pdf(b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000000>>"),
        "no-pages.pdf": _minimal_pdf(b"<</Type/Pages/Kids[]/Count 0>>"),
        "hair.png": png_bytes(1, 100_000, bytes(400_000)),
        "hair.jpg": encoded(Image.new("RGB", (65_000, 1)), "JPEG"),
        "hair.tif": encoded(Image.new("RGB", (100_000, 1)), "TIFF"),
        "deep.png": cv2.imencode(".png", np.arange(3000, dtype=np.uint16).reshape(25, 40, 3) * 20)[1].tobytes(),
        "cmyk.jpg": encoded(colour.convert("CMYK"), "JPEG"),
        "gray.jpg": encoded(gray, "JPEG"),
        "palette.png": encoded(colour.convert("P"), "PNG"),
        "alpha.png": encoded(colour.convert("RGBA"), "PNG"),
        "bits.png": encoded(gray.convert("1"), "PNG"),
        "float.tif": encoded(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"),
        "corrupt-exif.jpg": encoded(colour, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(256)) * 20),
    }


def png_bytes(width: int, height: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Returns a PNG written out by hand, so that it can claim any size for its RGB rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    more = b"".join(chunk(kind, data) for kind, data in chunks)
    return head + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_bytes(width: int, height: int, next_page: int = 0) -> bytes:
    """Returns a TIFF written out by hand that claims a size for 64 bytes of grey pixels; its page table may be a loop."""
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 200),
        (277, 3, 1),
        (278, 4, height),
    ]
    tags.append((279, 4, 64))
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + struct.pack("<I", next_page)
    return head.ljust(200, b"\0") + bytes(64)


def _minimal_pdf(page_tree: bytes) -> bytes:
    return b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj" + page_tree + b"endobj\ntrailer<</Root 1 0 R>>\n"


def _truncated(suffix: str, data: bytes):
    return lambda folder, i, rng: _written(folder, i, f"cut.{suffix}", data[: rng.integers(1, len(data))])


def _flipped(suffix: str, data: bytes):
    def make(folder: Path, i: int, rng: np.random.Generator) -> Path:
        return _written(folder, i, f"flipped.{suffix}", _with_noise(data, len(data), rng))

    return make


def _flipped_head(suffix: str, data: bytes):
    def make(folder: Path, i: int, rng: np.random.Generator) -> Path:
        return _written(folder, i, f"head.{suffix}", _with_noise(data, min(len(data), 400), rng))

    return make


def _with_noise(data: bytes, n_bytes: int, rng: np.random.Generator) -> bytes:
    noisy = bytearray(data)
    for position in rng.integers(0, n_bytes, rng.integers(1, 12)):
        noisy[position] = rng.choice([0, 127, 128, 255, rng.integers(256)])
    return bytes(noisy)


def _content(name: str, data: bytes):
    return lambda folder, i, rng: _written(folder, i, name, data)


def _another_name(whole: dict[str, bytes]):
    def make(folder: Path, i: int, rng: np.random.Generator) -> Path:
        content, suffix = rng.choice(list(whole)), rng.choice(list(whole))
        return _written(folder, i, f"really-{content}.{suffix}", whole[content])

    return make


def _orientation(folder: Path, i: int, rng: np.random.Generator) -> Path:
    exif = Image.Exif()
    exif[0x0112] = int(rng.choice([0, 9, 255, 65535]))
    exif[0xA405] = 0
    return _written(folder, i, "turned.jpg", encoded(Image.new("RGB", (12, 8), "red"), "JPEG", exif=exif))


def _mixed(whole: dict[str, bytes]):
    def make(folder: Path, i: int, rng: np.random.Generator) -> Path:
        first, second = (whole[name] for name in rng.choice(list(whole), 2))
        return _written(folder, i, "two-in-one.jpg", first[: rng.integers(8, len(first))] + second)

    return make


def _link(target: Path):
    def make(folder: Path, i: int, rng: np.random.Generator) -> Path:
        path = folder / f"{i:05d}-link.jpg"
        path.symlink_to(target)
        return path

    return make


def _link_to_itself(folder: Path, i: int, rng: np.random.Generator) -> Path:
    path = folder / f"{i:05d}-loop.jpg"
    path.symlink_to(path)
    return path


def _pipe(folder: Path, i: int, rng: np.random.Generator) -> Path:
    path = folder / f"{i:05d}-pipe.jpg"
    os.mkfifo(path)
    return path


def _odd_name(data: bytes):
    def make(folder: Path, i: int, rng: np.random.Generator) -> Path:
        names = [
            b"line\nbreak.jpg",
            b"caf\xe9.jpg",
            "\u202egpj.\u5199\u771f \U0001f4f7.jpg".encode(),
            b"%03d?*'\".jpg",
            b"x" * 240,
        ]
        return _written(folder, i, os.fsdecode(names[rng.integers(len(names))]), data)

    return make


def _nested(data: bytes):
    def make(folder: Path, i: int, rng: np.random.Generator) -> Path:
        deep = folder / f"{i:05d}-deep" / "/".join("ab"[k % 2] for k in range(rng.integers(1, 60)))
        deep.mkdir(parents=True)
        return _written(deep, i, "photo.png", data)

    return make


def _written(folder: Path, i: int, name: str, data: bytes) -> Path:
    path = folder / f"{i:05d}-{name}"
    path.write_bytes(data)
    return path
