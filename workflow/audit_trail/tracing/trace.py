"""Tracing a file, or chosen rows of a table, back to all that it comes from."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from audit_trail.differences import read_table
from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import sha256_of
from audit_trail.project import current
from audit_trail.records import Record, Resource, facts
from audit_trail.study import StudyFolder, look_through, open_study, study_of

# States of a file as it is found now, from the best to the worst.
RECORDED, MODIFIED = "as recorded", "modified"
STATES = (RECORDED, "elsewhere", "withheld", "other version", "no record", "missing", MODIFIED)
_STATES = {"": RECORDED, "withheld": "withheld", "missing": "missing"}

# Values of a column that are told.
_SHOWN = 20

Json = dict[str, Any]
Keeps = Callable[[Record, str], bool]
# A record, and the line of the history that holds it; 0 for the newest of its name.
Made = tuple[Record, int]


class Tracer:
    """Traces files; each study is opened once.

    The studies of files that lie in none are looked for in a folder, and inputs from outside of a
    study in a checkout, if there is one.
    """

    def __init__(self, folder: Path, checkout: Path | None = None) -> None:
        self._folder, self._checkout = folder, checkout
        self._open: Callable[[Path], StudyFolder] = cache(open_study)

    def trace(self, path: Path, row: str | None = None) -> Json:
        """Return where a file comes from, as plain JSON, the same for the same files.

        An AuditError says that there is no such file, no record of it, or no such row.

        Args:
            path: an output or a record of a study, or a copy of an output from anywhere.
            row: conditions on the rows of a table, such as "k=8,depth=4".

        Returns:
            "file" as given, folder of its "study", for a copy what it was "found" to be, the chosen
            "rows" (see ``choose``; "note" says what they rest on besides), the "root", which is the
            file itself (None for a record), how many files are in each of the "states", and "jobs".

            A job has ``record``, ``line`` of the history that holds it, ``state`` of its file,
            ``stage``, ``started``, ``seconds``, ``command``, ``definition``, ``facts`` by kind and
            name (see ``facts``; what is "unknown" is among them), and its files: those that it
            ``made`` of what is traced, what it made them ``from``, and what it ran ``with``.

            A file has ``name`` (path from the folder of the study; of one from elsewhere as it was
            typed), ``sha256`` as recorded, ``role`` ("output", "input", "external", "source",
            "packages", "study", or "lock" with the file that it is a copy of), ``state`` (one of
            STATES) and ``found`` (sha256 of what is there now, where it is another).
        """
        if path.is_dir():
            raise AuditError(f"{path}: a folder; expected a file, such as a figure of a study")
        found, line = "", 0
        try:
            study = self._open(study_of(path))
            name = study.name_of(path)
            record = study.record_for(name)
        except AuditError:
            # A copy; somebody may have put it into another study.
            if not path.is_file() or path.is_symlink():
                raise
            study, name, record, line = self._elsewhere(path)
            found = str(study.path(name))
        rows, keeps = None, None
        if row is not None:
            if line or (found and study.compared(name, sha256_of(path))[0]):
                other = f"{found} is another now, so that its rows need not be those"
                raise AuditError(f"{path}: {other}; expected no --row, or that file")
            # The rows of a figure are those of the table of the same name, made with it.
            name = str(Path(name).with_suffix(".csv"))
            if name not in study.makers:
                raise AuditError(f"{path}: has no rows for --row; expected a table in CSV")
            path, record = study.path(name), study.makers[name]
            rows = choose(path, study.folder, row, current().letters) | {"note": ""}
            if narrow := current().narrow:
                keeps, rows["note"] = narrow(study, record, rows["chosen"])
        about = {"file": str(path), "study": str(study.folder), "found": found, "rows": rows}
        return about | _Lineage(study, self._checkout, keeps).of(name, (record, line))

    def _elsewhere(self, path: Path) -> tuple[StudyFolder, str, Record, int]:
        """Return as what a file that lies in no study was recorded: its study, name and record.

        The newest records of all studies (in line 0) come before what their histories hold.
        """
        below = look_through(self._folder)
        studies = [self._open(folder) for folder, kind in below.items() if kind == "study"]
        sha256 = sha256_of(path)
        newest = ((study, record, 0) for study in studies for record in study.records.values())
        older = ((study, r, e.number) for study in studies for e, r in study.history.parsed())
        for study, record, line in chain(newest, older):
            for output in record.outputs:
                if output.sha256 == sha256:
                    return study, output.name, record, line
        missing = f"no study below {self._folder} has a record of its bytes"
        raise AuditError(f"{path}: {missing}; expected a file as its job wrote it, not converted")


class _Lineage:
    """What an output comes from, the nearest first, within its study.

    ``keeps`` says whether an input of a job counts, by its name; None if all do.
    """

    def __init__(self, study: StudyFolder, checkout: Path | None, keeps: Keeps | None) -> None:
        self._study, self._checkout = study, checkout
        self._keeps: Keeps = keeps or (lambda _record, _name: True)
        self._files: dict[tuple[str, str], Json] = {}

    def of(self, name: str, start: Made) -> Json:
        """Return the jobs behind an output, or behind a record, that one job made."""
        root = next((output for output in start[0].outputs if output.name == name), None)
        used = {(root.name, root.sha256)} if root else set()
        reached: dict[str, tuple[Record, Json]] = {}
        waiting = [start]
        # A record may claim to be its own ancestor; every job is reached once.
        for record, line in waiting:
            key = f"{record.name} (line {line} of the history)" if line else record.name
            if key not in reached:
                inputs = [r for r in record.inputs if self._keeps(record, r.name)]
                reached[key] = record, self._job(record, line, inputs)
                used |= {(resource.name, resource.sha256) for resource in inputs}
                waiting += filter(None, map(self._maker, inputs))
        for record, job in reached.values():
            outputs = (o for o in record.outputs if (o.name, o.sha256) in used)
            job["made"] = [self._file(output) for output in outputs]
        found = Counter(file["state"] for file in self._files.values())
        states = {state: found[state] for state in STATES if state in found}
        jobs = {key: job for key, (_, job) in reached.items()}
        return {"states": states, "root": self._file(root) if root else None, "jobs": jobs}

    def _maker(self, resource: Resource) -> Made | None:
        if self._study.made.get(resource.name) == resource.sha256:
            return self._study.makers[resource.name], 0
        return self._earlier.get((resource.name, resource.sha256))

    @cached_property
    def _earlier(self) -> dict[tuple[str, str], Made]:
        """The newest record in the history that has made each version of each file."""
        return {
            (output.name, output.sha256): (record, entry.number)
            for entry, record in self._study.history.parsed()
            for output in record.outputs
        }

    def _job(self, record: Record, line: int, inputs: list[Resource]) -> Json:
        said: Json = {kind: of for kind, of in facts(record).items() if of and kind != "input"}
        kind, _ = self._study.compared(record.name, record.sha256)
        return {
            "record": record.name,
            "line": line or self._study.history.latest[record.name][0].number,
            "state": RECORDED if line else _STATES.get(kind, MODIFIED),
            **{k: getattr(record, k) for k in ("stage", "started", "seconds", "definition")},
            "command": list(record.command),
            "facts": said | ({"unknown": record.unknown} if record.unknown else {}),
            "from": [self._file(resource) for resource in (*inputs, *record.external)],
            "with": [self._file(resource) for resource in record.kept],
        }

    def _file(self, resource: Resource) -> Json:
        """Return a file as it is found now."""
        name, sha256, role = resource.name, resource.sha256, resource.role
        if (name, sha256) not in self._files:
            state, found = self._found(resource)
            of = resource.annotations.get("file", "") if role == "lock" else ""
            file = {"name": name, "sha256": sha256, "state": state, "role": f"{role} {of}".strip()}
            self._files[name, sha256] = file | {"found": "" if found == sha256 else found}
        return self._files[name, sha256]

    def _found(self, resource: Resource) -> tuple[str, str]:
        """Return the state of a file, and its sha256 where it has one."""
        name, sha256, made = resource.name, resource.sha256, self._study.made
        if resource.role == "external":
            try:
                # A name from elsewhere may lead anywhere.
                found = sha256_of(self._checkout / name, self._checkout) if self._checkout else ""
            except BadFileError:
                found = ""
            return {"": "elsewhere", sha256: RECORDED}.get(found, MODIFIED), found
        kind, _ = self._study.compared(name, sha256)
        state = _STATES.get(kind, MODIFIED)
        if resource.role in ("input", "output") and made.get(name) != sha256:
            state = "other version" if name in made else "no record"
        return state, self._study.hashed.get(name, "")


def choose(path: Path, within: Path, asked: str, letters: Mapping[str, str]) -> Json:
    """Return the rows of a table that meet all conditions, as text or as equal numbers.

    Returned are the "conditions" by column, how many rows there are in "total", and those "chosen",
    by column. ``letters`` are columns by the letters that are used for them in print. An AuditError
    says that there is no table or no such row; or that a condition is not COLUMN=VALUE, or on a
    column that is not there or is named twice.
    """
    columns, listed = read_table(path, within)
    conditions: dict[str, str] = {}
    for part in asked.split(","):
        name, equals, value = (text.strip() for text in part.partition("="))
        column = name if name in columns else letters.get(name, name)
        if not equals:
            raise AuditError(f"--row '{part}': expected COLUMN=VALUE, such as k=8,depth=4")
        if column not in columns:
            known = ", ".join(columns)
            raise AuditError(f"{path}: no column '{name}' for --row; expected one of {known}")
        if column in conditions:
            raise AuditError(f"--row '{asked}': names {column} twice; expected once")
        conditions[column] = value
    rows = [dict(zip(columns, row, strict=True)) for row in listed]
    chosen = [row for row in rows if all(same(row[c], v) for c, v in conditions.items())]
    if not chosen:
        values = {c: list(dict.fromkeys(row[c] for row in rows)) for c in conditions}
        there = "; ".join(f"{c} one of {', '.join(v[:_SHOWN])}" for c, v in values.items())
        raise AuditError(f"{path}: no row with {asked}; expected {there}, as rows have them")
    return {"conditions": conditions, "total": len(rows), "chosen": chosen}


def same(one: str, other: str) -> bool:
    """Return whether two cells are the same text or the same number."""
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False
