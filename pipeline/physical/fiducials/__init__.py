"""The codes and tags at the corners of a page: what they say, how they are drawn, how they are found in a photograph."""

from pipeline.physical.fiducials.codes import CALIBRATION, MAX_PAGE, N_CELLS, N_MODULES, QUIET_MODULES, SQUARE, Payload
from pipeline.physical.fiducials.codes import decode_payload, encode_payload, modules, outline_mm, tag_id, tag_modules
from pipeline.physical.fiducials.detection import FIRST_LONG_SIDE_PX, Detection, agreement, decoders, detect_tags, search
from pipeline.physical.fiducials.pyramid import Pyramid, level_from_photo, photo_from_level
