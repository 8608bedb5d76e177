"""Finding the record of a file that lies in no study, by its bytes or by the mark in a figure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit_trail.records import BadRecordError, Record
from audit_trail.study import StudyFolder
from logdepth.errors import UserError
from logdepth.files import sha256_of
from logdepth.provenance.mark import Mark, inputs_hash, read_mark

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
        by: "bytes" or "mark".
        others: other places with a record of it, as paths.
    """

    study: StudyFolder
    name: str
    recorded: str
    sha256: str
    by: str
    others: tuple[str, ...]

    @property
    def same_bytes(self) -> bool:
        """Whether the file holds what was recorded."""
        return self.sha256 == self.recorded


def find_record(path: Path, studies: Sequence[StudyFolder], folder: Path) -> Found:
    """Return where the record of a file is.

    The newest records of all studies come before what their histories hold, and a record of the
    very bytes before one of the same mark.

    Args:
        path: of the file, wherever it lies.
        studies: to look in.
        folder: that they lie in, for messages.

    Raises:
        UserError: no record of it; the message says what to do.
    """
    sha256 = sha256_of(path)
    candidates = list(_candidates(path, sha256, studies))
    if not candidates:
        raise _unknown(path, folder)
    study, name, recorded, by = min(candidates, key=lambda c: c[3] != "bytes")
    here = str(study.path(name))
    places = dict.fromkeys(str(s.path(n)) for s, n, _, _ in candidates)
    others = tuple(place for place in places if place != here)
    return Found(study, name, recorded, sha256, by, others)


def _candidates(
    path: Path, sha256: str, studies: Sequence[StudyFolder]
) -> Iterator[tuple[StudyFolder, str, str, str]]:
    mark = mark_of(path)
    for records in (_newest, _earlier):
        found = False
        for study in studies:
            for record in records(study):
                marked = mark is not None and mark == _mark(record)
                for output in record.outputs:
                    by = "bytes" if output.sha256 == sha256 else "mark"
                    if by == "bytes" or (marked and Path(output.name).suffix == path.suffix):
                        found = True
                        yield study, output.name, output.sha256, by
        if found:
            return


def mark_of(path: Path) -> Mark | None:
    """Return the mark in a figure; None in any other file.

    Raises:
        UserError: far too large for a figure.
    """
    if path.suffix not in FIGURES:
        return None
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path}: more than {_MAX_BYTES} bytes; expected a figure")
    return read_mark(path.read_bytes())


def _unknown(path: Path, folder: Path) -> UserError:
    mark = mark_of(path)
    if mark is not None:
        return UserError(
            f"{path}: no study below {folder} has the record of its mark (definition "
            f"{(mark.definition or 'none')[:12]}, inputs {mark.inputs[:12]}); expected "
            "--in with a folder that holds the study it is from"
        )
    if path.suffix in FIGURES:
        return UserError(
            f"{path}: no mark in its metadata, and no study below {folder} has a record of its "
            "bytes; expected the file as logdepth figure wrote it, not a converted copy"
        )
    return UserError(
        f"{path}: no study below {folder} has a record of its bytes; expected a file as a "
        "job wrote it, or --in with a folder that holds its study"
    )


def _newest(study: StudyFolder) -> Iterator[Record]:
    return iter(study.records.values())


def _earlier(study: StudyFolder) -> Iterator[Record]:
    for entry in reversed(study.history.entries):
        try:
            yield entry.parsed()
        except BadRecordError:
            continue


def _mark(record: Record) -> Mark | None:
    if record.stage != "figure":
        return None
    digests = [resource.sha256 for resource in (*record.inputs, *record.external)]
    return Mark(record.definition or None, inputs_hash(digests))
