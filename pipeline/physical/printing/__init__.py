"""The printable pages: where everything goes, and the PDF that puts it there."""

from pipeline.physical.printing.arrangement import ORIENTATIONS, PAPERS, PrintPair, arrange
from pipeline.physical.printing.chart import (
    CHART_PAPERS,
    GREY_STEPS,
    Chart,
    SlantedSquare,
    White,
    calibration_chart,
    calibration_printout,
    chart_of_code,
)
from pipeline.physical.printing.chart_drawing import chart_raster
from pipeline.physical.printing.document import (
    build_chart_pdf,
    build_pdf,
    caption_text,
    page_raster,
    render_page,
    screen_html,
    screen_page_name,
)
from pipeline.physical.printing.furniture import furniture
from pipeline.physical.printing.instructions import Cell, Instructions
