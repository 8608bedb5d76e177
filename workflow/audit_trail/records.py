"""Reading the records of jobs, without trust in what they hold."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from logdepth.provenance.format import PREDICATE, STATEMENT

# A record of ten thousand inputs has about 2 MB.
MAX_BYTES = 16 << 20
# Bytes of a name and of a part of it; a system says of longer ones that it cannot look for them.
_LONGEST_NAME, _LONGEST_PART = 2048, 255


class BadRecordError(Exception):
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
        command: as it was typed, "logdepth" first.
        outputs: files it made.
        inputs: files of the same study it was made from.
        external: files from elsewhere it was made from.
        kept: packages, locks and source, kept below provenance/.
        image: the container image, if any.
        commit: of the code; None where there was no git.
        uncommitted: sha256 of changes that were not committed; None if there were none.
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
    machine: dict[str, Any]
    interpreter: dict[str, Any]
    started: str
    finished: str

    @property
    def seconds(self) -> float | None:
        """How long the job took; None where its times are none."""
        try:
            started, finished = map(datetime.fromisoformat, (self.started, self.finished))
            return max(0.0, (finished - started).total_seconds())
        except (ValueError, TypeError):
            return None

    def kept_as(self, role: str) -> tuple[Resource, ...]:
        """Return what is kept in that role: packages, lock or source."""
        return tuple(resource for resource in self.kept if resource.role == role)


def read_record(name: str, content: bytes) -> Record:
    """Return the record that the bytes of its file hold.

    Args:
        name: path from the folder of the study.
        content: of the file.

    Raises:
        BadRecordError: too large, not JSON, not a record, or with a name that leaves the study.
    """
    if len(content) > MAX_BYTES:
        raise BadRecordError(f"has {len(content)} bytes; no record has more than {MAX_BYTES}")
    try:
        statement = json.loads(content, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadRecordError(f"is not JSON ({_first_line(error)})") from error
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
    resources = [_resource(r, None) for r in _get(build, list, "resolvedDependencies")]
    by_role: dict[str, list[Resource]] = {}
    for resource in resources:
        by_role.setdefault(resource.role, []).append(resource)
    code, image = (next(iter(by_role.get(role, ())), None) for role in ("code", "image"))
    kept = [r for role in ("packages", "source", "study", "lock") for r in by_role.get(role, ())]
    for resource in (*by_role.get("input", ()), *kept):
        check_name(resource.name)
    outputs = tuple(_resource(r, "output") for r in _get(statement, list, "subject"))
    for output in outputs:
        check_name(output.name)
    machines = [
        _get(b, dict, "annotations")
        for b in _get(details, list, "byproducts")
        if _get(b, str, "name") == "machine"
    ]
    return Record(
        name=name,
        sha256=sha256,
        statement=statement,
        stage=stage,
        parameters=parameters,
        definition=_get(internal, str, "definition").partition("+")[0],
        seeds=_get(internal, dict, "seeds"),
        command=tuple(_strings(_get(internal, list, "command"))),
        outputs=outputs,
        inputs=tuple(by_role.get("input", ())),
        external=tuple(by_role.get("external", ())),
        kept=tuple(kept),
        image=image,
        commit=code.annotations["gitCommit"] if code else None,
        uncommitted=code.annotations.get("uncommittedSha256") if code else None,
        machine=machines[0] if machines else {},
        interpreter=_get(details, dict, "builder", "version"),
        started=_get(details, str, "metadata", "startedOn"),
        finished=_get(details, str, "metadata", "finishedOn"),
    )


def check_name(name: str) -> None:
    """Check that a name stays within the folder of its study.

    Raises:
        BadRecordError: absolute, empty, or climbing out of the folder.
    """
    path = PurePosixPath(name)
    plain = name and path.as_posix() == name and not path.is_absolute()
    if not plain or ".." in path.parts or "\\" in name or "\0" in name or name == ".":
        raise BadRecordError(f"names {name!r}, which is no path within its study")


def _resource(found: Any, role: str | None) -> Resource:
    name = _get(found, str, "name")
    digests = _get(found, dict, "digest")
    annotations = found.get("annotations", {})
    if not isinstance(annotations, dict):
        raise BadRecordError(f"has annotations of {name!r} that are no mapping")
    role = role or str(annotations.get("role", "input"))
    commit, sha256 = digests.get("gitCommit"), digests.get("sha256", "")
    if role == "code":
        _check_hex(commit, 40, name)
        return Resource(name, "", role, {**annotations, "gitCommit": commit})
    _check_hex(sha256, 64, name)
    _check_length(name)
    return Resource(name, sha256, role, annotations)


def _check_length(name: str) -> None:
    whole = name.encode("utf-8", "surrogatepass")
    if len(whole) > _LONGEST_NAME or max(map(len, whole.split(b"/"))) > _LONGEST_PART:
        raise BadRecordError(f"names {name[:40]!r} and so on, which is too long for a file")


def _check_hex(value: Any, length: int, name: str) -> None:
    if not isinstance(value, str) or len(value) != length or set(value) - set("0123456789abcdef"):
        raise BadRecordError(f"has a digest of {name!r} that is not {length} hexadecimal digits")


def _get(value: Any, kind: type, *keys: str) -> Any:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise BadRecordError(f"has no {'.'.join(keys)}")
        value = value[key]
    if not isinstance(value, kind):
        raise BadRecordError(f"has a {'.'.join(keys)} that is no {kind.__name__}")
    return value


def _strings(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise BadRecordError("has a command that is not all text")
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
