"""The driver: which colours are printed where all are asked for, by measured primaries and through ICC profiles."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageCms
from skimage.color import lab2rgb, rgb2lab

from pipeline.core.errors import BadInput
from pipeline.images.colour import linear_from_srgb, srgb_from_linear
from pipeline.physical.simulator import draw_shot, load_profile
from pipeline.physical.simulator.driver import driven, driver_cube
from pipeline.physical.simulator.printer import print_table, printed_reflectance

OFFICE = replace(
    load_profile("office-phone"),
    **dict.fromkeys(("paper_grain_rate", "banding_rate", "gloss_reflectance"), 0.0),
    dot_gain_rate=(0, 0),
)
CORNERS = np.uint8([[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255]])


def printed_lab(colours, profile):
    """CIELAB of 8-bit colours (N, 3) as they are printed, relative to the paper."""
    page = np.repeat(np.repeat(colours[None], 20, axis=0), 20, axis=1)
    shot = draw_shot(profile, np.random.default_rng(0))
    shot = replace(shot, cyan_shift_mm=(0.0, 0.0), yellow_shift_mm=(0.0, 0.0))
    seen = printed_reflectance(page, page.shape[1] * 25.4 / 600, profile, shot, 1, np.random.default_rng(0))
    return rgb2lab(srgb_from_linear(seen[10, 10::20] / profile.paper_reflectance)[None])[0]


@pytest.mark.parametrize("name", ["office-phone", "unmanaged-laser"])
def test_saturated_colours_are_printed_as_the_primaries_say(name):
    profile = replace(OFFICE, primaries_lab=load_profile(name).primaries_lab)
    # as near as sRGB comes, and no channel below what black ink reflects
    light = linear_from_srgb(lab2rgb(np.array(profile.primaries_lab).reshape(1, 6, 3)))
    asked = rgb2lab(srgb_from_linear(np.maximum(light, profile.ink_reflectance / profile.paper_reflectance)))[0]
    assert np.linalg.norm(printed_lab(CORNERS, profile) - asked, axis=1).max() < 0.5


def test_greys_are_left_alone():
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.abs(driven(greys, OFFICE).astype(int) - greys).max() <= 1
    assert (driven(greys, OFFICE)[0, [0, 255]] == greys[0, [0, 255]]).all()


def test_a_page_of_greys_alone_is_driven_as_one_with_a_colour_is(icc_file):
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    coloured = np.concatenate([greys, np.full((1, 1, 3), (200, 10, 10), np.uint8)], axis=1)
    for profile in (load_profile("office-phone"), replace(load_profile("office-phone"), icc_profile=str(icc_file))):
        assert np.array_equal(driven(greys, profile), driven(coloured, profile)[:, :-1])


def test_what_has_little_colour_keeps_it_and_what_has_much_gives_way_most():
    steps = np.linspace(0, 1, 6)[:, None]
    grey, green = np.array([128.0] * 3), np.array([0.0, 255, 0])
    colours = np.rint((1 - steps) * grey + steps * green).astype(np.uint8)
    before, after = (rgb2lab(c[None])[0] for c in (colours, driven(colours[None], OFFICE)[0]))
    moved = np.linalg.norm(after - before, axis=1)
    # four measured printers move the first step by 0.7 to 8 and keep 0.86 to 1.04 of its chroma
    assert moved[1] < 6 and moved[-1] > 30 and (np.diff(moved) > -0.5).all()
    assert np.hypot(*after[1, 1:]) > 0.86 * np.hypot(*before[1, 1:])


def test_a_printer_without_a_driver_leaves_every_colour_as_it_is():
    page = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert driver_cube(replace(OFFICE, primaries_lab=())) is None
    assert (driven(page, replace(OFFICE, primaries_lab=())) == page).all()


def test_a_page_goes_through_the_same_cube_as_a_tensor():
    colours = np.random.default_rng(1).integers(0, 256, (200, 3), dtype=np.uint8)
    cube, at = driver_cube(OFFICE), colours / 255 * 32
    low = np.minimum(at.astype(int), 31)
    share = at - low
    expected = np.zeros((200, 3))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, share, 1 - share), axis=1, keepdims=True)
        expected += weight * cube[tuple((low + corner).T)]
    assert np.abs(driven(colours[None], OFFICE)[0] - 255 * expected).max() < 1


# --- ICC -------------------------------------------------------------------------------------------------------------------


def small_gamut(saturation):
    """An ICC profile (version 2, matrix and curves, gamma 2.2) whose primaries lie between sRGB's and grey."""
    srgb = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    white = srgb.sum(axis=1)
    primaries = saturation * srgb + (1 - saturation) * white[:, None] / 3

    def xyz(values):
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    text = b"inkproof test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(12 + 67),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(white),
        **{name + b"XYZ": xyz(primaries[:, i]) for i, name in enumerate((b"r", b"g", b"b"))},
        **{name + b"TRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) for name in (b"r", b"g", b"b")},
    }
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = offset + len(body)
    d50 = b"".join(struct.pack(">i", round(v * 65536)) for v in (0.9642, 1.0, 0.8249))
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + d50 + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


