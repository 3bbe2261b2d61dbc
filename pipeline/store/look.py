"""One look at a run: the state of every stage is found once, every file is hashed once, and stages are run."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Generic

from pipeline.core.memory import peak_bytes
from pipeline.core.version import VERSION
from pipeline.store.files import remove_partial
from pipeline.store.run import Run, locked
from pipeline.store.stage import BOTH, DONE, MISSING, PERSON, STALE, WAITING, Digests, E, Outcome, Stage, StageStatus
from pipeline.store.stage_records import (
    StageRecord,
    digests_of_read,
    forget_stage,
    read_stage_record,
    why_stale,
    write_stage_record,
)
from pipeline.store.tables import json_bytes


class Look(Generic[E]):
    """The states of an experiment's stages as they were when each was first asked for.

    What changes in the run's folders afterwards, other than by this look's own stages, is left for the next look: a run works on
    what it saw.
    """

    def __init__(self, stages: Mapping[str, Stage[E]], experiment: E, run: Run, verify: bool = False) -> None:
        self._stages, self._experiment, self._run = stages, experiment, run
        self._hashes = run.hashes(verify)
        self._states: dict[str, StageStatus] = {}
        self._records: dict[str, StageRecord | None] = {}
        self._inputs: dict[str, Digests] = {}
        self._arrivals: dict[str, Digests] = {}

    def state(self, name: str) -> StageStatus:
        """Returns the state of a stage."""
        if name not in self._states:
            self._states[name] = self._found(self._stages[name])
        return self._states[name]

    def states(self) -> list[StageStatus]:
        """Returns the state of every stage, in the order of the flow, and keeps what was hashed."""
        found = [self.state(name) for name in self._stages]
        self.keep()
        return found

    def run(self, name: str, context: Any, may_fail: bool = False) -> StageStatus:
        """Runs a stage, writes its record and returns its state; with `may_fail` an optional one that fails is left out.

        Raises:
            Unavailable: another process is working on the run.
        """
        stage, started = self._stages[name], time.monotonic()
        with locked(self._run):
            folder = self._run.folder(stage.folder)
            self._run.make_folders()
            remove_partial(folder)
            for used in (name, *(used for used in stage.uses if self.state(used).state != DONE)):
                forget_stage(self._run.folder(self._stages[used].folder), used)
                self._records.pop(used, None)
            inputs = self._inputs_of(stage)
            self.keep()  # a stage that lists files itself need not hash them again
            try:
                outcome = stage.run(self._experiment, self._run, context)
            except Exception as error:  # whatever it is, it must not cost the report
                if not may_fail or not stage.is_optional(self._experiment):
                    raise
                outcome = stage.run_without(self._experiment, self._run, context, error)
            record = self._recorded(stage, outcome, inputs)
            write_stage_record(folder, record)
            _journal(self._run, name, time.monotonic() - started)
        for later in list(self._stages)[list(self._stages).index(name) + 1 :]:
            for known in (self._states, self._records, self._inputs, self._arrivals):
                known.pop(later, None)
        self._records[name] = record
        self._states[name] = self._with_theirs(stage, StageStatus(name, DONE, "", record.summary))
        return self._states[name]

    def why_broken(self, name: str) -> str:
        """Returns why what a stage made, and what it was made from, does not hold together; "" where it does.

        Of files outside the run nothing is asked: a run that was made elsewhere, or from files that changed since, is whole.
        """
        stage, record = self._stages[name], self._record_of(name)
        if record is None:
            return f"{name} is missing"
        for read in (read for read in record.inputs if read in self._stages):
            reason, made = self.why_broken(read), self._record_of(read)
            if reason or made is None or made.digest != record.inputs[read]:
                return reason or f"{read} changed"
        alone = replace(record, read={})
        folder = self._run.folder(stage.folder)
        return why_stale(alone, folder, record.settings, record.inputs, record.seed, self._hashes, self._experiment.base)

    def keep(self) -> None:
        """Keeps what was hashed for the next command."""
        self._hashes.keep()

    def came_later(self) -> list[StageStatus]:
        """Returns the stages for which something arrived or changed since they looked, and keeps what was hashed."""
        found = []
        for stage in self._stages.values():
            if self.state(stage.name).state in (DONE, WAITING) and not stage.waits(self._experiment, self._run):
                seen = self._arrivals.get(stage.name, {})
                now = stage.arrivals(self._experiment, self._run, self._hashes)
                names = [name for name in sorted(now) if now[name] != seen.get(name)]
                if names:
                    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                    reason = f"{names[0]}{more} came while the run was under way; the same command takes in what came"
                    found.append(StageStatus(stage.name, STALE, reason))
        self.keep()
        return found

    def _found(self, stage: Stage[E]) -> StageStatus:
        if stage.by(self._experiment) == PERSON:
            return self._with_theirs(stage, StageStatus(stage.name, DONE))
        if reason := stage.waits(self._experiment, self._run):
            self._arrivals[stage.name] = stage.arrivals(self._experiment, self._run, self._hashes)
            return StageStatus(stage.name, WAITING, reason)
        record = self._record_of(stage.name)
        if record is None:
            return StageStatus(stage.name, MISSING)
        if reason := self._why_stale(stage, record):
            return StageStatus(stage.name, STALE, reason, record.summary)
        return self._with_theirs(stage, StageStatus(stage.name, DONE, "", record.summary))

    def _with_theirs(self, stage: Stage[E], state: StageStatus) -> StageStatus:
        """Returns the state of a person's part, where there is one: what is simulated never stands in for it."""
        if stage.theirs is None or stage.by(self._experiment) not in (PERSON, BOTH):
            return state
        return stage.theirs(self._experiment, self._run, self.state)

    def _why_stale(self, stage: Stage[E], record: StageRecord) -> str:
        experiment, folder = self._experiment, self._run.folder(stage.folder)
        used = [name for name in stage.uses if name in record.inputs]
        for name in (*stage.needed(experiment), *used):
            if self.state(name).state != DONE:
                return f"{name} is {self.state(name).state}"
        settings, inputs = stage.settings(experiment), self._inputs_of(stage)
        return why_stale(record, folder, settings, inputs, experiment.seed, self._hashes, experiment.base)

    def _inputs_of(self, stage: Stage[E]) -> Digests:
        """Returns what a stage depends on beside its settings; the user's files are looked at once."""
        if stage.name not in self._inputs:
            self._inputs[stage.name] = stage.inputs(self._experiment, self._run, self._hashes)
            self._arrivals[stage.name] = stage.arrivals(self._experiment, self._run, self._hashes)
        return self._stages_read(stage) | self._inputs[stage.name] | self._arrivals[stage.name]

    def _stages_read(self, stage: Stage[E]) -> Digests:
        names = (*stage.needed(self._experiment), *(used for used in stage.uses if self.state(used).state == DONE))
        records = {name: self._record_of(name) for name in names}
        return {name: record.digest for name, record in records.items() if record is not None}

    def _record_of(self, name: str) -> StageRecord | None:
        if name not in self._records:
            self._records[name] = read_stage_record(self._run.folder(self._stages[name].folder), name)
        return self._records[name]

    def _recorded(self, stage: Stage[E], outcome: Outcome, inputs: Digests) -> StageRecord:
        folder = self._run.folder(stage.folder)
        if outcome.saw is not None:
            inputs = {name: digest for name, digest in inputs.items() if name not in self._arrivals[stage.name]} | outcome.saw
            self._arrivals[stage.name] = outcome.saw
        summary = {**outcome.summary, "notes": list(outcome.notes)}
        return StageRecord(
            stage.name,
            VERSION,
            self._experiment.seed,
            stage.settings(self._experiment),
            inputs,
            {name: self._hashes.of(folder / name) for name in sorted(outcome.outputs)},
            json.loads(json_bytes(summary)),
            digests_of_read(outcome.read, self._experiment.base, self._hashes),
        )


def _journal(run: Run, stage: str, seconds: float) -> None:
    """Notes what a stage cost: the one file of a run that people read which differs between two runs of the same experiment."""
    peak_mb = peak_bytes(with_children=True) // 2**20
    run.journal.parent.mkdir(parents=True, exist_ok=True)
    with run.journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": stage, "seconds": round(seconds, 1), "peak_memory_mb": peak_mb or None}) + "\n")
