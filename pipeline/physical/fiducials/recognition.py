"""How well the known modules of a code agree with a photograph, and which corner of it is which."""

import cv2
import numpy as np

from pipeline.physical.fiducials.drawing import N_MODULES, SQUARE, modules

_DATA = np.ones((N_MODULES, N_MODULES), dtype=bool)
_DATA[:9, :9] = _DATA[:9, 13:] = _DATA[13:, :9] = _DATA[6] = _DATA[:, 6] = False
_TURNS = tuple(tuple((start + step * k) % 4 for k in range(4)) for step in (1, -1) for start in range(4))


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


def _sample_modules(photo_grey: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Returns the photo at the 21 x 21 module centres, float32."""
    square = (SQUARE * N_MODULES - 0.5).astype(np.float32)
    photo_from_module = cv2.getPerspectiveTransform(square, corners.astype(np.float32))
    size, flags = (N_MODULES, N_MODULES), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpPerspective(photo_grey, photo_from_module, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return seen.astype(np.float32)
