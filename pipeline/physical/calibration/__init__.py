"""A profile of one's own printer and phone, fitted to photos of the calibration page."""

from pipeline.physical.calibration.command import calibrate_files, write_page
from pipeline.physical.calibration.fit import Calibration, fit_profile
from pipeline.physical.calibration.measuring import ChartPhoto, read_chart_photo
