"""What a run found, for a reader: tables, findings, figures and the PDF report, all from plain records."""

from pipeline.report.content import (
    CaptureQuality,
    DatasetFacts,
    GalleryItem,
    GalleryView,
    ModelFacts,
    ReferenceRate,
    ReportContent,
    TransformAxis,
)

__all__ = [
    "CaptureQuality",
    "DatasetFacts",
    "GalleryItem",
    "GalleryView",
    "ModelFacts",
    "ReferenceRate",
    "ReportContent",
    "TransformAxis",
]
