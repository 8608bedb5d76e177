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


@dataclass(frozen=True)
class Work:
    """What a project says of a job."""

    project: str  # name of its command
    stage: str  # word of that command
    parameters: dict[str, Any]  # named and resolved; plain JSON values
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
    for path in outputs:
        if _within(path, folder) is None:
            raise AuditError(
                f"{path}: outside of {folder}, the study of its record {record}; expected "
                "outputs below that folder, or no --record"
            )
    # The code is what it is now, not what a clone has when the work is done.
    commit = environment.commit(work.root)
    if commit.unknown is not None:
        logger.warning("the record will say that its commit is not known: %s", commit.unknown)
    read = [_input(path, sha256, folder) for path, sha256 in zip(inputs, hashes, strict=True)]
    if study is not None:
        read.append(_kept(folder, "study", study.read_text(encoding="utf-8")))
    read.append(_kept(folder, "source", canonical_json(work.source)))
    started = _now()
    yield mark
    internal = {
        "definition": work.definition,
        "seeds": work.seeds,
        "command": [work.project, *sys.argv[1:]],
        **({} if commit.unknown is None else {"unknownCommit": commit.unknown}),
    }
    times = {"invocationId": str(uuid.uuid4()), "startedOn": started, "finishedOn": _now()}
    text = statement_text(
        [_output(path, folder) for path in outputs],
        {"stage": work.stage, **work.parameters},
        internal,
        read + _surroundings(work, commit, folder),
        environment.interpreter(),
        times,
        environment.machine(),
    )
    write_text(record, text)
    entry = {"record": record.relative_to(folder).as_posix(), "statement": json.loads(text)}
    append_entry(folder, entry | {"sha256": _sha256(text)})


def statement_text(
    subject: list[dict[str, Any]],
    parameters: dict[str, Any],
    internal: dict[str, Any],
    dependencies: list[dict[str, Any]],
    version: dict[str, Any],
    metadata: dict[str, Any],
    machine: dict[str, Any],
) -> str:
    """Return the text of the file of a record, from its parts."""
    build = {
        "buildType": BUILD_TYPE,
        "externalParameters": parameters,
        "internalParameters": internal,
        "resolvedDependencies": dependencies,
    }
    run = {
        "builder": {"id": BUILDER, "version": version},
        "metadata": metadata,
        "byproducts": [{"name": "machine", "annotations": machine}],
    }
    statement = {
        "_type": STATEMENT,
        "subject": subject,
        "predicateType": PREDICATE,
        "predicate": {"buildDefinition": build, "runDetails": run},
    }
    return json.dumps(statement, indent=1, sort_keys=True) + "\n"


def resource(name: str, sha256: str, **annotations: str) -> dict[str, Any]:
    """Return a file as in-toto describes it, by name and digest."""
    more = {"annotations": annotations} if annotations else {}
    return {"name": name, "digest": {"sha256": sha256}, **more}


def code_at(commit: str, uncommitted: str | None) -> dict[str, Any]:
    """Return the code of a job as in-toto describes it."""
    dirty = {} if uncommitted is None else {"uncommittedSha256": uncommitted}
    digest = {"gitCommit": commit}
    return {"name": "code", "digest": digest, "annotations": {"role": "code", **dirty}}


def append_entry(study: Path, entry: dict[str, Any]) -> None:
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


def _surroundings(work: Work, commit: environment.Commit, study: Path) -> list[dict[str, Any]]:
    """Return packages, locks, image and commit as dependencies of a job."""
    # Packages are asked for when all that is imported has been.
    result = [_kept(study, "packages", canonical_json(environment.packages()))]
    # `make setup` leaves in the environment a copy of each lock that it installed from.
    for lock in sorted(Path(sys.prefix, "locks").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        result.append(_kept(study, "lock", text, file=f"envs/{lock.name}"))
    if work.image is not None:
        result.append(resource(*work.image, role="image"))
    if commit.sha is not None:
        result.append(code_at(commit.sha, commit.uncommitted))
    return result


def _kept(study: Path, role: str, text: str, **more: str) -> dict[str, Any]:
    """Keep a text under its sha256, and return it as a dependency."""
    name = kept_name(role, _sha256(text))
    if not (study / name).exists():
        write_text(study / name, text)
    return resource(name, _sha256(text), role=role, **more)


def _input(path: Path, sha256: str, study: Path) -> dict[str, Any]:
    if (inside := _within(path, study)) is None:
        return resource(path.as_posix(), sha256, role="external")
    return resource(inside, sha256, role="input")


def _output(path: Path, study: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: announced as an output, but not written")
    return resource(str(_within(path, study)), sha256_of(path))


def _within(path: Path, study: Path) -> str | None:
    whole, root = path.resolve(), study.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
