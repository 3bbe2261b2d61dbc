"""One photograph of one printed page: printer, scene and camera put together, and the JPEG file made of it."""

import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import ExifTags, Image

from pipeline.geometry import apply_homography, box_homography, image_corners, scale_at
from pipeline.page_map import PageMap
from pipeline.simulator.camera import blurred, developed, exposed
from pipeline.simulator.printer import linear_from_srgb, printed_reflectance
from pipeline.simulator.profile import Profile, Shot, draw_shot
from pipeline.simulator.scene import add_glare, add_occluders, frame_size, light, page_mask, pose, table
from pipeline.simulator.sheet import Sheet, drawn_through, sheet_of, tiles_beneath

MAKE = "inkproof"
SOFTWARE = "inkproof simulator"
_SHOT_NOISE_AT_ISO_100 = 2e-4
_EXIF_FIELDS = ("Make", "Model", "Software", "DateTime", "Orientation")


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedPhoto:
    """A photo, uint8 (H, W, 3) RGB, where the page truly lies in it, its EXIF and what it drew."""

    image: np.ndarray
    page_map: PageMap
    exif: dict[str, object]
    shot: Shot


def simulate_photo(
    page: np.ndarray,
    page_width_mm: float,
    page_height_mm: float,
    profile: Profile,
    rng: np.random.Generator,
    background: np.ndarray | None = None,
) -> SimulatedPhoto:
    """Returns a phone photo of the page printed, laid on a table and photographed by hand.

    Light is linear throughout until the camera's own tone curve. The sheet may curl and the lens bend straight lines;
    `page_map` is the whole truth of both. The same generator state gives the same bytes, on any number of threads.

    Args:
        page: uint8 (H, W, 3) RGB raster of the whole page, edge to edge; 300 dpi or more is finer than the photo.
        page_width_mm, page_height_mm: the size of the paper.
        background: uint8 (H, W, 3) RGB picture that lies on the table in place of wood.
    """
    if page.dtype != np.uint8 or page.ndim != 3 or page.shape[2] != 3:
        raise ValueError(f"expected a uint8 (H, W, 3) page, got {page.dtype} {page.shape}")
    shot = draw_shot(profile, rng)
    page_box = (page_width_mm, page_height_mm)
    size = frame_size(shot, profile, *page_box)
    place = pose(shot, profile, *page_box)
    sheet = sheet_of(shot, profile, place, size, *page_box)
    wood, page_from_table = table(shot, profile, place.photo_from_page, size, *page_box, rng)
    if background is not None:
        wood = cv2.resize(
            linear_from_srgb(background / 255).astype(np.float32), wood.shape[1::-1], interpolation=cv2.INTER_LINEAR
        )
    table_from_page = np.linalg.inv(page_from_table)
    scene = drawn_through(
        wood,
        lambda photo: apply_homography(table_from_page, sheet.table_from_photo(photo)),
        size,
        cv2.INTER_LINEAR,
        cv2.BORDER_REFLECT,
    )
    _lay_page(scene, page, sheet, profile, rng)
    add_occluders(scene, shot, place.photo_from_page, *page_box)
    add_glare(scene, shot, place.photo_from_page, *page_box)
    scene = blurred(scene, shot)
    picture = exposed(scene, light(shot, place.photo_from_page, size, *page_box), shot, profile, rng)
    return SimulatedPhoto(developed(picture, profile), sheet.page_map, _exif(profile, shot), shot)


def encode_jpeg(photo: SimulatedPhoto, profile: Profile) -> bytes:
    """Returns the photo as a JPEG file (4:2:0, the profile's quality) whose EXIF says that it is simulated."""
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    for name, value in photo.exif.items():
        (exif if name in _EXIF_FIELDS else details)[ExifTags.Base[name]] = value
    file = io.BytesIO()
    Image.fromarray(photo.image).save(file, "JPEG", quality=profile.jpeg_quality, subsampling="4:2:0", exif=exif)
    return file.getvalue()


def is_simulated(photo: bytes | Mapping[str, object]) -> bool:
    """Returns whether the file's bytes, or an EXIF mapping by tag name, carry this simulator's mark; False if unreadable."""
    if isinstance(photo, bytes):
        try:
            with Image.open(io.BytesIO(photo)) as image:
                tags = image.getexif()
                photo = {name: tags.get(ExifTags.Base[name]) for name in ("Make", "Software")}
        except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
            return False
    return photo.get("Make") == MAKE or photo.get("Software") == SOFTWARE


def _lay_page(scene: np.ndarray, page: np.ndarray, sheet: Sheet, profile: Profile, rng: np.random.Generator) -> None:
    height, width = page.shape[:2]
    size = (scene.shape[1], scene.shape[0])
    page_from_raster = box_homography(0, 0, sheet.width_mm, sheet.height_mm, width, height)
    photo_from_raster = sheet.pose.photo_from_page @ page_from_raster
    scale = max(scale_at(photo_from_raster, corner) for corner in image_corners(*size))
    # a pixel of the lens's blur hides what little still aliases below 1.2 raster pixels per photo pixel
    shrink = max(1, math.ceil(scale / 1.2))
    printed = printed_reflectance(page, sheet.width_mm, profile, shrink, rng)
    raster_from_printed = np.array([[shrink, 0, (shrink - 1) / 2], [0, shrink, (shrink - 1) / 2], [0, 0, 1.0]])
    printed_from_page = np.linalg.inv(page_from_raster @ raster_from_printed)
    covered = page_mask(sheet.outline(), size)
    seen = drawn_through(
        printed,
        lambda photo: apply_homography(printed_from_page, sheet.page_from_photo(photo)),
        size,
        cv2.INTER_CUBIC,
        cv2.BORDER_REPLICATE,
        tiles_beneath(covered),
    )
    cv2.copyTo(seen, cv2.compare(covered, 255, cv2.CMP_EQ), scene)
    y, x = np.nonzero((covered > 0) & (covered < 255))
    share = covered[y, x, None].astype(np.float32) / 255
    scene[y, x] = share * seen[y, x] + (1 - share) * scene[y, x]


def _exif(profile: Profile, shot: Shot) -> dict[str, object]:
    """The date is fixed: the same photo must be the same bytes."""
    iso = max(25, round(100 * shot.shot_noise / _SHOT_NOISE_AT_ISO_100))
    return {
        "Make": MAKE,
        "Model": f"simulated {profile.name}",
        "Software": SOFTWARE,
        "Orientation": 1,
        "DateTime": "2000:01:01 00:00:00",
        "DateTimeOriginal": "2000:01:01 00:00:00",
        "ExposureTime": round(min(1 / 30, 0.5 / iso), 6),
        "ISOSpeedRatings": iso,
        "FNumber": 1.8,
        "FocalLength": 5.0,
        "FocalLengthIn35mmFilm": round(profile.focal_35mm_mm),
    }
