"""The record of a job: an in-toto Statement with a SLSA Provenance predicate, and the history.

Names in a record are relative to the folder of the study, the one that holds ``provenance/``, so
that results can be copied as a whole. Inputs from elsewhere (a lock file, an image) go by their
path from the working folder.
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
from typing import Any

from filelock import FileLock

from logdepth.config.run import canonical_json
from logdepth.files import sha256_of, write_text
from logdepth.provenance import environment
from logdepth.provenance.image import VARIABLE

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:logdepth:job:v1"
FOLDER = "provenance"


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
    """

    stage: str
    record: Path | None
    definition: str
    parameters: dict[str, Any]
    inputs: Sequence[Path]
    outputs: Sequence[Path]
    seeds: dict[str, int] = field(default_factory=dict)


@contextmanager
def recorded(job: Job) -> Iterator[None]:
    """Run the block as the job; write its record when it succeeds, after its outputs.

    Raises:
        ValueError: the record would not lie below a folder named provenance.
        FileNotFoundError: an input is missing, or the block left an output unwritten.
    """
    for path in job.inputs:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: this input of 'logdepth {job.stage}' does not exist")
    if job.record is None:
        yield
        return
    study = study_folder(job.record)
    # Hashed before the work, so that the record states what was read.
    inputs = [_resource(path, study) for path in job.inputs]
    started = _now()
    yield
    statement = {
        "_type": STATEMENT,
        "subject": [_resource(path, study) for path in job.outputs],
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
                "resolvedDependencies": inputs + _surroundings(study),
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
    write_text(job.record, json.dumps(statement, indent=1, sort_keys=True) + "\n")
    _append_history(study, job.record, statement["subject"])


def _append_history(study: Path, record: Path, subject: Any) -> None:
    """Add a line to the study's history, which holds the hash of the line before it."""
    history = study / FOLDER / "history.jsonl"
    with FileLock(history.with_suffix(".lock")), history.open("ab+") as file:
        file.seek(0)
        lines = file.read().split(b"\n")
        # A line cut short by a crash is kept and closed; the chain then shows it.
        torn = lines[-1] != b""
        previous = lines[-1] if torn else (lines[-2] if len(lines) > 1 else b"")
        entry = {
            "time": _now(),
            "record": record.relative_to(study).as_posix(),
            "sha256": sha256_of(record),
            "subject": subject,
            "previous": hashlib.sha256(previous).hexdigest() if previous else None,
        }
        file.write((b"\n" if torn else b"") + canonical_json(entry).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _surroundings(study: Path) -> list[dict[str, Any]]:
    """Return the package list, the lock file and the commit as dependencies of a job."""
    listed = canonical_json(environment.packages())
    name = f"{FOLDER}/environments/{hashlib.sha256(listed.encode()).hexdigest()}.json"
    if not (study / name).exists():
        write_text(study / name, listed)
    result = [_resource(study / name, study) | {"annotations": {"role": "packages"}}]
    # `make setup` leaves in the environment a copy of each lock that it installed from.
    for lock in sorted(Path(sys.prefix, "locks").glob("*.txt")):
        digest = {"sha256": sha256_of(lock)}
        result.append(
            {"name": f"envs/{lock.name}", "digest": digest, "annotations": {"role": "lock"}}
        )
    image = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")
    # The workflow has compared the image with its recorded sha256 before it started any job.
    known = os.environ.get(VARIABLE)
    if image and (known or Path(image).is_file()):
        digest = {"sha256": known or sha256_of(Path(image))}
        result.append(
            {"name": Path(image).name, "digest": digest, "annotations": {"role": "image"}}
        )
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


def _resource(path: Path, study: Path) -> dict[str, Any]:
    """Return a file as in-toto describes it, by name and digest."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: announced as an output, but not written")
    inside = path.resolve().is_relative_to(study.resolve())
    name = path.resolve().relative_to(study.resolve()) if inside else path
    return {"name": name.as_posix(), "digest": {"sha256": sha256_of(path)}}


def study_folder(record: Path) -> Path:
    """Return the folder of the study that a record belongs to.

    Raises:
        ValueError: the record does not lie below a folder named provenance.
    """
    for parent in record.parents:
        if parent.name == FOLDER:
            return parent.parent
    raise ValueError(f"{record}: a record lies below <study>/{FOLDER}/")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
