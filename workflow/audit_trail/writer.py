"""Writing the record of a job: an in-toto Statement with a SLSA Provenance predicate.

Names in a record are relative to the folder of the study, the one that holds ``provenance/``, so
that results can be copied as a whole. Inputs from elsewhere have the role "external" and go by
their path from the working folder. What many jobs share (the packages, the locks, the hashes of
the source) is kept once, under its sha256. Every record is also a line of the history.
"""

import hashlib
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from audit_trail import environment
from audit_trail.errors import AuditError
from audit_trail.files import canonical_json, sha256_of, write_text
from audit_trail.format import BUILD_TYPE, BUILDER, HISTORY, PREDICATE, STATEMENT, kept_name
from audit_trail.integrity import Mark, hash_of, inputs_hash, study_folder

logger = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What a project says of a job."""

    project: str  # name of its command
    stage: str  # word of that command
    parameters: Json  # named and resolved; plain JSON values
    seeds: dict[str, int] = field(default_factory=dict)  # by what they are for
    definition: str = ""  # hash of configuration and source, with its count; empty: run by hand
    source: dict[str, str] = field(default_factory=dict)  # hash of each module behind it
    root: Path = Path()  # of the code that runs: where a clone of it has ``.git``
    image: tuple[str, str] | None = None  # name and sha256 of the container image, if any


@contextmanager
def recorded(
    work: Work,
    *,
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    record: Path | None,
    study: Path | None = None,
) -> Iterator[Mark]:
    """Run the block as the job; write its record when it succeeds, after its outputs.

    Args:
        work: what it is.
        inputs: files it reads.
        outputs: files it writes.
        record: where its record goes, below <study>/provenance/; None writes none.
        study: a file that it reads parameters from; a copy is kept.

    Yields:
        The mark for the metadata of its outputs.

    Raises:
        AuditError: the record would not lie below a folder named provenance, or an output outside
            of the folder that holds it.
        FileNotFoundError: an input is missing, or the block left an output unwritten.
    """
    if lost := [path for path in inputs if not path.is_file()]:
        command = f"{work.project} {work.stage}"
        raise FileNotFoundError(f"{lost[0]}: this input of '{command}' does not exist")
    # Hashed before the work, so that the record states what was read.
    hashes = [sha256_of(path) for path in inputs]
    mark = Mark(hash_of(work.definition) or None, inputs_hash(hashes))
    if record is None:
        yield mark
        return
    folder = study_folder(record)
    names = {path: _within(path, folder) for path in outputs}
    if outside := [path for path, name in names.items() if name is None]:
        raise AuditError(
            f"{outside[0]}: outside of {folder}, the study of its record {record}; expected "
            "outputs below that folder, or no --record"
        )
    # The code is what it is now, not what a clone has when the work is done.
    commit = environment.commit(work.root)
    if commit.unknown is not None:
        logger.warning("the record will say that its commit is not known: %s", commit.unknown)
    read = []
    for path, sha256 in zip(inputs, hashes, strict=True):
        inside = _within(path, folder)
        role = "external" if inside is None else "input"
        read.append(_resource(inside or path.as_posix(), sha256, role=role))
    if study is not None:
        read.append(_kept(folder, "study", study.read_text(encoding="utf-8")))
    read.append(_kept(folder, "source", canonical_json(work.source)))
    started = _now()
    yield mark
    if lost := [path for path in outputs if not path.is_file()]:
        raise FileNotFoundError(f"{lost[0]}: announced as an output, but not written")
    internal = {
        "definition": work.definition,
        "seeds": work.seeds,
        "command": [work.project, *sys.argv[1:]],
        **({} if commit.unknown is None else {"unknownCommit": commit.unknown}),
    }
    times = {"invocationId": str(uuid.uuid4()), "startedOn": started, "finishedOn": _now()}
    statement = {
        "_type": STATEMENT,
        "subject": [_resource(str(name), sha256_of(path)) for path, name in names.items()],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"stage": work.stage, **work.parameters},
                "internalParameters": internal,
                "resolvedDependencies": read + _surroundings(work, commit, folder),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": environment.interpreter()},
                "metadata": times,
                "byproducts": [{"name": "machine", "annotations": environment.machine()}],
            },
        },
    }
    text = json.dumps(statement, indent=1, sort_keys=True) + "\n"
    write_text(record, text)
    entry = {"record": record.relative_to(folder).as_posix(), "statement": statement}
    append_entry(folder, entry | {"sha256": _sha256(text)})


def append_entry(study: Path, entry: Json) -> None:
    """Add an entry to the history of a study, with the time and the hash of the line before it.

    Raises:
        AuditError: the history is a link.
    """
    history = study / HISTORY
    if history.is_symlink():
        raise AuditError(f"{history}: is a symbolic link; expected a file of this study")
    with FileLock(history.with_suffix(".lock")), history.open("ab+") as file:
        previous, torn = _last_line(file)
        link = hashlib.sha256(previous).hexdigest() if previous else None
        line = canonical_json({"time": _now(), **entry, "previous": link})
        # A line cut short by a crash is kept and closed; the chain then shows it.
        file.write((b"\n" if torn else b"") + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _last_line(file: BinaryIO) -> tuple[bytes, bool]:
    """Return the last line of a file, without reading all of it, and whether it has no end."""
    position = file.seek(0, os.SEEK_END)
    tail = b""
    while position and b"\n" not in tail[:-1]:
        step = min(position, 1 << 16)
        position -= step
        file.seek(position)
        tail = file.read(step) + tail
    return tail.removesuffix(b"\n").rpartition(b"\n")[2], not tail.endswith(b"\n") and bool(tail)


def _surroundings(work: Work, commit: environment.Commit, study: Path) -> list[Json]:
    """Return packages, locks, image and commit as dependencies of a job."""
    # Packages are asked for when all that is imported has been.
    result = [_kept(study, "packages", canonical_json(environment.packages()))]
    # `make setup` leaves in the environment a copy of each lock that it installed from.
    for lock in sorted(Path(sys.prefix, "locks").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        result.append(_kept(study, "lock", text, file=f"envs/{lock.name}"))
    if work.image is not None:
        result.append(_resource(*work.image, role="image"))
    if commit.sha is not None:
        about = {} if commit.uncommitted is None else {"uncommittedSha256": commit.uncommitted}
        code: Json = {"name": "code", "digest": {"gitCommit": commit.sha}}
        result.append(code | {"annotations": {"role": "code", **about}})
    return result


def _kept(study: Path, role: str, text: str, **more: str) -> Json:
    """Keep a text under its sha256, and return it as a dependency."""
    name = kept_name(role, _sha256(text))
    if not (study / name).exists():
        write_text(study / name, text)
    return _resource(name, _sha256(text), role=role, **more)


def _resource(name: str, sha256: str, **annotations: str) -> Json:
    more = {"annotations": annotations} if annotations else {}
    return {"name": name, "digest": {"sha256": sha256}, **more}


def _within(path: Path, study: Path) -> str | None:
    whole, root = path.resolve(), study.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
