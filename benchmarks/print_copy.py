"""A print as the simulator's printer and camera make it, seen as a given real photograph sees its own."""

import dataclasses
import io

import cv2
import numpy as np
from PIL import Image
from print_cells import Print

from pipeline.physical.geometry import Floats, apply_homography, box_homography
from pipeline.physical.simulator import Profile, draw_shot
from pipeline.physical.simulator.camera import developed, exposed, seen_through_lens
from pipeline.physical.simulator.printer import printed_reflectance
from pipeline.physical.simulator.scene import add_glare, light_at, over_photo
from pipeline.physical.simulator.sheet import Lens, Pose, Sheet, curl_of
from pipeline.physical.simulator.warp import Tiles, shrink_for

_PAGE_MM = (210.0, 297.0)
_MARGIN_MM = 4.0
_MM_PER_INCH = 25.4
_WHITE = 255


def photographed(one: Print, profile: Profile, rng: np.random.Generator) -> np.ndarray:
    """Returns a simulated photo of the print, uint8 (H, W, 3), that lies over the real one pixel by pixel.

    The print lies in the middle of a flat A4 page that is seen along the real photograph's homography. All else is drawn from
    the profile, but for its pose, curl, lens distortion and colour fringes (the fringes depend on where in the frame it lies).
    """
    shot = draw_shot(profile, rng)
    shot = dataclasses.replace(shot, curl_mm=0.0, lens_k1=0.0, lens_k2=0.0, lens_p1=0.0, lens_p2=0.0, chromatic_px=0.0)
    size = one.photo.shape[1::-1]
    height_mm = one.width_mm * one.original.shape[0] / one.original.shape[1]
    page_mm = np.maximum(_PAGE_MM, (one.width_mm + 2 * _MARGIN_MM, height_mm + 2 * _MARGIN_MM))
    corner_mm = (page_mm - (one.width_mm, height_mm)) / 2
    raster = _raster(one.original, profile.printer_dpi, one.width_mm, height_mm)
    per_mm = one.original.shape[1] / one.width_mm
    original_from_page = np.array([[per_mm, 0, -per_mm * corner_mm[0]], [0, per_mm, -per_mm * corner_mm[1]], [0, 0, 1]])
    frame_from_page = one.photo_from_original @ original_from_page
    part_from_page = np.array([[1, 0, -one.corner_px[0]], [0, 1, -one.corner_px[1]], [0, 0, 1]]) @ frame_from_page
    curl = curl_of(shot, *page_mm)
    sheet = Sheet(*page_mm, curl, Lens(size), _pose(part_from_page, page_mm))
    whole = Sheet(*page_mm, curl, Lens(one.frame_px), _pose(frame_from_page, page_mm))
    tiles = Tiles(size, np.ones(size[::-1], bool))
    box = (*(corner_mm - _MARGIN_MM), one.width_mm + 2 * _MARGIN_MM, height_mm + 2 * _MARGIN_MM)
    raster_from_page = np.linalg.inv(box_homography(*box, raster.shape[1], raster.shape[0]))
    places = apply_homography(raster_from_page @ np.linalg.inv(part_from_page), tiles.nodes)
    shrink = shrink_for(tiles.spans(places, raster.shape[1::-1]))
    printed = printed_reflectance(raster, box[2], profile, shot, shrink, rng)
    scene = tiles.drawn(printed, (places + 0.5) / shrink - 0.5, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
    add_glare(scene, shot, sheet)
    x, y = one.corner_px
    falling = over_photo(light_at, shot, whole)[y : y + size[1], x : x + size[0]]
    photo = developed(exposed(seen_through_lens(scene, shot, profile), falling, shot, profile, rng), profile)
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=shot.jpeg_quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def _pose(photo_from_page: Floats, page_mm: np.ndarray) -> Pose:
    """A pose that sees a flat page along any homography: it need not be that of a pinhole."""
    turn = np.column_stack([photo_from_page[:, :2], np.zeros(3)])
    return Pose(np.eye(3), turn, photo_from_page[:, 2] + photo_from_page[:, :2] @ (page_mm / 2))


def _raster(original: np.ndarray, dpi: int, width_mm: float, height_mm: float) -> np.ndarray:
    """The original in the printer's dots, its cells flat, with white paper around."""
    size = tuple(round(side * dpi / _MM_PER_INCH) for side in (width_mm, height_mm))
    margin = round(_MARGIN_MM * dpi / _MM_PER_INCH)
    drawn = cv2.resize(original, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return cv2.copyMakeBorder(drawn, *[margin] * 4, cv2.BORDER_CONSTANT, value=(_WHITE,) * 3)
