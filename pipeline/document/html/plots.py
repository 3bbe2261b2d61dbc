"""Plots and pictures inside the page: SVG whose ids no other plot has, and pictures as data URIs."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure as Plot
from PIL import Image as PillowImage

from pipeline.document import figures
from pipeline.document.pictures import LOSSLESS_BELOW_PX, reduced_jpeg

_PX_PER_PT = 96 / 72
_LARGEST_SCALE = 1.5
_FALLBACK_FONTS = "'DejaVu Sans', Verdana, sans-serif"


def inline_svg(plot: Plot, identifier: str, spoken: str, text_as_paths: bool = False) -> str:
    """Returns a plot as an svg element that says `spoken` to who cannot see it; its ids begin with `identifier`."""
    root = ElementTree.fromstring(figures.svg(plot, text_as_paths))
    for element in root.iter():
        element.tag = _without_namespace(element.tag)
        element.attrib = {
            _without_namespace(name): _own_references(_without_namespace(name), value, identifier)
            for name, value in element.attrib.items()
        }
    for child in list(root):
        if child.tag == "metadata" or (child.tag == "defs" and child.find("style") is not None):
            root.remove(child)
    width_px = float(root.attrib.pop("width").removesuffix("pt")) * _PX_PER_PT
    del root.attrib["height"]
    root.attrib |= {"role": "img", "aria-label": spoken, "style": f"max-width:{_LARGEST_SCALE * width_px:.0f}px"}
    return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode"))


def picture_uri(pixels: np.ndarray, largest_px: int) -> str:
    """Returns pixels, uint8 (H, W, 3) RGB, as a data URI: small ones lossless, others as the PDF's JPEG."""
    picture = PillowImage.fromarray(np.ascontiguousarray(pixels))
    if not is_small(pixels):
        return _uri("jpeg", reduced_jpeg(picture, largest_px))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return _uri("png", buffer.getvalue())


def is_small(pixels: np.ndarray) -> bool:
    """Returns whether a picture is shown with hard pixels, since it has so few."""
    height, width = pixels.shape[:2]
    return bool(max(height, width) < LOSSLESS_BELOW_PX)


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _without_namespace(name: str) -> str:
    return name.rsplit("}", 1)[-1]


def _own_references(name: str, value: str, identifier: str) -> str:
    if name == "id":
        return f"{identifier}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{identifier}-{value[1:]}"
    if name == "style":
        value = re.sub(r"'DejaVu Sans[^']*'", _FALLBACK_FONTS, value)
    return value.replace("url(#", f"url(#{identifier}-")
