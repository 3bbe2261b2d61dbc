"""Files that name other colours than sRGB are read as sRGB: to one level of closed forms, whatever way they name them."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from pipeline.images import read_image
from pipeline.images.colour import linear_from_srgb, srgb_from_linear
from pipeline.images.colour_profiles import matrix_profile
from pipeline.images.pictures import pictures

P3, ADOBE = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
PROPHOTO, D50 = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), (0.3457, 0.3585)
# Linear light from these to sRGB, as the CSS Color Module Level 4 gives them (section 18, sample code).
SRGB_FROM_P3 = np.array(
    [[1.2249401762805598, -0.22494017628055996, 0], [-0.042056954709688163, 1.0420569547096881, 0],
     [-0.019637554590334432, -0.078636045550631889, 1.0982736001409663]]
)  # fmt: skip
SRGB_FROM_ADOBE = np.array([[1.39835574, -0.39835574, 0], [0, 1, 0], [0, -0.04292893, 1.04292893]])
SRGB_FROM_D50 = np.array(
    [[3.1341359570, -1.6173863322, -0.4906619460], [-0.9787955029, 1.9162545673, 0.0334427312],
     [0.0719553799, -0.2289768264, 1.4053860583]]
)  # fmt: skip
SRGB_FROM_PROPHOTO = np.array([[2.0343, -0.7275, -0.3067], [-0.2288, 1.2317, -0.0029], [-0.0086, -0.1533, 1.1619]])


@pytest.fixture
def colours() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def in_srgb(colours: np.ndarray, matrix: np.ndarray, gamma: float | None = None) -> np.ndarray:
    values = colours / (65535 if colours.dtype == np.uint16 else 255)
    light = values**gamma if gamma else linear_from_srgb(values)
    return np.rint(255 * srgb_from_linear(light @ matrix.T))


def most_apart(path: Path, expected: np.ndarray) -> float:
    return float(np.abs(read_image(path).pixels - expected).max())


def png_with(colours: np.ndarray, **chunks: bytes) -> bytes:
    """A PNG with chunks of one's own after its header."""
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG")
    data, extra = buffer.getvalue(), b""
    for name, content in chunks.items():
        body = name.encode() + content
        extra += struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + extra + data[33:]


