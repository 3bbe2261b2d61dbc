"""A profile says what printer, room and phone are like; a shot is what one photograph happened to draw from it."""

import dataclasses
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from pipeline.settings.fields import TABLE, Described, Ends, described


def _none_or_several(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) == 1:
        raise ValueError("expected at least two numbers, or none.")
    return numbers


def _none_or_nine(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) not in (0, 9):
        raise ValueError("expected nine numbers, or none.")
    return numbers


Range = Ends[float]
Curve = Annotated[tuple[float, ...], AfterValidator(_none_or_several)]
Matrix = Annotated[tuple[float, ...], AfterValidator(_none_or_nine)]
_BRIGHTNESS = (0.299, 0.587, 0.114)


def _parameter(unit: str, low: float | None, high: float | None, doc: str) -> Any:
    """A parameter's unit, the least and the largest of its numbers, and what it means."""
    return Field(description=doc, json_schema_extra={"unit": unit, "limits": None if low is None else [low, high]})


@dataclass(frozen=True, slots=True, config=TABLE)
class Profile:
    """The simulator's settings. A `Range` is (low, high), drawn anew for every photo; all else is the same for every photo.

    Reflectance and light are linear, 1 = a perfect white in the brightest light of the photo. Where each value comes from is
    written beside it in `profiles/<name>.toml`.
    """

    name: str
    printer_dpi: int = _parameter("dots per inch", 75, 2400, "Dots of the raster that is printed, and of the halftone.")
    halftone: Literal["none", "am", "error-diffusion"] = _parameter(
        "", None, None, "How inks are printed: continuous tone, a clustered-dot screen an ink, or error diffusion."
    )
    screen_lpi: float = _parameter(
        "lines per inch", 30, 300, "Ruling of the clustered-dot screens (cyan 15, magenta 75, yellow 0, black 45 degrees)."
    )
    black_generation_rate: float = _parameter("share", 0, 1, "Share of the grey in a colour that black ink prints.")
    dot_gain_rate: float = _parameter("share", 0, 0.4, "Growth of a 50 % tint.")
    yule_nielsen_n: float = _parameter("", 1, 4, "Light spread in the paper; 1 is Murray-Davies.")
    paper_reflectance: float = _parameter("share", 0.3, 1, "Reflectance of the bare paper.")
    ink_reflectance: float = _parameter("share", 0, 0.3, "Reflectance of solid black.")
    print_curve_red: Curve = _parameter(
        "share", 0, 1, "Measured reflectance at evenly spaced 8-bit values, instead of dot gain and n."
    )
    print_curve_green: Curve = _parameter("share", 0, 1, "The same for green.")
    print_curve_blue: Curve = _parameter("share", 0, 1, "The same for blue.")
    print_saturation_rate: float = _parameter("share", 0, 1, "Saturation that the inks keep, about the luminance.")
    ink_spread_um: float = _parameter("um", 0, 200, "Gaussian spread of ink and of light in the paper, standard deviation.")
    misregistration_um: Range = _parameter("um", 0, 300, "Distance of the cyan and of the yellow separation from magenta's.")
    banding_rate: float = _parameter(
        "share",
        0,
        0.2,
        "Amplitude of the ink's waxing and waning along the feed, of the range from paper to black, at a middle tone.",
    )
    banding_mm: float = _parameter("mm", 0.2, 300, "Period of the banding.")
    icc_profile: str = _parameter("", None, None, "ICC profile of the printer, a file: replaces tone, gamut and dot gain.")
    paper_grain_rate: float = _parameter("share", 0, 0.05, "Standard deviation of the paper's reflectance.")
    paper_grain_mm: float = _parameter("mm", 0.05, 2, "Distance of the paper's fibres.")
    curl_mm: Range = _parameter("mm", 0, 30, "From the sheet's lowest to its highest point.")
    table_reflectance: tuple[float, float, float] = _parameter("share", 0, 1, "Red, green and blue of the table.")
    table_grain_rate: float = _parameter("share", 0, 1, "Contrast of the wood.")
    edge_shadow_rate: float = _parameter("share", 0, 1, "Depth of the shadow at the page's edge.")
    light_fall_rate: Range = _parameter("share", 0, 0.9, "Light lost from the brightest to the darkest corner.")
    illuminant_k: Range = _parameter(
        "K", 1800, 15000, "Colour temperature of the light; the camera's white balance takes it out."
    )
    cast_shadow_rate: Range = _parameter("share", 0, 0.9, "Depth of the soft shadow of phone and hand.")
    cast_shadow_softness_mm: Range = _parameter("mm", 0.1, 100, "Width of that shadow's edge.")
    glare_rate: Range = _parameter("share", 0, 2, "Peak of a lamp mirrored in the page.")
    n_occluders: Range = _parameter("count", 0, 20, "Fingers over the page's edge and coins on the page.")
    occluder_mm: Range = _parameter("mm", 1, 80, "Width of a finger or coin.")
    white_balance_error_rate: Range = _parameter(
        "share", -0.5, 0.5, "What the white balance leaves, of red and of blue against green."
    )
    tilt_deg: Range = _parameter("deg", 0, 75, "Between the camera's axis and the page's normal, in any direction.")
    roll_deg: Range = _parameter("deg", -180, 180, "Turn of the phone about its axis.")
    quarter_turn_rate: float = _parameter("share", 0, 1, "Share of photos turned by 90, 180 or 270 degrees.")
    page_fill_rate: Range = _parameter("share", 0.05, 1, "Of the frame's tighter side.")
    focal_35mm_mm: float = _parameter("mm", 10, 5000, "Focal length, as of a 35 mm camera.")
    frame_long_px: int = _parameter("px", 64, 20000, "The frame's longer side.")
    frame_short_px: int = _parameter("px", 64, 20000, "The frame's shorter side.")
    blur_px: Range = _parameter("px", 0, 20, "Gaussian blur of the lens and small defocus, standard deviation.")
    defocus_px: Range = _parameter("px", 0, 40, "Diameter of the disc that a point out of focus becomes.")
    f_number: float = _parameter("", 0, 32, "Aperture, for diffraction; 0 leaves diffraction out.")
    pixel_um: float = _parameter("um", 0.3, 50, "Distance of the sensor's pixels.")
    motion_px: Range = _parameter("px", 0, 60, "Length of the hand's path during the exposure.")
    lens_k1: Range = _parameter("share", -0.05, 0.05, "Radial distortion (Brown): by how much the frame's corners move outwards.")
    lens_k2: Range = _parameter("share", -0.05, 0.05, "Radial distortion, fourth power.")
    lens_p1: Range = _parameter("share", -0.02, 0.02, "Tangential distortion (Brown), first term.")
    lens_p2: Range = _parameter("share", -0.02, 0.02, "Tangential distortion, second term.")
    chromatic_px: Range = _parameter("px", -10, 10, "How far red moves outwards and blue inwards at the frame's corner.")
    vignette_rate: Range = _parameter("share", 0, 0.9, "Light lost in the frame's corners.")
    exposure: Range = _parameter("share", 0.05, 4, "Light on the sensor for a perfect white, of what fills it.")
    bayer: bool = _parameter("", None, None, "Whether each photosite sees one colour of an RGGB mosaic.")
    red_gain: float = _parameter("", 0.2, 8, "White-balance gain of red in daylight (6504 K).")
    blue_gain: float = _parameter("", 0.2, 8, "White-balance gain of blue in daylight.")
    iso: Range = _parameter("ISO", 0, 25600, "Sensitivity, drawn log-uniformly; 0 is a sensor without noise.")
    full_well_e: float = _parameter("electrons", 100, 1e6, "Electrons that fill a photosite at ISO 100: shot noise.")
    read_noise_log_sd: float = _parameter("", 0, 2, "Spread of ln(read noise) between sensors.")
    saturation: float = _parameter("share", 0, 3, "Saturation of the camera's colours, about the luminance.")
    colour_matrix: Matrix = _parameter("", -4, 4, "Camera colours from light, row by row, instead of `saturation`.")
    tone_contrast_rate: float = _parameter("share", -1, 1, "Strength of an S-curve on top of sRGB's.")
    chroma_denoise_px: float = _parameter("px", 0, 20, "Gaussian smoothing of the colour differences.")
    luma_denoise_8bit: float = _parameter("8-bit", 0, 50, "Detail of this size loses half its contrast, smaller detail more.")
    sharpen_rate: float = _parameter("share", 0, 3, "Strength of the unsharp mask.")
    sharpen_px: float = _parameter("px", 0.3, 10, "Its Gaussian's standard deviation, and that of the denoiser.")
    jpeg_quality: Range = _parameter("libjpeg quality", 1, 100, "Quality of the file, 4:2:0.")

    @field_validator("*")
    @classmethod
    def _is_possible(cls, value: Any, info: ValidationInfo) -> Any:
        numbers = value if isinstance(value, tuple) else (value,)
        if (ends := limits(info.field_name or "")) and not all(ends[0] <= number <= ends[1] for number in numbers):
            raise ValueError(f"expected {ends[0]:g} to {ends[1]:g}.")
        return value


