"""How large a page was printed is said where a file tells it, and said not to be known elsewhere."""

from dataclasses import replace

import pytest
from PIL import ExifTags, Image

from pipeline.images.photo_tags import PhotoTags, photo_tags
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.registration.print_size import NOT_KNOWN, print_size_words
from pipeline.records import CAMERA, SIMULATED, Capture

A4 = arrange([PrintPair("p", "c", "a", 112, 112)], run="r", run_code="K7QXM")
# From straight above at 10 px a millimetre of the layout, in a picture of 3000 x 4000 px.
SEEN = Capture(
    "c", "a.jpg", "", "", "", "", CAMERA, 3000, 4000, 1, 4, 9, 0.1, (10.0, 0, 0, 0, 10.0, 0, 0, 0, 1), (), 0.5, counts=True
)
RULER = replace(SEEN, tilt_deg=20.0, ruler_scale=0.972, ruler_error=0.0031)
PHONE = PhotoTags("", "", 26.0)
FOCAL_PX = 26.0 * 5000 / (36**2 + 24**2) ** 0.5


@pytest.mark.parametrize(
    ("capture", "tags", "words"),
    [
        (replace(SEEN, scan_dpi=254 / 0.97), PHONE, "printed at 97.0 % of its size, by the scanner's resolution (1 page)"),
        (
            SEEN,
            replace(PHONE, distance_mm=0.97 * FOCAL_PX / 10),
            "printed at about 97 % of its size, by the phone's focal length",
        ),
        (RULER, PHONE, "printed at 97.2 % of its size (± 0.3), by the ruler beside the page (1 page)"),
        (replace(RULER, tilt_deg=0.5), replace(PHONE, distance_mm=300.0), "printed at 97.2 % of its size (± 0.3), by the ruler"),
        (replace(RULER, tilt_deg=0.5, scan_dpi=254.0), PHONE, "printed at 100.0 % of its size, by the scanner's resolution"),
        (SEEN, PHONE, NOT_KNOWN),
        (SEEN, replace(PHONE, focal_35mm_mm=None, distance_mm=300.0), NOT_KNOWN),
        (replace(SEEN, tilt_deg=9.0), replace(PHONE, distance_mm=300.0), NOT_KNOWN),
        (replace(SEEN, origin=SIMULATED), PHONE, ""),
        (replace(SEEN, counts=False), PHONE, ""),
    ],
)
def test_the_printed_size_is_measured_or_said_not_to_be_known(capture, tags, words):
    found = print_size_words([capture], A4, lambda name: tags)
    assert found.startswith(words) and bool(found) == bool(words)


@pytest.mark.parametrize(("metres", "found"), [(0.35, 350.0), (0, None), (65535.0, None), (0.01, None)])
def test_a_distance_is_read_where_it_may_be_one(tmp_path, metres, found):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.SubjectDistance] = metres
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert photo_tags(tmp_path / "a.jpg").distance_mm == pytest.approx(found)
