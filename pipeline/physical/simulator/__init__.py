"""A page in, a photo out: a printer, a sheet of paper on a table, and a phone, with the true geometry beside the photo."""

from pipeline.physical.simulator.photo import SimulatedPhoto, encode_jpeg, is_simulated, simulate_photo
from pipeline.physical.simulator.profile import Profile, Shot, draw_shot
from pipeline.physical.simulator.profile_file import load_profile, profile_content, profile_names, profile_summary
