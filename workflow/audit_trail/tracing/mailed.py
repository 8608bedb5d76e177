"""Finding the record of a file that lies in no study, by its bytes or by the mark in a figure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import read_bytes, sha256_of
from audit_trail.mark import Mark, inputs_hash, read_mark
from audit_trail.records import BadRecordError, Record
from audit_trail.study import StudyFolder

FIGURES = (".pdf", ".png")
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Found:
    """Where the record of a file was found.

    Attributes:
        study: that holds it.
        name: of the file in that study.
        recorded: sha256 that the record has for it.
        sha256: of the file as it was given.
        by: "its bytes" or "the mark in its metadata".
        others: other places with a record of it, as paths.
    """

    study: StudyFolder
    name: str
    recorded: str
    sha256: str
    by: str
    others: tuple[str, ...]


def find_record(path: Path, studies: Sequence[StudyFolder], folder: Path) -> Found:
    """Return where the record of a file is.

    The newest records of all studies come before what their histories hold, and a record of the
    very bytes before one of the same mark.

    Args:
        path: of the file, wherever it lies.
        studies: to look in.
        folder: that they lie in, for messages.

    Raises:
        AuditError: no record of it; the message says what to do.
    """
    sha256 = sha256_of(path)
    mark = read_mark(read_bytes(path, None, _MAX_BYTES)) if path.suffix in FIGURES else None
    for records in (_newest, _earlier):
        candidates = [
            (study, output.name, output.sha256)
            for study in studies
            for record in records(study)
            for output in record.outputs
            if output.sha256 == sha256
            or (Path(output.name).suffix == path.suffix and mark and mark == _mark(record))
        ]
        if candidates:
            study, name, recorded = min(candidates, key=lambda found: found[2] != sha256)
            by = "its bytes" if recorded == sha256 else "the mark in its metadata"
            places = dict.fromkeys(str(found.path(other)) for found, other, _ in candidates)
            others = tuple(place for place in places if place != str(study.path(name)))
            return Found(study, name, recorded, sha256, by, others)
    missing, expected = "a record of its bytes", "a file as its job wrote it"
    if mark is not None:
        known = f"definition {(mark.definition or 'none')[:12]}, inputs {mark.inputs[:12]}"
        missing = f"the record of its mark ({known})"
    elif path.suffix in FIGURES:
        missing = f"{missing}, and there is no mark in its metadata"
        expected = f"{expected}, not a converted copy"
    raise AuditError(
        f"{path}: no study below {folder} has {missing}; expected {expected}, or --in with the "
        "folder of its study"
    )


def _newest(study: StudyFolder) -> Iterator[Record]:
    return iter(study.records.values())


def _earlier(study: StudyFolder) -> Iterator[Record]:
    for entry in reversed(study.history.entries):
        try:
            yield entry.parsed()
        except (BadRecordError, BadFileError):
            continue


def _mark(record: Record) -> Mark:
    digests = [resource.sha256 for resource in (*record.inputs, *record.external)]
    return Mark(record.definition or None, inputs_hash(digests))
