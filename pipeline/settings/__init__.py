"""What an experiment can say: its tables as pydantic models, read from a file and written back to one."""

from pipeline.settings.checking import Refused as Refused
from pipeline.settings.checking import checked as checked
from pipeline.settings.experiment import Experiment as Experiment
from pipeline.settings.experiment import resolve_path as resolve_path
from pipeline.settings.fields import TABLE as TABLE
from pipeline.settings.fields import Ends as Ends
from pipeline.settings.fields import Once as Once
from pipeline.settings.fields import described as described
from pipeline.settings.fields import setting as setting
from pipeline.settings.source import Source as Source
from pipeline.settings.tables import IMAGES_OPTION as IMAGES_OPTION
from pipeline.settings.tables import NO_EPSILON as NO_EPSILON
from pipeline.settings.tables import SECTIONS as SECTIONS
from pipeline.settings.tables import WITHOUT_EPSILON as WITHOUT_EPSILON
from pipeline.settings.tables import AttackSettings as AttackSettings
from pipeline.settings.tables import CaptureSettings as CaptureSettings
from pipeline.settings.tables import DatasetSettings as DatasetSettings
from pipeline.settings.tables import ExplainSettings as ExplainSettings
from pipeline.settings.tables import JudgeSettings as JudgeSettings
from pipeline.settings.tables import LayoutSettings as LayoutSettings
from pipeline.settings.tables import ModelSettings as ModelSettings
from pipeline.settings.tables import ThresholdSettings as ThresholdSettings
