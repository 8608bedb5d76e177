"""Reading the records of jobs, without trust in what they hold."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.files import MAX_TEXT, parse_json
from audit_trail.format import KEPT, PREDICATE, PROVENANCE, STATEMENT, kept_name

_ROLES = frozenset(("input", "external", "image", "code", *KEPT))
# Bytes of a name and of a part of it, and parts: a system cannot look for more.
_LONGEST_NAME, _LONGEST_PART, MAX_PARTS = 2048, 255, 64
_HEXADECIMAL = frozenset("0123456789abcdef")


class BadRecordError(AuditError):
    """A record that cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Resource:
    """A file, or the code, as a record names it.

    Attributes:
        name: path from the folder of the study; of an external file as it was typed.
        sha256: of its content; empty for the code.
        role: output, input, external, packages, source, study, lock, image or code.
        annotations: what else the record says of it.
    """

    name: str
    sha256: str
    role: str
    annotations: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """The record of one job.

    Attributes:
        name: path of the record from the folder of the study: "provenance/train/x.json".
        sha256: of its bytes.
        statement: all of it.
        stage: command that ran.
        parameters: named and resolved.
        definition: hash of configuration and source, without its count; may be empty.
        seeds: by what they are for.
        command: as it was typed, that of the project first.
        outputs: files it made.
        inputs: files of the same study it was made from.
        external: files from elsewhere it was made from.
        kept: packages, locks and source, kept below provenance/.
        image: the container image, if any.
        commit: of the code; None where it ran in no clone, or nobody knows.
        uncommitted: sha256 of changes that were not committed; None if there were none.
        unknown: why nobody knows the commit; None where it is known, or there was none.
        machine: host, processor, threads, device, Slurm job.
        interpreter: version of Python and platform.
        started: time in UTC, ISO 8601.
        finished: the same.
    """

    name: str
    sha256: str
    statement: dict[str, Any]
    stage: str
    parameters: dict[str, Any]
    definition: str
    seeds: dict[str, Any]
    command: tuple[str, ...]
    outputs: tuple[Resource, ...]
    inputs: tuple[Resource, ...]
    external: tuple[Resource, ...]
    kept: tuple[Resource, ...]
    image: Resource | None
    commit: str | None
    uncommitted: str | None
    unknown: str | None
    machine: dict[str, Any]
    interpreter: dict[str, Any]
    started: str
    finished: str

    @property
    def seconds(self) -> float | None:
        """How long the job took; None where its times are none."""
        started, finished = moment(self.started), moment(self.finished)
        return None if started is None or finished is None else max(0.0, finished - started)

    def kept_as(self, role: str) -> tuple[Resource, ...]:
        """Return what is kept in that role: packages, lock, source or study."""
        return tuple(resource for resource in self.kept if resource.role == role)


def moment(text: str) -> float | None:
    """Return a time in UTC as seconds since 1970; None where the text is no such time."""
    try:
        time = datetime.fromisoformat(text)
        return time.timestamp() if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def read_record(name: str, content: bytes) -> Record:
    """Return the record that the bytes of its file hold.

    Args:
        name: path from the folder of the study.
        content: of the file.

    Raises:
        BadRecordError: too large, not JSON, not a record, or with a name that leaves the study.
    """
    if len(content) > MAX_TEXT:
        raise BadRecordError(f"has {len(content)} bytes; no record has more than {MAX_TEXT}")
    try:
        statement = parse_json(content)
    except ValueError as error:
        raise BadRecordError(f"is not JSON ({error})") from error
    return parse_statement(name, hashlib.sha256(content).hexdigest(), statement)


