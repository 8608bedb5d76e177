"""The folder of a study as an auditor finds it.

What its records say is taken from its history, which has every one that was ever written. The file
of a record is for other tools, and is compared like any other.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import read_json, sha256_of
from audit_trail.format import HISTORY, PROVENANCE
from audit_trail.history import History, read_history
from audit_trail.project import current
from audit_trail.records import MAX_PARTS, BadRecordError, Record, Resource, parse_statement

Of = Callable[[Record, Resource], bool]
# How far below a folder its studies are looked for.
_STUDY_DEPTH = 3


@dataclass
class StudyFolder:
    """A folder with results and the records of how they were made."""

    folder: Path  # with provenance/ in it
    history: History = field(default_factory=History)  # empty where there is no file
    # The newest of each name ("provenance/train/x.json") that can be read, the oldest first.
    records: dict[str, Record] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)  # what is wrong with the others, by name
    hashed: dict[str, str] = field(default_factory=dict)  # sha256 of files looked at, by name
    _lists: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the study: that of its folder."""
        return self.folder.resolve().name

    @cached_property
    def makers(self) -> dict[str, Record]:
        """The record of the job that made each output, by the output's name."""
        return {o.name: record for record in self.records.values() for o in record.outputs}

    @cached_property
    def made(self) -> dict[str, str]:
        """The sha256 that records have for each output, by its name."""
        return {o.name: o.sha256 for record in self.records.values() for o in record.outputs}

    def path(self, name: str) -> Path:
        """Return where a file of the study lies."""
        return self.folder / name

    def name_of(self, path: Path) -> str:
        """Return the name of a file in the study; an AuditError where it lies elsewhere."""
        whole, root = _whole(path), self.folder.resolve()
        if not whole.is_relative_to(root):
            raise AuditError(f"{path}: not a file of the study in {self.folder}")
        return whole.relative_to(root).as_posix()

    def record_for(self, name: str) -> Record:
        """Return the record that is named, or that of the job that made a file.

        An AuditError says that there is none, or that it cannot be used.
        """
        if name in self.bad:
            raise AuditError(f"{self.path(name)}: this record {self.bad[name]}")
        record = self.records.get(name) or self.makers.get(name)
        if record is None:
            wrong = "no record says how it was made; expected an output of the workflow"
            raise AuditError(f"{self.path(name)}: {wrong}, such as figures/depth_law.pdf")
        return record

    def ancestors(self, record: Record, of: Of = lambda _record, _input: True) -> Iterator[Record]:
        """Yield a job and those that made what it comes from, the nearest first, each once.

        ``of`` says whether an input of a job is followed.
        """
        waiting, seen = [record], {record.name}
        for job in waiting:
            yield job
            for resource in job.inputs:
                maker = self.makers.get(resource.name)
                if maker is not None and maker.name not in seen and of(job, resource):
                    seen.add(maker.name)
                    waiting.append(maker)

    def compared(self, name: str, sha256: str) -> tuple[str, str]:
        """Return how a file differs from what a record says of it, as a kind and in words.

        Both are empty where its bytes are the recorded ones. The kind is "withheld" (when this was
        published, or removed, with this sha256), "bytes", or another kind of ``BadFileError``.
        """
        try:
            if name not in self.hashed:
                self.hashed[name] = sha256_of(f"{self.folder}/{name}", str(self.folder))
        except BadFileError as error:
            if error.kind == "missing" and self.history.withheld.get(name) == sha256:
                return "withheld", "was withheld when this was published, or removed"
            return error.kind, error.reason
        if (found := self.hashed[name]) == sha256:
            return "", ""
        return "bytes", f"its sha256 is {found[:12]}, recorded was {sha256[:12]}"

    def listed(self, record: Record, role: str) -> dict[str, str]:
        """Return a list that a record keeps ("packages", "source"); empty if lost or altered."""
        for name, sha256 in ((r.name, r.sha256) for r in record.kept_as(role)[:1]):
            if name not in self._lists:
                found: Any = None
                with suppress(BadFileError):
                    found = read_json(self.path(name), self.folder)
                found = found if isinstance(found, dict) else {}
                self._lists[name] = {str(key): str(value) for key, value in found.items()}
            return {} if self.compared(name, sha256)[0] else self._lists[name]
        return {}


def open_study(folder: Path, about: str | None = None) -> StudyFolder:
    """Read the history of a study and its newest records, or of one of its files alone.

    What cannot be read is listed there. An AuditError says that the folder is none of a study.
    """
    if not is_study(folder):
        raise AuditError(f"{folder}: no study, it has no {HISTORY}; expected results/<study>")
    study = StudyFolder(folder)
    try:
        study.history = read_history(folder / HISTORY, folder, about)
    except BadFileError as error:
        study.history.breaks.append(error.reason)
    for entry, statement in sorted(study.history.latest.values(), key=lambda item: item[0]):
        try:
            study.records[entry.record] = parse_statement(entry.record, entry.sha256, statement)
        except BadRecordError as error:
            study.bad[entry.record] = str(error)
    return study


def is_study(folder: Path) -> bool:
    """Return whether a folder holds the results of a study, be its records there or not."""
    return any(os.path.lexists(f"{folder}/{name}") for name in (PROVENANCE, *current().folders))


def study_of(path: Path) -> Path:
    """Return the folder of the study that a file or folder lies in, as it was typed if possible.

    An AuditError says that it lies in none.
    """
    whole = _whole(path)
    for folder in (whole, *whole.parents):
        if is_study(folder):
            return next((p for p in path.parents if os.path.realpath(p) == str(folder)), folder)
    raise AuditError(f"{path}: no folder above it is a study; expected a file in results/<study>")


def _whole(path: Path) -> Path:
    """Return a path from the root; the file itself may be a link, which is not followed."""
    return Path(os.path.realpath(path.parent), path.name)


def look_through(path: Path, depth: int = _STUDY_DEPTH) -> dict[Path, str]:
    """Return what lies in a folder of studies, in order: "study", "link" to a folder, "other".

    No link is followed, and nothing within a study is looked at.
    """
    if is_study(path):
        return {path: "study"}
    inside: list[Path] = []
    with suppress(OSError):
        inside = sorted(path.iterdir())
    listed: dict[Path, str] = {}
    for inner in inside:
        found = {inner: "link" if inner.is_symlink() and inner.is_dir() else "other"}
        if depth and inner.is_dir() and not inner.is_symlink():
            found = look_through(inner, depth - 1)
        # What holds no study is one thing, however much is in it.
        listed |= found if {*found.values()} - {"other"} else {inner: "other"}
    return listed


def files_below(folder: Path, start: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name of all that is below a folder of a study, and what it is; no folders.

    It is "file", or else words for a person: a link, which is not followed; something that is no
    file; a folder that cannot be looked into, or lies too deep.
    """
    if start.count("/") + 1 >= MAX_PARTS:
        yield start, "a folder nested too deep to be looked into"
        return
    try:
        with os.scandir(f"{folder}/{start}") as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except (NotADirectoryError, FileNotFoundError):
        return
    except OSError as error:
        yield start, f"a folder that cannot be looked into ({error.strerror})"
        return
    for entry in entries:
        name = f"{start}/{entry.name}".removeprefix("/")
        if entry.is_symlink():
            yield name, "a symbolic link"
        elif entry.is_dir(follow_symlinks=False):
            yield from files_below(folder, name)
        else:
            yield name, "file" if entry.is_file() else "no regular file"
