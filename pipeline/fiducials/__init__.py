"""The QR codes at the corners of a page: what they say, how they are drawn, how they are found in a photograph."""

from pipeline.fiducials.detection import Detection, decoders, detect, detect_near
from pipeline.fiducials.drawing import N_MODULES, QUIET_MODULES, modules
from pipeline.fiducials.payload import MAX_PAGE, Payload, decode_payload, encode_payload
from pipeline.fiducials.refinement import agreement, order_corners, refine_corners

__all__ = [
    "MAX_PAGE",
    "N_MODULES",
    "QUIET_MODULES",
    "Detection",
    "Payload",
    "agreement",
    "decode_payload",
    "decoders",
    "detect",
    "detect_near",
    "encode_payload",
    "modules",
    "order_corners",
    "refine_corners",
]
