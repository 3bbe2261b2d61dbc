"""What a study is: a paper with its findings, and what it adds to the report of a run that is set beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pipeline.records import FindingRow
    from pipeline.report.content import ReportContent, StudyPart
    from pipeline.studies.lab.parts import Lab
    from pipeline.studies.testing import ImageTests


@dataclass(frozen=True)
class Reproduction:
    """A paper's numbers beside a run's: as Markdown, as rows of one kind of record, and with what belongs to them as JSON."""

    text: str
    row_type: type
    rows: Sequence[Any]
    told: dict[str, Any]


class Study:
    """One paper. A study overrides what its paper has; what is left as it is here is empty.

    `reference` names the paper in a caption, `command` is what runs it. An experiment of its own is `experiment.toml` in its
    folder, with `experiment-small.toml` where there is a small one.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    reference: ClassVar[str]
    command: ClassVar[str]
    # Which data it needs, in words; "" where an experiment file says so.
    takes: ClassVar[str] = ""

    @property
    def shown(self) -> str:
        """Its name in a list."""
        return self.name

    @property
    def summary(self) -> str:
        """One line for a list."""
        takes = f"; {self.takes}" if self.takes else ""
        return f"{self.title} ({self.reference}): {self.command}{takes}"

    def lab(self) -> "Lab | None":
        """Returns the parts of a study that measures for itself; None for one that is an experiment file or a command."""
        return None

    def findings(self, images: "ImageTests") -> "list[FindingRow]":
        """Returns the tests of what the paper observed, on the images of a run."""
        return []

    def part(self, content: "ReportContent") -> "StudyPart | None":
        """Returns what the study says in the report of a run."""
        return None

    def reproduction(self, content: "ReportContent") -> Reproduction | None:
        """Returns the paper's numbers beside those of a run that sets out to reproduce it."""
        return None
