"""One photograph of one printed page: printer, scene and camera put together, and the JPEG file made of it."""

import io
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.physical.geometry import apply_homography, box_homography
from pipeline.physical.page_map import PageMap
from pipeline.physical.simulator.camera import developed, exposed, seen_through_lens
from pipeline.physical.simulator.printer import printed_reflectance
from pipeline.physical.simulator.profile import Profile, Shot, draw_shot
from pipeline.physical.simulator.scene import add_glare, add_occluders, light_at, mask_within, over_photo, slope_shade, table
from pipeline.physical.simulator.sheet import Sheet, sheet_of
from pipeline.physical.simulator.warp import Tiles, shrink_for

MAKE = "inkproof"
SOFTWARE = "inkproof simulator"
_SHADE_CELL_PX = 16
_MM_PER_INCH = 25.4
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
        page: uint8 (H, W, 3) RGB raster of the whole page, edge to edge; 300 dpi or more is finer than the photo. To be printed
            in dots of ink it is brought to the printer's resolution, a pixel to its nearest dots.
        page_width_mm, page_height_mm: the size of the paper.
        background: uint8 (H, W, 3) RGB picture that lies on the table in place of wood.
    """
    if page.dtype != np.uint8 or page.ndim != 3 or page.shape[2] != 3:
        raise ValueError(f"expected a uint8 (H, W, 3) page, got {page.dtype} {page.shape}")
    shot = draw_shot(profile, rng)
    page = _in_dots(page, page_width_mm, page_height_mm, profile)
    sheet = sheet_of(shot, profile, page_width_mm, page_height_mm)
    covered = mask_within(sheet.outline(), sheet.lens.size)
    scene = _bare_table(shot, profile, sheet, covered < 255, rng, background)
    _lay_page(scene, page, covered, shot, profile, sheet, rng)
    add_occluders(scene, shot, sheet)
    add_glare(scene, shot, sheet)
    picture = exposed(seen_through_lens(scene, shot, profile), over_photo(light_at, shot, sheet), shot, profile, rng)
    return SimulatedPhoto(developed(picture, profile), sheet.page_map, _exif(profile, shot), shot)


def encode_jpeg(photo: SimulatedPhoto) -> bytes:
    """Returns the photo as a JPEG file (4:2:0, the quality that the shot drew) whose EXIF says that it is simulated."""
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    for name, value in photo.exif.items():
        (exif if name in _EXIF_FIELDS else details)[ExifTags.Base[name]] = value
    file = io.BytesIO()
    Image.fromarray(photo.image).save(file, "JPEG", quality=photo.shot.jpeg_quality, subsampling="4:2:0", exif=exif)
    return file.getvalue()


@cache
def quantisation(quality: int) -> tuple[list[int], list[int]]:
    """Returns libjpeg's steps (64 each, row by row) of brightness and of colour differences for a quality of 1 to 100."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    file.seek(0)
    tables = JpegImageFile(file).quantization
    return tables[0], tables[1]


def is_simulated(maker: str, software: str) -> bool:
    """Returns whether these EXIF tags of a photo are this simulator's mark."""
    return maker == MAKE or software == SOFTWARE


def _in_dots(page: np.ndarray, width_mm: float, height_mm: float, profile: Profile) -> np.ndarray:
    """The page as the printer's raster where it prints dots."""
    size = tuple(round(side * profile.printer_dpi / _MM_PER_INCH) for side in (width_mm, height_mm))
    if profile.halftone == "none" or size == page.shape[1::-1]:
        return page
    return cv2.resize(page, size, interpolation=cv2.INTER_NEAREST_EXACT)


def _bare_table(
    shot: Shot, profile: Profile, sheet: Sheet, seen: np.ndarray, rng: np.random.Generator, background: np.ndarray | None
) -> np.ndarray:
    """The scene without its page, float32 (H, W, 3); black in tiles where the page hides all."""
    picture, picture_from_page = table(shot, profile, sheet, rng, background)
    tiles = Tiles(sheet.lens.size, seen)
    places = apply_homography(picture_from_page, sheet.table_from_photo(tiles.nodes))
    return tiles.drawn(picture, places, cv2.INTER_LINEAR, cv2.BORDER_REFLECT)


def _lay_page(
    scene: np.ndarray, page: np.ndarray, covered: np.ndarray, shot: Shot, profile: Profile, sheet: Sheet, rng: np.random.Generator
) -> None:
    height, width = page.shape[:2]
    tiles = Tiles(sheet.lens.size, covered > 0)
    raster_from_page = np.linalg.inv(box_homography(0, 0, sheet.width_mm, sheet.height_mm, width, height))
    places = apply_homography(raster_from_page, sheet.page_from_photo(tiles.nodes))
    shrink = shrink_for(tiles.spans(places, (width, height)))
    printed = printed_reflectance(page, sheet.width_mm, profile, shot, shrink, rng)
    if shot.curl_mm > 0:
        shade = slope_shade(shot, sheet, *(-(-side // _SHADE_CELL_PX) for side in printed.shape[1::-1]))
        printed *= cv2.resize(shade, printed.shape[1::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    seen = tiles.drawn(printed, (places + 0.5) / shrink - 0.5, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
    cv2.copyTo(seen, np.uint8(255) * (covered == 255), scene)
    y, x = np.nonzero((covered > 0) & (covered < 255))
    share = covered[y, x, None].astype(np.float32) / 255
    scene[y, x] = share * seen[y, x] + (1 - share) * scene[y, x]


def _exif(profile: Profile, shot: Shot) -> dict[str, object]:
    """The date is fixed: the same photo must be the same bytes."""
    iso = max(25, round(shot.iso))
    return {
        "Make": MAKE,
        "Model": f"simulated {profile.name}",
        "Software": SOFTWARE,
        "Orientation": 1,
        "DateTime": "2000:01:01 00:00:00",
        "DateTimeOriginal": "2000:01:01 00:00:00",
        "ExposureTime": round(min(1 / 30, 0.5 / iso), 6),
        "ISOSpeedRatings": iso,
        "FNumber": profile.f_number or 1.8,
        "FocalLength": 5.0,
        "FocalLengthIn35mmFilm": round(profile.focal_35mm_mm),
    }
