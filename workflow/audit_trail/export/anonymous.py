"""A copy of a study for double-blind review: it verifies, but does not say who made it or where.

What is kept is named here, and all else stays behind: of a record the parts that are listed below,
if no path, address or account can be in them; of the results those that are plain text, if no name
is found in it. Locks, lists of packages, command lines and pictures are none of it.
"""

import contextlib
import getpass
import hashlib
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit_trail.chain import Checks
from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import read_bytes
from audit_trail.findings import require_intact
from audit_trail.format import LOCK, PROVENANCE
from audit_trail.publish import copy_study, new_folder
from audit_trail.records import Record
from audit_trail.study import StudyFolder, open_study
from audit_trail.verify import belonging, verify
from audit_trail.writer import append_entry, code_at, resource, statement_text

_SAFE = re.compile(r"[^/\\@:~\x00-\x1f]*")
_TIMES = ("invocationId", "startedOn", "finishedOn")
_MOMENT = re.compile("[-0-9a-fA-FTZ:.+]+")
# What a record calls a place or a person, and accounts that are called the same everywhere.
_TELLING = re.compile("host|user|account|cluster|node", re.IGNORECASE)
_NOBODY = {"root", "localhost", "nobody", "none"}
_HOME = r"/(?:home|Users)/([\w.-]+)|/root(?![\w.-])"
_PLACE = r"\\\\[\w.-]+\\[\w$.-]+|[A-Za-z]:\\Users\\[\w.-]+|[\w.+-]+@[\w-]+\.[\w.-]+"
_SOURCES = f"{PROVENANCE}/sources/"

Finder = Callable[[str], str | None]


def write_anonymous(study: StudyFolder, target: Path, harmless: frozenset[str]) -> dict[str, str]:
    """Write a copy of a study without host, user, paths, packages and command lines.

    Results keep their bytes, and jobs their times, commit and processor. The last line of the
    copy's history names what was left out, and has the sha256 of the original's last line, so that
    the authors can show the original later and nobody can doubt that it is the one. Signatures stay
    behind, for a key names its owner. Who finds the commit in a public repository knows the
    authors; that repository has to be anonymous, too.

    Args:
        study: that was verified.
        target: folder to write; must not exist.
        harmless: names that may be in it.

    Returns:
        Why each result that is there was left out, by its name.

    Raises:
        AuditError: what would be kept of a record, such as the name of a result, holds the name of
            a host, its domain, a user or a home, of this machine or recorded, or an address.
    """
    find = _finder(study, harmless)
    reasons: dict[str, str] = {}
    with new_folder(target) as new:
        for name in copy_study(study, new, lambda n: n in study.made or n.startswith(_SOURCES)):
            if reason := _reason(new / name, find):
                reasons[name] = reason
                (new / name).unlink()
        for name, record in study.records.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_text(_text(record, find), encoding="utf-8")
        for entry in study.history.entries:
            line: dict[str, Any] = {"time": _moment(entry.time)}
            if entry.record is None:
                line["event"] = _safe(entry.content.get("event"))
            else:
                text = _text(entry.parsed(), find)
                sha256 = hashlib.sha256(text.encode()).hexdigest()
                line |= {"record": entry.record, "sha256": sha256, "statement": json.loads(text)}
            append_entry(new, line)
        belongs = belonging(study)
        left_out = {n: sha for n, sha in belongs.items() if sha and not (new / n).exists()}
        last = {"event": "anonymised", "head": study.history.head, "withheld": left_out}
        append_entry(new, last)
        (new / LOCK).unlink()
        require_intact(verify(open_study(new), Checks()))
    return reasons


def _reason(path: Path, find: Finder) -> str | None:
    """Return why a file is not to be kept; None where it is."""
    try:
        text = read_bytes(path).decode()
    except (BadFileError, UnicodeDecodeError):
        text = "\0"
    if "\0" in text:
        return "is no text of moderate size"
    telling = find(text)
    return telling and f"holds {telling!r}"