@pytest.fixture
def icc_file(tmp_path):
    path = tmp_path / "dull.icc"
    path.write_bytes(small_gamut(0.6))
    ImageCms.getOpenProfile(io.BytesIO(path.read_bytes()))
    return str(path)


@pytest.mark.parametrize("intent", ["perceptual", "relative"])
def test_an_icc_profile_keeps_colours_that_can_be_printed_and_dulls_those_that_cannot(icc_file, intent):
    profile = replace(OFFICE, icc_profile=icc_file, icc_intent=intent)
    colours = np.uint8([[[255, 255, 255], [128, 128, 128], [0, 0, 0], [150, 130, 120], [255, 0, 0], [0, 0, 255]]])
    proof = driven(colours, profile).astype(int)
    assert np.abs(proof[0, :4] - colours[0, :4]).max() <= 2
    red, blue = linear_from_srgb(proof[0, 4:] / 255)
    # the small gamut's own red: 0.6 of sRGB's and 0.4 of a third of white
    assert red == pytest.approx([0.6 + 0.4 / 3, 0.4 / 3, 0.4 / 3], abs=0.02)
    assert blue == pytest.approx([0.4 / 3, 0.4 / 3, 0.6 + 0.4 / 3], abs=0.02)


def test_a_page_is_printed_through_its_icc_profile_instead_of_the_primaries(icc_file):
    profile = replace(OFFICE, icc_profile=icc_file, ink_spread_um=0.0)
    colour = np.uint8([[[230, 40, 90]]])
    shot = draw_shot(profile, np.random.default_rng(0))
    seen = printed_reflectance(np.tile(colour, (40, 40, 1)), 2.0, profile, shot, 1, np.random.default_rng(0))
    through = driven(colour, profile)[0, 0]
    assert (through == driven(colour, replace(profile, primaries_lab=()))[0, 0]).all()
    assert seen.mean(axis=(0, 1)) == pytest.approx(print_table(profile)[through, range(3)], abs=2e-3)


@pytest.mark.parametrize("intent", ["perceptual", "relative"])
def test_measured_printers_keep_white_and_black_and_the_order_of_greys(data_root, intent):
    files = sorted((data_root / "real_prints" / "icc").glob("*.ic[cm]"))
    assert len(files) == 4
    greys = np.repeat(np.arange(0, 256, 15, dtype=np.uint8)[None, :, None], 3, axis=2)
    for file in files:
        tones = rgb2lab(driven(greys, replace(OFFICE, icc_profile=str(file), icc_intent=intent)))[0, :, 0]
        assert tones[0] < 1 and tones[-1] > 98, file.name
        assert (np.diff(tones) > 0).all() and np.abs(tones - rgb2lab(greys)[0, :, 0]).mean() < 2.5, file.name


def test_a_file_that_is_no_icc_profile_is_refused(tmp_path):
    path = tmp_path / "no.icc"
    path.write_bytes(b"nothing")
    for file in (path, tmp_path / "missing.icc"):
        with pytest.raises(BadInput, match=file.name):
            driven(np.zeros((2, 2, 3), np.uint8), replace(OFFICE, icc_profile=str(file)))


def test_a_row_that_repeats_the_one_above_is_printed_like_it():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)
    page = np.repeat(rows[[0, 1, 0, 2, 3, 4]], [1, 4, 2, 1, 3, 2], axis=0)
    alone = np.concatenate([driven(page[place : place + 1], load_profile("office-phone")) for place in range(len(page))])
    assert (driven(page, load_profile("office-phone")) == alone).all()
    assert (alone != page).any()
