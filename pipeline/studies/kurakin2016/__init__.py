"""Kurakin, Goodfellow and Bengio (2016): adversarial examples in the physical world."""

from typing import TYPE_CHECKING

from pipeline.studies.study import Reproduction, Study

if TYPE_CHECKING:
    from pipeline.records import FindingRow
    from pipeline.report.content import ReportContent, StudyPart
    from pipeline.studies.testing import ImageTests


class Kurakin2016(Study):
    """Which attacks outlive print and camera: destruction rates by photographs and by digital transforms."""

    name, reference = "kurakin2016", "Kurakin et al. 2016"
    title, command = "Adversarial examples in the physical world", "inkproof reproduce kurakin2016"

    def findings(self, images: "ImageTests") -> "list[FindingRow]":
        from pipeline.studies.kurakin2016.findings import tested_findings

        return tested_findings(images)

    def part(self, content: "ReportContent") -> "StudyPart":
        from pipeline.studies.kurakin2016.section import study_part

        return study_part(content, self.reference)

    def reproduction(self, content: "ReportContent") -> Reproduction:
        from pipeline.studies.kurakin2016.section import reproduction

        return reproduction(content)
