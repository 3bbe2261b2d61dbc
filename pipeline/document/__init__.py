"""A document of blocks as PDF, HTML, LaTeX and CSV; nothing in here knows what the document is about."""
