"""A copy of a study for double-blind review: it verifies, but does not say who made it or where.

What is kept of a record is named here; everything else stays behind, locks, lists of packages and
command lines among it. Texts are kept if no path, address or account can be in them.
"""

import codecs
import contextlib
import getpass
import hashlib
import json
import mmap
import re
import socket
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit_trail.chain import Checks
from audit_trail.errors import AuditError, BadFileError, MissingFileError
from audit_trail.files import canonical_json, copy, read_json
from audit_trail.format import HISTORY
from audit_trail.history import Entry
from audit_trail.records import Record
from audit_trail.report import require_intact
from audit_trail.study import StudyFolder, open_study
from audit_trail.verify import belonging, verify

_SAFE = re.compile(r"[^/\\@:~\x00-\x1f]*")
_MACHINE = ("processor", "cores")
_METADATA = ("invocationId", "startedOn", "finishedOn")
_MOMENT = re.compile("[-0-9a-fA-FTZ:.+]+")
_INTERPRETER = ("python", "implementation", "machine")
# What a record calls a place or a person, and accounts that are called the same everywhere.
_TELLING = re.compile("host|user|account|cluster|node", re.IGNORECASE)
_NOBODY = {"root", "localhost", "nobody", "none"}
_HOME = re.compile(rb"/(?:home|Users)/([\w.-]+)|/root(?![\w.-])")
_PLACE = re.compile(rb"\\\\[\w.-]+\\[\w$.-]+|[A-Za-z]:\\Users\\[\w.-]+|[\w.+-]+@[\w-]+\.[\w.-]+")
_COMPRESSED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_LARGEST = 64 << 20
# A shorter word stands in any megabyte of weights or pixels by chance.
_SHORTEST_IN_BINARY = 5


def write_anonymous(study: StudyFolder, target: Path, harmless: frozenset[str]) -> list[str]:
    """Write a copy of a study without host, user, paths, packages and command lines.

    Results keep their bytes, and jobs their times, commit and processor. The last line of the
    copy's history names what was left out, and has the sha256 of the original's last line, so that
    the authors can show the original later and nobody can doubt that it is the one. Signatures stay
    behind, for a key names its owner. Who finds the commit in a public repository knows the
    authors; that repository has to be anonymous, too.

    At the end every file is searched, also what is compressed in it, for the hosts, their domains,
    the users and homes of this machine and of all that are recorded, for homes and addresses.

    Args:
        study: that was verified.
        target: folder to write; must not exist.
        harmless: names that are not searched for.

    Returns:
        The names that were searched for.

    Raises:
        AuditError: a file of the copy holds one of these names.
    """
    names = {str(Path.home()), *_host(socket.gethostname())}
    # There are containers whose user has no name.
    with contextlib.suppress(OSError, KeyError):
        names.add(getpass.getuser())
    earlier = (entry.content.get("statement") for entry in study.history.entries)
    for statement in (*(record.statement for record in study.records.values()), *earlier):
        names |= _recorded(statement)
    names = {n for n in names - harmless if len(n) > 1 and n.lower() not in _NOBODY}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        new = Path(folder) / target.name
        left_out: dict[str, str] = {}
        for name, sha256 in belonging(study).items():
            if sha256 and name not in study.records and not _copied(study, name, new):
                left_out[name] = sha256
        for record in study.records.values():
            (new / record.name).parent.mkdir(parents=True, exist_ok=True)
            (new / record.name).write_text(_text(anonymised(record)), encoding="utf-8")
        _write_history(study, new, left_out)
        require_intact(verify(open_study(new), Checks()))
        for path in sorted(path for path in new.rglob("*") if path.is_file()):
            name = path.relative_to(new).as_posix()
            if found := _found_in(path, name, names, harmless):
                raise AuditError(
                    f"{name}: holds {found!r}, which may name a host, a user or a home folder; "
                    f"expected a study without it, or --harmless {found} if it tells nobody "
                    "anything there"
                )
        new.rename(target)
    return sorted(names)


def anonymised(record: Record) -> dict[str, Any]:
    """Return the statement of a record with nothing but what is safe."""
    statement = record.statement
    predicate = statement["predicate"]
    build, details = predicate["buildDefinition"], predicate["runDetails"]
    version = details["builder"]["version"]
    about = {key: str(details["metadata"].get(key)) for key in _METADATA}
    system = str(version.get("platform", "")).partition("-")[0]
    return {
        "_type": statement["_type"],
        "subject": [_resource(subject) for subject in statement["subject"]],
        "predicateType": statement["predicateType"],
        "predicate": {
            "buildDefinition": {
                "buildType": build.get("buildType"),
                "externalParameters": _safe(build["externalParameters"]),
                "internalParameters": {
                    "command": [],
                    "definition": _safe(build["internalParameters"]["definition"]),
                    "seeds": _safe(build["internalParameters"]["seeds"]),
                },
                "resolvedDependencies": [_resource(r) for r in build["resolvedDependencies"]],
            },
            "runDetails": {
                "builder": {
                    "id": details["builder"].get("id"),
                    "version": _safe({key: version.get(key) for key in _INTERPRETER})
                    | {"platform": _safe(system)},
                },
                "metadata": {key: v for key, v in about.items() if _MOMENT.fullmatch(v)},
                "byproducts": [
                    {
                        "name": "machine",
                        "annotations": _safe({key: record.machine.get(key) for key in _MACHINE}),
                    }
                ],
            },
        },
    }


