"""Tracing a file, or chosen rows of a table, back to all that it comes from."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import read_bytes, sha256_of
from audit_trail.integrity import mark_of, read_mark
from audit_trail.plain import facts
from audit_trail.project import current
from audit_trail.records import Record, Resource
from audit_trail.study import StudyFolder, look_through, open_study, study_of
from audit_trail.tracing.rows import choose

_FIGURES = (".pdf", ".png")
_LARGEST = 256 << 20
# A larger picture is left out, for a page is to stay below a megabyte.
_PICTURE = 400_000
# States of a file as it is found now, from the best to the worst.
RECORDED, MODIFIED = "as recorded", "modified"
STATES = (RECORDED, "elsewhere", "withheld", "other version", "no record", "missing", MODIFIED)
_STATES = {"": RECORDED, "withheld": "withheld", "missing": "missing"}
_OTHER = f"{MODIFIED}: not the recorded ones, or drawn by other versions of libraries"

Json = dict[str, Any]
Keeps = Callable[[Record, str], bool]
Jobs = Iterable[tuple[StudyFolder, Record]]


class Tracer:
    """Traces files; each study is opened once.

    Args:
        folder: where to look for the studies of files that lie in none.
        checkout: folder that inputs from outside of a study may lie in; None looks at none.
    """

    def __init__(self, folder: Path, checkout: Path | None = None) -> None:
        self._folder = folder
        self._checkout = checkout
        self._open: Callable[[Path], StudyFolder] = cache(open_study)

    def trace(self, path: Path, row: str | None = None) -> Json:
        """Return where a file comes from, as plain JSON, the same for the same files.

        Args:
            path: an output or a record of a study, or a figure or table from anywhere.
            row: conditions on the rows of a table, such as "k=8,depth=4".

        Returns:
            "file" as given, folder of its "study", for a file from elsewhere how its record was
            "found", the chosen "rows" (see ``choose``; "note" says what they rest on besides), and
            what the file comes from: "root" is the key of it in one of these:

            "files": each has ``name`` (path from the folder of the study; of a file from elsewhere
            as it was typed), ``sha256`` as recorded, ``role`` ("output", "external", "source",
            "packages", "study", or "lock" with the file that it is a copy of), ``state`` (one of
            STATES), ``found`` (sha256 of what is there now, where it is another) and ``job`` (key
            of the one that made it; empty where none is known). How many are in each state is
            "states".

            "jobs": each has ``record``, ``line`` of the history that holds it, ``state`` of its
            file, ``stage``, ``started``, ``seconds``, ``command``, ``definition``, ``facts`` by
            kind and name (see ``facts``; what is "unknown" is among them), and keys of the files
            of its ``kept`` and its ``inputs``.

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
        found: Json = {}
        sha256, rows, keeps = "", None, None
        # Somebody may have put a figure into a study; its mark still says where it is from.
        known = study and (name in study.records or name in study.makers)
        if study is None or (not known and there and path.suffix in _FIGURES):
            study, output, found = self._elsewhere(path)
            name, sha256 = output.name, output.sha256
        study.record_for(name)
        if row is not None:
            if found and (found["sha256"] != sha256 or study.compared(name, sha256)[0]):
                other = f"not the same as {study.path(name)}, so that its rows need not be those"
                raise AuditError(f"{path}: {other}; expected no --row, or that file")
            # The rows of a figure are those of the table of the same name, made with it.
            name, sha256 = str(Path(name).with_suffix(".csv")), ""
            if (record := study.makers.get(name)) is None:
                raise AuditError(f"{path}: has no rows for --row; expected a table in CSV")
            path = study.path(name)
            rows = choose(path, study.folder, row, current().letters) | {"note": ""}
            if narrow := current().narrow:
                keeps, rows["note"] = narrow(study, record, rows["chosen"])
        about = {"file": str(path), "study": str(study.folder), "found": found, "rows": rows}
        return about | _Lineage(study, self._checkout, keeps).of(name, sha256)

    def picture(self, found: Json) -> bytes:
        """Return the figure of a trace as PNG, if it is one of the study's and as recorded."""
        study = self._open(Path(found["study"]))
        name = str(Path(found["root"]).with_suffix(".png"))
        drawn = found["root"] in study.makers and name in study.made
        if drawn and not study.compared(name, study.made[name])[0]:
            with suppress(BadFileError):
                return read_bytes(study.path(name), study.folder, _PICTURE)
        return b""

    def _elsewhere(self, path: Path) -> tuple[StudyFolder, Resource, Json]:
        """Return what a file that lies in no study was recorded as, and how that was found.

        The newest records of all studies come before what their histories hold, and a record of
        the very bytes before one of the same mark.
        """
        below = look_through(self._folder)
        studies = [self._open(folder) for folder, kind in below.items() if kind == "study"]
        sha256 = sha256_of(path)
        mark = read_mark(read_bytes(path, None, _LARGEST)) if path.suffix in _FIGURES else ""

        def matching(jobs: Jobs) -> list[tuple[StudyFolder, Resource]]:
            return [
                (study, output)
                for study, record in jobs
                for output in record.outputs
                if output.sha256 == sha256
                or (mark and output.name.endswith(path.suffix) and mark == _mark(record))
            ]

        newest = ((study, record) for study in studies for record in study.records.values())
        older = ((study, record) for study in studies for _, record in study.history.parsed())
        if candidates := matching(newest) or matching(older)[::-1]:
            study, output = min(candidates, key=lambda one: one[1].sha256 != sha256)
            by = ("its bytes", RECORDED), ("the mark in its metadata", _OTHER)
            found = dict(zip(("by", "bytes"), by[output.sha256 != sha256], strict=True))
            found |= {"recorded as": str(study.path(output.name)), "sha256": sha256}
            return study, output, found
        marked = f"its mark ({mark})" if mark else "its bytes"
        bare = ", and no mark is in its metadata" if path.suffix in _FIGURES and not mark else ""
        where = f"no study below {self._folder} has a record of {marked}{bare}"
        raise AuditError(f"{path}: {where}; expected a file as its job wrote it, and its study")


