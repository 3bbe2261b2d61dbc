"""How a photo shows an image of its page: the part that does, as a grid of JPEG blocks, and the matrices to it and from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from pipeline.physical.geometry import jacobian, samples_a_side
from pipeline.physical.simulator.bands import Band, crop_band, cubic_band, linear_band, print_band
from pipeline.physical.simulator.camera import lens_sigma_px
from pipeline.physical.simulator.kernels import disc_kernel, gaussian_kernel, joined, motion_kernel
from pipeline.physical.simulator.profile import Profile, Shot
from pipeline.physical.simulator.scene import glare_at, light_at, slope_shade
from pipeline.physical.simulator.sheet import Sheet, sheet_of

# a 4:2:0 JPEG's unit: 2 x 2 blocks of 8 x 8 pixels
_UNIT_PX = 16
_LIGHT_CELL_MM = 2.5
# of the phone's distance: 0.0001 photo px
_STILL = 1e-8
_SHADE_CELLS = (48, 68)

# channel, row and column
Sites = Sequence[tuple[int, int, int]]
Bands = tuple[Band, Band]


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """One image in one photo. Pairs are (x, y) along the image's own axes: the photo is turned until the image is upright.

    `corner_mm` is where the image's top left corner lies on the page and `image_mm` its size there; `scale` is in photo pixels
    per image pixel; `centre_px` where the image's middle lies in the upright photo; `turn_deg` how far the image is turned
    clockwise in the photo as it was taken; `fringe_px` by how much red is moved at the image's middle and `fringe_rate` by which
    share it is larger, blue the other way and smaller. `light` and `glare` (n, n), at points evenly spread from edge to edge of
    the image, are the light that a perfect white sends to the sensor, and what is mirrored there on top.
    """

    shot: Shot
    corner_mm: tuple[float, float]
    image_mm: tuple[float, float]
    scale: tuple[float, float]
    centre_px: tuple[float, float]
    turn_deg: float
    fringe_px: tuple[float, float]
    fringe_rate: float
    light: np.ndarray
    glare: np.ndarray


def place_of(
    shot: Shot,
    profile: Profile,
    page_mm: tuple[float, float],
    corner_mm: tuple[float, float],
    image_mm: tuple[float, float],
    image_px: tuple[int, int],
) -> Place:
    """Returns what a shot makes of an image of `image_px` (H, W) whose top left corner lies at `corner_mm`.

    The map from page to photo is taken for a similarity with one scale along each axis of the image: the Jacobian at the
    image's middle, whose lengths are kept and whose shear is not.
    """
    sheet = sheet_of(shot, profile, *page_mm, _STILL)
    corner, size = np.array(corner_mm), np.array(image_mm)
    middle = (corner + size / 2)[None]
    (centre,), (slopes,) = sheet.photo_from_page(middle), jacobian(sheet.photo_from_page, middle, 0.05)
    scale = np.linalg.norm(slopes, axis=0) * size / image_px[::-1]
    turn = math.atan2(slopes[1, 0] - slopes[0, 1], slopes[0, 0] + slopes[1, 1])
    frame = np.array(sheet.lens.size, float)
    from_middle = centre - (frame - 1) / 2
    quarters = round(math.degrees(turn) / 90)
    upright_frame = frame[::-1] if quarters % 2 else frame
    fringe_rate = shot.chromatic_px / (math.hypot(*frame) / 2)
    cells = max(2, round(max(size) / _LIGHT_CELL_MM)) + 1
    x, y = np.meshgrid(corner[0] + np.linspace(0, size[0], cells), corner[1] + np.linspace(0, size[1], cells))
    page = np.column_stack([x.ravel(), y.ravel()])
    photo = sheet.photo_from_page(page)
    falling = light_at(photo, shot, sheet)
    glare = glare_at(photo, shot, sheet) if shot.glare_rate > 0 else np.zeros(len(page))
    return Place(
        shot,
        _floats(corner),
        _floats(size),
        _floats(scale),
        _floats(_turned(from_middle, -quarters * math.pi / 2) + (upright_frame - 1) / 2),
        math.degrees(turn),
        _floats(_turned(from_middle, -turn) * fringe_rate),
        fringe_rate,
        (falling * _shade(page, shot, sheet)).reshape(cells, cells),
        (falling * glare).reshape(cells, cells),
    )


class PhotoGrid:
    """The pixels of N photos about the image; bands are pairs (down, across), float64 until they meet `like`.

    A photo with more pixels per image pixel than `most_photo_px` is replaced by a coarser one, `ratio` of whose pixels each of
    its own pixels is long.
    """

    def __init__(
        self, places: tuple[Place, ...], image_px: tuple[int, int], most_photo_px: float | None, halo_px: int, like: Tensor
    ) -> None:
        self.places, self._like = places, like
        self._image_px = image_px[::-1]
        true_scale = torch.tensor([place.scale for place in places], dtype=torch.float64).T
        self.scale = true_scale.clamp(max=most_photo_px or math.inf)
        self.ratio = true_scale / self.scale
        self._centre = torch.tensor([place.centre_px for place in places], dtype=torch.float64).T / self.ratio
        self._mm_per_px = places[0].image_mm[0] / self._image_px[0]
        half = self.scale * torch.tensor(self._image_px)[:, None] / 2
        self._start = _UNIT_PX * torch.floor((self._centre - half - halo_px) / _UNIT_PX)
        columns, rows = (photo_side(float(s[0]), n, halo_px) for s, n in zip(self.scale, self._image_px, strict=True))
        self.size = (rows, columns)

    def printed(self, sites: Sites, profile: Profile) -> Bands:
        """Returns what the photosites see of the image's pixels: ink spread, lens, separations and colour fringes moved.

        The pixels are ideal squares. The simulator draws them from averaged printer dots by cubic interpolation, a little
        blurrier or sharper by how the dots happen to lie.
        """
        nothing = torch.zeros(2, len(self.places), dtype=torch.float64)
        return self._print_bands(sites, profile, nothing, 1.0, self._image_px)

    def dots(self, sites: Sites, profile: Profile, first_mm: Tensor, dot_mm: float, n_dots: tuple[int, int]) -> Bands:
        """Returns what the photosites see of printer dots; `first_mm` (2, N) is where the first begins, from the image."""
        return self._print_bands(sites, profile, first_mm / self._mm_per_px, dot_mm / self._mm_per_px, n_dots)

    def light(self, sites: Sites, n_nodes: int) -> Bands:
        """Returns linear interpolation at the photosites between nodes spread evenly from edge to edge of the image."""
        return self._pair(lambda axis: linear_band(self._along_image(axis, sites) * (n_nodes - 1), n_nodes, self._like))

    def grain(self, sites: Sites, profile: Profile, n_fibres: tuple[int, int]) -> Bands:
        """Returns what the photosites see of the paper's fibres, a lattice about the image's middle."""
        per_fibre = torch.tensor(self._image_px)[:, None] * self._mm_per_px / profile.paper_grain_mm
        to_fibres = self._mm_per_px / self.scale / profile.paper_grain_mm
        sigma = self._lens_sigma(profile) * to_fibres

        def band(axis: int) -> Band:
            places = (self._along_image(axis, sites) - 0.5) * per_fibre[axis] + (n_fibres[axis] - 1) / 2
            return cubic_band(places, sigma[axis], n_fibres[axis], self._like)

        return self._pair(band)

    def gaussian(self, sigma_px: float) -> tuple[Tensor, Tensor] | None:
        """Returns the kernels (N, K) of a Gaussian of a profile's `sigma_px`, down and across, or None for none."""
        if sigma_px <= 0:
            return None
        kernels = [
            _stacked([gaussian_kernel(sigma_px / float(ratio)).astype(np.float64) for ratio in self.ratio[axis]])
            for axis in (1, 0)
        ]
        down, across = (torch.from_numpy(kernel).to(self._like.device, self._like.dtype) for kernel in kernels)
        return down, across

    def path(self) -> Tensor:
        """Returns the kernels (N, k, k) of what is out of focus and of the hand's path."""
        kernels = [self._path_of(place, *ratio) for place, ratio in zip(self.places, self.ratio.T.tolist(), strict=True)]
        return torch.from_numpy(_stacked(kernels)).to(self._like.device, self._like.dtype)

    def crop(self) -> Bands:
        """Returns what the crop's pixels take of the photo."""
        n_sub = torch.tensor([samples_a_side(round(span, 6)) for span in self.scale.amax(dim=0).tolist()])

        def band(axis: int) -> Band:
            n, scale = self._image_px[axis], self.scale[axis]
            start = self._centre[axis] - self._start[axis] - scale * (n - 1) / 2
            return crop_band(start, scale, n_sub, n, self.size[1 - axis], self._like)

        return self._pair(band)

    def _print_bands(self, sites: Sites, profile: Profile, first: Tensor, side: float, n_squares: tuple[int, int]) -> Bands:
        """Squares of a `side`, the first beginning at `first` (2, N), in image px from the image's corner."""
        ink = profile.ink_spread_um / 1000 / self._mm_per_px * self.scale
        sigma = torch.hypot(self._lens_sigma(profile), ink)
        channels = [channel for channel, _, _ in sites]
        half = torch.tensor(self._image_px, dtype=torch.float64)[:, None] / 2

        def band(axis: int) -> Band:
            larger, moved = (value[:, channels] for value in self._fringes(axis))
            pitch = self.scale[axis][:, None] * larger
            edge = self._centre[axis][:, None] + moved + pitch * (first - half)[axis][:, None]
            sigmas = sigma[axis][:, None].expand_as(edge)
            return print_band(self._photosites(axis, sites), edge, pitch * side, n_squares[axis], sigmas, self._like)

        return self._pair(band)

    def _fringes(self, axis: int) -> tuple[Tensor, Tensor]:
        """By how much red, green and blue are magnified, and moved in px, (N, 3) each: by printer and lens."""
        rate = torch.tensor([(p.fringe_rate, 0.0, -p.fringe_rate) for p in self.places], dtype=torch.float64)
        printed = [tuple(shift[axis] for shift in p.shot.separation_shifts_mm) for p in self.places]
        seen = [(p.fringe_px[axis], 0.0, -p.fringe_px[axis]) for p in self.places]
        on_paper = torch.tensor(printed, dtype=torch.float64) / self._mm_per_px * self.scale[axis][:, None]
        return 1 + rate, on_paper + torch.tensor(seen, dtype=torch.float64) / self.ratio[axis][:, None]

    def _photosites(self, axis: int, sites: Sites) -> Tensor:
        """Photo px (N, G, R) of the rows or columns of each site."""
        step = 2 if len(sites) == 4 else 1
        offsets = torch.tensor([site[2 - axis] for site in sites], dtype=torch.float64)
        return self._start[axis][:, None, None] + offsets[:, None] + step * torch.arange(self.size[1 - axis] // step)

    def _along_image(self, axis: int, sites: Sites) -> Tensor:
        """The same as a share of the image, 0 at its left or upper edge."""
        length = (self.scale[axis] * self._image_px[axis])[:, None, None]
        return (self._photosites(axis, sites) - self._centre[axis][:, None, None]) / length + 0.5

    def _lens_sigma(self, profile: Profile) -> Tensor:
        return torch.tensor([lens_sigma_px(p.shot, profile) for p in self.places], dtype=torch.float64) / self.ratio

    def _path_of(self, place: Place, ratio_x: float, ratio_y: float) -> np.ndarray:
        shot, kernel = place.shot, np.ones((1, 1), np.float32)
        if shot.defocus_px > 0:
            kernel = disc_kernel(shot.defocus_px / math.sqrt(ratio_x * ratio_y))
        if shot.motion_px > 0:
            angle = math.radians(shot.motion_direction_deg - place.turn_deg)
            x, y = shot.motion_px * math.cos(angle) / ratio_x, shot.motion_px * math.sin(angle) / ratio_y
            kernel = joined(kernel, motion_kernel(math.hypot(x, y), math.degrees(math.atan2(y, x))))
        return kernel.astype(np.float64)

    def _pair(self, band: Callable[[int], Band]) -> Bands:
        return band(1), band(0)


def photo_side(scale: float, n_px: int, halo_px: int) -> int:
    """Returns how many photo pixels, whole JPEG units, hold `n_px` image pixels and a halo wherever the units begin."""
    return _UNIT_PX * math.ceil((scale * n_px + 2 * halo_px + _UNIT_PX - 1) / _UNIT_PX)


def _stacked(kernels: list[np.ndarray]) -> np.ndarray:
    """Odd kernels (n,) or (n, n) of different size, with zeros about the smaller ones."""
    most = max(len(kernel) for kernel in kernels)
    return np.stack([np.pad(kernel, (most - len(kernel)) // 2) for kernel in kernels])


def _floats(vector: np.ndarray) -> tuple[float, float]:
    return float(vector[0]), float(vector[1])


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    x, y = vector
    return np.array([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)])


def _shade(page_mm: np.ndarray, shot: Shot, sheet: Sheet) -> np.ndarray:
    if shot.curl_mm <= 0:
        return np.ones(len(page_mm))
    columns, rows = _SHADE_CELLS
    cells = page_mm / (sheet.width_mm, sheet.height_mm) * (columns, rows) - 0.5
    grid = slope_shade(shot, sheet, columns, rows).astype(np.float64)
    return np.asarray(map_coordinates(grid, cells.T[::-1], order=1, mode="nearest"))