def limits(parameter: str) -> tuple[float, float] | None:
    """Returns the least and the largest value that a parameter's numbers can have, None of a parameter without numbers."""
    return meanings()[parameter].limits


@cache
def meanings() -> dict[str, Described]:
    """Returns what each parameter is, by its name."""
    return {item.name: item for item in described(Profile)}


def _between(low: float, high: float) -> Any:
    return dataclasses.field(metadata={"ends": (low, high)})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What one photograph drew from its profile; angles as in the profile, directions clockwise from the page's right.

    `cyan_shift_mm` and `yellow_shift_mm` (x, y) are how far these separations are printed from magenta's; `red_gain` and
    `blue_gain` the white balance for this light. `red_light` and `blue_light` are what it leaves.
    What has ends here is drawn between them.
    """

    tilt_deg: float
    tilt_direction_deg: float = _between(0, 360)
    roll_deg: float
    page_fill_rate: float
    offset_x: float = _between(-1, 1)
    offset_y: float = _between(-1, 1)
    table_direction_deg: float = _between(0, 180)
    light_fall_rate: float
    light_direction_deg: float = _between(0, 360)
    cast_shadow_rate: float
    cast_shadow_softness_mm: float
    cast_shadow_direction_deg: float = _between(0, 360)
    cast_shadow_reach: float = _between(-0.8, 0.8)
    vignette_rate: float
    red_light: float
    blue_light: float
    exposure: float
    blur_px: float
    shot_noise: float
    read_noise: float
    curl_mm: float
    curl_direction_deg: float = _between(0, 180)
    curl_skew: float = _between(-0.5, 0.5)
    curl_lift: float = _between(0, 1)
    lens_k1: float
    motion_px: float
    motion_direction_deg: float = _between(0, 180)
    glare_rate: float
    glare_x: float = _between(0.1, 0.9)
    glare_y: float = _between(0.1, 0.9)
    glare_mm: float = _between(20, 60)
    n_occluders: int
    occluder_seed: int
    occluder_mm: float
    jpeg_quality: int
    cyan_shift_mm: tuple[float, float]
    yellow_shift_mm: tuple[float, float]
    banding_phase: float = _between(0, 1)
    illuminant_k: float
    red_gain: float
    blue_gain: float
    lens_k2: float
    lens_p1: float
    lens_p2: float
    chromatic_px: float
    defocus_px: float
    iso: float

    @property
    def separation_shifts_mm(self) -> tuple[tuple[float, float], ...]:
        """How far (x, y) the cyan, magenta and yellow separation lie from where the page says.

        Their mean, each weighted as red, green and blue count in a photo's brightness (ITU-R BT.601), lies just there.
        """
        drawn = (self.cyan_shift_mm, (0.0, 0.0), self.yellow_shift_mm)
        middle = [sum(w * shift[axis] for w, shift in zip(_BRIGHTNESS, drawn, strict=True)) for axis in (0, 1)]
        return tuple((x - middle[0], y - middle[1]) for x, y in drawn)


def daylight_gains(kelvin: float) -> tuple[float, float]:
    """Returns the light of a black body in linear sRGB, red and blue for green = 1, of its values at 6504 K.

    Chromaticity by Kim et al. (2002), US patent 7024034, Eqs. for 1667 to 25000 K; matrix of IEC 61966-2-1.
    """
    red, green, blue = _black_body(kelvin) / _black_body(6504.0)
    return float(red / green), float(blue / green)


def draw_shot(profile: Profile, rng: np.random.Generator) -> Shot:
    """Returns one photograph's draws, always the same number of them, so that a knob turned moves nothing but itself.

    Shot noise is one over the electrons that fill a photosite at this ISO. The noise floor follows the gain as in real
    sensors: ln read = 2.18 ln shot + 1.20 + N(0, 0.26) (Brooks et al. 2019, *Unprocessing Images for Learned Raw Denoising*,
    section 3.1).
    """

    def between(ends: Range) -> float:
        return float(rng.uniform(*ends))

    def evenly(first: str, last: str) -> dict[str, Any]:
        """Every draw from one to another: between its own ends, or those of the profile's parameter of the same name."""
        names = list(own_ends)[list(own_ends).index(first) : list(own_ends).index(last) + 1]
        return {name: between(own_ends[name] or getattr(profile, name)) for name in names}

    own_ends = {item.name: item.metadata.get("ends") for item in dataclasses.fields(Shot)}
    drawn = evenly("tilt_deg", "tilt_direction_deg")
    roll, turned, quarter = between(profile.roll_deg), between((0, 1)) < profile.quarter_turn_rate, int(rng.integers(1, 4))
    share = between((0, 1))
    iso_low, iso_high = profile.iso
    iso = float(iso_low ** (1 - share) * iso_high**share) if iso_low > 0 else share * iso_high
    shot_noise = iso / 100 / profile.full_well_e
    read_spread = float(rng.normal())
    read_noise = float(np.exp(2.18 * np.log(shot_noise) + 1.20 + profile.read_noise_log_sd * read_spread)) if shot_noise else 0.0
    drawn |= evenly("page_fill_rate", "vignette_rate")
    red_light, blue_light = (1 + between(profile.white_balance_error_rate) for _ in range(2))
    drawn |= evenly("exposure", "blur_px") | evenly("curl_mm", "glare_mm")
    drawn |= {"n_occluders": round(between(profile.n_occluders)), "occluder_seed": int(rng.integers(2**31))}
    drawn |= {"occluder_mm": between(profile.occluder_mm), "jpeg_quality": round(between(profile.jpeg_quality))}
    # what came later is drawn last: a profile's photos keep what they drew before
    cyan, yellow = (_polar(between(profile.misregistration_um) / 1000, between((0, 360))) for _ in range(2))
    drawn |= evenly("banding_phase", "illuminant_k")
    red, blue = daylight_gains(drawn["illuminant_k"])
    return Shot(
        roll_deg=roll + 90 * quarter * turned,
        red_light=red_light,
        blue_light=blue_light,
        shot_noise=shot_noise,
        read_noise=read_noise,
        cyan_shift_mm=cyan,
        yellow_shift_mm=yellow,
        red_gain=profile.red_gain / red,
        blue_gain=profile.blue_gain / blue,
        iso=iso,
        **drawn | evenly("lens_k2", "defocus_px"),
    )


def _polar(length: float, direction_deg: float) -> tuple[float, float]:
    angle = np.radians(direction_deg)
    return float(length * np.cos(angle)), float(length * np.sin(angle))


def _black_body(kelvin: float) -> np.ndarray:
    t = 1000 / kelvin
    if kelvin < 4000:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
    else:
        x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    if kelvin < 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif kelvin < 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    rgb_from_xyz = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    return np.asarray(np.maximum(rgb_from_xyz @ xyz, 1e-3))
