"""What an experiment can say: its tables as pydantic models, read from a file and written back to one."""

from pipeline.settings.checking import Refused, checked as checked
from pipeline.settings.experiment import Experiment, resolve_path as resolve_path
from pipeline.settings.fields import TABLE, Ends as Ends, Once as Once, described as described, setting as setting
from pipeline.settings.source import Source
from pipeline.settings.tables import (
    ALL,
    IMAGES_OPTION,
    MODEL_ALONE,
    NO_EPSILON,
    OVERALL,
    SECTIONS,
    AttackSettings,
    CaptureSettings,
    CheckSettings,
    DatasetSettings,
    DefenceSettings,
    ExplainSettings,
    JudgeSettings,
    LayoutSettings,
    ModelSettings,
    ThresholdSettings,
)
