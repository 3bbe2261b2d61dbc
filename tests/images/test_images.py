"""The door between files and arrays: every kind of picture comes in right, every broken one is refused in one line."""

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from pipeline.core.errors import BadInput
from pipeline.core.torchvision_import import import_torchvision
from pipeline.images import (
    image_format,
    pixels_sha256,
    png_bytes,
    quick_png_bytes,
    read_image,
    read_png,
    resize_shorter_and_crop,
    to_model,
    to_pixels,
)

torch.set_num_threads(1)
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG written out by hand, so that no library decides what is in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = b"".join(chunk(kind, data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_a_lossless_rgb_file_comes_in_bit_for_bit_and_without_a_note(tmp_path: Path, pixels: np.ndarray, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    loaded = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(pixels), **options))
    assert loaded.notes == ()
    assert loaded.pixels.dtype == np.uint8 and loaded.pixels.flags.c_contiguous
    np.testing.assert_array_equal(loaded.pixels, pixels)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_the_exif_turn_is_applied_exactly_once(
    tmp_path: Path, pixels: np.ndarray, suffix: str, subtests: pytest.Subtests
) -> None:
    for orientation in range(1, 9):
        with subtests.test(orientation=orientation):
            exif = Image.Exif()
            exif[0x0112] = orientation
            path = saved(
                tmp_path / f"a.{suffix}", Image.fromarray(pixels), exif=exif, **({"quality": 95} if suffix == "jpg" else {})
            )
            with Image.open(path) as image:
                upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            loaded = read_image(path)
            np.testing.assert_array_equal(loaded.pixels, upright)
            assert loaded.pixels.shape[:2] == ((17, 13) if orientation >= 5 else (13, 17))
            assert any("turned" in note for note in loaded.notes) == (orientation > 1)


def test_cmyk_and_ycck_jpegs_look_like_the_rgb_they_were_made_from(tmp_path: Path) -> None:
    smooth = np.dstack([np.tile(np.linspace(20, 230, 64, dtype=np.uint8), (48, 1))] * 3)
    smooth[..., 1] = 200
    path = saved(tmp_path / "cmyk.jpg", Image.fromarray(smooth).convert("CMYK"), quality=98)
    loaded = read_image(path)
    assert loaded.notes == ("CMYK converted to RGB",)
    assert np.abs(loaded.pixels.astype(int) - smooth).mean() < 4


@pytest.mark.parametrize(
    ("mode", "note"),
    [("L", "grayscale"), ("1", "black and white"), ("P", "palette"), ("LA", "grayscale"), ("YCbCr", "YCbCr converted to RGB")],
)
def test_every_colour_mode_becomes_rgb_with_a_note(tmp_path: Path, pixels: np.ndarray, mode: str, note: str) -> None:
    image = Image.fromarray(pixels).convert(mode)
    loaded = read_image(saved(tmp_path / ("a.tif" if mode == "YCbCr" else "a.png"), image))
    assert note in loaded.notes
    np.testing.assert_array_equal(loaded.pixels, np.asarray(image.convert("RGB")))


def test_a_lab_tiff_looks_like_the_rgb_it_was_made_from(tmp_path: Path, pixels: np.ndarray) -> None:
    lab = ImageCms.applyTransform(
        Image.fromarray(pixels),
        ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
    )
    loaded = read_image(saved(tmp_path / "lab.tif", lab))
    assert loaded.notes == ("LAB converted to RGB",)
    assert np.abs(loaded.pixels.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_gray_is_scaled_by_257_and_rounded(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 256, 257, 385, 386, 32768, 65406, 65407, 65535]], np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), values)
    loaded = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(loaded.pixels[..., 0], np.rint(values / 257).astype(np.uint8))
    assert loaded.notes == ("16-bit scaled to 8-bit", "grayscale")


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_colour_is_rounded_not_cut_to_its_high_byte(tmp_path: Path, suffix: str, orientation: int) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (9, 7, 3), dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        exif = Image.Exif()
        exif[0x0112] = orientation
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
        path.write_bytes(png(7, 9, 16, 2, rows, (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))))
    else:
        import tifffile

        tifffile.imwrite(path, values, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    loaded = read_image(path)
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(loaded.pixels, np.rot90(expected, -1) if orientation == 6 else expected)
    assert "16-bit scaled to 8-bit" in loaded.notes
    assert not np.array_equal(expected, (values >> 8).astype(np.uint8)), "the case must be able to tell the two apart"


def test_16_bit_colour_with_alpha_is_laid_on_white(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 65536, (5, 6, 4), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values[..., [2, 1, 0, 3]])
    loaded = read_image(tmp_path / "a.png")
    alpha = values[..., 3:] / 65535
    expected = (values[..., :3] * alpha + 65535 * (1 - alpha)) / 257
    assert np.abs(loaded.pixels - expected).max() <= 0.502
    assert loaded.notes == ("16-bit scaled to 8-bit", "transparency laid on white")


def test_alpha_is_laid_on_white_to_the_nearest_level(tmp_path: Path) -> None:
    layers = np.random.default_rng(3).integers(0, 256, (20, 20, 4), dtype=np.uint8)
    loaded = read_image(saved(tmp_path / "a.png", Image.fromarray(layers)))
    alpha = layers[..., 3:] / 255
    np.testing.assert_array_equal(
        loaded.pixels, np.floor(layers[..., :3] * alpha + 255 * (1 - alpha) + 0.5 - 1e-9).astype(np.uint8)
    )
    assert loaded.notes == ("transparency laid on white",)


def test_a_transparent_palette_entry_is_white_and_an_opaque_alpha_changes_nothing(tmp_path: Path, pixels: np.ndarray) -> None:
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    loaded = read_image(saved(tmp_path / "p.png", palette, transparency=0))
    np.testing.assert_array_equal(loaded.pixels, [[[255, 255, 255], [0, 0, 255]]])
    opaque = read_image(saved(tmp_path / "o.png", Image.fromarray(pixels).convert("RGBA")))
    np.testing.assert_array_equal(opaque.pixels, pixels)
    assert opaque.notes == ("opaque alpha channel dropped",)


@pytest.mark.parametrize(
    ("name", "options", "note"),
    [
        ("a.gif", {}, "first of 3 frames"),
        ("a.png", {}, "first of 3 frames"),
        ("a.webp", {"lossless": True}, "first of 3 frames"),
        ("a.tif", {}, "first of 3 pages"),
    ],
)
def test_of_an_animation_or_a_document_the_first_picture_is_taken(tmp_path: Path, name: str, options: dict, note: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    loaded = read_image(tmp_path / name)
    assert note in loaded.notes
    np.testing.assert_array_equal(loaded.pixels, np.full((6, 8, 3), (255, 0, 0)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 99.6, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
    ],
    ids=["float-0-1", "float-0-255", "int32"],
)
def test_wide_gray_tiffs_are_scaled_by_their_range(tmp_path: Path, values: np.ndarray, expected: list[int]) -> None:
    loaded = read_image(saved(tmp_path / "a.tif", Image.fromarray(values)))
    np.testing.assert_array_equal(loaded.pixels[0, :, 0], expected)


def _bomb() -> bytes:
    return png(100_000, 100_000, 8, 2, b"\0" * 100)


BROKEN = {
    "missing": None,
    "empty": b"",
    "text-called-jpg": b"This is no picture.\n" * 20,
    "html": b"<html><body>404 not found</body></html>",
    "only-a-jpeg-marker": b"\xff\xd8\xff\xe0",
    "only-a-png-signature": b"\x89PNG\r\n\x1a\n",
    "bomb": _bomb(),
    "nan-tiff": None,
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_picture_is_refused_in_one_line_and_nothing_is_printed(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "a\nb.jpg"
    if name == "nan-tiff":
        path = saved(tmp_path / "a.tif", Image.fromarray(np.array([[np.nan, 1.0]], np.float32)))
    elif BROKEN[name] is not None:
        path.write_bytes(BROKEN[name])
    with pytest.raises(BadInput) as caught:
        read_image(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 15
    assert capfd.readouterr() == ("", "") and not recwarn.list


@pytest.mark.parametrize("kind", ["folder", "pipe", "null byte"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("a\0.png")
    with pytest.raises(BadInput):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "gif", "bmp", "webp", "ppm", "jp2", "avif", "png16"])
def test_a_truncated_or_garbled_file_is_refused_or_read_but_never_a_crash(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    rng = np.random.default_rng(4)
    buffer = io.BytesIO()
    noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    if suffix == "png16":
        whole = cv2.imencode(".png", noise.astype(np.uint16) * 200)[1].tobytes()
    else:
        names = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}
        Image.fromarray(noise).save(buffer, names.get(suffix, suffix.upper()))
        whole = buffer.getvalue()
    path = tmp_path / "a"
    for fraction in (0.2, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * fraction)])
        with pytest.raises(BadInput):
            read_image(path)
    for _ in range(60):
        garbled = bytearray(whole)
        for position in rng.integers(0, min(len(whole), 200), 4):
            garbled[position] = rng.integers(256)
        path.write_bytes(garbled)
        try:
            assert read_image(path).pixels.ndim == 3
        except BadInput as error:
            assert "\n" not in str(error)
    assert capfd.readouterr().out == "" and not recwarn.list


def test_the_format_is_told_by_content_not_by_name(tmp_path: Path, pixels: np.ndarray) -> None:
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF"):
        Image.fromarray(pixels).save(tmp_path / "a.txt", kind)
        assert image_format(tmp_path / "a.txt") == kind
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert image_format(tmp_path / "b.png") == "" and image_format(tmp_path / "missing.png") == ""


@pytest.mark.parametrize("write", [png_bytes, quick_png_bytes])
def test_png_bytes_are_deterministic_and_hold_exactly_the_pixels(
    tmp_path: Path, pixels: np.ndarray, write: Callable[[np.ndarray], bytes]
) -> None:
    data = write(pixels)
    assert data == write(np.asfortranarray(pixels))
    np.testing.assert_array_equal(read_png(data), pixels)
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), read_image(tmp_path / "a.png").pixels)


@pytest.mark.parametrize("case", ["gray", "16-bit", "truncated", "missing"])
def test_read_png_takes_only_what_write_png_makes(tmp_path: Path, pixels: np.ndarray, case: str) -> None:
    path = tmp_path / "a.png"
    if case == "gray":
        Image.fromarray(pixels[..., 0]).save(path)
    elif case == "16-bit":
        cv2.imwrite(str(path), pixels.astype(np.uint16) * 257)
    elif case == "truncated":
        path.write_bytes(png_bytes(pixels)[:-40])
    with pytest.raises(BadInput):
        read_png(path)


def test_all_256_levels_survive_the_way_to_the_model_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    tensor = to_model(levels)
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32 and tensor.is_contiguous()
    assert tensor.min() == 0 and tensor.max() == 1
    np.testing.assert_array_equal(to_pixels(tensor), levels)


def test_pixels_are_rounded_to_the_nearest_and_clipped() -> None:
    values = torch.tensor([-1.0, 0.4 / 255, 0.6 / 255, 99.6 / 255, 254.4 / 255, 3.0]).view(1, 1, 1, 6).repeat(1, 3, 1, 1)
    np.testing.assert_array_equal(to_pixels(values)[0, 0, :, 0], [0, 0, 1, 100, 254, 255])
    with pytest.raises(ValueError, match="NaN"):
        to_pixels(torch.full((1, 3, 2, 2), float("nan")))


def test_the_axes_are_not_mixed_up() -> None:
    image = np.zeros((1, 2, 3, 3), np.uint8)
    image[0, 1, 2] = (255, 51, 0)
    assert to_model(image)[0, :, 1, 2].tolist() == pytest.approx([1.0, 0.2, 0.0])


def test_the_hash_is_of_shape_and_pixels() -> None:
    flat = np.arange(24, dtype=np.uint8)
    assert pixels_sha256(flat.reshape(2, 4, 3)) != pixels_sha256(flat.reshape(4, 2, 3))
    assert pixels_sha256(flat.reshape(2, 4, 3)) == pixels_sha256(np.asfortranarray(flat.reshape(2, 4, 3)))
    changed = flat.copy()
    changed[7] ^= 1
    assert pixels_sha256(changed.reshape(2, 4, 3)) != pixels_sha256(flat.reshape(2, 4, 3))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize(
    ("size", "resize_px", "crop"),
    [
        ((500, 375), 256, (224, 224)),
        ((333, 499), 256, (225, 225)),
        ((40, 30), 256, (224, 224)),
        ((256, 300), 256, (224, 224)),
        ((64, 64), 64, (64, 64)),
        ((101, 57), 33, (32, 20)),
        ((50, 70), 20, (32, 33)),
    ],
    ids=["down", "odd-crop", "up", "one-side-kept", "nothing-to-do", "oblong-crop", "crop-beyond-the-edge"],
)
def test_resize_and_crop_equal_torchvision_bit_for_bit(
    size: tuple[int, int], resize_px: int, crop: tuple[int, int], interpolation: str
) -> None:
    transforms = import_torchvision().transforms
    picture = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)
    preset = transforms.Compose(
        [transforms.Resize(resize_px, transforms.InterpolationMode(interpolation), antialias=True), transforms.CenterCrop(crop)]
    )
    expected = np.asarray(preset(Image.fromarray(picture)))
    np.testing.assert_array_equal(resize_shorter_and_crop(picture, resize_px, crop, interpolation), expected)


