"""A document as one HTML file that needs nothing else: its script, its style and its pictures are in it."""

from pipeline.document.html.page import build_page
