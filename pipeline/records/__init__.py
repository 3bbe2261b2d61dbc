"""The frozen records that flow between the stages: typed, counted, and written to disk as they are.

Paths in records are relative to the run's own folder (`printouts/<run>`, `captures/<run>`), with forward slashes.
Lengths on paper are millimetres from the page's top left corner, x to the right and y down.
"""

from pipeline.records.certificates import Certificate, CertifiedRate
from pipeline.records.examination import ExplainedView, Filter, SurvivalCurve, ThresholdRow
from pipeline.records.findings import VERDICTS, FindingRow
from pipeline.records.flags import FEW_ELIGIBLE, FlagRow, ModelFlag
from pipeline.records.pages import CORNERS, Fiducial, Mark, Patch, Placement, Printout, Tag
from pipeline.records.photos import CROP_FLAGS, DISCARD_REASONS, Capture, CropQuality, Discard
from pipeline.records.rates import (
    ADAPTIVE,
    LEVEL,
    NO_DEFENCE,
    PREDICTED,
    RUN_COMPARISONS,
    UNAWARE,
    Columns,
    Comparison,
    DefenceRow,
    Estimate,
    MatrixCell,
    Rate,
    Transfer,
)
from pipeline.records.selection import CASES, ROUNDING, VARIANTS, Candidate, Cell, CellFill, Pair, Selected
from pipeline.records.views import (
    ATTACKED_MODEL,
    CAMERA,
    DIGITAL,
    PHOTO,
    SIMULATED,
    SOURCE,
    TOP_KS,
    Judgement,
    Prediction,
    View,
    top_ks_for,
)
