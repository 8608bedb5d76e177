"""Every version of a file that ever stood there, from the history of its study."""

from dataclasses import dataclass

from audit_trail.differences import Difference, differences, same_outputs
from audit_trail.history import Entry
from audit_trail.records import BadRecordError, Record
from audit_trail.study import StudyFolder, has_link
from logdepth.errors import UserError
from logdepth.files import sha256_of
from logdepth.provenance.format import HISTORY


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
        UserError: the history has never seen it.
    """
    path = study.path(name)
    now = sha256_of(path) if path.is_file() and not has_link(path, study.folder) else None
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
        raise UserError(
            f"{path}: {study.path(HISTORY)} has never seen it; expected an output of the "
            "workflow, or its record"
        )
    return found


def present_state(study: StudyFolder, found: list[Version], name: str) -> str:
    """Return what stands there now, as a sentence: the newest version, an older one, or another."""
    path = study.path(name)
    if not path.exists():
        if study.history.withheld().get(name) == found[-1].sha256:
            return "withheld when this was published"
        return "missing: the file is not there"
    if found[-1].present:
        return "the newest version is there"
    older = [version.entry.number for version in found if version.present]
    if older:
        return f"an older version is there, from line {older[-1]} of the history"
    return "modified: what is there now is none of these versions"
