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

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, pad, pixel_unshuffle

from pipeline.physical.simulator.bands import resampled
from pipeline.physical.simulator.camera import MOSAIC
from pipeline.physical.simulator.photo_grid import PhotoGrid, Place, Sites, photo_side, place_of
from pipeline.physical.simulator.printer import (
    CUBIC_POWER,
    asked_for,
    banded,
    banding_wave,
    gamut,
    halftoned,
    icc_cube,
    icc_proof,
    print_table,
    row_tables,
)
from pipeline.physical.simulator.profile import Profile, Shot, draw_shot
from pipeline.physical.simulator.torch_camera import BRIGHTEST, DARKEST, demosaiced, developed, eight_bit, looked_up, mixed
from pipeline.physical.simulator.torch_jpeg import jpeg

# crop, JPEG's interpolation, sharpening, smoothing and demosaicing reach this far beyond the image
_HALO_PX = 10
# one image at a time stays in a processor's cache; a GPU wants more
_AT_ONCE_ON_CPU, _AT_ONCE = 1, 32
_ALL = ((0, 0, 0), (1, 0, 0), (2, 0, 0))
# a mosaic's planes among those of `pixel_unshuffle`
_MOSAIC_PLANES = [4 * channel + 2 * row + column for channel, row, column in MOSAIC]
_FIBRE_MARGIN_MM = 1.0
_MM_PER_INCH = 25.4
# errors are diffused past the image's edge and come back
_WHITE_DOTS = 32
_TINY = 1e-6


