"""Tracing a file, or chosen rows of a table, back to all that it comes from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from audit_trail.study import StudyFolder, find_studies, open_study, study_of
from audit_trail.tracing.lineage import Builder
from audit_trail.tracing.mailed import FIGURES, Found, find_record
from audit_trail.tracing.narrowing import narrow
from audit_trail.tracing.nodes import Lineage, Node
from audit_trail.tracing.rows import choose, parse_conditions, read_rows
from audit_trail.tracing.states import Files, FileState
from logdepth.errors import UserError

# Key of a file that lies in no study.
GIVEN = "given"


@dataclass(frozen=True)
class Rows:
    """Chosen rows of a table.

    Attributes:
        conditions: by column.
        columns: of the table.
        rows: the chosen ones.
        total: rows of the table.
    """

    conditions: dict[str, str]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: int


@dataclass(frozen=True)
class Trace:
    """A file and all that it comes from.

    Attributes:
        file: as it was given.
        study: folder of the study whose records tell of it.
        lineage: from the file on.
        rows: that were asked for, if any.
        image: the figure as PNG, if it is one of the study's and as recorded.
    """

    file: str
    study: str
    lineage: Lineage
    rows: Rows | None = None
    image: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values, the same for the same files."""
        rows = self.rows
        return {
            "file": self.file,
            "study": self.study,
            "rows": None
            if rows is None
            else {
                "conditions": rows.conditions,
                "total": rows.total,
                "chosen": [dict(zip(rows.columns, row, strict=False)) for row in rows.rows],
            },
            "states": self.lineage.states(),
            "root": self.lineage.root.key,
            "nodes": [_node_as_json(node) for node in self.lineage.nodes.values()],
            "records": self.lineage.records,
        }


def _node_as_json(node: Node) -> dict[str, Any]:
    return {
        "key": node.key,
        "kind": node.kind,
        "title": node.title,
        "name": node.name,
        "sha256": node.sha256,
        "state": str(node.state),
        "facts": node.facts,
        "record": node.record,
        "children": [child.key for child in node.children],
    }


@dataclass
class Tracer:
    """Traces files; each study is opened once.

    Attributes:
        folder: where to look for the studies of files that lie in none.
    """

    folder: Path
    _open: Callable[[Path], StudyFolder] = field(default_factory=lambda: cache(open_study))
    _files: dict[Path, Files] = field(default_factory=dict)

    def trace(self, path: Path, row: str | None = None) -> Trace:
        """Return where a file comes from.

        Args:
            path: an output or a record of a study, or a figure from anywhere.
            row: conditions on the rows of a table, such as "k=8,depth=4".

        Raises:
            UserError: no such file, no record of it, or no such row.
        """
        folder = self._study_with(path)
        if folder is None:
            return self._elsewhere(path, row)
        study = self._open(folder)
        name = study.name_of(path)
        record = study.record_for(name)
        files = self._files_of(study)
        if row is not None:
            return self._rows(path, study, files, name, row)
        builder = Builder(study, files)
        root = builder.job(record) if name in study.records else builder.file(name)
        image = _image(study, files, name)
        return Trace(str(path), str(study.folder), builder.build(root), image=image)

    def _study_with(self, path: Path) -> Path | None:
        """Return the study that tells of a file; None for a file from elsewhere."""
        if path.is_dir():
            raise UserError(f"{path}: a folder; expected a file, such as a figure of a study")
        there = path.is_file() and not path.is_symlink()
        folder = _study_above(path)
        if folder is None:
            if there:
                return None
            raise UserError(f"{path}: no such file, in a study or elsewhere")
        study = self._open(folder)
        try:
            study.record_for(study.name_of(path))
        except UserError:
            # Somebody may have put it here; its mark still says where it is from.
            if there and path.suffix in FIGURES:
                return None
            raise
        return folder

    def _elsewhere(self, path: Path, row: str | None) -> Trace:
        if not self.folder.is_dir():
            raise UserError(
                f"{path}: lies in no study, and there is no folder {self.folder} to look for its "
                "record; expected --in with the folder of its study"
            )
        studies = [self._open(folder) for folder in find_studies(self.folder)]
        found = find_record(path, studies, self.folder)
        files = self._files_of(found.study)
        if row is not None:
            here = found.study.path(found.name)
            if not found.same_bytes or files.sha256(found.name) != found.sha256:
                raise UserError(
                    f"{path}: not the same as {here}, so that its rows need not be those of the "
                    "study; expected no --row, or that file"
                )
            return self._rows(here, found.study, files, found.name, row)
        builder = Builder(found.study, files)
        child = builder.file(found.name, found.recorded)
        root = Node(GIVEN, "figure" if path.suffix in FIGURES else "file", str(path))
        root.name, root.sha256 = str(path), found.recorded
        root.state = FileState.RECORDED if found.same_bytes else FileState.MODIFIED
        root.facts = _facts_of(found)
        root.children.append(child)
        image = _image(found.study, files, found.name)
        return Trace(str(path), str(found.study.folder), builder.build(root), image=image)

    def _rows(self, path: Path, study: StudyFolder, files: Files, name: str, row: str) -> Trace:
        # The rows of a figure are those of the table beside it.
        table_name = str(Path(name).with_suffix(".csv"))
        table_path = path.with_suffix(".csv")
        if table_name not in study.makers:
            raise UserError(f"{path}: has no rows for --row; expected a table in CSV")
        there = files.path(table_name)
        if there is None:
            raise UserError(f"{table_path}: not there, so that no row of it can be chosen")
        table = read_rows(there)
        conditions = parse_conditions(row, table_path, table)
        places = choose(table, conditions, table_path)
        builder = Builder(study, files, narrow(study, files, table_name, set(places)))
        lineage = builder.build(builder.file(table_name))
        cells = tuple(table.rows[place] for place in places)
        rows = Rows(conditions, table.columns, cells, len(table.rows))
        return Trace(str(table_path), str(study.folder), lineage, rows)

    def _files_of(self, study: StudyFolder) -> Files:
        return self._files.setdefault(study.folder, Files(study))


def _study_above(path: Path) -> Path | None:
    """Return the folder of a file's study, as it was typed where that says it."""
    try:
        folder = study_of(path)
    except UserError:
        return None
    return next((p for p in path.parents if p.resolve() == folder.resolve()), folder)


def _facts_of(found: Found) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "found by": "its bytes" if found.by == "bytes" else "the mark in its metadata",
        "recorded as": str(found.study.path(found.name)),
    }
    if not found.same_bytes:
        facts["bytes"] = "not the recorded ones: changed, or drawn by other versions of libraries"
        facts["sha256 found"] = found.sha256
    if found.others:
        facts["recorded as well as"] = list(found.others)
    return facts


def _image(study: StudyFolder, files: Files, name: str) -> Path | None:
    picture = str(Path(name).with_suffix(".png"))
    maker = study.makers.get(picture)
    if maker is None or maker is not study.makers.get(name):
        return None
    recorded = next(o.sha256 for o in maker.outputs if o.name == picture)
    return files.path(picture) if files.sha256(picture) == recorded else None
