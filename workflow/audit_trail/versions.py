"""Every version of a file that ever stood there, from the history of its study."""

from dataclasses import asdict
from typing import Any

from audit_trail.differences import Difference, differences, same_outputs
from audit_trail.errors import AuditError
from audit_trail.format import HISTORY
from audit_trail.records import Record
from audit_trail.study import StudyFolder


def versions(study: StudyFolder, name: str) -> dict[str, Any]:
    """Return every version of an output, or of a record, oldest first, and what stands there now.

    Args:
        study: with the history.
        name: of the file within the study; it need not be there.

    Returns:
        As JSON: "state", a sentence (the newest version, an older one, or another), and "versions",
        each with its line of the history, its record's definition and commit, whether its bytes are
        the "same_bytes" as those of the version before and "present" now, the "changes" since the
        version before, and these as one line, the "summary".

    Raises:
        AuditError: the history has never seen it.
    """
    rows: list[dict[str, Any]] = []
    before: Record | None = None
    for entry, record in study.history.parsed():
        made = {output.name: output.sha256 for output in record.outputs}
        sha256 = record.sha256 if record.name == name else made.get(name)
        if sha256 is None:
            continue
        changes = differences(before, record, study, study) if before else []
        same = before is not None and same_outputs(before, record)
        row = {"line": entry.number, "time": entry.time, "sha256": sha256, "same_bytes": same}
        row |= {key: getattr(record, key) for key in ("definition", "commit", "uncommitted")}
        row["present"] = study.compared(name, sha256)[0] == ""
        row["changes"] = [asdict(change) for change in changes]
        rows.append(row | {"summary": _summary(changes, same) if before else "the first"})
        before = record
    if not rows:
        raise AuditError(
            f"{study.path(name)}: {study.path(HISTORY)} has never seen it; expected an output of "
            "the workflow, or its record"
        )
    kind, reason = study.compared(name, rows[-1]["sha256"])
    older = [row["line"] for row in rows if row["present"]]
    state = reason if kind == "withheld" else f"{kind}: {reason}"
    if kind == "":
        state = "the newest version is there"
    elif older:
        state = f"an older version is there, from line {older[-1]} of the history"
    elif kind == "bytes":
        state = "modified: what is there now is none of these versions"
    return {"state": state, "versions": rows}


def _summary(changes: list[Difference], same: bool) -> str:
    telling = [d for d in changes if d.kind not in ("commit", "host", "lock")]
    said = "; ".join(str(d) for d in (telling or changes)[:3])
    more = f" and {len(telling) - 3} more" if len(telling) > 3 else ""
    bytes_ = "the same bytes" if same else "other bytes"
    return f"{bytes_}; {said}{more}" if said else f"{bytes_}, made again; nothing changed"
