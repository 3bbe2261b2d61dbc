"""A run: its three folders below a workspace, and the lock that keeps others out of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import Unavailable
from pipeline.core.version import VERSION
from pipeline.store.files import DISK, RECORDS, Files
from pipeline.store.hashes import Hashes
from pipeline.store.items import Items

PRINTOUTS, CAPTURES, REPORTS = "printouts", "captures", "reports"


@dataclass(frozen=True)
class Run:
    """The three folders of one run, below a workspace."""

    workspace: Path
    name: str
    files: Files = DISK

    def folder(self, kind: str) -> Path:
        """Returns one of the run's folders: `PRINTOUTS`, `CAPTURES` or `REPORTS`."""
        return self.workspace / kind / self.name

    @property
    def printouts(self) -> Path:
        return self.folder(PRINTOUTS)

    @property
    def captures(self) -> Path:
        return self.folder(CAPTURES)

    @property
    def reports(self) -> Path:
        return self.folder(REPORTS)

    @property
    def photos(self) -> Path:
        return self.captures / "photos"

    @property
    def journal(self) -> Path:
        return self.reports / "journal.jsonl"

    @property
    def log(self) -> Path:
        return self.reports / "inkproof.log"

    def items(self, stage: str, folder: Path) -> Items:
        """Returns the per-item results of a stage, kept in a hidden folder beside its outputs."""
        return Items(folder / ".items" / f"{stage}-{VERSION}")

    def hashes(self, verify: bool = False) -> Hashes:
        """Returns the hashes of the run's files, those of earlier commands among them unless `verify`."""
        return Hashes(self.reports / ".hashes.json", self.workspace, verify)

    def make_folders(self) -> None:
        """Makes the run's folders, marked as such, so that nothing in them is taken for a data set's."""
        for kind in (PRINTOUTS, CAPTURES, REPORTS):
            (self.folder(kind) / RECORDS).mkdir(parents=True, exist_ok=True)


def cell_folder(attack: str, epsilon_8bit: int) -> str:
    """Returns the folder of one cell's images, which is also the first part of its pairs' ids."""
    return f"{attack}-eps{epsilon_8bit}" if epsilon_8bit else attack


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keeps every other process from working on the run meanwhile.

    Raises:
        Unavailable: one is working on it already.
    """
    with run.files.lock(run.printouts / ".lock") as is_ours:
        if not is_ours:
            raise Unavailable(f'Another inkproof is working on the run "{run.name}".', "Wait until it has ended.")
        yield
