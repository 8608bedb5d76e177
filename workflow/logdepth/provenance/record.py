"""The record of a job: an in-toto Statement with a SLSA Provenance predicate, and the history.

Names in a record are relative to the folder of the study, the one that holds ``provenance/``, so
that results can be copied as a whole. Inputs from elsewhere have the role "external" and go by
their path from the working folder. What many jobs share (the packages, the locks, the hashes of
the source) is kept once, under its sha256.
"""

import hashlib
import json
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

from logdepth.audit.records import PREDICATE, STATEMENT
from logdepth.audit.study import HISTORY, PROVENANCE
from logdepth.canonical import canonical_json
from logdepth.errors import UserError
from logdepth.files import sha256_of, write_text
from logdepth.provenance import environment
from logdepth.provenance.definition import command_module, hash_of, source
from logdepth.provenance.image import VARIABLE
from logdepth.provenance.mark import Mark, inputs_hash

BUILD_TYPE = "urn:logdepth:job:v1"


@dataclass(frozen=True)
class Job:
    """What is known of a job before it runs.

    Attributes:
        stage: name of the command, such as "train".
        record: where its record goes, below <study>/provenance/; None writes none.
        definition: hash that decides whether it must run again; empty when run by hand.
        parameters: named and resolved; plain JSON values.
        inputs: files it reads.
        outputs: files it writes.
        seeds: by what they are for.
        modules: where its computation starts, besides the command's own module.
    """

    stage: str
    record: Path | None
    definition: str
    parameters: dict[str, Any]
    inputs: Sequence[Path]
    outputs: Sequence[Path]
    seeds: dict[str, int] = field(default_factory=dict)
    modules: tuple[str, ...] = ()


@contextmanager
def recorded(job: Job) -> Iterator[Mark]:
    """Run the block as the job; write its record when it succeeds, after its outputs.

    Yields:
        The mark for the metadata of its outputs.

    Raises:
        UserError: the record would not lie below a folder named provenance, or an output outside
            of the folder that holds it.
        FileNotFoundError: an input is missing, or the block left an output unwritten.
    """
    for path in job.inputs:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: this input of 'logdepth {job.stage}' does not exist")
    # Hashed before the work, so that the record states what was read.
    hashes = [sha256_of(path) for path in job.inputs]
    mark = Mark(hash_of(job.definition) or None, inputs_hash(hashes))
    if job.record is None:
        yield mark
        return
    study = study_folder(job.record)
    for path in job.outputs:
        if not path.resolve().is_relative_to(study.resolve()):
            raise UserError(
                f"{path}: outside of {study}, the study of its record {job.record}; right would be "
                "outputs below that folder, or no --record"
            )
    inputs = [_input(path, sha256, study) for path, sha256 in zip(job.inputs, hashes, strict=True)]
    started = _now()
    yield mark
    statement = {
        "_type": STATEMENT,
        "subject": [_output(path, study) for path in job.outputs],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"stage": job.stage, **job.parameters},
                "internalParameters": {
                    "definition": job.definition,
                    "seeds": job.seeds,
                    "command": ["logdepth", *sys.argv[1:]],
                },
                "resolvedDependencies": inputs + _surroundings(job, study),
            },
            "runDetails": {
                "builder": {"id": "urn:logdepth:cli", "version": environment.interpreter()},
                "metadata": {
                    "invocationId": str(uuid.uuid4()),
                    "startedOn": started,
                    "finishedOn": _now(),
                },
                "byproducts": [{"name": "machine", "annotations": environment.machine()}],
            },
        },
    }
    text = json.dumps(statement, indent=1, sort_keys=True) + "\n"
    write_text(job.record, text)
    _append_history(study, job.record, text)


def _append_history(study: Path, record: Path, text: str) -> None:
    """Add a line with the whole record to the study's history, and the hash of the line before."""
    append_entry(
        study,
        {
            "record": record.relative_to(study).as_posix(),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "statement": json.loads(text),
        },
    )


def append_entry(study: Path, entry: dict[str, Any]) -> None:
    """Add an entry to the history of a study, with the time and the hash of the line before it."""
    history = study / HISTORY
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


def _surroundings(job: Job, study: Path) -> list[dict[str, Any]]:
    """Return packages, locks, source, image and commit as dependencies of a job."""
    started_at = (command_module(job.stage), *job.modules)
    result = [
        _kept(study, "environments", canonical_json(environment.packages()), ".json", "packages"),
        _kept(study, "sources", canonical_json(source(started_at)), ".json", "source"),
    ]
    # `make setup` leaves in the environment a copy of each lock that it installed from.
    for lock in sorted(Path(sys.prefix, "locks").glob("*.txt")):
        kept = _kept(study, "environments", lock.read_text(encoding="utf-8"), ".txt", "lock")
        kept["annotations"]["file"] = f"envs/{lock.name}"
        result.append(kept)
    image = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")
    # The workflow has compared the image with its recorded sha256 before it started any job.
    known = os.environ.get(VARIABLE)
    if image and (known or Path(image).is_file()):
        digest = known or sha256_of(Path(image))
        result.append(_resource(Path(image).name, digest, role="image"))
    if commit := environment.commit(Path(__file__).parent):
        dirty = {k: v for k, v in commit.items() if k != "gitCommit"}
        result.append(
            {
                "name": "code",
                "digest": {"gitCommit": commit["gitCommit"]},
                "annotations": {"role": "code", **dirty},
            }
        )
    return result


def _kept(study: Path, folder: str, text: str, suffix: str, role: str) -> dict[str, Any]:
    """Keep a text under its sha256, and return it as a dependency."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    name = f"{PROVENANCE}/{folder}/{sha256}{suffix}"
    if not (study / name).exists():
        write_text(study / name, text)
    return _resource(name, sha256, role=role)


def _input(path: Path, sha256: str, study: Path) -> dict[str, Any]:
    if path.resolve().is_relative_to(study.resolve()):
        name = path.resolve().relative_to(study.resolve()).as_posix()
        return _resource(name, sha256, role="input")
    return _resource(path.as_posix(), sha256, role="external")


def _output(path: Path, study: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: announced as an output, but not written")
    name = path.resolve().relative_to(study.resolve()).as_posix()
    return _resource(name, sha256_of(path))


def _resource(name: str, sha256: str, role: str | None = None) -> dict[str, Any]:
    """Return a file as in-toto describes it, by name and digest."""
    annotations = {"annotations": {"role": role}} if role else {}
    return {"name": name, "digest": {"sha256": sha256}, **annotations}


def study_folder(record: Path) -> Path:
    """Return the folder of the study that a record belongs to.

    Raises:
        UserError: the record does not lie below a folder named provenance.
    """
    for parent in record.parents:
        if parent.name == PROVENANCE:
            return parent.parent
    raise UserError(f"{record}: a record lies below <study>/{PROVENANCE}/, not elsewhere")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
