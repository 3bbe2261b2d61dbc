"""Corners to a few hundredths of a pixel: the known modules of a code are aligned to the photograph."""

import cv2
import numpy as np

from pipeline.physical.fiducials.drawing import N_MODULES, modules

_MARGIN_MODULES = 2
_CELL_PX = 8
_MAX_SHIFT_MODULES = 1.5
_MIN_AGREEMENT = 0.5
_COARSE_FILTER_PX, _FINE_FILTER_PX = 25, 5
_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
_DATA = np.ones((N_MODULES, N_MODULES), dtype=bool)
_DATA[:9, :9] = _DATA[:9, 13:] = _DATA[13:, :9] = _DATA[6] = _DATA[:, 6] = False
_TURNS = tuple(tuple((start + step * k) % 4 for k in range(4)) for step in (1, -1) for start in range(4))


def refine_corners(photo_grey: np.ndarray, corners: np.ndarray, payload: str) -> np.ndarray:
    """Returns `corners`, moved to where the modules of `payload` fit the photo best, or unchanged when that fails.

    Enhanced correlation coefficient (Evangelidis and Psarakis 2008) with a homography, between the ideal symbol with two
    modules of its quiet zone and the photo. It is blind to gain and offset of the light, and ink that spreads evenly to all
    sides leaves the corners where they are.

    Args: `photo_grey` uint8 (H, W); `corners` float (4, 2), TL TR BR BL of the code's own frame, photo pixels, within about
    one module of the truth.
    Returns: float64 (4, 2). The given corners when the alignment does not converge, moves a corner by more than 1.5 modules,
    or ends where the modules agree less than before or by less than 0.5.
    """
    corners = np.asarray(corners, dtype=np.float64)
    module_px = _side_px(corners) / N_MODULES
    patch, photo_from_patch = _patch(photo_grey, corners, module_px)
    if patch is None:
        return corners
    template, square = _template(payload)
    patch_corners = _apply(np.linalg.inv(photo_from_patch), corners)
    patch_from_template = cv2.getPerspectiveTransform(square.astype(np.float32), patch_corners.astype(np.float32))
    try:
        patch_from_template = _shifted(template, patch, patch_from_template)
        _, fitted = cv2.findTransformECC(
            template, patch, patch_from_template.astype(np.float32), cv2.MOTION_HOMOGRAPHY, _criteria(60), None, _FINE_FILTER_PX
        )
    except cv2.error:
        return corners
    refined = _apply(photo_from_patch @ fitted.astype(np.float64), square)
    moved = np.linalg.norm(refined - corners, axis=1).max()
    if not np.isfinite(moved) or moved > _MAX_SHIFT_MODULES * module_px:
        return corners
    needed = max(_MIN_AGREEMENT, agreement(photo_grey, corners, payload) - 0.02)
    return refined if agreement(photo_grey, refined, payload) >= needed else corners


def agreement(photo_grey: np.ndarray, corners: np.ndarray, payload: str) -> float:
    """Returns how well the photo's modules agree with those of `payload`, as a correlation coefficient in [-1, 1].

    Only modules that differ from code to code are compared, not the finder and timing patterns. Codes of one run begin with the
    same letters and so agree by 0.3 on average and by 0.6 at most; a blank sheet scores about 0.

    Args: `photo_grey` uint8 (H, W); `corners` float (4, 2), TL TR BR BL, photo pixels.
    """
    seen, known = _sample_modules(photo_grey, corners)[_DATA], ~modules(payload)[_DATA]
    spread = seen.std() * known.std()
    return float(((seen - seen.mean()) * (known - known.mean())).mean() / spread) if spread > 0 else 0.0


def order_corners(photo_grey: np.ndarray, corners: np.ndarray, payload: str) -> np.ndarray:
    """Returns `corners` turned and, if the photo is mirrored, flipped, so that they are TL TR BR BL of the code itself.

    The modules are sampled under each of the eight orders of the four corners; the order that agrees best with the known
    modules wins, the given one on a draw.

    Args: `photo_grey` uint8 (H, W); `corners` float (4, 2) in any cyclic order, photo pixels.
    """
    corners = np.asarray(corners, dtype=np.float64)
    dark = np.where(modules(payload), -1.0, 1.0)
    scores = []
    for turn in _TURNS:
        seen = _sample_modules(photo_grey, corners[list(turn)])
        scores.append(float(((seen - seen.mean()) * dark).sum() / (seen.std() * dark.size + 1e-9)))
    best = int(np.argmax(scores))
    return corners[list(_TURNS[best])] if scores[best] > scores[0] + 0.05 else corners


def _shifted(template: np.ndarray, patch: np.ndarray, patch_from_template: np.ndarray) -> np.ndarray:
    """Returns the start moved to where the symbol, smoothed by about half a module, fits best: the full fit alone stalls when it
    starts more than half a module off or when the photo is blurred."""
    size = template.shape[::-1]
    seen = cv2.warpPerspective(
        patch, patch_from_template, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    shift = np.eye(2, 3, dtype=np.float32)
    _, shift = cv2.findTransformECC(template, seen, shift, cv2.MOTION_TRANSLATION, _criteria(30), None, _COARSE_FILTER_PX)
    return patch_from_template @ np.vstack([shift, [0, 0, 1]])


def _criteria(n_steps: int) -> tuple[int, int, float]:
    return cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, n_steps, 1e-6


def _side_px(corners: np.ndarray) -> float:
    return float(np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1).mean())


def _patch(photo_grey: np.ndarray, corners: np.ndarray, module_px: float) -> tuple[np.ndarray | None, np.ndarray]:
    """Returns the surroundings of a code as float32, shrunk by whole factors to about eight pixels a module, and its frame."""
    margin = int(np.ceil(module_px * (_MARGIN_MODULES + 2))) + 3
    shrink = max(1, round(module_px / _CELL_PX))
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - margin, 0)
    height, width = photo_grey.shape
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + margin, (width, height))
    right, bottom = right - (right - left) % shrink, bottom - (bottom - top) % shrink
    if right - left < N_MODULES or bottom - top < N_MODULES:
        return None, np.eye(3)
    patch = photo_grey[top:bottom, left:right].astype(np.float32)
    if shrink > 1:
        patch = cv2.resize(patch, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    half = (shrink - 1) / 2
    return patch, np.array([[shrink, 0, left + half], [0, shrink, top + half], [0, 0, 1]], dtype=np.float64)


def _template(payload: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ideal symbol with its margin, float32, 8 px a module, and the symbol's corners in it."""
    light = np.pad(~modules(payload), _MARGIN_MODULES, constant_values=True)
    template = np.kron(light, np.ones((_CELL_PX, _CELL_PX))).astype(np.float32) * 255
    square = _SQUARE * N_MODULES * _CELL_PX + _MARGIN_MODULES * _CELL_PX - 0.5
    return template, square


def _sample_modules(photo_grey: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Returns the photo at the 21 x 21 module centres, float32."""
    square = (_SQUARE * N_MODULES - 0.5).astype(np.float32)
    photo_from_module = cv2.getPerspectiveTransform(square, corners.astype(np.float32))
    return cv2.warpPerspective(
        photo_grey,
        photo_from_module,
        (N_MODULES, N_MODULES),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return cv2.perspectiveTransform(np.asarray(points, dtype=np.float64)[None], matrix)[0]
