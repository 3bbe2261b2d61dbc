"""From a photograph to its pages and crops, what they are worth, and a picture of what was found."""

from pipeline.registration.cropping import crop, registration_error, sharpness_of
from pipeline.registration.overlay import draw_overlay
from pipeline.registration.page import Failure, Registration, register

__all__ = ["Failure", "Registration", "crop", "draw_overlay", "register", "registration_error", "sharpness_of"]
