"""Tracing a file, or chosen rows of a table, back to all that it comes from."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import read_bytes
from audit_trail.project import Narrowed, Project
from audit_trail.study import StudyFolder, find_studies, open_study, study_of
from audit_trail.tracing.lineage import Builder, Hashes, Lineage
from audit_trail.tracing.mailed import FIGURES, Found, find_record
from audit_trail.tracing.rows import choose, parse_conditions, read_table

# A larger picture is left out, for a page is to stay below a megabyte.
_PICTURE = 400_000


@dataclass(frozen=True)
class Rows:
    """Chosen rows of a table.

    Attributes:
        conditions: by column.
        total: rows of the table.
        chosen: the chosen ones, by column.
        note: what of them rests on more than is shown; empty for nothing.
    """

    conditions: dict[str, str]
    total: int
    chosen: list[dict[str, str]]
    note: str = ""


@dataclass(frozen=True)
class Trace:
    """A file and all that it comes from.

    Attributes:
        file: as it was given.
        study: folder of the study whose records tell of it.
        lineage: from the file on.
        found: of a file from elsewhere, by what its record was found, and whether it is the same.
        rows: that were asked for, if any.
        picture: the figure as PNG, if it is one of the study's and as recorded.
    """

    file: str
    study: str
    lineage: Lineage
    found: dict[str, Any] = field(default_factory=dict)
    rows: Rows | None = None
    picture: bytes = b""

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values, the same for the same files."""
        return {
            "file": self.file,
            "study": self.study,
            "found": self.found,
            "rows": None if self.rows is None else asdict(self.rows),
            "states": self.lineage.states(),
            **asdict(self.lineage),
        }


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
        self._open: Callable[[Path], StudyFolder] = cache(open_study)
        self._hashes = cache(lambda folder: Hashes(self._open(folder), checkout))

    def trace(self, path: Path, row: str | None = None) -> Trace:
        """Return where a file comes from.

        Args:
            path: an output or a record of a study, or a figure or table from anywhere.
            row: conditions on the rows of a table, such as "k=8,depth=4".

        Raises:
            AuditError: no such file, no record of it, or no such row.
        """
        if path.is_dir():
            raise AuditError(f"{path}: a folder; expected a file, such as a figure of a study")
        there = path.is_file() and not path.is_symlink()
        study = self._study_above(path)
        if study is None and not there:
            raise AuditError(f"{path}: no such file, in a study or elsewhere")
        name = "" if study is None else study.name_of(path)
        known = study is not None and name in {**study.records, **study.makers}
        # Somebody may have put a figure into a study; its mark still says where it is from.
        if study is None or (not known and there and path.suffix in FIGURES):
            return self._elsewhere(path, row)
        record = study.record_for(name)
        if row is not None:
            return self._rows(path, study, name, row)
        builder = Builder(study, self._hashes(study.folder), _everything)
        lineage = builder.of_job(record) if name in study.records else builder.of_file(name)
        picture = self._picture(study, name)
        return Trace(str(path), str(study.folder), lineage, picture=picture)

    def _study_above(self, path: Path) -> StudyFolder | None:
        """Return the study of a file, under its folder as it was typed where that says it."""
        try:
            folder = study_of(path)
        except AuditError:
            return None
        return self._open(next((p for p in path.parents if p.resolve() == folder), folder))

    def _elsewhere(self, path: Path, row: str | None) -> Trace:
        if not self._folder.is_dir():
            raise AuditError(
                f"{path}: lies in no study, and there is no folder {self._folder} to look for its "
                "record; expected --in with the folder of its study"
            )
        studies = [self._open(folder) for folder in find_studies(self._folder)]
        found = find_record(path, studies, self._folder)
        study, here = found.study, found.study.path(found.name)
        hashes = self._hashes(study.folder)
        if row is not None:
            if not found.sha256 == found.recorded == hashes.found(found.name):
                raise AuditError(
                    f"{path}: not the same as {here}, so that its rows need not be those of the "
                    "study; expected no --row, or that file"
                )
            return self._rows(here, study, found.name, row)
        lineage = Builder(study, hashes, _everything).of_file(found.name, found.recorded)
        picture = self._picture(study, found.name)
        return Trace(str(path), str(study.folder), lineage, _facts_of(found), picture=picture)

    def _rows(self, path: Path, study: StudyFolder, name: str, row: str) -> Trace:
        # The rows of a figure are those of the table of the same name, made with it.
        name = str(Path(name).with_suffix(".csv"))
        record = study.makers.get(name)
        if record is None:
            raise AuditError(f"{path}: has no rows for --row; expected a table in CSV")
        path = path.with_suffix(".csv")
        table = read_table(study.path(name), study.folder)
        conditions = parse_conditions(row, path, table, self._project.letters)
        chosen = choose(table, conditions, path)
        narrow = self._project.narrow
        narrowed = Narrowed(_everything) if narrow is None else narrow(study, record, chosen)
        builder = Builder(study, self._hashes(study.folder), narrowed.keeps)
        rows = Rows(conditions, len(table.rows), chosen, narrowed.note)
        return Trace(str(path), str(study.folder), builder.of_file(name), rows=rows)

    def _picture(self, study: StudyFolder, name: str) -> bytes:
        """Return the picture that a job made with a file, if it is there as recorded."""
        picture = str(Path(name).with_suffix(".png"))
        for output in study.makers[name].outputs if name in study.makers else ():
            same = self._hashes(study.folder).found(picture) == output.sha256
            if output.name == picture and same:
                try:
                    return read_bytes(study.path(picture), study.folder, _PICTURE)
                except BadFileError:
                    break
        return b""


def _everything(*_: object) -> bool:
    return True


def _facts_of(found: Found) -> dict[str, Any]:
    return {
        "by": found.by,
        "recorded as": str(found.study.path(found.name)),
        "sha256": found.sha256,
        "bytes": "as recorded"
        if found.sha256 == found.recorded
        else "modified: not the recorded ones, or drawn by other versions of libraries",
        "recorded as well as": list(found.others),
    }
