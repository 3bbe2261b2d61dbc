"""A matplotlib figure drawn on a PDF page as lines, type and pictures: sharp at any size, its text selectable, in few bytes."""

import io
import math
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase, GraphicsContextBase, RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.path import Path as Curve
from matplotlib.transforms import Affine2D, Transform
from PIL import Image as PillowImage
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.pathobject import PDFPathObject
from reportlab.platypus import Flowable

from pipeline.document import theme
from pipeline.document.figures import reduced_jpeg, style

PICTURE_DPI = 200
_CAPS = {"butt": 0, "round": 1, "projecting": 2}
_JOINS = {"miter": 0, "round": 1, "bevel": 2}
_HATCH_PT = 72
# A picture of more is embedded as those of a gallery are, as JPEG; one of fewer, such as a scale of colours, exactly.
_MOST_COLOURS = 2048


class Plot(Flowable):
    """A figure as large as it was made, or smaller where it is wider than `widest` or taller than `tallest`, in points."""

    def __init__(self, figure: Figure, widest: float = math.inf, tallest: float = math.inf) -> None:
        super().__init__()
        self.figure = figure
        width, height = 72 * figure.get_size_inches()
        self.factor = min(1.0, widest / width, tallest / height)
        self.width, self.height = self.factor * width, self.factor * height

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        self.canv.scale(self.factor, self.factor)
        draw_figure(self.figure, self.canv)


def draw_figure(figure: Figure, canvas: Canvas) -> None:
    """Draws a figure with its lower left corner at the canvas's origin, in the look of all figures."""
    before = figure.canvas, figure.dpi
    with style():
        figure.set_dpi(72)  # a point is a pixel
        renderer = _Renderer(canvas, *(72 * figure.get_size_inches()))
        _MeasuringCanvas(figure).renderer = renderer
        figure.draw(renderer)
    figure.set_canvas(before[0])
    figure.set_dpi(before[1])


class _MeasuringCanvas(FigureCanvasBase):
    """Lets the figure's layout measure its text by the renderer that will draw it."""

    renderer: "_Renderer"

    def get_renderer(self) -> "_Renderer":
        return self.renderer


