"""A copy of a study for double-blind review: it verifies, but does not say who made it or where."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit_trail.chain import Checks
from audit_trail.export import names
from audit_trail.history import Entry
from audit_trail.report import printable, require_intact
from audit_trail.study import StudyFolder, open_study
from audit_trail.verify import verify
from logdepth.canonical import canonical_json
from logdepth.errors import UserError
from logdepth.provenance.format import HISTORY, PROVENANCE

# What stays of the facts about a machine, of a Slurm job, and of the interpreter.
_MACHINE = ("processor", "cores", "torch", "driver")
_SLURM = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT")
_INTERPRETER = ("python", "implementation", "machine")
_EVENT = ("time", "event", "withheld", "head")

# No version has one of these, but a path or an address does.
_PLACE = set("/\\@:~")
# Where each kept file goes whose content changes: name and sha256, by its name before.
_Moved = dict[str, tuple[str, str]]


def write_anonymous(study: StudyFolder, target: Path, harmless: frozenset[str]) -> list[str]:
    """Write a copy of a study without host, user and paths.

    Results keep their bytes and jobs their times, commit, processor and packages. The last line of
    the copy's history has the sha256 of the original's last line, so that the authors can show the
    original later and nobody can doubt that it is the one. Signatures stay behind, for a key names
    its owner. Who finds the commit in a public repository knows the authors; that repository has
    to be anonymous, too.

    At the end every byte of the copy is searched for the host, the user and the home folder of this
    machine and of all that are recorded (``names.found_in`` says how).

    Args:
        study: that was verified.
        target: folder to write; must not exist.
        harmless: names that are not searched for.

    Returns:
        The names that were searched for.

    Raises:
        UserError: a file of the copy holds one of these names.
    """
    wanted = names.here()
    for statement in _statements(study):
        wanted |= names.recorded(statement)
    wanted = names.telling(wanted - harmless)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        copy = Path(folder) / target.name
        moved = _copy_kept(study, copy)
        for name in study.makers:
            if study.path(name).is_file():
                _copy(study, copy, name)
        for record in study.records.values():
            _write(copy / record.name, _text(anonymised(record.statement, moved)))
        _write_history(study, copy, moved)
        require_intact(verify(open_study(copy), Checks()))
        _search(copy, wanted)
        copy.rename(target)
    return sorted(wanted)


def anonymised(statement: dict[str, Any], moved: _Moved) -> dict[str, Any]:
    """Return the statement of a record without host, user and paths.

    Args:
        statement: that was read as a record.
        moved: kept files whose content has changed.
    """
    predicate = statement["predicate"]
    build, details = predicate["buildDefinition"], predicate["runDetails"]
    version, metadata = details["builder"]["version"], details["metadata"]
    interpreter = {key: version[key] for key in _INTERPRETER if key in version}
    system = str(version.get("platform", "")).partition("-")[0]
    interpreter["platform"] = f"{system}-{version.get('machine', '')}".strip("-")
    return {
        "_type": statement["_type"],
        "subject": [_resource(subject, moved) for subject in statement["subject"]],
        "predicateType": statement["predicateType"],
        "predicate": {
            "buildDefinition": {
                "buildType": build.get("buildType"),
                "externalParameters": names.without_places(build["externalParameters"]),
                "internalParameters": names.without_places(build["internalParameters"]),
                "resolvedDependencies": [
                    _resource(dependency, moved) for dependency in build["resolvedDependencies"]
                ],
            },
            "runDetails": {
                "builder": {"id": details["builder"].get("id"), "version": interpreter},
                "metadata": {
                    key: metadata[key]
                    for key in ("invocationId", "startedOn", "finishedOn")
                    if key in metadata
                },
                "byproducts": [
                    {"name": "machine", "annotations": _machine(byproduct["annotations"])}
                    for byproduct in details["byproducts"]
                    if byproduct["name"] == "machine"
                ],
            },
        },
    }


def _resource(resource: dict[str, Any], moved: _Moved) -> dict[str, Any]:
    """Return a file as a record names it, under the name that it has in the copy."""
    name, digest = resource["name"], dict(resource["digest"])
    annotations = resource.get("annotations", {})
    if name in moved:
        name, digest["sha256"] = moved[name]
    elif annotations.get("role") in ("external", "image"):
        name = names.without_places(name)
    result = {"name": name, "digest": digest}
    return result | ({"annotations": names.without_places(annotations)} if annotations else {})


def _machine(facts: dict[str, Any]) -> dict[str, Any]:
    kept = {key: facts[key] for key in _MACHINE if key in facts}
    slurm = facts.get("slurm")
    if isinstance(slurm, dict):
        kept["slurm"] = {key: slurm[key] for key in _SLURM if key in slurm}
    return kept


def _statements(study: StudyFolder) -> Iterator[dict[str, Any]]:
    for record in study.records.values():
        yield record.statement
    for entry in study.history.entries:
        if "statement" in entry.content:
            yield entry.parsed().statement


def _copy_kept(study: StudyFolder, copy: Path) -> _Moved:
    """Copy what records share; lists of packages without the places that some came from."""
    moved: _Moved = {}
    for folder in ("environments", "sources", "studies"):
        for path in sorted(study.path(f"{PROVENANCE}/{folder}").glob("*")):
            name = path.relative_to(study.folder).as_posix()
            text = _packages(path) if folder == "environments" and path.suffix == ".json" else None
            if text is None:
                _copy(study, copy, name)
                continue
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            moved[name] = (f"{PROVENANCE}/{folder}/{sha256}.json", sha256)
            _write(copy / moved[name][0], text)
    return moved


def _packages(path: Path) -> str | None:
    """Return a list of packages without versions that are places; None if there are none."""
    listed = json.loads(path.read_bytes())
    told = {name: version for name, version in listed.items() if not set(version) & _PLACE}
    return None if told == listed else canonical_json(told)


def _write_history(study: StudyFolder, copy: Path, moved: _Moved) -> None:
    """Write the history anew: the same jobs in the same order, then what has been done here."""
    previous: str | None = None
    lines = []
    withheld = {
        name: sha256
        for name, sha256 in study.history.withheld().items()
        if not study.path(name).is_file()
    }
    last = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "event": "anonymised",
        "head": study.history.head,
        "withheld": withheld,
    }
    for content in [*(_entry(entry, moved) for entry in study.history.entries), last]:
        line = canonical_json({**content, "previous": previous})
        previous = hashlib.sha256(line.encode()).hexdigest()
        lines.append(f"{line}\n")
    _write(copy / HISTORY, "".join(lines))


def _entry(entry: Entry, moved: _Moved) -> dict[str, Any]:
    if "statement" not in entry.content:
        return {key: entry.content[key] for key in _EVENT if key in entry.content}
    statement = anonymised(entry.parsed().statement, moved)
    sha256 = hashlib.sha256(_text(statement).encode()).hexdigest()
    return {"time": entry.time, "record": entry.record, "sha256": sha256, "statement": statement}


def _search(copy: Path, wanted: set[str]) -> None:
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        name = path.relative_to(copy).as_posix()
        found = names.found_in_name(name, wanted) or names.found_in(path, wanted)
        if found is not None:
            raise UserError(
                f"{printable(name)}: holds the name {printable(found)!r} of a host, user or home "
                "folder; expected a study without it, or --harmless "
                f"{printable(found)} if it tells nobody anything there"
            )


def _text(statement: dict[str, Any]) -> str:
    """Return the bytes of a record's file as the writer of records lays them out."""
    return json.dumps(statement, indent=1, sort_keys=True) + "\n"


def _copy(study: StudyFolder, copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(study.path(name), copy / name)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
