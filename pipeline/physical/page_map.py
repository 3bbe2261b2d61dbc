"""Where every point of a page lies in a photo, also on curled paper and through a lens that bends straight lines."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pipeline.physical import geometry
from pipeline.physical.geometry import Floats, apply_homography, chebyshev_nodes, homography_from_points

N_NODES, _NEWTON_STEPS = 13, 30


@dataclass(frozen=True, eq=False)
class PageMap:
    """Page mm -> photo px: a homography plus a smooth residual, polynomial through Chebyshev nodes of the page.

    `homography` (3, 3); `residual_px` (n, n, 2), row by row: what is added to the homography at the nodes
    `chebyshev_nodes(n)` of the page's height (rows) and width (columns). Beyond the page the residual of its nearest edge
    point is used, so the map stays sane where polynomials do not.
    """

    width_mm: float
    height_mm: float
    homography: Floats
    residual_px: Floats = field(default_factory=lambda: np.zeros((1, 1, 2)))

    @classmethod
    def fitted(
        cls, photo_from_page: Callable[[Floats], Floats], width_mm: float, height_mm: float, homography: Floats | None = None
    ) -> "PageMap":
        """Returns the map that agrees with a smooth function, (N, 2) mm to (N, 2) px, at every node of the page.

        `homography`: the one that it bends about, where one is known.
        """
        nodes = chebyshev_nodes(N_NODES)
        page = geometry.grid((nodes + 1) / 2 * width_mm, (nodes + 1) / 2 * height_mm)
        photo = photo_from_page(page)
        homography = homography_from_points(page, photo) if homography is None else homography
        residual = (photo - apply_homography(homography, page)).reshape(N_NODES, N_NODES, 2)
        return cls(width_mm, height_mm, homography, residual)

    @classmethod
    def through(cls, page_mm: Floats, photo_px: Floats, width_mm: float, height_mm: float) -> "PageMap | None":
        """Returns the homography through points (N, 2), None where they determine none."""
        try:
            return cls(width_mm, height_mm, homography_from_points(page_mm, photo_px))
        except geometry.NoHomography:
            return None

    @classmethod
    def from_numbers(cls, width_mm: float, height_mm: float, homography: object, residual_px: object) -> "PageMap":
        """Returns the map from its flat lists of numbers, as `numbers` gives them."""
        residual = np.asarray(residual_px, np.float64)
        n = round((residual.size / 2) ** 0.5) or 1
        residual = residual.reshape(n, n, 2) if residual.size else np.zeros((1, 1, 2))
        return cls(width_mm, height_mm, np.asarray(homography, np.float64).reshape(3, 3), residual)

    @property
    def numbers(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The homography and the residual as flat tuples, for records and files."""
        return tuple(map(float, self.homography.ravel())), tuple(map(float, self.residual_px.ravel()))

    def __call__(self, page_mm: Floats) -> Floats:
        """Returns photo px (N, 2) of page points (N, 2)."""
        page_mm = np.asarray(page_mm, np.float64)
        straight = apply_homography(self.homography, page_mm)
        n = len(self.residual_px)
        if n == 1:
            return straight + self.residual_px[0, 0, :]
        shares: Floats = np.clip(2 * page_mm.T / np.array([[self.width_mm], [self.height_mm]]) - 1, -1, 1)
        across, down = geometry.interpolation(n, shares.ravel()).reshape(2, -1, 1, n)
        bend: Floats = across @ (down[:, 0] @ self.residual_px.reshape(n, 2 * n)).reshape(-1, n, 2)
        return straight + bend[:, 0]

    def jacobian(self, page_mm: Floats) -> Floats:
        """Returns d photo / d page, (N, 2, 2) px per mm, by central differences of 0.02 mm."""
        return geometry.jacobian(self, np.asarray(page_mm, np.float64), 0.01)

    def inverse(self, photo_px: Floats, guess_mm: Floats | None = None) -> Floats:
        """Returns page mm (N, 2) of photo points (N, 2), by Newton's method from a guess, else from the homography's answer."""
        photo_px = np.asarray(photo_px, np.float64)
        page = apply_homography(np.linalg.inv(self.homography), photo_px) if guess_mm is None else guess_mm
        slopes, before_mm = self.jacobian(page), np.inf
        for _ in range(_NEWTON_STEPS):
            step = np.linalg.solve(slopes, (photo_px - self(page))[..., None])[..., 0]
            page = page + step
            step_mm = np.abs(step).max(initial=0.0)
            if step_mm < 1e-9:
                break
            if step_mm > 0.1 * before_mm:  # else they are still good enough
                slopes = self.jacobian(page)
            before_mm = step_mm
        return page