def parse_statement(name: str, sha256: str, statement: Any) -> Record:
    """Return the record that a statement is.

    Raises:
        BadRecordError: not a record, or with a name that leaves the study.
    """
    if _get(statement, str, "_type") != STATEMENT:
        raise BadRecordError(f"is no in-toto statement of type {STATEMENT}")
    if _get(statement, str, "predicateType") != PREDICATE:
        raise BadRecordError(f"has no predicate of type {PREDICATE}")
    build = _get(statement, dict, "predicate", "buildDefinition")
    parameters = dict(_get(build, dict, "externalParameters"))
    stage = _get(parameters, str, "stage")
    del parameters["stage"]
    internal = _get(build, dict, "internalParameters")
    details = _get(statement, dict, "predicate", "runDetails")
    by_role: dict[str, list[Resource]] = {role: [] for role in _ROLES}
    for found in _get(build, list, "resolvedDependencies"):
        resource = _resource(found)
        by_role[resource.role].append(resource)
    for role in ("code", "image"):
        if len(by_role[role]) > 1:
            raise BadRecordError(f"names more than one {role}")
    code, image = (next(iter(by_role[role]), None) for role in ("code", "image"))
    outputs = tuple(_resource(found, "output") for found in _get(statement, list, "subject"))
    if len({output.name for output in outputs}) < len(outputs):
        raise BadRecordError("names an output twice")
    machines = [
        _get(found, dict, "annotations")
        for found in _get(details, list, "byproducts")
        if _get(found, str, "name") == "machine"
    ]
    command = _get(internal, list, "command")
    if not all(isinstance(word, str) for word in command):
        raise BadRecordError("has a command that is not all text")
    uncommitted = code.annotations.get("uncommittedSha256") if code else None
    if uncommitted is not None:
        _check_hexadecimal(uncommitted, 64, "code")
    return Record(
        name=name,
        sha256=sha256,
        statement=statement,
        stage=stage,
        parameters=parameters,
        definition=_get(internal, str, "definition").partition("+")[0],
        seeds=_get(internal, dict, "seeds"),
        command=tuple(command),
        outputs=outputs,
        inputs=tuple(by_role["input"]),
        external=tuple(by_role["external"]),
        kept=tuple(resource for role in KEPT for resource in by_role[role]),
        image=image,
        commit=code.annotations["gitCommit"] if code else None,
        uncommitted=uncommitted,
        unknown=_get(internal, str, "unknownCommit") if "unknownCommit" in internal else None,
        machine=machines[0] if machines else {},
        interpreter=_get(details, dict, "builder", "version"),
        started=_get(details, str, "metadata", "startedOn"),
        finished=_get(details, str, "metadata", "finishedOn"),
    )


def check_record_name(name: str) -> None:
    """Check that a name is one that a record can have: "provenance/train/x.json".

    Raises:
        BadRecordError: it is not.
    """
    check_name(name)
    parts = name.split("/")
    if len(parts) != 3 or parts[0] != PROVENANCE or not name.endswith(".json"):
        raise BadRecordError(f"has the name {name[:80]!r}, which is none of a record")


def check_name(name: str) -> None:
    """Check that a name stays within the folder of its study, and that a file can have it.

    Raises:
        BadRecordError: absolute, empty, climbing out of the folder, or too long.
    """
    parts = name.split("/")
    if "\\" in name or "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise BadRecordError(f"names {name[:80]!r}, which is no path within its study")
    _check_length(name)


def _resource(found: Any, role: str = "") -> Resource:
    name = _get(found, str, "name")
    digests = _get(found, dict, "digest")
    annotations = found.get("annotations", {})
    if not isinstance(annotations, dict):
        raise BadRecordError(f"has annotations of {name[:80]!r} that are no mapping")
    role = role or annotations.get("role", "input")
    if role != "output" and (not isinstance(role, str) or role not in _ROLES):
        raise BadRecordError(f"has {name[:80]!r} in a role that there is not")
    if role == "code":
        commit = digests.get("gitCommit")
        _check_hexadecimal(commit, 40, name)
        return Resource(name, "", role, {**annotations, "gitCommit": commit})
    sha256 = digests.get("sha256", "")
    _check_hexadecimal(sha256, 64, name)
    if role in ("input", "output"):
        check_name(name)
    elif role in KEPT and name != kept_name(role, sha256):
        raise BadRecordError(f"names {name[:80]!r}, which is no place for its {role}")
    else:
        _check_length(name)
    return Resource(name, sha256, role, annotations)


def _check_length(name: str) -> None:
    whole = name.encode("utf-8", "surrogatepass")
    parts = whole.split(b"/")
    if (
        len(whole) > _LONGEST_NAME
        or len(parts) > MAX_PARTS
        or any(len(part) > _LONGEST_PART for part in parts)
    ):
        raise BadRecordError(f"names {name[:40]!r} and so on, which is too long for a file")


def _check_hexadecimal(value: Any, length: int, name: str) -> None:
    if not isinstance(value, str) or len(value) != length or not _HEXADECIMAL.issuperset(value):
        raise BadRecordError(f"has a digest of {name[:80]!r} that is not {length} hex digits")


def _get(value: Any, kind: type, *keys: str) -> Any:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise BadRecordError(f"has no {'.'.join(keys)}")
        value = value[key]
    if not isinstance(value, kind):
        raise BadRecordError(f"has a {'.'.join(keys)} that is no {kind.__name__}")
    return value
