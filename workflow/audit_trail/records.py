"""Reading the records of jobs, without trust in what they hold."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.files import canonical_json
from audit_trail.format import KEPT, KEPT_FOLDERS, PREDICATE, PROVENANCE, STATEMENT, kept_name

UNKNOWN = ("commit", "packages", "lock", "machine")
"""What the job of a record may not have found out."""
_ROLES = ("input", "external", "image", "code", *KEPT)
# Bytes of a name and of a part of it, and parts: a system cannot look for more.
_LONGEST_NAME, _LONGEST_PART, MAX_PARTS = 2048, 255, 64
_HEXADECIMAL = frozenset("0123456789abcdef")
_HOST = ("host", "platform", "slurm")
_RESOURCE = {"name": str, "digest": dict, "annotations?": dict}
_INTERNAL = {"definition": str, "seeds": dict, "command": [str], "unknown?": dict}
# What is read of a statement: of a mapping these keys, of a list each item.
_SHAPE = {
    "_type": str,
    "predicateType": str,
    "subject": [_RESOURCE],
    "predicate": {
        "buildDefinition": {
            "externalParameters": {"stage": str},
            "internalParameters": _INTERNAL,
            "resolvedDependencies": [_RESOURCE],
        },
        "runDetails": {
            "builder": {"version": dict},
            "metadata": {"startedOn": str, "finishedOn": str},
            "byproducts": [{"name": str, "annotations": dict}],
        },
    },
}

Plain = str | int | float | bool


class BadRecordError(AuditError):
    """A record that cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Resource:
    """A file, or the code, as a record names it."""

    name: str  # path from the folder of the study; of an external file as it was typed
    sha256: str  # of its content; empty for the code
    role: str  # output, input, external, packages, source, study, lock, image or code
    annotations: dict[str, Any] = field(default_factory=dict)  # what else the record says of it


@dataclass(frozen=True)
class Record:
    """The record of one job."""

    name: str  # path of the record from the folder of the study: "provenance/train/x.json"
    sha256: str  # of its bytes
    statement: dict[str, Any]  # all of it
    stage: str  # command that ran
    parameters: dict[str, Any]  # named and resolved
    definition: str  # hash of configuration and source, without its count; may be empty
    seeds: dict[str, Any]  # by what they are for
    command: tuple[str, ...]  # as it was typed, that of the project first
    outputs: tuple[Resource, ...]
    inputs: tuple[Resource, ...]  # files of the same study it was made from
    external: tuple[Resource, ...]  # files from elsewhere it was made from
    kept: tuple[Resource, ...]  # packages, locks, source and study, kept below provenance/
    image: Resource | None  # the container image, if any
    commit: str | None  # of the code; None where it ran in no clone, or nobody knows
    uncommitted: str | None  # sha256 of changes that were not committed; None if there were none
    unknown: dict[str, str]  # by what nobody knows (see UNKNOWN), why
    machine: dict[str, Any]  # host, processor, threads, Slurm job, versions of Python and platform
    started: str  # time in UTC, ISO 8601
    finished: str

    @property
    def title(self) -> str:
        """Stage and name of the job: "train/x"."""
        return self.name.partition("/")[2].removesuffix(".json")

    @property
    def seconds(self) -> float | None:
        """How long the job took; None where its times are none."""
        started, finished = moment(self.started), moment(self.finished)
        return None if started is None or finished is None else max(0.0, finished - started)

    def kept_as(self, *roles: str) -> tuple[Resource, ...]:
        """Return what is kept in those roles: packages, lock, source or study."""
        return tuple(resource for resource in self.kept if resource.role in roles)


