"""What a stage is: a record of what it reads, depends on and makes, and of the function that does it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pipeline.core.errors import in_a_line
from pipeline.core.registry import load
from pipeline.store.artefacts import Artefact, Folder
from pipeline.store.hashes import Hashes
from pipeline.store.run import Run

DONE, STALE, MISSING, WAITING = "done", "stale", "missing", "waiting"
# In the summary of a stage that a run went on without: why it failed.
FAILED = "failed"
# Who makes what a stage makes: the program, a person, or the program beside a person.
PROGRAM, PERSON, BOTH = "program", "person", "both"


class Planned(Protocol):
    """What there is to know of an experiment here; its settings are the stages' own affair."""

    @property
    def seed(self) -> int: ...
    @property
    def base(self) -> Path: ...
    @property
    def words(self) -> str: ...


E = TypeVar("E", bound=Planned)
Digests = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """The files a stage made, relative to its folder, its counts, and what a person should know.

    `read` are files outside the run that the result turned out to depend on; `saw` are the arrivals that the stage really worked
    on, where it lists them itself.
    """

    outputs: tuple[str, ...]
    summary: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    read: tuple[Path, ...] = ()
    saw: Digests | None = None


@dataclass(frozen=True)
class StageStatus:
    """What is known of one stage without running it."""

    stage: str
    state: str
    reason: str = ""
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage(Generic[E]):
    """One stage of the flow.

    Attributes:
        folder: which of the run's folders its files and its record lie in.
        function: "module:name", loaded when it runs.
        after: the stages that it reads; with `also_after`, what the experiment adds to them.
        uses: the stages that it reads if they are there.
        settings: the settings that its result depends on.
        makes: the files that it always makes, and folders of files.
        inputs: hashes of the user's own files that it depends on; looked at once a command.
        arrivals: hashes of files that may come at any time, also while a run is under way.
        items: the kept results that --force clears.
        clears: further files that --force removes, so that none of them is taken for done.
        by: who does it in this experiment.
        theirs: the state of a person's part, who may ask for the states of earlier stages.
        waits: why it cannot begin yet, "" where it can.
        is_optional: whether a run goes on without it where it fails: a function "without_" and its name then writes what later
            stages read, and its record and the report say why.
    """

    name: str
    folder: str
    after: tuple[str, ...]
    settings: Callable[[E], dict[str, Any]]
    makes: tuple[Artefact[Any] | Folder, ...]
    function: str = ""
    uses: tuple[str, ...] = ()
    also_after: Callable[[E], tuple[str, ...]] = lambda _: ()
    inputs: Callable[[E, Run, Hashes], Digests] = lambda *_: {}
    arrivals: Callable[[E, Run, Hashes], Digests] = lambda *_: {}
    items: tuple[str, ...] = ()
    clears: tuple[Folder, ...] = ()
    by: Callable[[E], str] = lambda _: PROGRAM
    theirs: Callable[[E, Run, Callable[[str], StageStatus]], StageStatus] | None = None
    waits: Callable[[E, Run], str] = lambda *_: ""
    is_optional: Callable[[E], bool] = lambda _: False

    def needed(self, experiment: E) -> tuple[str, ...]:
        """Returns the stages that it cannot do without."""
        return (*self.after, *self.also_after(experiment))

    def run(self, experiment: E, run: Run, context: Any) -> Outcome:
        """Runs its function."""
        outcome: Outcome = load(self.function)(experiment, run, context)
        return outcome

    def run_without(self, experiment: E, run: Run, context: Any, error: Exception) -> Outcome:
        """Writes what later stages read where it failed, and says why it did."""
        module, _, name = self.function.partition(":")
        outcome: Outcome = load(f"{module}:without_{name}")(experiment, run, context)
        reason = str(outcome.summary.get(FAILED, in_a_line(error))).replace(f"{run.workspace.absolute()}{os.sep}", "")
        again = f"left out, because it failed: {reason}. Try it again with: inkproof {self.name} EXPERIMENT --force"
        return replace(outcome, summary=outcome.summary | {FAILED: reason}, notes=(*outcome.notes, again))

    def clear_kept(self, run: Run) -> None:
        """Removes the results that it kept, so that it begins anew."""
        for name in self.items:
            run.items(name, run.folder(self.folder)).clear()
        for folder in self.clears:
            folder.keep_only(run, ())
