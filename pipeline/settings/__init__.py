"""What an experiment can say: its tables as pydantic models, read from a file and written back to one."""

from pipeline.settings.checking import Refused as Refused, checked as checked
from pipeline.settings.experiment import Experiment as Experiment, resolve_path as resolve_path
from pipeline.settings.fields import TABLE as TABLE, Ends as Ends, Once as Once, described as described, setting as setting
from pipeline.settings.source import Source as Source
from pipeline.settings.tables import (
    IMAGES_OPTION as IMAGES_OPTION,
    NO_EPSILON as NO_EPSILON,
    SECTIONS as SECTIONS,
    WITHOUT_EPSILON as WITHOUT_EPSILON,
    AttackSettings as AttackSettings,
    CaptureSettings as CaptureSettings,
    DatasetSettings as DatasetSettings,
    ExplainSettings as ExplainSettings,
    JudgeSettings as JudgeSettings,
    LayoutSettings as LayoutSettings,
    ModelSettings as ModelSettings,
    ThresholdSettings as ThresholdSettings,
)
