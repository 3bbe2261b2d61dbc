"""The frozen records that flow between the stages: typed, counted, and written to disk as they are.

Paths in records are relative to the run's own folder (`printouts/<run>`, `captures/<run>`), with forward slashes.
Lengths on paper are millimetres from the page's top left corner, x to the right and y down.
"""

from pipeline.records.comparisons import (
    AGAINST_TABLES,
    COMPARED,
    COMPARED_QUANTITIES,
    COMPARISONS,
    LEVEL,
    PAIRINGS,
    AgainstRow,
    ComparedRow,
    ComparisonRow,
)
from pipeline.records.examination import ExplainedView, SurvivalCurve, ThresholdRow
from pipeline.records.findings import FINDING_TESTS, FINDINGS, PAPER_QUANTITIES, VERDICTS, FindingRow, PaperRow
from pipeline.records.flags import (
    ALIKE_RMS_8BIT,
    CLEAN_DROP,
    FEW_ELIGIBLE,
    LOW_RESOLUTION_PX,
    MANY_DISCARDS,
    MODEL_FLAGS,
    PRINT_ASPECT,
    PRINT_SCALE,
    RUN_FLAGS,
    FlagRow,
    FlagText,
    ModelFlag,
)
from pipeline.records.pages import CORNERS, Fiducial, Mark, Patch, Placement, Printout, Tag
from pipeline.records.photos import CROP_FLAGS, DISCARD_REASONS, Capture, CropQuality, Discard
from pipeline.records.rates import INTERVALS, AccuracyRow, MatrixCell, RateRow, TransferRow
from pipeline.records.selection import CASES, ROUNDING, VARIANTS, Candidate, Cell, CellFill, Pair, Selected
from pipeline.records.views import ATTACKED_MODEL, PHOTO, SIMULATED, SOURCE, TOP, Judgement, Prediction, View

__all__ = [
    "AGAINST_TABLES",
    "ALIKE_RMS_8BIT",
    "ATTACKED_MODEL",
    "AccuracyRow",
    "AgainstRow",
    "CASES",
    "CLEAN_DROP",
    "COMPARED",
    "COMPARED_QUANTITIES",
    "COMPARISONS",
    "CORNERS",
    "CROP_FLAGS",
    "Candidate",
    "Capture",
    "Cell",
    "CellFill",
    "ComparedRow",
    "ComparisonRow",
    "CropQuality",
    "DISCARD_REASONS",
    "Discard",
    "ExplainedView",
    "FEW_ELIGIBLE",
    "FINDINGS",
    "FINDING_TESTS",
    "Fiducial",
    "FindingRow",
    "FlagRow",
    "FlagText",
    "INTERVALS",
    "Judgement",
    "LEVEL",
    "LOW_RESOLUTION_PX",
    "MANY_DISCARDS",
    "MODEL_FLAGS",
    "Mark",
    "MatrixCell",
    "ModelFlag",
    "PAIRINGS",
    "PAPER_QUANTITIES",
    "PHOTO",
    "PRINT_ASPECT",
    "PRINT_SCALE",
    "Pair",
    "PaperRow",
    "Patch",
    "Placement",
    "Prediction",
    "Printout",
    "ROUNDING",
    "RUN_FLAGS",
    "RateRow",
    "SIMULATED",
    "SOURCE",
    "Selected",
    "SurvivalCurve",
    "TOP",
    "Tag",
    "ThresholdRow",
    "TransferRow",
    "VARIANTS",
    "VERDICTS",
    "View",
]
