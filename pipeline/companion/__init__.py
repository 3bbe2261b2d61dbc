"""The phone page: a small web server beside the printer that takes photos, reads them at once, and says which pages are in."""
