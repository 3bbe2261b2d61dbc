"""The QR codes at the corners of a page: what they say, how they are drawn, how they are found in a photograph."""

from pipeline.physical.fiducials.detection import Detection, decoders, read_treated, search
from pipeline.physical.fiducials.drawing import N_MODULES, QUIET_MODULES, SQUARE, modules, outline_mm
from pipeline.physical.fiducials.payload import CALIBRATION, MAX_PAGE, Payload, decode_payload, encode_payload
from pipeline.physical.fiducials.pyramid import Pyramid, level_from_photo, photo_from_level
from pipeline.physical.fiducials.recognition import agreement, order_corners
from pipeline.physical.fiducials.tags import N_CELLS, detect_tags, tag_id, tag_modules
from pipeline.physical.fiducials.treatments import FIRST_LONG_SIDE_PX, treatments
