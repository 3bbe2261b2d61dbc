"""The built-in dataset: traffic signs in small painted scenes, each one made from its class and a seed and nothing else.

A scene is put together as a photographer would find it: a place (sky, country, wood, town, wall, night), a pole, a sign turned in
three dimensions and seen through a pinhole, its wear and its shadows, and at last the camera's exposure, colour, blur and noise.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.seeds import generator_for, seed_for
from pipeline.signs.shapes import CLASS_NAMES, PLATE_PX, draw_plate

IMAGE_PX = 112

_FINENESS = 2
_SPLITS = ("train", "validation", "test")

Picture = NDArray[np.float32]
Rng = np.random.Generator


class SignsDataset:
    """`n_images` rendered signs with true labels, the classes in turn; splits share no image, whatever their seeds."""

    name = "builtin:signs"

    def __init__(self, n_images: int = 500, split: str = "test", seed: int = 0) -> None:
        if split not in _SPLITS:
            raise ValueError(f"expected a split of {_SPLITS}, got {split!r}")
        if n_images < 0:
            raise ValueError(f"expected n_images >= 0, got {n_images}")
        self.n_images, self.split, self.seed = n_images, split, seed
        self.class_names = CLASS_NAMES

    def __len__(self) -> int:
        return self.n_images

    def label(self, i: int) -> int:
        """Returns the index into `class_names` of image `i`."""
        return self._checked(i) % len(CLASS_NAMES)

    def item_id(self, i: int) -> str:
        """Returns a name such as "speed-limit-30-0007", unique in the dataset and safe as a file name."""
        return f"{CLASS_NAMES[self.label(i)].replace(' ', '-')}-{i // len(CLASS_NAMES):04d}"

    def image(self, i: int) -> NDArray[np.uint8]:
        """Returns image `i`, uint8 (IMAGE_PX, IMAGE_PX, 3) RGB, the same bytes each time."""
        return render(self.label(i), seed_for(self.seed, "builtin:signs", f"{self.split}/{self.item_id(i)}"))

    def _checked(self, i: int) -> int:
        if not 0 <= i < self.n_images:
            raise IndexError(f"expected an index of 0..{self.n_images - 1}, got {i}")
        return i


def render(class_index: int, seed: int) -> NDArray[np.uint8]:
    """Returns one scene with the sign of that class, uint8 (IMAGE_PX, IMAGE_PX, 3) RGB; the same arguments give the same bytes.

    Raises:
        ValueError: `class_index` is not an index into CLASS_NAMES.
    """
    if not 0 <= class_index < len(CLASS_NAMES):
        raise ValueError(f"expected a class index of 0..{len(CLASS_NAMES) - 1}, got {class_index}")
    rng = generator_for(seed, "signs", CLASS_NAMES[class_index])
    place = _PLACES[int(rng.choice(len(_PLACES), p=_PLACE_SHARES))]
    at_night = place is _night
    scene = place(rng)
    scene = _blurred(scene, rng.uniform(0.35, 2.2))
    corners = _sign_corners(rng)
    _add_pole(scene, corners, 0.35 if at_night else rng.uniform(0.75, 1.0), rng)
    scene = _with_sign(scene, draw_plate(CLASS_NAMES[class_index]), corners, at_night, rng)
    return _through_camera(scene, rng)


def _sign_corners(rng: Rng) -> NDArray[np.float64]:
    """Returns where the corners of the plate fall in the scene, float64 (4, 2) px: TL, TR, BR, BL."""
    yaw, pitch, roll = np.deg2rad([rng.normal(0, 15), rng.normal(0, 6), rng.normal(0, 3.5)]).clip(-0.65, 0.65)
    about_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    about_z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    turned = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) @ (about_z @ about_x @ about_y).T
    eye_distance = rng.uniform(3.5, 7.0)
    seen = turned[:, :2] * (eye_distance / (eye_distance + turned[:, 2:]))
    half_width_px = rng.uniform(0.45, 0.90) * IMAGE_PX / 2
    room_px = max(0.49 * IMAGE_PX - half_width_px, 0.0)
    centre = IMAGE_PX / 2 - 0.5 + rng.uniform(-1, 1, 2) * room_px * (0.75, 0.6) - (0, 0.25 * room_px)
    corners: NDArray[np.float64] = seen * half_width_px + centre
    return corners


def _add_pole(scene: Picture, corners: NDArray[np.float64], light: float, rng: Rng) -> None:
    x, y = corners.mean(axis=0)
    half_px = np.ptp(corners[:, 1]) * rng.uniform(0.028, 0.04)
    across = (np.arange(IMAGE_PX) - x) / half_px
    cover = (half_px + 0.5 - np.abs(across) * half_px).clip(0, 1)[:, None]
    steel = light * (0.34 + 0.36 * np.sqrt(1 - (0.9 * (across + 0.25)).clip(-1, 1) ** 2))
    tint = np.array((0.98, 1.0, 1.02)) * (1 if rng.random() < 0.8 else (0.8, 0.68, 0.56))
    below = scene[int(max(y, 0)) :]
    below += (cover * (steel[:, None] * tint - below)).astype(np.float32)


def _with_sign(scene: Picture, plate: NDArray[np.uint8], corners: NDArray[np.float64], at_night: bool, rng: Rng) -> Picture:
    edge = np.array([(0, 0), (PLATE_PX, 0), (PLATE_PX, PLATE_PX), (0, PLATE_PX)], np.float32) - 0.5
    fine_from_plate = cv2.getPerspectiveTransform(edge, ((corners + 0.5) * _FINENESS - 0.5).astype(np.float32))
    fine = cv2.warpPerspective(plate, fine_from_plate, (IMAGE_PX * _FINENESS,) * 2, flags=cv2.INTER_LINEAR)
    flat = cv2.resize(fine, (IMAGE_PX, IMAGE_PX), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    cover = flat[..., 3:]
    paint = _worn(flat[..., :3], cover, rng)
    light = rng.uniform(0.8, 1.15) if at_night else rng.uniform(0.68, 1.1)
    shade = light * _slope(rng, rng.uniform(0.0, 0.28))
    if rng.random() < 0.25 and not at_night:
        shade = shade * (1 - rng.uniform(0.15, 0.4) * _soft_step(_clouds(rng, 5), 0.5, 0.1))
    if rng.random() < 0.25:
        glare = np.exp(-(((_GRID_X - rng.random()) ** 2 + (_GRID_Y - rng.random()) ** 2) / rng.uniform(0.02, 0.12)))
        paint = paint + (cover - paint) * (rng.uniform(0.1, 0.4) * glare)[..., None].astype(np.float32)
    shadow = _blurred(np.roll(cover[..., 0], (2, int(rng.integers(-2, 3))), (0, 1)), 1.5)
    scene = scene * (1 - 0.35 * shadow[..., None])
    return (scene * (1 - cover) + paint * shade[..., None]).astype(np.float32, copy=False)


def _worn(paint: Picture, cover: Picture, rng: Rng) -> Picture:
    """Sun takes saturation and contrast, weather leaves a film of dirt in patches; `paint` is premultiplied by `cover`."""
    fade = rng.beta(1.2, 4) * 0.6
    grey = paint @ np.full((3, 1), 1 / 3, np.float32)
    paint = (paint + fade * (0.55 * (grey - paint) + 0.35 * (0.8 * cover - paint))).astype(np.float32, copy=False)
    if rng.random() < 0.4:
        dirt = np.float32(rng.uniform(0.1, 0.45)) * _soft_step(_clouds(rng, 9), rng.uniform(0.55, 0.8), 0.35)[..., None]
        paint = paint + dirt * (cover * np.array((0.36, 0.31, 0.24), np.float32) - paint)
    return paint.astype(np.float32)


def _through_camera(scene: Picture, rng: Rng) -> NDArray[np.uint8]:
    """Haze, colour of the light, exposure, tone, vignette, blur and sensor noise, then 8 bits."""
    if rng.random() < 0.2:
        scene = scene + rng.uniform(0.08, 0.3) * (np.array((0.80, 0.83, 0.86), np.float32) - scene)
    warmth = rng.normal(0, 0.05)
    gain = np.array((1 + warmth, 1 + rng.normal(0, 0.012), 1 - warmth), np.float32) * rng.uniform(0.82, 1.15)
    radius = (_GRID_X - 0.5) ** 2 + (_GRID_Y - 0.5) ** 2
    scene = (scene * gain * (1 - rng.uniform(0, 0.5) * radius)[..., None]).clip(0, 1)
    scene = scene ** np.float32(rng.uniform(0.85, 1.2))
    if rng.random() < 0.5:
        scene = _blurred(scene, rng.uniform(0.3, 0.9))
    noise = rng.standard_normal((IMAGE_PX, IMAGE_PX, 3), dtype=np.float32)
    scene = scene + rng.uniform(0.002, 0.014) * noise
    return np.rint(scene * 255).clip(0, 255).astype(np.uint8)


def _sky(rng: Rng) -> Picture:
    zenith, horizon = _SKIES[int(rng.integers(len(_SKIES)))]
    down = np.linspace(0, 1, IMAGE_PX)[:, None, None] ** rng.uniform(0.6, 1.2)
    sky = np.array(zenith) + (np.array(horizon) - zenith) * down
    cloud = rng.uniform(0.2, 0.95) * _soft_step(_clouds(rng, 4), rng.uniform(0.45, 0.7), 0.22)
    white = np.array(horizon) * 0.35 + 0.62
    return (sky + cloud[..., None] * (white - sky)).astype(np.float32)


def _country(rng: Rng) -> Picture:
    scene = _sky(rng)
    horizon = rng.uniform(0.5, 0.8)
    green = _GREENS[int(rng.integers(len(_GREENS)))] * rng.uniform(0.75, 1.2)
    for depth in (0.75, 0.5, 0.2):
        ridge = horizon - depth * 0.22 + 0.07 * _wave(rng)
        colour = green * (1 - depth) + depth * np.array((0.55, 0.66, 0.76))
        _fill_below(scene, ridge, colour, 0.12, rng)
    _fill_below(scene, np.full(IMAGE_PX, horizon + 0.03), green * 1.1, 0.25, rng)
    if rng.random() < 0.7:
        _add_road(scene, horizon + 0.03, rng)
    return scene


def _wood(rng: Rng) -> Picture:
    scene = _sky(rng)
    green = _GREENS[int(rng.integers(len(_GREENS)))]
    for shade in (0.5, 0.75, 1.05):
        leaves = _soft_step(_clouds(rng, 12) + 0.25 * _clouds(rng, 40), rng.uniform(0.42, 0.62), 0.05)[..., None]
        dapple = green * shade * (0.7 + 0.6 * _clouds(rng, 28))[..., None]
        scene = scene + leaves * (dapple - scene)
    for _ in range(int(rng.integers(0, 4))):
        x, width = int(rng.integers(0, IMAGE_PX)), int(rng.integers(2, 7))
        scene[:, x : x + width] = scene[:, x : x + width] * 0.3 + np.array((0.2, 0.15, 0.1)) * 0.7
    return scene.astype(np.float32)


def _town(rng: Rng) -> Picture:
    scene = _sky(rng)
    street = rng.uniform(0.72, 0.9)
    x = -int(rng.integers(0, 20))
    while x < IMAGE_PX:
        width = int(rng.integers(20, 48))
        _add_house(scene, x, width, rng.uniform(0.02, 0.5), street, rng)
        x += width
    _fill_below(scene, np.full(IMAGE_PX, street), np.array((0.42, 0.42, 0.43)), 0.1, rng)
    return scene


def _add_house(scene: Picture, left: int, width: int, top: float, bottom: float, rng: Rng) -> None:
    wall = _WALLS[int(rng.integers(len(_WALLS)))] * rng.uniform(0.6, 1.05)
    y0, y1 = int(top * IMAGE_PX), int(bottom * IMAGE_PX)
    right = left + width
    scene[y0:y1, max(left, 0) : max(right, 0)] = wall
    scene[y0 : y0 + 2, max(left, 0) : max(right, 0)] = wall * 0.6
    pitch_x, pitch_y = int(rng.integers(7, 12)), int(rng.integers(10, 16))
    glass = np.array((0.26, 0.32, 0.40)) * rng.uniform(0.5, 1.6)
    for y in range(y0 + 6, y1 - 8, pitch_y):
        for x in range(left + 3, right - 5, pitch_x):
            if x >= 0:
                scene[y : y + 7, x : x + 4] = glass * (0.8 + 0.5 * rng.random())


def _wall(rng: Rng) -> Picture:
    """Brick, plaster or concrete that fills the picture."""
    colour = _WALLS[int(rng.integers(len(_WALLS)))] * rng.uniform(0.55, 1.0)
    scene: NDArray[np.float64] = np.ones((IMAGE_PX, IMAGE_PX, 1)) * colour
    if rng.random() < 0.6:
        height, length = int(rng.integers(6, 11)), int(rng.integers(14, 26))
        mortar = colour * 0.5 + 0.3
        for row, y in enumerate(range(0, IMAGE_PX, height)):
            for x in range(-(row % 2) * (length // 2), IMAGE_PX, length):
                scene[y : y + height, max(x, 0) : x + length] *= rng.uniform(0.8, 1.15)
                scene[y : y + height, max(x, 0) : max(x + 1, 0)] = mortar
            scene[y] = mortar
    scene = scene * (0.8 + 0.4 * _clouds(rng, 7))[..., None] * _slope(rng, 0.3)[..., None]
    return scene.astype(np.float32)


def _night(rng: Rng) -> Picture:
    down = np.linspace(0, 1, IMAGE_PX)[:, None, None]
    glow = np.array(((0.03, 0.04, 0.09), (0.10, 0.06, 0.12), (0.02, 0.03, 0.05))[int(rng.integers(3))])
    scene: NDArray[np.float64] = glow + down * glow * rng.uniform(0.5, 2.5) + np.zeros((1, IMAGE_PX, 1))
    lights = np.zeros((IMAGE_PX, IMAGE_PX, 3), np.float32)
    hues = np.array(((1, 0.75, 0.35), (1, 0.9, 0.7), (1, 0.25, 0.15), (0.4, 0.9, 0.6), (0.6, 0.75, 1)))
    for _ in range(int(rng.integers(5, 20))):
        x, y, radius = IMAGE_PX * rng.random(), IMAGE_PX * rng.beta(3, 2), rng.uniform(1.5, 7.0)
        distance = np.hypot(_GRID_X * (IMAGE_PX - 1) - x, _GRID_Y * (IMAGE_PX - 1) - y)
        hue = hues[int(rng.integers(len(hues)))] * rng.uniform(0.25, 0.85)
        lights += (radius + 0.5 - distance).clip(0, 1).astype(np.float32)[..., None] * hue.astype(np.float32)
    return (scene + lights).clip(0, 1).astype(np.float32)


def _add_road(scene: Picture, horizon: float, rng: Rng) -> None:
    vanishing, foot = rng.uniform(0.1, 0.9), rng.uniform(-0.2, 1.2)
    asphalt = np.array((0.36, 0.36, 0.38)) * rng.uniform(0.8, 1.3)
    for half_width, colour in ((0.45, asphalt), (0.02, np.array((0.85, 0.85, 0.82)))):
        wedge = np.array([(vanishing, horizon), (foot + half_width, 1.02), (foot - half_width, 1.02)]) * IMAGE_PX
        cv2.fillPoly(scene, [np.rint(wedge).astype(np.int32)], tuple(float(value) for value in colour))


def _fill_below(scene: Picture, ridge: NDArray[np.float64], colour: NDArray[np.float64], roughness: float, rng: Rng) -> None:
    cover = ((_GRID_Y - ridge) * IMAGE_PX + 0.5).clip(0, 1)[..., None].astype(np.float32)
    texture = (1 - roughness / 2 + roughness * _clouds(rng, 24))[..., None] * colour.astype(np.float32)
    scene += cover * (texture - scene)


def _wave(rng: Rng) -> NDArray[np.float64]:
    x = np.linspace(0, 2 * np.pi, IMAGE_PX)
    waves: NDArray[np.float64] = np.sum([np.sin(x * rng.uniform(0.4, 1.2) * k + rng.uniform(0, 6.3)) / k for k in (1, 2, 4)], 0)
    return waves / 1.5


def _clouds(rng: Rng, n_cells: int) -> Picture:
    """Returns smooth noise in [0, 1], float32 (IMAGE_PX, IMAGE_PX): two octaves, the coarser `n_cells` across."""
    noise = np.zeros((IMAGE_PX, IMAGE_PX), np.float32)
    for cells, weight in ((n_cells, 0.65), (2 * n_cells + 1, 0.35)):
        noise += weight * cv2.resize(rng.random((cells, cells), dtype=np.float32), noise.shape, interpolation=cv2.INTER_CUBIC)
    return noise.clip(0, 1)


def _soft_step(values: Picture, edge: float, softness: float) -> Picture:
    return ((values - edge) / softness + 0.5).clip(0, 1).astype(np.float32)


def _slope(rng: Rng, depth: float) -> Picture:
    """Returns a light that falls by `depth` from one side of the scene to the other, float32, 1 at its brightest."""
    angle = rng.uniform(0, 2 * np.pi)
    ramp: Picture = 0.5 + (_GRID_X - 0.5) * math.cos(angle) * 0.7 + (_GRID_Y - 0.5) * math.sin(angle) * 0.7
    return (1 - depth * ramp.clip(0, 1)).astype(np.float32)


def _blurred(scene: Picture, sigma_px: float) -> Picture:
    return cv2.GaussianBlur(scene, (0, 0), sigma_px).astype(np.float32, copy=False)


_GRID_Y, _GRID_X = (np.mgrid[:IMAGE_PX, :IMAGE_PX] / (IMAGE_PX - 1)).astype(np.float32)
_SKIES = (
    ((0.20, 0.42, 0.78), (0.72, 0.83, 0.93)),
    ((0.33, 0.55, 0.85), (0.85, 0.91, 0.95)),
    ((0.58, 0.62, 0.68), (0.80, 0.82, 0.84)),
    ((0.24, 0.28, 0.48), (0.96, 0.66, 0.42)),
    ((0.42, 0.44, 0.62), (0.95, 0.80, 0.70)),
)
_GREENS = np.array(((0.25, 0.40, 0.16), (0.34, 0.46, 0.18), (0.20, 0.32, 0.18), (0.58, 0.46, 0.20), (0.62, 0.36, 0.16)))
_BRICKS, _PLASTERS = ((0.62, 0.32, 0.25), (0.72, 0.46, 0.34)), ((0.78, 0.72, 0.60), (0.80, 0.80, 0.78), (0.62, 0.64, 0.66))
_WALLS = np.array((*_BRICKS, *_PLASTERS, (0.72, 0.76, 0.62), (0.58, 0.68, 0.78)))
_PLACES: tuple[Callable[[Rng], Picture], ...] = (_sky, _country, _wood, _town, _wall, _night)
_PLACE_SHARES = (0.12, 0.30, 0.20, 0.18, 0.10, 0.10)
