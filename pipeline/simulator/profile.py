"""A profile says what printer, room and phone are like; a shot is what one photograph happened to draw from it."""

import difflib
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from pipeline.errors import BadInput, WrongUse

_FOLDER = Path(__file__).parent / "profiles"

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Profile:
    """The simulator's settings. A `Range` is (low, high), drawn anew for every photo; all else is the same for every photo.

    Reflectance and light are linear, 1 = a perfect white in the brightest light of the photo. What each value means and
    where it comes from is written beside it in `profiles/<name>.toml`.
    """

    name: str
    dot_gain_rate: float
    yule_nielsen_n: float
    paper_reflectance: float
    ink_reflectance: float
    print_saturation_rate: float
    ink_spread_um: float
    paper_grain_rate: float
    curl_mm: Range
    table_reflectance: tuple[float, float, float]
    table_grain_rate: float
    edge_shadow_rate: float
    light_fall_rate: Range
    cast_shadow_rate: Range
    cast_shadow_softness_mm: Range
    glare_rate: Range
    n_occluders: Range
    occluder_mm: Range
    white_balance_error_rate: Range
    tilt_deg: Range
    roll_deg: Range
    quarter_turn_rate: float
    page_fill_rate: Range
    focal_35mm_mm: float
    frame_long_px: int
    frame_short_px: int
    blur_px: Range
    motion_px: Range
    lens_k1: Range
    vignette_rate: Range
    exposure: Range
    bayer: bool
    red_gain: float
    blue_gain: float
    shot_noise: Range
    read_noise_log_sd: float
    saturation: float
    tone_contrast_rate: float
    chroma_denoise_px: float
    sharpen_rate: float
    sharpen_px: float
    jpeg_quality: Range


@dataclass(frozen=True, slots=True)
class Shot:
    """What one photograph drew from its profile; angles as in the profile, directions clockwise from the page's right."""

    tilt_deg: float
    tilt_direction_deg: float
    roll_deg: float
    page_fill_rate: float
    offset_x: float
    offset_y: float
    table_direction_deg: float
    light_fall_rate: float
    light_direction_deg: float
    cast_shadow_rate: float
    cast_shadow_softness_mm: float
    cast_shadow_direction_deg: float
    cast_shadow_reach: float
    vignette_rate: float
    red_light: float
    blue_light: float
    exposure: float
    blur_px: float
    shot_noise: float
    read_noise: float
    curl_mm: float
    curl_direction_deg: float
    curl_skew: float
    curl_lift: float
    lens_k1: float
    motion_px: float
    motion_direction_deg: float
    glare_rate: float
    glare_x: float
    glare_y: float
    glare_mm: float
    n_occluders: int
    occluder_seed: int
    occluder_mm: float
    jpeg_quality: int


def load_profile(name: str) -> Profile:
    """Returns the profile of that name.

    Raises:
        WrongUse: there is no such profile.
        BadInput: its file lacks a key, has one too many, or a value of another type.
    """
    names = profile_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f'Did you mean "{near[0]}"?' if near else f"Choose one of: {', '.join(names)}."
        raise WrongUse(f'There is no simulator profile "{name}".', hint)
    tables = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    values = {key: value for table in tables.values() for key, value in table.items()}
    wanted = {f.name: f.type for f in fields(Profile) if f.name != "name"}
    odd = sorted(values.keys() ^ wanted.keys())
    if odd:
        raise BadInput(f'Profile "{name}" has missing or unknown keys: {", ".join(odd)}.', "Compare it with office-phone.toml.")
    return Profile(name=name, **{key: _typed(name, key, values[key], kind) for key, kind in wanted.items()})


def profile_names() -> list[str]:
    """Returns the names of all profiles, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def profile_summary(name: str) -> str:
    """Returns the first sentence of a profile's own description, the comment that its file opens with."""
    text = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    opening = " ".join(line.lstrip("# ") for line in text.split("\n\n")[0].splitlines())
    return opening.split(". ")[0].rstrip(".")


def draw_shot(profile: Profile, rng: np.random.Generator) -> Shot:
    """Returns one photograph's draws, always the same number of them, so that a knob turned moves nothing but itself.

    The noise floor follows the gain as in real sensors: ln read = 2.18 ln shot + 1.20 + N(0, 0.26) (Brooks et al. 2019,
    *Unprocessing Images for Learned Raw Denoising*, section 3.1), with `shot` log-uniform in the profile's range.
    """

    def between(bounds: Range) -> float:
        return float(rng.uniform(*bounds))

    shot_low, shot_high = profile.shot_noise
    tilt, tilt_direction, roll = between(profile.tilt_deg), between((0, 360)), between(profile.roll_deg)
    turned, quarter = between((0, 1)) < profile.quarter_turn_rate, int(rng.integers(1, 4))
    share = between((0, 1))
    shot_noise = float(shot_low ** (1 - share) * shot_high**share) if shot_low > 0 else share * shot_high
    read_spread = float(rng.normal())
    read_noise = float(np.exp(2.18 * np.log(shot_noise) + 1.20 + profile.read_noise_log_sd * read_spread)) if shot_noise else 0.0
    return Shot(
        tilt_deg=tilt,
        tilt_direction_deg=tilt_direction,
        roll_deg=roll + 90 * quarter * turned,
        page_fill_rate=between(profile.page_fill_rate),
        offset_x=between((-1, 1)),
        offset_y=between((-1, 1)),
        table_direction_deg=between((0, 180)),
        light_fall_rate=between(profile.light_fall_rate),
        light_direction_deg=between((0, 360)),
        cast_shadow_rate=between(profile.cast_shadow_rate),
        cast_shadow_softness_mm=between(profile.cast_shadow_softness_mm),
        cast_shadow_direction_deg=between((0, 360)),
        cast_shadow_reach=between((-0.8, 0.8)),
        vignette_rate=between(profile.vignette_rate),
        red_light=1 + between(profile.white_balance_error_rate),
        blue_light=1 + between(profile.white_balance_error_rate),
        exposure=between(profile.exposure),
        blur_px=between(profile.blur_px),
        shot_noise=shot_noise,
        read_noise=read_noise,
        curl_mm=between(profile.curl_mm),
        curl_direction_deg=between((0, 180)),
        curl_skew=between((-0.5, 0.5)),
        curl_lift=between((0, 1)),
        lens_k1=between(profile.lens_k1),
        motion_px=between(profile.motion_px),
        motion_direction_deg=between((0, 180)),
        glare_rate=between(profile.glare_rate),
        glare_x=between((0.1, 0.9)),
        glare_y=between((0.1, 0.9)),
        glare_mm=between((20, 60)),
        n_occluders=round(between(profile.n_occluders)),
        occluder_seed=int(rng.integers(2**31)),
        occluder_mm=between(profile.occluder_mm),
        jpeg_quality=round(between(profile.jpeg_quality)),
    )


def _typed(name: str, key: str, value: object, kind: object) -> object:
    if (kind is bool and isinstance(value, bool)) or (kind is int and type(value) is int):
        return value
    if kind is float and type(value) in (int, float):
        return float(value)
    if (
        isinstance(value, list)
        and len(value) == len(getattr(kind, "__args__", ()))
        and all(type(v) in (int, float) for v in value)
    ):
        return tuple(float(v) for v in value)
    raise BadInput(f'Profile "{name}": {key} = {value!r} has the wrong type.', "Compare it with office-phone.toml.")