# what N photographs drew: how each shows the image
Draws = tuple[Place, ...]


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
            images: floating-point (N, 3, H, W) in [0, 1], 8-bit values / 255.
            generator: for sensor noise and paper grain; None leaves both out.
        """
        expected = (len(draws), 3, *self._image_px)
        if tuple(images.shape) != expected:
            raise ValueError(f"expected images {expected}, one a draw, got {tuple(images.shape)}")
        draw_noise: list[torch.Generator] | None = None
        if generator is not None:
            seeds = torch.randint(2**62, (len(images),), generator=generator, device=generator.device).tolist()
            draw_noise = [torch.Generator(images.device).manual_seed(seed) for seed in seeds]
        crops = [
            self._crops(images[part], draws[part], draw_noise and draw_noise[part]) for part in self._parts(draws, images.device)
        ]
        return torch.cat(crops) if crops else torch.empty_like(images)

    def _parts(self, draws: Draws, device: torch.device) -> Iterator[slice]:
        """Neighbours whose photos are of the same size are worked out together."""
        most = _AT_ONCE_ON_CPU if device.type == "cpu" else _AT_ONCE
        sizes = [self._photo_size(place) for place in draws]
        start = 0
        for stop in range(1, len(sizes) + 1):
            if stop == len(sizes) or sizes[stop] != sizes[start] or stop - start == most:
                yield slice(start, stop)
                start = stop

    def _photo_size(self, place: Place) -> tuple[int, int]:
        scales = [min(scale, self._most_photo_px or math.inf) for scale in place.scale]
        across, down = (photo_side(s, n, self._halo_px) for s, n in zip(scales, self._image_px[::-1], strict=True))
        return across, down

    def _crops(self, images: Tensor, places: tuple[Place, ...], draw_noise: list[torch.Generator] | None) -> Tensor:
        profile = self._profile
        grid = PhotoGrid(places, self._image_px, self._most_photo_px, self._halo_px, images)
        light = self._exposed(images, grid, draw_noise)
        chroma = grid.gaussian(profile.chroma_denoise_px)
        soft = grid.gaussian(profile.sharpen_px) if profile.sharpen_rate > 0 or profile.luma_denoise_8bit > 0 else None
        photo = developed(light, profile, chroma, soft, self._rounded)
        photo = jpeg(photo, [place.shot.jpeg_quality for place in places], self._rounded)
        down, across = grid.crop()
        return eight_bit(resampled(down, photo, across), self._rounded) / 255

    def _exposed(self, images: Tensor, grid: PhotoGrid, draw_noise: list[torch.Generator] | None) -> Tensor:
        """Linear light (N, 3, H, W) as the sensor gives it, white-balanced."""
        profile, sites = self._profile, MOSAIC if self._profile.bayer else _ALL
        white = self._reflectance(images.new_ones(1, 3, 1, 1), None)
        ink = self._reflectance(images, grid.places) - white
        path = grid.path()
        if path is None:
            seen = self._seen(images, ink, white, grid, sites)
        else:
            seen = _smeared(self._seen(images, ink, white, grid, _ALL), path)
            seen = pixel_unshuffle(seen, 2)[:, _MOSAIC_PLANES] if profile.bayer else seen
        gain, glare = self._light(grid, sites, images)
        if draw_noise is not None and profile.paper_grain_rate > 0:
            gain = gain * (1 + self._grain(grid, sites, images, draw_noise))
        channels = [channel for channel, _, _ in sites]
        light = torch.addcmul(torch.addcmul(glare, gain, white[:, channels]), gain, seen)
        light = self._sensed(light, grid, channels, draw_noise)
        return demosaiced(light) if profile.bayer else light

    def _reflectance(self, images: Tensor, places: tuple[Place, ...] | None) -> Tensor:
        """The mean reflectance (N, 3, H, W) of the ink that images (N, 3, H, W) ask for; None: of a place without banding."""
        profile = self._profile
        if profile.icc_profile:
            images = _proof(images, profile.icc_profile)
        tables = torch.from_numpy(print_table(profile).T.copy()).to(images.device, images.dtype)
        asked = looked_up(images * 255, tables)
        if profile.banding_rate > 0 and places is not None:
            asked = banded(asked, profile, self._wave(places).to(images.device, images.dtype))
        if profile.halftone != "none":
            asked = asked.clamp(profile.ink_reflectance, profile.paper_reflectance)
        return mixed(asked, tuple(map(tuple, gamut(profile).tolist())))

    def _wave(self, places: tuple[Place, ...]) -> Tensor:
        """The banding's mean over each row of image pixels, (N, 1, H, 1)."""
        height, mm = self._image_px[0], self._image_mm[1] / self._image_px[0]
        rows = (np.arange(height) + 0.5) * mm
        waves = [banding_wave(self._profile, place.shot, place.corner_mm[1] + rows) for place in places]
        return torch.from_numpy(np.sinc(mm / self._profile.banding_mm) * np.stack(waves))[:, None, :, None]

    def _seen(self, images: Tensor, ink: Tensor, white: Tensor, grid: PhotoGrid, sites: Sites) -> Tensor:
        """What the lens shows of the image's reflectance beyond the paper's, a plane for each of the sites."""
        down, across = grid.printed(sites, self._profile)
        wide = torch.cat([ink[:, :2], ink[:, 1:]], dim=1) if len(sites) == 4 else ink
        seen = resampled(down, wide, across)
        if self._prints_dots:
            seen = seen + self._screen(images.detach(), ink.detach() + white, grid, sites)
        return seen

    def _light(self, grid: PhotoGrid, sites: Sites, like: Tensor) -> tuple[Tensor, Tensor]:
        """How bright a perfect white is at each photosite, and what is mirrored there, for the camera's exposure."""
        by_channel = [
            [p.shot.exposure * (p.shot.red_light, 1.0, p.shot.blue_light)[channel] for channel, _, _ in sites]
            for p in grid.places
        ]
        factor = like.new_tensor(by_channel)[:, :, None, None]
        down, across = grid.light(sites, len(grid.places[0].light))

        def over_photo(maps: list[np.ndarray]) -> Tensor:
            nodes = torch.from_numpy(np.stack(maps)).to(like.device, like.dtype)[:, None]
            return resampled(down, nodes * factor, across)

        gain = over_photo([place.light for place in grid.places])
        if all(place.shot.glare_rate <= 0 for place in grid.places):
            return gain, torch.zeros_like(factor)
        return gain, over_photo([place.glare for place in grid.places])

    def _grain(self, grid: PhotoGrid, sites: Sites, like: Tensor, draw_noise: list[torch.Generator]) -> Tensor:
        across, down = (math.ceil((side + 2 * _FIBRE_MARGIN_MM) / self._profile.paper_grain_mm) for side in self._image_mm)
        fibres = _normal((1, down, across), like, draw_noise) * (self._profile.paper_grain_rate / CUBIC_POWER)
        bands = grid.grain(sites, self._profile, (across, down))
        return resampled(bands[0], fibres.expand(-1, len(sites), -1, -1), bands[1])

    def _sensed(self, light: Tensor, grid: PhotoGrid, channels: list[int], draw_noise: list[torch.Generator] | None) -> Tensor:
        """Light (N, C, H, W) with the sensor's noise, cut where a photosite is full or the black level ends.

        The variance of a balanced value x is G (shot x + G read), as in `camera.exposed`; the noise's size has no gradient.
        """
        shots = [place.shot for place in grid.places]
        if draw_noise is not None and any(shot.shot_noise > 0 for shot in shots):
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
        return light.clamp(DARKEST, BRIGHTEST)

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
        if profile.icc_profile:
            raster = icc_proof(raster, profile.icc_profile)
        tables = row_tables(profile, place.shot, middles_mm[1])
        inked = halftoned(asked_for(raster, tables, profile), profile, first[1], first[0])
        paper, ink = profile.paper_reflectance, profile.ink_reflectance
        return np.where(inside, paper - (paper - ink) / 255 * inked - means[rows[:, None], columns], 0)


def _normal(shape: tuple[int, ...], like: Tensor, draw_noise: list[torch.Generator]) -> Tensor:
    drawn = [torch.randn(shape, generator=one, dtype=like.dtype, device=like.device) for one in draw_noise]
    return torch.stack(drawn)


def _proof(images: Tensor, profile_file: str) -> Tensor:
    """Colours through an ICC profile, linear between the points of its cube."""
    cube = torch.from_numpy(icc_cube(profile_file)).to(images.device, images.dtype).permute(3, 0, 1, 2)[None]
    n, _, height, width = images.shape
    # the cube's last axis is blue, and grid_sample's first coordinate is the last axis
    places = (2 * images - 1).flip(1).permute(0, 2, 3, 1).reshape(1, n, height, width, 3)
    return grid_sample(cube, places, padding_mode="border", align_corners=True)[0].permute(1, 0, 2, 3)


def _smeared(planes: Tensor, kernels: Tensor) -> Tensor:
    """Planes (N, C, H, W), each image's correlated with its own kernel (N, k, k)."""
    n, channels, height, width = planes.shape
    reach = kernels.shape[-1] // 2
    weights = kernels[:, None].expand(-1, channels, -1, -1).reshape(n * channels, 1, *kernels.shape[1:])
    out = conv2d(pad(planes.reshape(1, n * channels, height, width), (reach,) * 4), weights, groups=n * channels)
    return out.view(planes.shape)
