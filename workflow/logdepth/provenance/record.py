"""The record of a job: an in-toto Statement with a SLSA Provenance predicate, and the history.

Names in a record are relative to the folder of the study, the one that holds ``provenance/``, so
that results can be copied as a whole. Inputs from elsewhere have the role "external" and go by
their path from the working folder. What many jobs share (the packages, the locks, the hashes of
the source) is kept once, under its sha256.
"""

import hashlib
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from logdepth.canonical import canonical_json
from logdepth.errors import UserError
from logdepth.files import sha256_of, write_text
from logdepth.provenance import environment
from logdepth.provenance.definition import hash_of, source
from logdepth.provenance.format import HISTORY, PREDICATE, PROVENANCE, STATEMENT
from logdepth.provenance.image import VARIABLE
from logdepth.provenance.job import Job
from logdepth.provenance.mark import Mark, inputs_hash

BUILD_TYPE = "urn:logdepth:job:v1"

logger = logging.getLogger(__name__)


@contextmanager
def recorded(
    job: Job,
    *,
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    record: Path | None,
    definition: str,
    device: str = "",
    study: Path | None = None,
) -> Iterator[Mark]:
    """Run the block as the job; write its record when it succeeds, after its outputs.

    Args:
        job: as declared.
        inputs: files it reads.
        outputs: files it writes.
        record: where its record goes, below <study>/provenance/; None writes none.
        definition: that the workflow asked for; empty when run by hand. Recorded is the job's own,
            with the count of the given one (see integrity.py).
        device: that it runs on.
        study: the study.json that it read parameters from; a copy is kept.

    Yields:
        The mark for the metadata of its outputs.

    Raises:
        UserError: the record would not lie below a folder named provenance, or an output outside
            of the folder that holds it.
        FileNotFoundError: an input is missing, or the block left an output unwritten.
    """
    for path in inputs:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: this input of 'logdepth {job.stage}' does not exist")
    # Hashed before the work, so that the record states what was read.
    hashes = [sha256_of(path) for path in inputs]
    definition = _own(job, definition)
    mark = Mark(hash_of(definition) or None, inputs_hash(hashes))
    if record is None:
        yield mark
        return
    folder = study_folder(record)
    for path in outputs:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{path}: outside of {folder}, the study of its record {record}; expected "
                "outputs below that folder, or no --record"
            )
    read = [_input(path, sha256, folder) for path, sha256 in zip(inputs, hashes, strict=True)]
    if study is not None:
        text = study.read_text(encoding="utf-8")
        read.append(_kept(folder, "studies", text, ".json", "study"))
    parameters = job.parameters | ({"device": device} if device else {})
    started = _now()
    yield mark
    statement = {
        "_type": STATEMENT,
        "subject": [_output(path, folder) for path in outputs],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"stage": job.stage, **parameters},
                "internalParameters": {
                    "definition": definition,
                    "seeds": job.seeds,
                    "command": ["logdepth", *sys.argv[1:]],
                },
                "resolvedDependencies": read + _surroundings(job, folder),
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
    write_text(record, text)
    _append_history(folder, record, text)


def _own(job: Job, asked: str) -> str:
    """Return the definition of a job, with the count of the one that was asked for."""
    if not asked:
        return ""
    own = job.definition(os.environ.get(VARIABLE) if _container() else None)
    if own != hash_of(asked):
        logger.warning("the code or study.json changed since the workflow started: run it again")
    return asked.replace(hash_of(asked), own, 1)


def _container() -> str | None:
    """Return the image that this process runs in."""
    return os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")


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
    result = [
        _kept(study, "environments", canonical_json(environment.packages()), ".json", "packages"),
        _kept(study, "sources", canonical_json(source(job.modules)), ".json", "source"),
    ]
    # `make setup` leaves in the environment a copy of each lock that it installed from.
    for lock in sorted(Path(sys.prefix, "locks").glob("*.txt")):
        kept = _kept(study, "environments", lock.read_text(encoding="utf-8"), ".txt", "lock")
        kept["annotations"]["file"] = f"envs/{lock.name}"
        result.append(kept)
    image = _container()
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
