"""Reading the records of jobs, without trust in what they hold."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.format import KEPT, KEPT_FOLDERS, PREDICATE, PROVENANCE, STATEMENT, kept_name

UNKNOWN = ("commit", "packages", "lock", "machine")
"""What the job of a record may not have found out."""
_ROLES = ("input", "external", "image", "code", *KEPT)
# Bytes of a name and of a part of it, and parts: a system cannot look for more.
_LONGEST_NAME, _LONGEST_PART, MAX_PARTS = 2048, 255, 64
_HEXADECIMAL = frozenset("0123456789abcdef")
_BUILD, _RUN = "predicate.buildDefinition", "predicate.runDetails"
_FIELDS = {
    "parameters": (f"{_BUILD}.externalParameters", dict),
    "internal": (f"{_BUILD}.internalParameters", dict),
    "interpreter": (f"{_RUN}.builder.version", dict),
    "started": (f"{_RUN}.metadata.startedOn", str),
    "finished": (f"{_RUN}.metadata.finishedOn", str),
}


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
    machine: dict[str, Any]  # host, processor, threads, device, Slurm job
    interpreter: dict[str, Any]  # version of Python and platform
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


def parse_statement(name: str, sha256: str, statement: Any) -> Record:
    """Return the record that a statement is.

    Raises:
        BadRecordError: not a record, or with a name that leaves the study.
    """
    if [_get(statement, key, str) for key in ("_type", "predicateType")] != [STATEMENT, PREDICATE]:
        raise BadRecordError(f"is no in-toto statement {STATEMENT} with a predicate {PREDICATE}")
    by_role: dict[str, list[Resource]] = {role: [] for role in _ROLES}
    for found in _get(statement, f"{_BUILD}.resolvedDependencies", list):
        resource = _resource(found)
        by_role[resource.role].append(resource)
    if max(len(by_role["code"]), len(by_role["image"])) > 1:
        raise BadRecordError("names more than one code or image")
    code, image = (next(iter(by_role[role]), None) for role in ("code", "image"))
    outputs = tuple(_resource(found, "output") for found in _get(statement, "subject", list))
    if len({output.name for output in outputs}) < len(outputs):
        raise BadRecordError("names an output twice")
    machines = [
        _get(found, "annotations", dict)
        for found in _get(statement, f"{_RUN}.byproducts", list)
        if _get(found, "name", str) == "machine"
    ]
    fields = {field: _get(statement, path, kind) for field, (path, kind) in _FIELDS.items()}
    internal = fields.pop("internal")
    command = _get(internal, "command", list)
    if not all(isinstance(word, str) for word in command):
        raise BadRecordError("has a command that is not all text")
    uncommitted = code.annotations.get("uncommittedSha256") if code else None
    if uncommitted is not None:
        _check_hexadecimal(uncommitted, 64, "code")
    return Record(
        name=name,
        sha256=sha256,
        statement=statement,
        stage=_get(fields["parameters"], "stage", str),
        parameters={key: v for key, v in fields.pop("parameters").items() if key != "stage"},
        definition=_get(internal, "definition", str).partition("+")[0],
        seeds=_get(internal, "seeds", dict),
        command=tuple(command),
        outputs=outputs,
        inputs=tuple(by_role["input"]),
        external=tuple(by_role["external"]),
        kept=tuple(resource for role in KEPT for resource in by_role[role]),
        image=image,
        commit=code.annotations["gitCommit"] if code else None,
        uncommitted=uncommitted,
        unknown=_unknown(internal),
        machine=machines[0] if machines else {},
        **fields,
    )


def _unknown(internal: dict[str, Any]) -> dict[str, str]:
    found = _get(internal, "unknown", dict) if "unknown" in internal else {}
    if "unknownCommit" in internal:
        # As it was called before there was more.
        found = {"commit": internal["unknownCommit"]}
    if not {*found} <= {*UNKNOWN} or not all(isinstance(why, str) for why in found.values()):
        raise BadRecordError(f"does not know what records may not know: {', '.join(UNKNOWN)}")
    return found


def check_name(name: str, anywhere: bool = False) -> None:
    """Check that a name stays within the folder of its study, and that a file can have it.

    Raises:
        BadRecordError: too long or, unless it may lead anywhere, absolute, empty, or climbing out.
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
    if folder != PROVENANCE or not stage or shared or not name.endswith(".json"):
        return False
    try:
        check_name(name)
    except BadRecordError:
        return False
    return True


def _resource(found: Any, role: str = "") -> Resource:
    name, digests = _get(found, "name", str), _get(found, "digest", dict)
    annotations = _get(found, "annotations", dict) if "annotations" in found else {}
    if not role and (role := annotations.get("role", "input")) not in _ROLES:
        raise BadRecordError(f"has {name[:80]!r} in a role that there is not")
    if role == "code":
        commit = digests.get("gitCommit")
        _check_hexadecimal(commit, 40, name)
        return Resource(name, "", role, {**annotations, "gitCommit": commit})
    sha256 = digests.get("sha256", "")
    _check_hexadecimal(sha256, 64, name)
    if role in KEPT and name != kept_name(role, sha256):
        raise BadRecordError(f"names {name[:80]!r}, which is no place for its {role}")
    check_name(name, anywhere=role in ("external", "image"))
    return Resource(name, sha256, role, annotations)


def _check_hexadecimal(value: Any, length: int, name: str) -> None:
    if not isinstance(value, str) or len(value) != length or not _HEXADECIMAL.issuperset(value):
        raise BadRecordError(f"has a digest of {name[:80]!r} that is not {length} hex digits")


def _get(value: Any, path: str, kind: type) -> Any:
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            raise BadRecordError(f"has no {path}")
        value = value[key]
    if not isinstance(value, kind):
        raise BadRecordError(f"has a {path} that is no {kind.__name__}")
    return value