def test_a_hair_wide_picture_does_not_fill_the_memory() -> None:
    with pytest.raises(BadInput, match="elongated"):
        resize_shorter_and_crop(np.zeros((1, 60_000, 3), np.uint8), 256, (224, 224))


def test_importing_images_does_not_load_torch() -> None:
    code = "import sys, pipeline.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


def test_torchvision_imports_beside_this_torch_and_leaves_no_halves_behind() -> None:
    code = (
        "from pipeline.core.torchvision_import import import_torchvision as f\n"
        "import sys; a = f(); b = f(); assert a is b is sys.modules['torchvision']\n"
        "assert a.models.get_model('squeezenet1_1', weights=None) and a.transforms.Resize and a.datasets.CIFAR10\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_a_torchvision_that_does_not_fit_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "half.py").touch()
    (tmp_path / "torchvision" / "__init__.py").write_text("from . import half\nraise RuntimeError('built for another torch')")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(REPOSITORY)!r}]\n"
        "from pipeline.core.torchvision_import import import_torchvision\n"
        "from pipeline.core.errors import Unavailable\n"
        "try: import_torchvision()\n"
        "except Unavailable as e: print(e); print([m for m in sys.modules if m.startswith('torchvision')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "built for another torch" in done.stdout and done.stdout.endswith("[]\n")


def test_the_real_photographs_come_in(data_root: Path) -> None:
    for path in sorted((data_root / "imagenet" / "images").iterdir())[:10]:
        with Image.open(path) as picture:
            np.testing.assert_array_equal(read_image(path).pixels, np.asarray(ImageOps.exif_transpose(picture).convert("RGB")))
