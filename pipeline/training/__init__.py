"""Makes networks: plainly, against attacks, through the simulated printer and camera, by distillation; see `run.py`."""
