"""The frozen records that flow between the stages: typed, counted, and written to disk as they are.

Paths in records are relative to the run's own folder (`printouts/<run>`, `captures/<run>`), with forward slashes.
Lengths on paper are millimetres from the page's top left corner, x to the right and y down.
"""

from pipeline.records.examination import ExplainedView, SurvivalCurve, ThresholdRow
from pipeline.records.findings import VERDICTS, FindingRow
from pipeline.records.flags import (
    ALIKE_RMS_8BIT,
    CLEAN_DROP,
    FEW_ELIGIBLE,
    LOW_RESOLUTION_PX,
    MANY_DISCARDS,
    PRINT_ASPECT,
    PRINT_SCALE,
    FlagRow,
    ModelFlag,
)
from pipeline.records.pages import CORNERS, Fiducial, Mark, Patch, Placement, Printout, Tag
from pipeline.records.photos import CROP_FLAGS, DISCARD_REASONS, Capture, CropQuality, Discard
from pipeline.records.rates import (
    ACCURACY_COLUMNS,
    COMPARISON_COLUMNS,
    LEVEL,
    PREDICTED,
    PREDICTED_COLUMNS,
    RATE_COLUMNS,
    RUN_COMPARISON_COLUMNS,
    RUN_COMPARISONS,
    TRANSFER_COLUMNS,
    Columns,
    Comparison,
    Estimate,
    MatrixCell,
    Rate,
    Transfer,
    variant_of,
)
from pipeline.records.selection import CASES, ROUNDING, VARIANTS, Candidate, Cell, CellFill, Pair, Selected
from pipeline.records.views import (
    ATTACKED_MODEL,
    CAMERA,
    DIGITAL,
    N_LABELS,
    PHOTO,
    SIMULATED,
    SOURCE,
    Judgement,
    Prediction,
    View,
)
