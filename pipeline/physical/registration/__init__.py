"""From a photograph to its pages and crops, what they are worth, and pictures of what was found."""

from pipeline.physical.registration.advice import LOST, pages_to_do, photo_advice, quality_words
from pipeline.physical.registration.colour import corrected, strip_correction
from pipeline.physical.registration.contact_sheet import ContactRow, draw_contact_sheets
from pipeline.physical.registration.covering import MIN_LIKENESS, likeness
from pipeline.physical.registration.cropping import crop, registration_error, sharpness_of
from pipeline.physical.registration.edge_spread import GAUSSIAN_MTF50
from pipeline.physical.registration.overlay import draw_overlay
from pipeline.physical.registration.page import Failure, Registration, register
from pipeline.physical.registration.print_scale import print_scale
from pipeline.physical.registration.quality import crop_quality, page_quality
