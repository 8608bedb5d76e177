"""The lineage of an output: the files and jobs behind it, from the records of its study."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from audit_trail.errors import BadFileError, MissingFileError
from audit_trail.files import sha256_of
from audit_trail.plain import flat
from audit_trail.records import BadRecordError, Record, Resource
from audit_trail.study import StudyFolder


class FileState(StrEnum):
    """The state of a file as it is found now, from the best to the worst."""

    RECORDED = "as recorded"
    ELSEWHERE = "elsewhere"
    WITHHELD = "withheld"
    OTHER_VERSION = "other version"
    NO_RECORD = "no record"
    MISSING = "missing"
    MODIFIED = "modified"


@dataclass
class File:
    """A file that an output comes from.

    Attributes:
        name: path from the folder of the study; of a file from elsewhere as it was typed.
        sha256: as the records name it.
        role: of the study ("output"), from elsewhere ("external"), or what else records call it:
            "source", "packages", or a lock with the file that it is a copy of.
        state: as it is found now.
        found: sha256 of what is there now, where it is another.
        job: key of the job that made it; empty where none is known.
    """

    name: str
    sha256: str
    role: str
    state: str
    found: str = ""
    job: str = ""


@dataclass
class Job:
    """A job that an output comes from.

    Attributes:
        record: its name.
        line: of the history that holds the record; 0 where none does.
        state: of the record: as recorded, modified (not as in the history) or no record (there).
        stage: command that ran.
        started: time in UTC.
        seconds: how long it took; None where its times are none.
        parameters: named, nested ones joined by dots.
        seeds: by what they are for.
        command: as it was typed.
        definition: hash of configuration and source; empty if it was started by hand.
        commit: of the code; empty where there was none, "unknown" where git would not say.
        uncommitted: sha256 of changes that were not committed; empty if there were none.
        invocation: identifier of this run of it.
        environment: key of the environment.
        machine: key of the machine.
        conditions: what is recorded of the machine as this job had it: libraries and scheduler.
        source: keys of the lists of hashed source.
        inputs: keys of the files it was made from.
    """

    record: str
    line: int
    state: str
    stage: str
    started: str
    seconds: float | None
    parameters: dict[str, Any]
    seeds: dict[str, Any]
    command: list[str]
    definition: str
    commit: str
    uncommitted: str
    invocation: str
    environment: str
    machine: str
    conditions: dict[str, Any]
    source: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)


@dataclass
class Lineage:
    """All that an output comes from, the nearest first.

    Attributes:
        root: key of the output, or of the job whose record was asked for.
        files: by key.
        jobs: by key.
        environments: facts and keys of the kept files, by key.
        machines: facts, by key.
    """

    root: str = ""
    files: dict[str, File] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def states(self) -> dict[str, int]:
        """Return how many files are in each state, the best first."""
        found = [file.state for file in self.files.values()]
        return {state.value: found.count(state) for state in FileState if state in found}


class Hashes:
    """The sha256 of the files of a study as they are now, each computed once.

    Args:
        study: to look at.
        checkout: folder that files from elsewhere may lie in; no other such file is opened.
    """

    def __init__(self, study: StudyFolder, checkout: Path | None) -> None:
        self._study = study
        self._checkout = checkout
        self.found = cache(self._found)

    def _found(self, name: str, external: bool = False) -> str | None:
        """Return the sha256 of a file, "" for one that cannot be read, None for one not there."""
        folder = self._checkout if external else self._study.folder
        try:
            return None if folder is None else sha256_of(folder / name, folder)
        except MissingFileError:
            return None
        except BadFileError:
            # A name from elsewhere may lead anywhere; one of the study is to be a file in it.
            return None if external else ""

    def state(self, name: str, sha256: str) -> FileState:
        """Return the state of a file of the study that should have a sha256."""
        found = self.found(name)
        if found is None:
            withheld = self._study.history.withheld().get(name) == sha256
            return FileState.WITHHELD if withheld else FileState.MISSING
        return FileState.RECORDED if found == sha256 else FileState.MODIFIED


class Builder:
    """Builds a lineage within one study.

    Args:
        study: the output's own.
        hashes: of its files.
        keeps: whether an input of a job counts, by its name.
    """

    def __init__(
        self, study: StudyFolder, hashes: Hashes, keeps: Callable[[Record, str], bool]
    ) -> None:
        self._study = study
        self._hashes = hashes
        self._keeps = keeps
        self._lineage = Lineage()
        self._waiting: deque[tuple[Job, Record]] = deque()

    def of_file(self, name: str, sha256: str = "") -> Lineage:
        """Return the lineage of a file; by default of the version that its newest record names."""
        return self._built(self._file(name, sha256))

    def of_job(self, record: Record) -> Lineage:
        """Return the lineage of what a job made."""
        return self._built(self._job(record))

    def _built(self, root: str) -> Lineage:
        self._lineage.root = root
        # A record may claim to be its own ancestor; every job is filled once.
        while self._waiting:
            job, record = self._waiting.popleft()
            job.inputs += [
                self._file(resource.name, resource.sha256)
                for resource in record.inputs
                if self._keeps(record, resource.name)
            ]
            job.inputs += [self._external(resource) for resource in record.external]
        return self._lineage

    def _file(self, name: str, sha256: str) -> str:
        maker = self._study.makers.get(name)
        current = next((o.sha256 for o in maker.outputs if o.name == name), "") if maker else ""
        sha256 = sha256 or current
        whole = maker is not None and sha256 == current
        key = name if whole else f"{name}@{sha256[:12]}"
        if key not in self._lineage.files:
            state = self._hashes.state(name, sha256)
            if not whole:
                state = FileState.OTHER_VERSION if maker else FileState.NO_RECORD
            file = self._add(key, Resource(name, sha256, "output"), state)
            if whole and maker is not None:
                file.job = self._job(maker)
            elif (name, sha256) in self._earlier:
                record, line = self._earlier[name, sha256]
                file.job = self._job(record, line)
        return key

    def _external(self, resource: Resource) -> str:
        key = f"external:{resource.name}@{resource.sha256[:12]}"
        if key not in self._lineage.files:
            found = self._hashes.found(resource.name, True)
            state = FileState.RECORDED if found == resource.sha256 else FileState.MODIFIED
            self._add(key, resource, FileState.ELSEWHERE if found is None else state)
        return key

    def _kept(self, resource: Resource) -> str:
        if resource.name not in self._lineage.files:
            state = self._hashes.state(resource.name, resource.sha256)
            self._add(resource.name, resource, state)
        return resource.name

    def _add(self, key: str, resource: Resource, state: FileState) -> File:
        external = resource.role == "external"
        found = self._hashes.found(resource.name, external) or ""
        other = "" if found == resource.sha256 else found
        of = resource.annotations.get("file", "") if resource.role == "lock" else ""
        role = f"{resource.role} {of}".strip()
        file = File(resource.name, resource.sha256, role, state.value, other)
        return self._lineage.files.setdefault(key, file)

    def _job(self, record: Record, line: int = 0) -> str:
        key = f"{record.name} (line {line} of the history)" if line else record.name
        if key not in self._lineage.jobs:
            line, state = self._state(record)
            facts = record.machine
            nested = {name: value for name, value in facts.items() if isinstance(value, dict)}
            machine = {name: value for name, value in facts.items() if name not in nested}
            invocation = record.statement["predicate"]["runDetails"]["metadata"].get("invocationId")
            self._lineage.jobs[key] = Job(
                record=record.name,
                line=line,
                state=state.value,
                stage=record.stage,
                started=record.started,
                seconds=record.seconds,
                parameters=flat(record.parameters),
                seeds=record.seeds,
                command=list(record.command),
                definition=record.definition,
                commit="unknown" if record.unknown is not None else record.commit or "",
                uncommitted=record.uncommitted or "",
                invocation=str(invocation or ""),
                environment=self._environment(record),
                machine=_shared(self._lineage.machines, "machine", machine),
                conditions=flat(nested),
                source=[self._kept(resource) for resource in record.kept_as("source")],
            )
            self._waiting.append((self._lineage.jobs[key], record))
        return key

    def _environment(self, record: Record) -> str:
        image = record.image
        kept = [*record.kept_as("lock"), *record.kept_as("packages")]
        facts = {
            **flat(record.interpreter),
            "image": f"{image.name} {image.sha256}" if image else "none",
            "files": [self._kept(resource) for resource in kept],
        }
        return _shared(self._lineage.environments, "environment", facts)

    def _state(self, record: Record) -> tuple[int, FileState]:
        entry = self._lines.get((record.name, record.sha256))
        if entry is not None:
            return entry, FileState.RECORDED
        known = record.name in self._study.history.latest()
        return 0, FileState.MODIFIED if known else FileState.NO_RECORD

    @cached_property
    def _lines(self) -> dict[tuple[str, str], int]:
        entries = self._study.history.entries
        return {(e.record, e.record_sha256): e.number for e in entries if e.record is not None}

    @cached_property
    def _earlier(self) -> dict[tuple[str, str], tuple[Record, int]]:
        """The newest record in the history that has made each version of each file."""
        found: dict[tuple[str, str], tuple[Record, int]] = {}
        for entry in self._study.history.entries:
            try:
                record = entry.parsed()
            except (BadRecordError, BadFileError):
                continue
            found |= {(o.name, o.sha256): (record, entry.number) for o in record.outputs}
        return found


def _shared(known: dict[str, dict[str, Any]], kind: str, facts: dict[str, Any]) -> str:
    """Return the key of facts that several jobs share; each stands once."""
    for key, value in known.items():
        if value == facts:
            return key
    key = f"{kind} {len(known) + 1}"
    known[key] = facts
    return key
