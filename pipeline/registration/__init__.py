"""From a photograph to its page and crops, and a picture of what was found."""

from pipeline.registration.overlay import draw_overlay
from pipeline.registration.page import CropResult, Failure, Registration, crop, register, registration_error, sharpness_of

__all__ = ["CropResult", "Failure", "Registration", "crop", "draw_overlay", "register", "registration_error", "sharpness_of"]