def moment(text: str) -> float | None:
    """Return a time in UTC as seconds since 1970; None where the text is no such time."""
    try:
        time = datetime.fromisoformat(text)
        return time.timestamp() if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def parse_statement(name: str, sha256: str, statement: Any) -> Record:
    """Return the record that a statement is; a BadRecordError says why it is none."""
    _check(statement, _SHAPE, "statement")
    if (statement["_type"], statement["predicateType"]) != (STATEMENT, PREDICATE):
        raise BadRecordError(f"is no in-toto statement {STATEMENT} with a predicate {PREDICATE}")
    build, run = (statement["predicate"][part] for part in ("buildDefinition", "runDetails"))
    resources = [_resource(found) for found in build["resolvedDependencies"]]
    by_role = {role: tuple(r for r in resources if r.role == role) for role in _ROLES}
    if max(len(by_role["code"]), len(by_role["image"])) > 1:
        raise BadRecordError("names more than one code or image")
    code, image = ((*by_role[role], None)[0] for role in ("code", "image"))
    outputs = tuple(_resource(found, "output") for found in statement["subject"])
    if len({output.name for output in outputs}) < len(outputs):
        raise BadRecordError("names an output twice")
    internal = build["internalParameters"]
    unknown = internal.get("unknown", {})
    if not {*unknown} <= {*UNKNOWN} or not all(isinstance(why, str) for why in unknown.values()):
        raise BadRecordError(f"does not know what records may not know: {', '.join(UNKNOWN)}")
    uncommitted = code.annotations.get("uncommittedSha256") if code else None
    if uncommitted is not None:
        _check_hexadecimal(uncommitted, 64, "code")
    found = (part["annotations"] for part in run["byproducts"] if part["name"] == "machine")
    parameters = build["externalParameters"]
    return Record(
        name=name,
        sha256=sha256,
        statement=statement,
        stage=parameters["stage"],
        parameters={key: value for key, value in parameters.items() if key != "stage"},
        definition=internal["definition"].partition("+")[0],
        seeds=internal["seeds"],
        command=tuple(internal["command"]),
        outputs=outputs,
        inputs=by_role["input"],
        external=by_role["external"],
        kept=tuple(resource for role in KEPT for resource in by_role[role]),
        image=image,
        commit=code.annotations["gitCommit"] if code else None,
        uncommitted=uncommitted,
        unknown=unknown,
        machine=next(found, {}) | run["builder"]["version"],
        started=run["metadata"]["startedOn"],
        finished=run["metadata"]["finishedOn"],
    )


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, names on the way joined by dots; lists are values."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def facts(record: Record) -> dict[str, dict[str, Plain]]:
    """Return what a record says of its job, by kind and name.

    Values that are no text, number or truth value are their JSON text. The order of kinds is that
    in which differences between jobs are likely to explain other results.
    """
    settings = dict(record.parameters)
    # The device is where it ran, not what was asked of it.
    machine = flat({"device": settings.pop("device", None), **record.machine})
    kinds: dict[str, dict[str, Any]] = {
        "configuration": settings,
        "seed": record.seeds,
        "input": {r.name: r.sha256 for r in (*record.inputs, *record.external)},
        "image": {"sha256": record.image.sha256} if record.image else {},
        "machine": {n: v for n, v in machine.items() if n.partition(".")[0] not in _HOST},
        "lock": {str(r.annotations.get("file")): r.sha256 for r in record.kept_as("lock")},
        "commit": {"commit": record.commit, "uncommitted": record.uncommitted},
        "host": {n: v for n, v in machine.items() if n.partition(".")[0] in _HOST},
    }
    return {
        kind: {
            name: value if isinstance(value, str | bool | int | float) else canonical_json(value)
            for name, value in sorted(flat(values).items())
            if value is not None or kind in ("configuration", "seed")
        }
        for kind, values in kinds.items()
    }


def short(value: Plain) -> str:
    """Return a value for people: twelve digits of a hash, no text of more than 48 letters.

    Of a longer list, how many entries it has.
    """
    text = str(value)
    if len(text) in (40, 64) and _HEXADECIMAL.issuperset(text):
        return text[:12]
    if len(text) > 48 and text.startswith("["):
        # A text of somebody else's may only look like one.
        with suppress(ValueError, RecursionError):
            return f"{len(json.loads(text))} entries"
    return text if len(text) <= 48 else f"{text[:47]}…"


def check_name(name: str, anywhere: bool = False) -> None:
    """Check that a file can have a name, and that it stays within its study or may lead anywhere.

    A BadRecordError says that it is too long, absolute, empty, or climbing out.
    """
    whole = name.encode("utf-8", "surrogatepass")
    parts = whole.split(b"/")
    inside = not {b"", b".", b".."} & {*parts} and b"\\" not in whole and b"\0" not in whole
    if not inside and not anywhere:
        raise BadRecordError(f"names {name[:80]!r}, which is no path within its study")
    if max(map(len, parts)) > _LONGEST_PART or len(whole) > _LONGEST_NAME or len(parts) > MAX_PARTS:
        raise BadRecordError(f"names {name[:40]!r} and so on, which is too long for a file")


def is_record(name: str) -> bool:
    """Return whether a file of a study is a record, by its name: provenance/<stage>/<job>.json."""
    folder, _, stage = name.rpartition("/")[0].partition("/")
    shared = stage in (*KEPT_FOLDERS, "signatures") or "/" in stage
    with suppress(BadRecordError):
        check_name(name)
        return folder == PROVENANCE and stage != "" and not shared and name.endswith(".json")
    return False


def _resource(found: dict[str, Any], role: str = "") -> Resource:
    name, digests, annotations = found["name"], found["digest"], found.get("annotations", {})
    if not role and (role := annotations.get("role", "input")) not in _ROLES:
        raise BadRecordError(f"has {name[:80]!r} in a role that there is not")
    if role == "code":
        _check_hexadecimal(commit := digests.get("gitCommit"), 40, name)
        return Resource(name, "", role, {**annotations, "gitCommit": commit})
    _check_hexadecimal(sha256 := digests.get("sha256", ""), 64, name)
    if role in KEPT and name != kept_name(role, sha256):
        raise BadRecordError(f"names {name[:80]!r}, which is no place for its {role}")
    check_name(name, anywhere=role in ("external", "image"))
    return Resource(name, sha256, role, annotations)


def _check_hexadecimal(value: Any, length: int, name: str) -> None:
    if not isinstance(value, str) or len(value) != length or not _HEXADECIMAL.issuperset(value):
        raise BadRecordError(f"has a digest of {name[:80]!r} that is not {length} hex digits")


def _check(value: Any, shape: Any, place: str) -> None:
    """Check that a value has the types of a shape; a BadRecordError says where it has not."""
    kind = shape if isinstance(shape, type) else type(shape)
    if not issubclass(type(value), kind):
        raise BadRecordError(f"has a {place} that is no {kind.__name__}")
    if isinstance(shape, list):
        for item in value:
            _check(item, shape[0], place)
    for name, inner in shape.items() if isinstance(shape, dict) else ():
        if (key := name.removesuffix("?")) in value:
            _check(value[key], inner, key)
        elif key == name:
            raise BadRecordError(f"has no {key} in its {place}")
