"""What was found in each photograph, how good its crops are, and why one was left out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capture:
    """One picture of one page.

    `frame` tells which page of a scan or which moment of a video ("page 3", "1.40 s"), "" for a photo. `photo_from_page` and
    `residual_px` are the numbers of a `PageMap` from page mm to photo pixels (None and () where nothing was registered).
    `reprojection_rms_px` is how far the printed points lie from where that map puts them. `colour` is "strip" where crops were
    normalised to the printed strip, else "". `trouble` says what was wrong with the picture and what to do. `scan_dpi` is the
    resolution that a scanner wrote into the file, None where there is none or a camera took the picture. `ruler_scale` is the
    printed size to the layout's by a ruler in the picture, `ruler_error` how far off that may be; None where no ruler was found.
    `notes` tell what was converted when the file was read.
    """

    capture_id: str
    photo: str
    frame: str
    sha256: str
    device: str
    taken_at: str
    origin: str
    width_px: int = 0
    height_px: int = 0
    page: int | None = None
    n_codes: int = 0
    n_points: int = 0
    reprojection_rms_px: float | None = None
    photo_from_page: tuple[float, ...] | None = None
    residual_px: tuple[float, ...] = ()
    tilt_deg: float | None = None
    colour: str = ""
    trouble: str = ""
    counts: bool = False
    scan_dpi: float | None = None
    notes: tuple[str, ...] = ()
    ruler_scale: float | None = None
    ruler_error: float | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """A photo, or one crop of it, that was not used; `reason` is from the closed list DISCARD_REASONS."""

    photo: str
    capture_id: str
    page: int | None
    pair_id: str
    variant: str
    reason: str
    detail: str


DISCARD_REASONS = {
    "unreadable": "the file is not an image that can be read",
    "no-reader": "this machine lacks what reads the file",
    "failed": "a fault of this program or of a library it uses: please report it",
    "no-code": "no QR code of any kind was found",
    "foreign-code": "QR codes were found, but none is from this tool",
    "other-run": "the codes belong to another run or to an earlier layout of this run",
    "calibration": "a photo of the calibration page: see inkproof calibrate",
    "linked": "a link that leads out of the photos folder is not followed",
    "repeated-page": "the same page is in the photo more than once",
    "negative": "the colours of the photo are inverted: a negative",
    "mirrored": "the print or the photo is mirrored",
    "missing-code": "fewer than four codes could be read and the setting is strict",
    "unregistered": "the codes found do not agree on one page position",
    "outside": "the crop reaches beyond the edge of the photo",
    "unplaced": "too little of the page was recognised to say where this crop lies",
    "covered": "the crop shows something else than what was printed there",
    "duplicate": "the same file was already used",
    "superseded": "a better photo of the same page is used",
}


@dataclass(frozen=True, slots=True)
class CropQuality:
    """What was measured of one crop, and what is wrong with it; `flags` are keys of CROP_FLAGS, None what could not be measured.

    `mtf50_cycles_per_px` is where the contrast of the printed codes' edges falls to one half, in cycles per image pixel.
    White, black and noise are in 8-bit units of the photo; `cast_8bit` is red minus green and blue minus green on printed white;
    `clipped_rate` is the share of the crop's photo pixels at 255 in any channel or 0 in all.
    """

    view_id: str
    predicted_error_px: float
    registration_error_px: float | None
    mtf50_cycles_per_px: float | None
    white_8bit: float | None
    black_8bit: float | None
    cast_red_8bit: float | None
    cast_blue_8bit: float | None
    noise_8bit: float | None
    clipped_rate: float
    photo_px_per_image_px: float
    tilt_deg: float
    flags: tuple[str, ...]


CROP_FLAGS = {
    "uncertain": "its predicted registration error is above the limit",
    "soft": "the photo is too blurred to show single image pixels",
    "moved": "the camera moved, and single image pixels are smeared",
    "coarse": "the photo has too few pixels for each image pixel",
    "shadowed": "a shadow lies on the paper beside it",
    "dark": "the paper beside it is underexposed",
    "clipped": "too many of its pixels are over- or underexposed (glare?)",
    "flat": "printed black and white are too close together",
    "cast": "printed white is tinted",
    "noisy": "the photo's noise is stronger than a weak attack",
    "tilted": "the camera looked at the page too much from the side",
}
