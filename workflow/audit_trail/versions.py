"""Every version of a file that ever stood there, from the history of its study."""

from dataclasses import dataclass

from audit_trail.differences import Difference, differences, same_outputs
from audit_trail.errors import AuditError, BadFileError, MissingFileError
from audit_trail.files import sha256_of
from audit_trail.format import HISTORY
from audit_trail.history import Entry
from audit_trail.records import BadRecordError, Record
from audit_trail.study import StudyFolder


@dataclass(frozen=True)
class Version:
    """One version of a file.

    Attributes:
        entry: of the history.
        record: that the entry holds.
        sha256: of the file.
        changes: against the version before; None for the first.
        repeated: whether the job wrote the same bytes as the one before.
        present: whether these are the bytes that are there now.
    """

    entry: Entry
    record: Record
    sha256: str
    changes: list[Difference] | None
    repeated: bool
    present: bool

    @property
    def summary(self) -> str:
        """What changed, in one line."""
        if self.changes is None:
            return "the first"
        telling = [d for d in self.changes if d.kind not in ("commit", "host", "lock")]
        said = "; ".join(str(d) for d in (telling or self.changes)[:3])
        more = f" and {len(telling) - 3} more" if len(telling) > 3 else ""
        bytes_ = "the same bytes" if self.repeated else "other bytes"
        return f"{bytes_}; {said}{more}" if said else f"{bytes_}, made again; nothing changed"


def versions(study: StudyFolder, name: str) -> list[Version]:
    """Return every version of an output, or of a record, oldest first.

    Args:
        study: with the history.
        name: of the file within the study; it need not be there.

    Raises:
        AuditError: the history has never seen it.
    """
    now = _now(study, name)[0]
    found: list[Version] = []
    for entry in study.history.entries:
        try:
            record = entry.parsed()
        except BadRecordError:
            continue
        sha256 = record.sha256 if record.name == name else None
        for output in record.outputs:
            if output.name == name:
                sha256 = output.sha256
        if sha256 is None:
            continue
        before = found[-1].record if found else None
        changes = differences(before, record, study, study) if before else None
        repeated = before is not None and same_outputs(before, record)
        found.append(Version(entry, record, sha256, changes, repeated, sha256 == now))
    if not found:
        raise AuditError(
            f"{study.path(name)}: {study.path(HISTORY)} has never seen it; expected an output of "
            "the workflow, or its record"
        )
    return found


def present_state(study: StudyFolder, found: list[Version], name: str) -> str:
    """Return what stands there now, as a sentence: the newest version, an older one, or another."""
    sha256, reason = _now(study, name)
    if not sha256:
        withheld = study.history.withheld().get(name) == found[-1].sha256
        return "withheld when this was published" if withheld else reason
    if found[-1].present:
        return "the newest version is there"
    older = [version.entry.number for version in found if version.present]
    if older:
        return f"an older version is there, from line {older[-1]} of the history"
    return "modified: what is there now is none of these versions"


def _now(study: StudyFolder, name: str) -> tuple[str, str]:
    """Return the sha256 of what stands there, or else why there is none."""
    try:
        return sha256_of(study.path(name), study.folder), ""
    except MissingFileError:
        return "", "missing: the file is not there"
    except BadFileError as error:
        return "", f"modified: {error.reason}"
