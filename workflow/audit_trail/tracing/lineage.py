"""The lineage of an output: the files and jobs behind it, from the records of its study."""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from audit_trail.errors import BadFileError
from audit_trail.files import sha256_of
from audit_trail.plain import flat
from audit_trail.records import Record, Resource
from audit_trail.study import StudyFolder

# States of a file as it is found now, from the best to the worst.
RECORDED, MODIFIED, NO_RECORD = "as recorded", "modified", "no record"
STATES = (RECORDED, "elsewhere", "withheld", "other version", NO_RECORD, "missing", MODIFIED)

Json = dict[str, Any]


class Lineage:
    """Collects what an output comes from, the nearest first, within one study.

    Args:
        study: the output's own.
        checkout: folder that files from elsewhere may lie in; None looks at none.
        keeps: whether an input of a job counts, by its name.
    """

    def __init__(
        self, study: StudyFolder, checkout: Path | None, keeps: Callable[[Record, str], bool]
    ) -> None:
        self._study = study
        self._checkout = checkout
        self._keeps = keeps
        self._files: dict[str, Json] = {}
        self._jobs: dict[str, Json] = {}
        self._reached: list[tuple[Json, Record]] = []
        self._environments: dict[str, Json] = {}
        self._machines: dict[str, Json] = {}

    def of(self, name: str, sha256: str = "") -> Json:
        """Return the lineage of a record, or of a version of a file, by default the newest.

        Returns:
            As JSON, "root" is the key of it in one of these:

            "files": each has ``name`` (path from the folder of the study; of a file from elsewhere
            as it was typed), ``sha256`` as recorded, ``role`` ("output", "external", "source",
            "packages", or "lock" with the file that it is a copy of), ``state`` (one of STATES),
            ``found`` (sha256 of what is there now, where it is another) and ``job`` (key of the
            one that made it; empty where none is known). How many are in each state is "states".

            "jobs": each has ``record``, ``line`` of the history that holds it (0 for none),
            ``state`` of the record, ``stage``, ``started``, ``seconds``, ``parameters``, ``seeds``,
            ``command``, ``definition``, ``commit`` ("unknown" where git would not say),
            ``uncommitted``, ``invocation``, keys of ``environment`` and ``machine``,
            ``conditions`` (libraries and scheduler as this job had them), keys of the files of
            its ``source`` and of its ``inputs``.

            "environments" and "machines": facts, and keys of kept files, that jobs share.
        """
        record = self._study.records.get(name)
        root = self._file(name, sha256) if record is None else self._job(record)
        # A record may claim to be its own ancestor; every job is filled once. The list grows.
        for job, record in self._reached:
            inputs = [r for r in record.inputs if self._keeps(record, r.name)]
            job["inputs"] = [self._file(resource.name, resource.sha256) for resource in inputs]
            job["inputs"] += [self._external(resource) for resource in record.external]
        found = [file["state"] for file in self._files.values()]
        return {
            "states": {state: found.count(state) for state in STATES if state in found},
            "root": root,
            "files": self._files,
            "jobs": self._jobs,
            "environments": self._environments,
            "machines": self._machines,
        }

    def _file(self, name: str, sha256: str) -> str:
        current = self._study.made.get(name)
        sha256 = sha256 or current or ""
        newest = current is not None and sha256 == current
        key = name if newest else f"{name}@{sha256[:12]}"
        if key not in self._files:
            file = self._kept(Resource(name, sha256, "output"), key)
            if newest:
                file["job"] = self._job(self._study.makers[name])
            else:
                file["state"] = NO_RECORD if current is None else "other version"
                if (name, sha256) in self._earlier:
                    file["job"] = self._job(*self._earlier[name, sha256])
        return key

    def _external(self, resource: Resource) -> str:
        key = f"external:{resource.name}@{resource.sha256[:12]}"
        state, found = "elsewhere", ""
        # A name from elsewhere may lead anywhere.
        if key not in self._files and self._checkout is not None:
            with suppress(BadFileError):
                found = sha256_of(self._checkout / resource.name, self._checkout)
                state = RECORDED if found == resource.sha256 else MODIFIED
        self._add(key, resource, state, found)
        return key

    def _kept(self, resource: Resource, key: str) -> Json:
        """Add a file of the study."""
        kind, _ = self._study.compared(resource.name, resource.sha256)
        state = {"": RECORDED, "withheld": "withheld", "missing": "missing"}.get(kind, MODIFIED)
        return self._add(key, resource, state, self._study.hashed.get(resource.name, ""))

    def _add(self, key: str, resource: Resource, state: str, found: str) -> Json:
        of = resource.annotations.get("file", "") if resource.role == "lock" else ""
        file = {
            "name": resource.name,
            "sha256": resource.sha256,
            "role": f"{resource.role} {of}".strip(),
            "state": state,
            "found": "" if found == resource.sha256 else found,
            "job": "",
        }
        return self._files.setdefault(key, file)

    def _job(self, record: Record, line: int = 0) -> str:
        key = f"{record.name} (line {line} of the history)" if line else record.name
        if key in self._jobs:
            return key
        line = self._lines.get((record.name, record.sha256), 0)
        known = MODIFIED if record.name in self._study.history.latest else NO_RECORD
        nested = {name: v for name, v in record.machine.items() if isinstance(v, dict)}
        machine = {name: v for name, v in record.machine.items() if name not in nested}
        environment = {
            **flat(record.interpreter),
            "image": f"{record.image.name} {record.image.sha256}" if record.image else "none",
            "files": self._keys(record, "lock", "packages"),
        }
        invocation = record.statement["predicate"]["runDetails"]["metadata"].get("invocationId")
        self._jobs[key] = {
            "record": record.name,
            "line": line,
            "state": RECORDED if line else known,
            "stage": record.stage,
            "started": record.started,
            "seconds": record.seconds,
            "parameters": flat(record.parameters),
            "seeds": record.seeds,
            "command": list(record.command),
            "definition": record.definition,
            "commit": "unknown" if "commit" in record.unknown else record.commit or "",
            "uncommitted": record.uncommitted or "",
            "invocation": str(invocation or ""),
            "environment": _shared(self._environments, "environment", environment),
            "machine": _shared(self._machines, "machine", machine),
            "conditions": flat(nested),
            "source": self._keys(record, "source"),
            "inputs": [],
        }
        self._reached.append((self._jobs[key], record))
        return key

    def _keys(self, record: Record, *roles: str) -> list[str]:
        kept = [resource for role in roles for resource in record.kept_as(role)]
        for resource in kept:
            self._kept(resource, resource.name)
        return [resource.name for resource in kept]

    @cached_property
    def _lines(self) -> dict[tuple[str, str], int]:
        entries = self._study.history.entries
        return {(e.record, e.record_sha256): e.number for e in entries if e.record is not None}

    @cached_property
    def _earlier(self) -> dict[tuple[str, str], tuple[Record, int]]:
        """The newest record in the history that has made each version of each file."""
        return {
            (output.name, output.sha256): (record, entry.number)
            for entry, record in self._study.history.parsed()
            for output in record.outputs
        }


def _shared(known: dict[str, Json], kind: str, facts: Json) -> str:
    """Return the key of facts that several jobs share; each stands once."""
    key = next((key for key, value in known.items() if value == facts), f"{kind} {len(known) + 1}")
    known[key] = facts
    return key