class _Renderer(RendererBase):
    """Matplotlib's drawing calls as those of reportlab's canvas; both have their origin at the lower left, in points."""

    def __init__(self, canvas: Canvas, width: float, height: float) -> None:
        super().__init__()
        self.canvas, self.size = canvas, (width, height)

    def flipy(self) -> bool:
        return False

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.size

    def get_image_magnification(self) -> float:
        return PICTURE_DPI / 72

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
        width, height, descent = super().get_text_width_height_descent(s, prop, ismath)
        if not ismath:
            width = pdfmetrics.stringWidth(s, _font_name(findfont(prop)), prop.get_size_in_points())
        return width, height, descent

    def draw_path(self, gc: GraphicsContextBase, path: Curve, transform: Transform, rgbFace: Any = None) -> None:
        is_filled, is_stroked = rgbFace is not None, gc.get_linewidth() > 0 and gc.get_rgb()[3] > 0
        self._open(gc)
        drawn = self._path(path, transform, None if is_filled or gc.get_hatch_path() else (0, 0, *self.size))
        if is_filled:
            fill_alpha = gc.get_alpha() if gc.get_forced_alpha() or len(rgbFace) == 3 else rgbFace[3]
            self.canvas.setFillColorRGB(*map(float, rgbFace[:3]), alpha=fill_alpha)
        if is_stroked:
            self._set_pen(gc)
        if is_filled or is_stroked:
            self.canvas.drawPath(drawn, stroke=int(is_stroked), fill=int(is_filled), fillMode=1)
        if gc.get_hatch_path() is not None:
            self._hatch(gc, drawn, np.asarray(path.get_extents(transform).extents))
        self.canvas.restoreState()

    def draw_image(self, gc: GraphicsContextBase, x: float, y: float, im: Any, transform: Any = None) -> None:
        height, width = (72 * side / PICTURE_DPI for side in im.shape[:2])
        self._picture(gc, im[::-1], x, y, width, height)

    def draw_quad_mesh(self, gc: GraphicsContextBase, master_transform: Transform, *mesh: Any) -> None:
        """An even mesh, such as a scale of colours, is a picture: as single cells it would show their seams."""
        n_columns, n_rows, coordinates, offsets, _, colours, *_ = mesh
        corners = master_transform.transform(np.reshape(coordinates, (-1, 2))).reshape(n_rows + 1, n_columns + 1, 2)
        (left, bottom), (right, top) = corners[0, 0], corners[-1, -1]
        even = np.meshgrid(np.linspace(left, right, n_columns + 1), np.linspace(bottom, top, n_rows + 1))
        is_even = left < right and bottom < top and np.allclose(corners, np.stack(even, -1), atol=0.01)
        if not is_even or np.any(offsets) or len(colours) != n_rows * n_columns:
            super().draw_quad_mesh(gc, master_transform, *mesh)
            return
        pixels = np.rint(255 * np.reshape(colours, (n_rows, n_columns, 4))).astype(np.uint8)
        self._picture(gc, pixels[::-1], left, bottom, right - left, top - bottom)

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: bool | str = False, mtext: Any = None
    ) -> None:
        self._open(gc)
        self.canvas.setFillColorRGB(*gc.get_rgb()[:3], alpha=gc.get_rgb()[3])
        self.canvas.translate(x, y)
        self.canvas.rotate(angle)
        if ismath:
            parsed = self._text2path.mathtext_parser.parse(s, 72, prop)
            for font, size, code, *_, at_x, at_y in parsed.glyphs:
                self.canvas.setFont(_font_name(font.fname), size)
                self.canvas.drawString(at_x, at_y, chr(code))
            for box in parsed.rects:
                self.canvas.rect(*map(float, box), stroke=0, fill=1)
        else:
            self.canvas.setFont(_font_name(findfont(prop)), prop.get_size_in_points())
            self.canvas.drawString(0, 0, s)
        self.canvas.restoreState()

    def _picture(self, gc: GraphicsContextBase, pixels: np.ndarray, x: float, y: float, width: float, height: float) -> None:
        """Draws pixels, uint8 (H, W, 4) with the top row first, in a box in points."""
        picture = PillowImage.fromarray(np.ascontiguousarray(pixels))
        is_opaque = bool((pixels[..., 3] == 255).all())
        if is_opaque:
            picture = picture.convert("RGB")
        is_photograph = is_opaque and picture.getcolors(_MOST_COLOURS) is None
        reader = ImageReader(io.BytesIO(reduced_jpeg(picture, max(picture.size))) if is_photograph else picture)
        self._open(gc)
        self.canvas.drawImage(reader, x, y, width, height, mask=None if is_opaque else "auto")
        self.canvas.restoreState()

    def _open(self, gc: GraphicsContextBase) -> None:
        """Saves the canvas's state and clips to where the artist may draw."""
        self.canvas.saveState()
        if (rectangle := gc.get_clip_rectangle()) is not None:
            box = self.canvas.beginPath()
            box.rect(*map(float, rectangle.bounds))
            self.canvas.clipPath(box, stroke=0, fill=0)
        path, transform = gc.get_clip_path()
        if path is not None:
            self.canvas.clipPath(self._path(path, transform, None), stroke=0, fill=0)

    def _set_pen(self, gc: GraphicsContextBase) -> None:
        offset, dashes = cast(Any, gc.get_dashes())
        self.canvas.setStrokeColorRGB(*gc.get_rgb()[:3], alpha=gc.get_rgb()[3])
        self.canvas.setLineWidth(gc.get_linewidth())
        self.canvas.setLineCap(_CAPS[str(gc.get_capstyle())])
        self.canvas.setLineJoin(_JOINS[str(gc.get_joinstyle())])
        if dashes is not None:
            self.canvas.setDash([float(length) for length in dashes], float(offset))

    def _path(self, path: Any, transform: Transform | None, clip: tuple[float, float, float, float] | None) -> PDFPathObject:
        drawn = self.canvas.beginPath()
        last = (0.0, 0.0)
        for points, code in path.iter_segments(transform, clip=clip):
            ends = [(float(a), float(b)) for a, b in np.reshape(points, (-1, 2))]
            if code == Curve.MOVETO:
                drawn.moveTo(*ends[0])
            elif code == Curve.LINETO:
                drawn.lineTo(*ends[0])
            elif code == Curve.CLOSEPOLY:
                drawn.close()
                continue
            else:
                middle, end = ends[:-1], ends[-1]
                if code == Curve.CURVE3:  # a quadratic curve is the cubic one whose handles are 2/3 of the way to its own
                    x, y = ends[0]
                    middle = [(a + 2 / 3 * (x - a), b + 2 / 3 * (y - b)) for a, b in (last, end)]
                drawn.curveTo(*middle[0], *middle[1], *end)
            last = ends[-1]
        return drawn

    def _hatch(self, gc: GraphicsContextBase, outline: PDFPathObject, box: np.ndarray) -> None:
        """Fills the outline with the hatch's unit square, repeated from the figure's corner so that neighbours meet."""
        self.canvas.clipPath(outline, stroke=0, fill=0)
        alpha = gc.get_alpha() if gc.get_forced_alpha() else (*gc.get_hatch_color(), 1.0)[3]
        self.canvas.setStrokeColorRGB(*gc.get_hatch_color()[:3], alpha=alpha)
        self.canvas.setFillColorRGB(*gc.get_hatch_color()[:3], alpha=alpha)
        self.canvas.setLineWidth(gc.get_hatch_linewidth())
        self.canvas.setDash()
        # A bar on a logarithmic axis may reach far below the figure.
        left, bottom, right, top = (int(edge // _HATCH_PT) for edge in np.clip(box, 0, (*self.size, *self.size)))
        for column in range(left, right + 1):
            for row in range(bottom, top + 1):
                tile = Affine2D().scale(_HATCH_PT).translate(_HATCH_PT * column, _HATCH_PT * row)
                self.canvas.drawPath(self._path(gc.get_hatch_path(), tile, None), stroke=1, fill=1)


@cache
def _font_name(path: str) -> str:
    """Returns the name under which the document knows a font file; its own fonts are not embedded twice."""
    theme.register_fonts()
    file = Path(path)
    known = {file_name: name for name, file_name in theme.FONT_FILES.items()}
    if file.name not in known:
        pdfmetrics.registerFont(TTFont(file.stem, str(file)))
    return known.get(file.name, file.stem)
