"""Judges: other models, and people or apps outside, who name a class for the saved files and the photographs of one attack."""