def _text(record: Record, find: Finder) -> str:
    """Return the file of a record with nothing but what is safe.

    Raises:
        AuditError: what is safe names somebody.
    """
    run = record.statement["predicate"]["runDetails"]
    internal = {"command": [], "definition": record.definition, "seeds": _safe(record.seeds)}
    read = [resource(r.name, r.sha256, role=r.role) for r in (*record.inputs, *record.kept)]
    for r in (*record.external, *([record.image] if record.image else [])):
        # Where it was may tell somebody; what it is called within that folder is kept.
        last = _safe(re.split(r"[/\\]", r.name)[-1]) or r.role
        read.append(resource(last, r.sha256, role=r.role))
    if record.commit is not None:
        read.append(code_at(record.commit, record.uncommitted))
    text = statement_text(
        [resource(output.name, output.sha256) for output in record.outputs],
        _safe({"stage": record.stage, **record.parameters}),
        internal,
        read,
        _some(record.interpreter, "python", "implementation", "machine"),
        {k: _moment(v) for k, v in run["metadata"].items() if k in _TIMES},
        _some(record.machine, "processor", "cores"),
    )
    if telling := find(json.dumps(json.loads(text), ensure_ascii=False)):
        raise AuditError(
            f"{record.name}: holds {telling!r}, which may name a host, a user or a home folder; "
            f"expected a study without it, or --harmless {telling} if it tells nobody anything"
        )
    return text


def _some(values: dict[str, Any], *names: str) -> Any:
    return _safe({name: values[name] for name in names if name in values})


def _safe(value: Any) -> Any:
    """Return a plain JSON value without texts and keys that may be a path, address or account."""
    if isinstance(value, dict):
        return {key: _safe(item) for key, item in value.items() if _SAFE.fullmatch(key)}
    if isinstance(value, list):
        return [_safe(item) for item in value]
    return "withheld" if isinstance(value, str) and not _SAFE.fullmatch(value) else value


def _moment(value: Any) -> str:
    return value if isinstance(value, str) and _MOMENT.fullmatch(value) else "withheld"


def _finder(study: StudyFolder, harmless: frozenset[str]) -> Finder:
    """Return what finds a name or an address in a text: of this machine, recorded, or any home.

    A name counts as a whole word, and upper case is lower case but in a path.
    """
    names = {str(Path.home()), *_host(socket.gethostname())}
    # There are containers whose user has no name.
    with contextlib.suppress(OSError, KeyError):
        names.add(getpass.getuser())
    earlier = [entry.content.get("statement") for entry in study.history.entries]
    for statement in [*earlier, *(record.statement for record in study.records.values())]:
        names |= _recorded(statement)
    may = {name.lower() for name in harmless}
    names = {n for n in names if len(n) > 1 and n.lower() not in _NOBODY | may}
    words = [re.escape(n) if "/" in n else f"(?i:{re.escape(n)})" for n in sorted(names)]
    # (?!) is what nothing matches: there may be no name.
    whole = rf"(?<![A-Za-z0-9_])(?:{'|'.join([*words, '(?!)'])})(?![A-Za-z0-9_])"
    pattern = re.compile(f"{whole}|{_HOME}|{_PLACE}")

    def find(text: str) -> str | None:
        found = (match.group() for match in pattern.finditer(text))
        return next((name for name in found if name.lower() not in may), None)

    return find


def _recorded(value: Any, key: str = "") -> set[str]:
    """Return hosts with their domains, users, clusters and home folders that a record holds."""
    if isinstance(value, dict):
        return {name for key, item in value.items() for name in _recorded(item, str(key))}
    if isinstance(value, list):
        return {name for item in value for name in _recorded(item, key)}
    if not isinstance(value, str):
        return set()
    homes = {name for match in re.finditer(_HOME, value) for name in (match[0], match[1]) if name}
    return homes | (_host(value) if _TELLING.search(key) and _SAFE.fullmatch(value) else set())


def _host(name: str) -> set[str]:
    """Return a host's name, whole and without its domain, and the domain."""
    first, _, domain = name.partition(".")
    return {name, first, domain if "." in domain else ""} - {""}