def _resource(resource: dict[str, Any]) -> dict[str, Any]:
    annotations = resource.get("annotations", {})
    name = resource["name"]
    if annotations.get("role") in ("external", "image"):
        name = _safe(re.split(r"[/\\]", name)[-1]) or "external"
    digests = {k: v for k, v in resource["digest"].items() if k in ("sha256", "gitCommit")}
    result = {"name": name, "digest": digests}
    return result | ({"annotations": _safe(annotations)} if annotations else {})


def _safe(value: Any) -> Any:
    """Return a plain JSON value without texts and keys that may be a path, address or account."""
    if isinstance(value, dict):
        return {key: _safe(item) for key, item in value.items() if _SAFE.fullmatch(key)}
    if isinstance(value, list):
        return [_safe(item) for item in value]
    return "withheld" if isinstance(value, str) and not _SAFE.fullmatch(value) else value


def _copied(study: StudyFolder, name: str, new: Path) -> bool:
    """Copy a file of a study, unless it is of those that stay behind."""
    path = study.path(name)
    if name.startswith("provenance/"):
        # Lists of source and settings; what records share besides says what is installed where.
        if not name.startswith(("provenance/sources/", "provenance/studies/")):
            return False
        try:
            content = read_json(path, study.folder)
        except BadFileError:
            return False
        if _safe(content) != content:
            return False
    try:
        copy(path, new / name, study.folder)
    except MissingFileError:
        return False
    return True


def _write_history(study: StudyFolder, new: Path, left_out: dict[str, str]) -> None:
    """Write the history anew: the same jobs in the same order, then what has been done here."""
    last = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "event": "anonymised",
        "head": study.history.head,
        "withheld": left_out,
    }
    previous: str | None = None
    with (new / HISTORY).open("x", encoding="utf-8", newline="\n") as file:
        for content in [*map(_entry, study.history.entries), last]:
            line = canonical_json({**content, "previous": previous})
            previous = hashlib.sha256(line.encode()).hexdigest()
            file.write(f"{line}\n")


def _entry(entry: Entry) -> dict[str, Any]:
    if entry.record is None:
        return {"time": entry.time, "event": _safe(entry.content.get("event"))}
    statement = anonymised(entry.parsed())
    sha256 = hashlib.sha256(_text(statement).encode()).hexdigest()
    return {"time": entry.time, "record": entry.record, "sha256": sha256, "statement": statement}


def _recorded(value: Any, key: str = "") -> set[str]:
    """Return hosts with their domains, users, clusters and home folders that a record holds."""
    if isinstance(value, dict):
        return {name for key, item in value.items() for name in _recorded(item, str(key))}
    if isinstance(value, list):
        return {name for item in value for name in _recorded(item, key)}
    if not isinstance(value, str):
        return set()
    homes: set[str] = set()
    for match in _HOME.finditer(value.encode()):
        homes |= {group.decode() for group in (match.group(), match.group(1)) if group}
    return homes | (_host(value) if _TELLING.search(key) and _SAFE.fullmatch(value) else set())


def _host(name: str) -> set[str]:
    """Return a host's name, whole and without its domain, and the domain."""
    first, _, domain = name.partition(".")
    return {name, first, domain if "." in domain else ""} - {""}


def _found_in(path: Path, name: str, names: set[str], harmless: frozenset[str]) -> str | None:
    """Return a name or an address that a file holds, in its own name as well; None for none.

    A name counts as a whole word, and upper case is lower case but in a path. In what is no text,
    words of fewer than five letters do not count, since they stand there by chance.
    """
    for content in (name.encode(), *_contents(path)):
        text = _is_text(content[: 1 << 20])
        for word in sorted(names):
            if text or len(word) >= _SHORTEST_IN_BINARY:
                flags = 0 if "/" in word else re.IGNORECASE
                whole = rb"(?<![A-Za-z0-9_])%b(?![A-Za-z0-9_])" % re.escape(word.encode())
                if re.search(whole, content, flags):
                    return word
        for pattern in (_HOME, _PLACE) if text else (_HOME,):
            for match in pattern.finditer(content):
                if (found := match.group().decode(errors="replace")) not in harmless:
                    return found
    return None


def _contents(path: Path) -> Iterator[bytes | mmap.mmap]:
    """Yield the bytes of a file, those of two bytes a letter as letters, and what is compressed."""
    with path.open("rb") as file:
        if path.stat().st_size > _LARGEST:
            yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return
        content = file.read()
    yield content
    yield content.replace(b"\0", b"")
    for match in _COMPRESSED.finditer(content):
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj(47).decompress(content[match.start() :], _LARGEST)


def _is_text(start: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return b"\0" not in start


def _text(statement: dict[str, Any]) -> str:
    """Return the bytes of a record's file as the writer of records lays them out."""
    return json.dumps(statement, indent=1, sort_keys=True) + "\n"
