"""Tracing a file, or chosen rows of a table, back to all that it comes from."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import read_bytes, sha256_of
from audit_trail.integrity import Mark, inputs_hash, read_mark
from audit_trail.project import Narrowed, Project
from audit_trail.records import Record
from audit_trail.study import StudyFolder, look_through, open_study, study_of
from audit_trail.tracing.lineage import RECORDED, Lineage
from audit_trail.tracing.rows import choose

_FIGURES = (".pdf", ".png")
_LARGEST = 256 << 20
# A larger picture is left out, for a page is to stay below a megabyte.
_PICTURE = 400_000
_OTHER = "modified: not the recorded ones, or drawn by other versions of libraries"

# A study, the name of an output in it, and its recorded sha256.
Recorded = tuple[StudyFolder, str, str]


class Tracer:
    """Traces files; each study is opened once.

    Args:
        folder: where to look for the studies of files that lie in none.
        project: whose results these are.
        checkout: folder that inputs from outside of a study may lie in; None looks at none.
    """

    def __init__(self, folder: Path, project: Project, checkout: Path | None = None) -> None:
        self._folder = folder
        self._project = project
        self._checkout = checkout
        self._open: Callable[[Path], StudyFolder] = cache(open_study)

    def trace(self, path: Path, row: str | None = None) -> dict[str, Any]:
        """Return where a file comes from, as plain JSON, the same for the same files.

        Args:
            path: an output or a record of a study, or a figure or table from anywhere.
            row: conditions on the rows of a table, such as "k=8,depth=4".

        Returns:
            "file" as given, folder of its "study", for a file from elsewhere how its record was
            "found", the chosen "rows" (see ``choose``; "note" says what they rest on besides),
            and what ``Lineage`` has.

        Raises:
            AuditError: no such file, no record of it, or no such row.
        """
        if path.is_dir():
            raise AuditError(f"{path}: a folder; expected a file, such as a figure of a study")
        there = path.is_file() and not path.is_symlink()
        try:
            study = self._open(study_of(path))
        except AuditError:
            if not there:
                raise AuditError(f"{path}: no such file, in a study or elsewhere") from None
            study = None
        name = study.name_of(path) if study else ""
        sha256, rows, narrowed = "", None, Narrowed(lambda _record, _name: True)
        found: dict[str, Any] = {}
        # Somebody may have put a figure into a study; its mark still says where it is from.
        known = study and (name in study.records or name in study.makers)
        if study is None or (not known and there and path.suffix in _FIGURES):
            (study, name, sha256), found = self._elsewhere(path)
        else:
            study.record_for(name)
        if row is not None:
            if found and (found["sha256"] != sha256 or study.compared(name, sha256)[0]):
                raise AuditError(
                    f"{path}: not the same as {study.path(name)}, so that its rows need not be "
                    "those of the study; expected no --row, or that file"
                )
            # The rows of a figure are those of the table of the same name, made with it.
            name, sha256 = str(Path(name).with_suffix(".csv")), ""
            if (record := study.makers.get(name)) is None:
                raise AuditError(f"{path}: has no rows for --row; expected a table in CSV")
            path = study.path(name)
            rows = choose(path, study.folder, row, self._project.letters)
            if self._project.narrow is not None:
                narrowed = self._project.narrow(study, record, rows["chosen"])
            rows["note"] = narrowed.note
        lineage = Lineage(study, self._checkout, narrowed.keeps).of(name, sha256)
        about = {"file": str(path), "study": str(study.folder), "found": found, "rows": rows}
        return about | lineage

    def picture(self, found: dict[str, Any]) -> bytes:
        """Return the figure of a trace as PNG, if it is one of the study's and as recorded."""
        study = self._open(Path(found["study"]))
        name = str(Path(found["root"]).with_suffix(".png"))
        drawn = found["root"] in study.makers and name in study.made
        if drawn and not study.compared(name, study.made[name])[0]:
            with suppress(BadFileError):
                return read_bytes(study.path(name), study.folder, _PICTURE)
        return b""

    def _elsewhere(self, path: Path) -> tuple[Recorded, dict[str, Any]]:
        """Return what a file that lies in no study was recorded as, and how that was found.

        The newest records of all studies come before what their histories hold, and a record of
        the very bytes before one of the same mark.
        """
        below = look_through(self._folder)
        studies = [self._open(folder) for folder, kind in below.items() if kind == "study"]
        sha256 = sha256_of(path)
        mark = read_mark(read_bytes(path, None, _LARGEST)) if path.suffix in _FIGURES else None

        def matching(records: Iterable[tuple[StudyFolder, Record]]) -> list[Recorded]:
            return [
                (study, output.name, output.sha256)
                for study, record in records
                for output in record.outputs
                if output.sha256 == sha256
                or (mark and Path(output.name).suffix == path.suffix and mark == _mark(record))
            ]

        newest = ((study, record) for study in studies for record in study.records.values())
        older = ((study, record) for study in studies for _, record in study.history.parsed())
        if candidates := matching(newest) or matching(older)[::-1]:
            study, name, recorded = best = min(candidates, key=lambda one: one[2] != sha256)
            same = recorded == sha256
            return best, {
                "by": "its bytes" if same else "the mark in its metadata",
                "recorded as": str(study.path(name)),
                "sha256": sha256,
                "bytes": RECORDED if same else _OTHER,
            }
        missing, expected = "a record of its bytes", "a file as its job wrote it"
        if mark is not None:
            known = f"definition {(mark.definition or 'none')[:12]}, inputs {mark.inputs[:12]}"
            missing = f"the record of its mark ({known})"
        elif path.suffix in _FIGURES:
            missing = f"{missing}, and there is no mark in its metadata"
            expected = f"{expected}, not a converted copy"
        where = f"{path}: no study below {self._folder} has {missing}"
        raise AuditError(f"{where}; expected {expected}, or --in with the folder of its study")


def _mark(record: Record) -> Mark:
    digests = [resource.sha256 for resource in (*record.inputs, *record.external)]
    return Mark(record.definition or None, inputs_hash(digests))
