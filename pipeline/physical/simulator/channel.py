"""Print and photograph of images as one differentiable function on tensors, at the scale of the crop that is judged.

The same steps as `simulate_photo`, `encode_jpeg` and `geometry.resample` along the page's map, for the image alone instead of a
whole page in a whole photo. It differs from them in what follows, and `tests/test_channel.py` says by how much:

- the image lies in the photo upright, with one scale along each of its sides: roll does not turn the pixel grid against it, and
  what perspective, curl and distortion do within the image is left out (the scale that they give it is not);
- a photo of more than `most_photo_px` pixels per image pixel is worked out with that many. Blurs, noise, filters and the hand's
  path are converted, but JPEG's blocks, the colour filter's tiles and the crop's samples are those of the coarser photo. Four
  photographs of 299 px by `office-phone`, 2.8 photo pixels each: 2.0 instead are 1.4 levels apart, with 1.95 levels of noise
  instead of 2.15 and 1 % more contrast in the finest detail; 1.5 are 2.0 levels apart;
- by default the mean tone stands for the dots of a halftone; with `halftone` their pattern is added, which has no gradient and
  takes four times as long;
- table, fingers, coins and the page's edge are not there: white paper surrounds the image;
- rounding has the gradient 1, that of a JPEG's coefficients too; the noise's size has none.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, pad, pixel_unshuffle

from pipeline.physical.simulator.bands import resampled
from pipeline.physical.simulator.camera import MOSAIC
from pipeline.physical.simulator.driver import driven, driver_cube
from pipeline.physical.simulator.photo_grid import Bands, PhotoGrid, Place, Sites, photo_side, place_of
from pipeline.physical.simulator.printer import (
    CUBIC_POWER,
    asked_for,
    banding_wave,
    gamut,
    grown,
    halftoned,
    print_table,
    row_tables,
    veil_rate,
)
from pipeline.physical.simulator.profile import Profile, Shot, draw_shot
from pipeline.physical.simulator.torch_camera import (
    BRIGHTEST,
    DARKEST,
    cut,
    demosaiced,
    developed,
    eight_bit,
    looked_up,
    mixed,
    with_slope,
)
from pipeline.physical.simulator.torch_jpeg import jpeg

# crop, JPEG's interpolation, sharpening, smoothing and demosaicing reach this far beyond the image
_HALO_PX = 10
# one image at a time stays in a processor's cache; a GPU wants more
_AT_ONCE_ON_CPU, _AT_ONCE = 1, 32
_BANDS_AT_ONCE = 8
_ALL = ((0, 0, 0), (1, 0, 0), (2, 0, 0))
_PIXEL = _ALL[:1]
# a mosaic's planes among those of `pixel_unshuffle`
_MOSAIC_PLANES = [4 * channel + 2 * row + column for channel, row, column in MOSAIC]
_FIBRE_MARGIN_MM = 1.0
_MM_PER_INCH = 25.4
# errors are diffused past the image's edge and come back
_WHITE_DOTS = 32
_TINY = 1e-6
_LARGEST_EVEN_GAIN = 0.25


# what N photographs drew: how each shows the image
Draws = tuple[Place, ...]
BandsOf = dict[str, Bands]
# a generator for each photograph, or for none of them
Noise = list[torch.Generator | None]


class Channel:
    """Images as they come back from paper, differentiable with respect to the images, on the device that they are on."""

    def __init__(
        self,
        profile: Profile,
        image_px: tuple[int, int],
        image_mm: float = 70.0,
        page_mm: tuple[float, float] = (210.0, 297.0),
        most_photo_px: float | None = 2.0,
        halftone: bool = False,
        rounded: bool = True,
    ) -> None:
        """Args:
        image_px: (H, W) of the images.
        image_mm: the longer side of the image on paper.
        most_photo_px: photo pixels per image pixel at most; None for as many as the photo has.
        halftone: print dots, not their mean tone, where the profile has a halftone.
        rounded: False leaves out all rounding to whole numbers, so that the function is as smooth as its gradient.
        """
        if min(image_px) < 1 or image_mm <= 0 or (most_photo_px is not None and most_photo_px <= 0):
            raise ValueError(f"expected sizes above 0, got {image_px} px, {image_mm} mm, {most_photo_px} photo px")
        height, width = image_px
        self._profile, self._image_px, self._page_mm = profile, (height, width), page_mm
        self._mm_per_px = image_mm / max(height, width)
        self._image_mm = (width * self._mm_per_px, height * self._mm_per_px)
        if self._image_mm[0] > page_mm[0] or self._image_mm[1] > page_mm[1]:
            raise ValueError(f"expected an image that fits on {page_mm} mm, got {self._image_mm} mm")
        self._most_photo_px, self._rounded = most_photo_px, rounded
        self._prints_dots = halftone and profile.halftone != "none"
        self._is_smeared = profile.motion_px[1] > 0 or profile.defocus_px[1] > 0
        # the hand's path and what is out of focus are met by whole pixels
        self._sites = MOSAIC if profile.bayer and not self._is_smeared else _ALL
        across, down = (math.ceil((side + 2 * _FIBRE_MARGIN_MM) / profile.paper_grain_mm) for side in self._image_mm)
        self._n_fibres = across, down
        self._halo_px = _HALO_PX + math.ceil((profile.motion_px[1] + profile.defocus_px[1]) / 2)

    def draw(self, n: int, rng: np.random.Generator) -> Draws:
        """Returns n photographs: what each draws from the profile, and where on its page the image lies, evenly where it fits."""
        draws: Draws = ()
        for _ in range(n):
            shot = draw_shot(self._profile, rng)
            x, y = rng.uniform(0, 1, 2) * (np.array(self._page_mm) - self._image_mm)
            draws += self.drawn_at(shot, (float(x), float(y)))
        return draws

    def drawn_at(self, shot: Shot, corner_mm: tuple[float, float]) -> Draws:
        """Returns the one photograph that a shot makes of an image whose top left corner lies at `corner_mm` on the page."""
        return (place_of(shot, self._profile, self._page_mm, corner_mm, self._image_mm, self._image_px),)

    def __call__(self, images: Tensor, draws: Draws, generator: torch.Generator | None = None) -> Tensor:
        """Returns the crops, (N, 3, H, W) in [0, 1], 8-bit values / 255 where `rounded`; image i meets draw i.

        A crop depends on nothing but its image, its draw and its seed, the i-th number of the generator.

        Args:
            images: floating-point (N, 3, H, W) in [0, 1], 8-bit values / 255; one, (1, 3, H, W), meets all draws.
            generator: for sensor noise and paper grain; None leaves both out.
        """
        expected = (len(draws), 3, *self._image_px)
        if tuple(images.shape) not in (expected, (1, *expected[1:])):
            raise ValueError(f"expected images {expected}, one a draw, or one for all, got {tuple(images.shape)}")
        draw_noise: Noise = [None] * len(draws)
        if generator is not None:
            seeds = torch.randint(2**62, (len(draws),), generator=generator, device=generator.device).tolist()
            draw_noise = [torch.Generator(images.device).manual_seed(seed) for seed in seeds]
        asked, white = self._asked(images), self._inked(self._asked(images.new_ones(1, 3, 1, 1)), None)
        # one image for all: what is the same for all draws is worked out, and followed back, once
        given = asked.split(1) if len(asked) == len(draws) else (asked,) * len(draws)
        pixels, crops = images.detach().expand(*expected), []
        for bands, start, stop in self._parts(draws, images):
            part, one = slice(start, stop), torch.cat(given[start:stop])
            crops.append(self._crops(one, white, pixels[part], draws[part], bands, draw_noise[part]))
        return torch.cat(crops) if crops else torch.empty(expected, dtype=images.dtype, device=images.device)

    def _parts(self, draws: Draws, like: Tensor) -> Iterator[tuple[BandsOf, int, int]]:
        """Yields which draws are worked out together, first and last, and their bands.

        Bands are made for several neighbours whose photos are of the same size, in the same calls.
        """
        most = _AT_ONCE_ON_CPU if like.device.type == "cpu" else _AT_ONCE
        stop = 0
        for _, neighbours in groupby(draws, self._photo_size):
            alike = tuple(neighbours)
            for first in range(0, len(alike), max(most, _BANDS_AT_ONCE)):
                places = alike[first : first + max(most, _BANDS_AT_ONCE)]
                bands = self._bands(self._grid(places, like))
                for start in range(0, len(places), most):
                    part = slice(start, start + most)
                    n = len(places[part])
                    yield {name: (down.of(part), across.of(part)) for name, (down, across) in bands.items()}, stop, stop + n
                    stop += n

    def _photo_size(self, place: Place) -> tuple[int, int]:
        scales = [min(scale, self._most_photo_px or math.inf) for scale in place.scale]
        across, down = (photo_side(s, n, self._halo_px) for s, n in zip(scales, self._image_px[::-1], strict=True))
        return across, down

    def _grid(self, places: Draws, like: Tensor) -> PhotoGrid:
        return PhotoGrid(places, self._image_px, self._most_photo_px, self._halo_px, like)

    def _bands(self, grid: PhotoGrid) -> BandsOf:
        """All that is resampled, by the names under which it is used; what the profile has not is left out."""
        profile = self._profile
        bands = {
            "printed": grid.printed(self._sites, profile),
            "light": grid.light(_PIXEL, len(grid.places[0].light)),
            "crop": grid.crop(),
        }
        if profile.paper_grain_rate > 0:
            bands["grain"] = grid.grain(_PIXEL, profile, self._n_fibres)
        return bands

    def _crops(self, asked: Tensor, white: Tensor, pixels: Tensor, places: Draws, bands: BandsOf, draw_noise: Noise) -> Tensor:
        profile, grid = self._profile, self._grid(places, asked)
        light = self._exposed(asked, white, pixels, grid, bands, draw_noise)
        chroma = grid.gaussian(profile.chroma_denoise_px)
        soft = grid.gaussian(profile.sharpen_px) if profile.sharpen_rate > 0 or profile.luma_denoise_8bit > 0 else None
        photo = developed(light, profile, chroma, soft, self._rounded)
        photo = jpeg(photo, [place.shot.jpeg_quality for place in places], self._rounded)
        down, across = bands["crop"]
        return eight_bit(resampled(down, photo, across), self._rounded) / 255

    def _exposed(
        self, asked: Tensor, white: Tensor, pixels: Tensor, grid: PhotoGrid, bands: BandsOf, draw_noise: Noise
    ) -> Tensor:
        """Linear light (N, 3, H, W) as the sensor gives it, white-balanced."""
        profile = self._profile
        ink = (self._inked(asked, grid.places) - white) * self._unveiled(grid.places, asked)
        seen = self._seen(pixels, ink, white, grid, bands)
        if self._is_smeared:
            seen = _smeared(seen, grid.path())
            seen = pixel_unshuffle(seen, 2)[:, _MOSAIC_PLANES] if profile.bayer else seen
        sites = MOSAIC if profile.bayer else _ALL
        gain, glare = self._light(grid, sites, bands, asked, draw_noise)
        channels = [channel for channel, _, _ in sites]
        light = torch.addcmul(torch.addcmul(glare, gain, white[:, channels]), gain, seen)
        light = self._sensed(light, grid, channels, draw_noise)
        return demosaiced(light) if profile.bayer else light

    def _asked(self, images: Tensor) -> Tensor:
        """The reflectance (N, 3, H, W) that images ask for, before what a shot changes in it."""
        tables, cube = _driver(self._profile, images.device, images.dtype)
        if cube is not None:
            images = _driven(images, cube)
        return looked_up(images * 255, tables)

    def _inked(self, asked: Tensor, places: Draws | None) -> Tensor:
        """The mean reflectance (N, 3, H, W) of the ink that is asked for; None: of a place without dot gain."""
        profile = self._profile
        if places is not None and (profile.banding_rate > 0 or any(place.shot.dot_gain_rate for place in places)):
            asked = _grown(asked, profile, self._gain(places).to(asked.dtype))
        if profile.halftone != "none":
            asked = asked.clamp(profile.ink_reflectance, profile.paper_reflectance)
        return mixed(asked, tuple(map(tuple, gamut(profile).tolist())))

    def _gain(self, places: tuple[Place, ...]) -> Tensor:
        """The dot gain, with the banding's mean over each row of image pixels, (N, 1, H, 1)."""
        height, mm = self._image_px[0], self._image_mm[1] / self._image_px[0]
        rows = (np.arange(height) + 0.5) * mm
        waves = [banding_wave(self._profile, place.shot, place.corner_mm[1] + rows) for place in places]
        swing = self._profile.banding_rate * np.sinc(mm / self._profile.banding_mm)
        gains = np.array([place.shot.dot_gain_rate for place in places])[:, None] + swing * np.stack(waves)
        return torch.from_numpy(gains)[:, None, :, None]

    def _unveiled(self, places: tuple[Place, ...], like: Tensor) -> Tensor:
        """What gloss leaves of the ink's contrast to the paper, (N, 1, 1, 1)."""
        return like.new_tensor([1 - veil_rate(self._profile, place.shot) for place in places])[:, None, None, None]

    def _seen(self, pixels: Tensor, ink: Tensor, white: Tensor, grid: PhotoGrid, bands: BandsOf) -> Tensor:
        """What the lens shows of the image's reflectance beyond the paper's, a plane for each of the sites."""
        down, across = bands["printed"]
        wide = torch.cat([ink[:, :2], ink[:, 1:]], dim=1) if len(self._sites) == 4 else ink
        seen = resampled(down, wide, across)
        if self._prints_dots:
            seen = seen + self._screen(pixels, ink.detach() + white, grid, self._sites)
        return seen

    def _light(self, grid: PhotoGrid, sites: Sites, bands: BandsOf, like: Tensor, draw_noise: Noise) -> tuple[Tensor, Tensor]:
        """How bright the paper's white is at each photosite, its grain with it, and what is mirrored there; for the exposure."""
        by_channel = [
            [p.shot.exposure * (p.shot.red_light, 1.0, p.shot.blue_light)[channel] for channel, _, _ in sites]
            for p in grid.places
        ]
        factor = like.new_tensor(by_channel)[:, :, None, None]

        def at_sites(planes: Tensor) -> Tensor:
            # of one plane of the photo the pixels of each site, which are the same for all three chips
            return (pixel_unshuffle(planes, 2) if len(sites) == 4 else planes) * factor

        def over_photo(maps: list[np.ndarray]) -> Tensor:
            down, across = bands["light"]
            return resampled(down, torch.from_numpy(np.stack(maps)).to(like.device, like.dtype)[:, None], across)

        gain = over_photo([place.light for place in grid.places])
        if "grain" in bands and draw_noise[0] is not None:
            down, across = bands["grain"]
            fibres = _normal((1, *self._n_fibres[::-1]), like, draw_noise) * (self._profile.paper_grain_rate / CUBIC_POWER)
            gain = torch.addcmul(gain, gain, resampled(down, fibres, across))
        if all(place.shot.glare_rate <= 0 for place in grid.places):
            return at_sites(gain), torch.zeros_like(factor)
        return at_sites(gain), at_sites(over_photo([place.glare for place in grid.places]))

    def _sensed(self, light: Tensor, grid: PhotoGrid, channels: list[int], draw_noise: Noise) -> Tensor:
        """Light (N, C, H, W) with the sensor's noise, cut where a photosite is full or the black level ends.

        The variance of a balanced value x is G (shot x + G read), as in `camera.exposed`; the noise's size has no gradient.
        """
        shots = [place.shot for place in grid.places]
        if draw_noise[0] is not None and any(shot.shot_noise > 0 for shot in shots):
            # how many of the photo's own pixels one pixel stands for
            area = grid.ratio.prod(dim=0).tolist()
            rows = (
                [[shot.shot_noise / a] for shot, a in zip(shots, area, strict=True)],
                [[shot.read_noise / a] for shot, a in zip(shots, area, strict=True)],
                [[(shot.red_gain, 1.0, shot.blue_gain)[channel] for channel in channels] for shot in shots],
            )
            shot_noise, read_noise, gains = (light.new_tensor(row)[:, :, None, None] for row in rows)
            sd = light.detach().clamp(min=0).mul_(shot_noise * gains).add_(read_noise * gains * gains).sqrt_()
            light = light + sd.mul_(_normal(light.shape[1:], light, draw_noise))
        return cut(light, DARKEST, BRIGHTEST)

    def _screen(self, images: Tensor, reflectance: Tensor, grid: PhotoGrid, sites: Sites) -> Tensor:
        """What the lens shows of the halftone's dots beyond their mean tone."""
        dot_mm = _MM_PER_INCH / self._profile.printer_dpi
        n_across, n_down = (math.ceil(side / dot_mm) + 1 + 2 * _WHITE_DOTS for side in self._image_mm)
        n_dots = n_across, n_down
        # where an edge falls on the edge of a dot, rounding must not move it to the dot before
        first = [[math.floor(mm / dot_mm + _TINY) - _WHITE_DOTS for mm in place.corner_mm] for place in grid.places]
        pixels = images.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        means = reflectance.permute(0, 2, 3, 1).cpu().numpy()
        dots = np.stack([self._dots(*one, n_dots) for one in zip(pixels, means, first, grid.places, strict=True)])
        patterns = torch.from_numpy(dots).to(images.device, images.dtype).permute(0, 3, 1, 2)
        corners = torch.tensor([place.corner_mm for place in grid.places], dtype=torch.float64)
        start = torch.tensor(first, dtype=torch.float64) * dot_mm - corners
        down, across = grid.dots(sites, self._profile, start.T, dot_mm, n_dots)
        return resampled(down, patterns[:, [channel for channel, _, _ in sites]].contiguous(), across)

    def _dots(self, pixels: np.ndarray, means: np.ndarray, first: list[int], place: Place, n_dots: tuple[int, int]) -> np.ndarray:
        """Each printer dot's reflectance less the mean of the image pixel that it belongs to, (rows, columns, 3)."""
        profile, dot_mm = self._profile, _MM_PER_INCH / self._profile.printer_dpi
        middles_mm = [(start + np.arange(n) + 0.5) * dot_mm for start, n in zip(first, n_dots, strict=True)]
        px = [np.floor((mm - corner) / self._mm_per_px) for mm, corner in zip(middles_mm, place.corner_mm, strict=True)]
        columns, rows = (np.clip(x, 0, n - 1).astype(int) for x, n in zip(px, self._image_px[::-1], strict=True))
        inside = ((rows == px[1])[:, None] & (columns == px[0]))[..., None]
        raster = np.where(inside, pixels[rows[:, None], columns], 255).astype(np.uint8)
        raster = driven(raster, profile)
        tables = row_tables(profile, place.shot, middles_mm[1])
        inked = halftoned(asked_for(raster, tables, profile), profile, first[1], first[0])
        paper, left = profile.paper_reflectance, 1 - veil_rate(profile, place.shot)
        return np.where(inside, paper - left * (paper - profile.ink_reflectance) / 255 * inked - means[rows[:, None], columns], 0)