class _Lineage:
    """Collects what an output comes from, the nearest first, within its study.

    Args:
        study: the output's own.
        checkout: folder that files from elsewhere may lie in; None looks at none.
        keeps: whether an input of a job counts, by its name; None if all do.
    """

    def __init__(self, study: StudyFolder, checkout: Path | None, keeps: Keeps | None) -> None:
        self._study, self._checkout, self._keeps = study, checkout, keeps
        self._files: dict[str, Json] = {}
        self._jobs: dict[str, Json] = {}
        self._reached: list[tuple[Json, Record]] = []

    def of(self, name: str, sha256: str) -> Json:
        """Return the lineage of a record, or of a version of a file; the newest has no sha256."""
        record = self._study.records.get(name)
        root = self._file(name, sha256) if record is None else self._job(record)
        # A record may claim to be its own ancestor; every job is filled once. The list grows.
        for job, record in self._reached:
            inputs = [r for r in record.inputs if not self._keeps or self._keeps(record, r.name)]
            job["inputs"] = [self._file(resource.name, resource.sha256) for resource in inputs]
            for resource in record.external:
                job["inputs"].append(f"external:{resource.name}@{resource.sha256[:12]}")
                self._add(job["inputs"][-1], resource)
        found = Counter(file["state"] for file in self._files.values())
        states = {state: found[state] for state in STATES if state in found}
        return {"states": states, "root": root, "files": self._files, "jobs": self._jobs}

    def _file(self, name: str, sha256: str) -> str:
        """Add a version of a file of the study, and the job that made it; return its key."""
        current = self._study.made.get(name)
        sha256 = sha256 or current or ""
        newest = current is not None and sha256 == current
        key = name if newest else f"{name}@{sha256[:12]}"
        if key not in self._files:
            file = self._add(key, Resource(name, sha256, "output"))
            if newest:
                file["job"] = self._job(self._study.makers[name])
            else:
                file["state"] = "no record" if current is None else "other version"
                if (name, sha256) in self._earlier:
                    file["job"] = self._job(*self._earlier[name, sha256])
        return key

    def _add(self, key: str, resource: Resource) -> Json:
        """Add a file as it is found now."""
        if key not in self._files:
            of = resource.annotations.get("file", "") if resource.role == "lock" else ""
            state, sha256 = self._found(resource)
            self._files[key] = {
                "name": resource.name,
                "sha256": resource.sha256,
                "state": state,
                "job": "",
                "role": f"{resource.role} {of}".strip(),
                "found": "" if sha256 == resource.sha256 else sha256,
            }
        return self._files[key]

    def _found(self, resource: Resource) -> tuple[str, str]:
        """Return the state of a file, and its sha256 where it has one."""
        if resource.role != "external":
            kind, _ = self._study.compared(resource.name, resource.sha256)
            return _STATES.get(kind, MODIFIED), self._study.hashed.get(resource.name, "")
        with suppress(BadFileError):
            # A name from elsewhere may lead anywhere.
            if self._checkout is not None:
                sha256 = sha256_of(self._checkout / resource.name, self._checkout)
                return RECORDED if sha256 == resource.sha256 else MODIFIED, sha256
        return "elsewhere", ""

    def _job(self, record: Record, line: int = 0) -> str:
        """Add the newest record of a name, or that in a line of the history; return its key."""
        key = f"{record.name} (line {line} of the history)" if line else record.name
        if key in self._jobs:
            return key
        said: Json = {kind: of for kind, of in facts(record).items() if of and kind != "input"}
        for resource in record.kept:
            self._add(resource.name, resource)
        state, _ = self._found(Resource(record.name, record.sha256, "record"))
        self._jobs[key] = {
            "record": record.name,
            "line": line or self._study.history.latest[record.name].number,
            "state": RECORDED if line else state,
            **{k: getattr(record, k) for k in ("stage", "started", "seconds", "definition")},
            "command": list(record.command),
            "facts": said | ({"unknown": record.unknown} if record.unknown else {}),
            "kept": [resource.name for resource in record.kept],
            "inputs": [],
        }
        self._reached.append((self._jobs[key], record))
        return key

    @cached_property
    def _earlier(self) -> dict[tuple[str, str], tuple[Record, int]]:
        """The newest record in the history that has made each version of each file."""
        return {
            (output.name, output.sha256): (record, entry.number)
            for entry, record in self._study.history.parsed()
            for output in record.outputs
        }


def _mark(record: Record) -> str:
    return mark_of(record.definition, (r.sha256 for r in (*record.inputs, *record.external)))
