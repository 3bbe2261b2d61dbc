"""Ink, paper and camera: codes, pages, printing, the simulator, registration of photographs, calibration."""