def _normal(shape: tuple[int, ...], like: Tensor, draw_noise: Noise) -> Tensor:
    drawn = [torch.randn(shape, generator=one, dtype=like.dtype, device=like.device) for one in draw_noise]
    return torch.stack(drawn)


@lru_cache(maxsize=4)
def _driver(profile: Profile, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """What 8-bit values ask for, (3, 256), and the driver's cube, (1, 3, 33, 33, 33)."""
    cube, table = driver_cube(profile), torch.from_numpy(print_table(profile).T.copy()).to(device, dtype)
    if cube is None:
        return table, None
    return table, torch.from_numpy(cube).to(device, dtype).permute(3, 0, 1, 2)[None].contiguous()


def _driven(images: Tensor, cube: Tensor) -> Tensor:
    """Colours through a driver, linear between the points of its cube."""
    n, _, height, width = images.shape
    # the cube's last axis is blue, and grid_sample's first coordinate is the last axis
    places = (2 * images - 1).flip(1).permute(0, 2, 3, 1).reshape(1, n, height, width, 3)
    return grid_sample(cube, places, padding_mode="border", align_corners=True)[0].permute(1, 0, 2, 3)


def _grown(asked: Tensor, profile: Profile, gain: Tensor) -> Tensor:
    """`printer.grown`, its slope worked out at once where nothing can be cut: a gain up to a quarter keeps tones in order."""
    curves = (profile.print_curve_red, profile.print_curve_green, profile.print_curve_blue)
    is_cut = any(curves) or float(gain.abs().max()) > _LARGEST_EVEN_GAIN
    gain = gain.to(asked.device)
    if is_cut:
        return grown(asked, profile, gain)
    paper, ink = profile.paper_reflectance, profile.ink_reflectance
    given, share = asked.detach(), gain * (4 / max(paper - ink, _TINY))
    # R - s (p - R) (R - i) has the slope 1 - s (p + i - 2 R)
    value = torch.addcmul(given, share, (paper - given).mul_(given - ink), value=-1)
    return with_slope(asked, value, torch.addcmul(1 - share * (paper + ink), share, given, value=2))


def _smeared(planes: Tensor, kernels: Tensor) -> Tensor:
    """Planes (N, C, H, W), each image's correlated with its own kernel (N, k, k)."""
    n, channels, height, width = planes.shape
    reach = kernels.shape[-1] // 2
    weights = kernels[:, None].expand(-1, channels, -1, -1).reshape(n * channels, 1, *kernels.shape[1:])
    out = conv2d(pad(planes.reshape(1, n * channels, height, width), (reach,) * 4), weights, groups=n * channels)
    return out.view(planes.shape)
