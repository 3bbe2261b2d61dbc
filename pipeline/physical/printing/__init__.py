"""The printable pages: where everything goes, and the PDF that puts it there."""