@pytest.mark.parametrize("extension", ["png", "tif", "webp", "bmp-like.png"])
def test_display_p3_becomes_srgb(extension: str, colours: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"p3.{extension}"
    options = {"lossless": True} if extension == "webp" else {}
    Image.fromarray(colours).save(path, icc_profile=matrix_profile("Display P3", P3), **options)
    assert most_apart(path, in_srgb(colours, SRGB_FROM_P3)) <= 1
    assert "colours converted to sRGB from Display P3" in read_image(path).notes


def test_a_jpeg_of_display_p3_becomes_srgb_and_upright(colours: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path, plain = tmp_path / "p3.jpg", tmp_path / "plain.jpg"
    for name, icc in ((path, matrix_profile("Display P3", P3)), (plain, None)):
        Image.fromarray(colours).save(name, quality=95, exif=exif, **({"icc_profile": icc} if icc else {}))
    assert most_apart(path, in_srgb(read_image(plain).pixels, SRGB_FROM_P3)) <= 1


@pytest.mark.slow
def test_an_iphone_photo_becomes_srgb(data_root: Path) -> None:
    path = next(iter(sorted((data_root / "real_prints" / "sticker").glob("*.JPG"))))
    with Image.open(path) as image:
        assert "P3" in ImageCms.getProfileDescription(io.BytesIO(image.info["icc_profile"]))
    stored = cv2.cvtColor(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert most_apart(path, in_srgb(stored, SRGB_FROM_P3)) <= 1


def test_adobe_rgb_becomes_srgb_by_its_profile_and_by_its_exif_mark(colours: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}
    Image.fromarray(colours).save(tmp_path / "plain.jpg", quality=95)
    stored = read_image(tmp_path / "plain.jpg").pixels
    for name, options in (
        ("icc", {"icc_profile": matrix_profile("Adobe RGB", ADOBE, gamma=563 / 256)}),
        ("exif", {"exif": exif}),
    ):
        Image.fromarray(colours).save(tmp_path / f"{name}.jpg", quality=95, **options)
        assert most_apart(tmp_path / f"{name}.jpg", in_srgb(stored, SRGB_FROM_ADOBE, 563 / 256)) <= 1


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_16_bit_prophoto_becomes_srgb(extension: str, tmp_path: Path) -> None:
    deep = np.random.default_rng(4).integers(0, 65536, (30, 50, 3)).astype(np.uint16)
    path = tmp_path / f"prophoto.{extension}"
    _, encoded = cv2.imencode(f".{extension}", deep[..., ::-1])
    icc = matrix_profile("ProPhoto", PROPHOTO, D50, 1.8)
    if extension == "png":
        body = b"iCCPicc\0\0" + zlib.compress(icc)
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        path.write_bytes(encoded.tobytes()[:33] + chunk + encoded.tobytes()[33:])
    else:
        import tifffile

        tifffile.imwrite(path, deep, photometric="rgb", iccprofile=icc)
    assert most_apart(path, in_srgb(deep, SRGB_FROM_PROPHOTO, 1.8)) <= 1
    assert "16-bit scaled to 8-bit" in read_image(path).notes


@pytest.mark.parametrize(
    ("chunks", "matrix", "gamma"),
    [
        ({"gAMA": struct.pack(">I", 100_000)}, np.eye(3), 1.0),
        ({"gAMA": struct.pack(">I", 45_455)}, np.eye(3), None),
        ({"cICP": bytes([12, 13, 0, 1])}, SRGB_FROM_P3, None),
        ({"sRGB": b"\0", "gAMA": struct.pack(">I", 100_000)}, np.eye(3), None),
        (
            {
                "gAMA": struct.pack(">I", round(1e5 * 256 / 563)),
                "cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000),
            },
            SRGB_FROM_ADOBE,
            563 / 256,
        ),
    ],
    ids=[
        "linear gamma",
        "the usual gamma is sRGB",
        "code points of P3",
        "sRGB chunk before gamma",
        "chromaticities of Adobe RGB",
    ],
)
def test_what_a_png_says_of_its_colours_counts(
    chunks: dict[str, bytes], matrix: np.ndarray, gamma: float | None, colours: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "told.png"
    path.write_bytes(png_with(colours, **chunks))
    assert most_apart(path, in_srgb(colours, matrix, gamma)) <= 1


def test_avif_with_code_points_of_p3_becomes_srgb(tmp_path: Path) -> None:
    flat = np.broadcast_to(np.array([200, 60, 90], np.uint8), (64, 64, 3))
    path = tmp_path / "p3.avif"
    Image.fromarray(flat).save(path, quality=100, subsampling="4:4:4")
    stored = read_image(path).pixels
    data = path.read_bytes()
    place = data.index(b"colrnclx") + 8
    path.write_bytes(data[:place] + struct.pack(">HH", 12, 13) + data[place + 4 :])
    assert most_apart(path, in_srgb(stored, SRGB_FROM_P3)) <= 1


def test_grey_with_another_gamma_becomes_srgb(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    icc = grey_profile(1.8)
    Image.fromarray(grey).save(tmp_path / "grey.png", icc_profile=icc)
    expected = np.rint(255 * srgb_from_linear((grey / 255) ** 1.8))[..., None]
    assert most_apart(tmp_path / "grey.png", expected) <= 1


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_table_of_colours_becomes_srgb_as_its_closed_form_says(mode: str, version: int, tmp_path: Path) -> None:
    """The table's L*, a* and b* are straight in the channels, so that any way between its points is the same."""
    numbers = np.random.default_rng(5).integers(0, 256, (60, 80, len(mode)), dtype=np.uint8)
    path = tmp_path / "table.tif"
    Image.fromarray(numbers, mode).save(path, icc_profile=table_profile(mode, version))
    light = light_of_lab(straight_lab(numbers / 255))
    is_shown = ((light > 0) & (light < 1)).all(axis=2)
    assert is_shown.mean() > 0.2
    found, expected = read_image(path).pixels[is_shown], 255 * srgb_from_linear(light[is_shown])
    assert np.abs(found - expected).max() <= 1
    assert np.abs(np.asarray(Image.fromarray(numbers, mode).convert("RGB"))[is_shown] - expected).mean() > 5


def test_transparency_is_laid_on_white_after_the_conversion(tmp_path: Path) -> None:
    layers = np.zeros((2, 2, 4), np.uint8)
    layers[:] = (200, 60, 90, 128)
    layers[0, 0, 3] = 0
    Image.fromarray(layers).save(tmp_path / "clear.png", icc_profile=matrix_profile("Display P3", P3))
    opaque = in_srgb(layers[..., :3], SRGB_FROM_P3)
    expected = np.rint(255 + (opaque - 255) * layers[..., 3:] / 255)
    assert most_apart(tmp_path / "clear.png", expected) <= 1
    assert read_image(tmp_path / "clear.png").pixels[0, 0].tolist() == [255, 255, 255]


def test_srgb_and_what_names_nothing_keep_their_bits(colours: np.ndarray, tmp_path: Path) -> None:
    own = matrix_profile("sRGB by another name", ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)))
    for icc in (own, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), None):
        Image.fromarray(colours).save(tmp_path / "srgb.png", **({"icc_profile": icc} if icc else {}))
        loaded = read_image(tmp_path / "srgb.png")
        assert np.array_equal(loaded.pixels, colours)
        assert not loaded.notes


@pytest.mark.parametrize(
    ("icc", "note"),
    [
        (b"no profile at all", "its colour profile cannot be read: taken for sRGB"),
        (matrix_profile("Display P3", P3)[:200], "its colour profile cannot be read: taken for sRGB"),
        (matrix_profile("Display P3", P3, gamma=0.0001)[:-4], "its colour profile cannot be read: taken for sRGB"),
    ],
    ids=["words", "cut off", "cut off at its end"],
)
def test_a_damaged_profile_is_noted_and_passed_over(icc: bytes, note: str, colours: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(colours).save(tmp_path / "odd.png", icc_profile=icc)
    loaded = read_image(tmp_path / "odd.png")
    assert np.array_equal(loaded.pixels, colours)
    assert note in loaded.notes


@pytest.mark.parametrize("numbers", [(0,) * 8, (31270, 0, 64000, 0, 30000, 60000, 15000, 6000)], ids=["nothing", "no y"])
def test_absurd_chromaticities_are_noted_and_passed_over(numbers: tuple[int, ...], colours: np.ndarray, tmp_path: Path) -> None:
    content = png_with(colours, gAMA=struct.pack(">I", 50_000), cHRM=struct.pack(">8I", *numbers))
    (tmp_path / "odd.png").write_bytes(content)
    loaded = read_image(tmp_path / "odd.png")
    assert np.array_equal(loaded.pixels, colours)
    assert loaded.notes == ("its colour profile cannot be read: taken for sRGB",)


def test_a_profile_for_other_channels_is_noted_and_not_used(colours: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(colours).save(tmp_path / "odd.tif", icc_profile=cmyk_profile())
    loaded = read_image(tmp_path / "odd.tif")
    assert np.array_equal(loaded.pixels, colours)
    assert loaded.notes == ("its colour profile is not for RGB: not used",)


def test_photos_tell_of_their_conversion(colours: np.ndarray, tmp_path: Path) -> None:
    big = ImageOps.scale(Image.fromarray(colours), 4)
    big.save(tmp_path / "photo.jpg", icc_profile=matrix_profile("Display P3", P3))
    assert [picture.notes for picture in pictures(tmp_path / "photo.jpg")] == [("colours converted to sRGB from Display P3",)]


def grey_profile(gamma: float) -> bytes:
    """The display profile's header and one curve."""
    curve = b"curv" + struct.pack(">II", 0, 1) + struct.pack(">H", round(gamma * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    return profile_of(b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": curve})


def straight_lab(numbers: np.ndarray) -> np.ndarray:
    """L*, a*, b* of channels in [0, 1]: without ink white, with all of it black; a screen's the other way round."""
    inks = numbers if numbers.shape[-1] == 4 else 1 - numbers
    weights = [0.3, 0.35, 0.1, 0.25] if inks.shape[-1] == 4 else [0.3, 0.6, 0.1]
    turns = np.array([[-25.0, -30.0], [40.0, -10.0], [-5.0, 50.0], [-10.0, -10.0]])[: inks.shape[-1]]
    turns -= turns.mean(axis=0)
    return np.concatenate([100 * (1 - inks @ weights)[..., None], inks @ turns], axis=-1)


def light_of_lab(lab: np.ndarray) -> np.ndarray:
    """Linear light of sRGB for L*, a*, b* under D50 (CIE 15; the matrix is that of the CSS Color Module Level 4)."""
    y = (lab[..., 0] + 16) / 116
    ratios = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(ratios > 6 / 29, ratios**3, 3 * (6 / 29) ** 2 * (ratios - 4 / 29)) * [0.96429568, 1, 0.82510460]
    return xyz @ SRGB_FROM_D50.T


def cmyk_profile() -> bytes:
    return table_profile("CMYK", 2)


def table_profile(mode: str, version: int) -> bytes:
    """A profile that is a table (lut16, ICC.1:2022, 10.10) of five points a side."""
    n = len(mode)
    nodes = np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * n, indexing="ij"), -1).reshape(-1, n)
    lab = straight_lab(nodes)
    stored = np.column_stack([lab[:, 0] * 652.8, (lab[:, 1:] + 128) * 256])
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    straight = struct.pack(">2H", 0, 65535)
    head = b"mft2\0\0\0\0" + bytes([n, 3, 5, 0]) + identity + struct.pack(">2H", 2, 2)
    lut = head + straight * n + np.rint(stored).astype(">u2").tobytes() + straight * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    return profile_of(mode.encode().ljust(4), b"Lab ", {b"wtpt": white, b"A2B0": lut, b"A2B1": lut}, version)


def profile_of(space: bytes, connection: bytes, tags: dict[bytes, bytes], version: int = 2) -> bytes:
    table, data, offset = b"", b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", offset + len(data), len(content))
        data += content + b"\0" * (-len(content) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = (
        struct.pack(">I", offset + len(data))
        + bytes([0, 0, 0, 0, version, 0x10, 0, 0])
        + kind
        + space
        + connection
        + b"\0" * 12
        + b"acsp"
    )
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data
