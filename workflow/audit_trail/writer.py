"""Writing the record of a job: an in-toto Statement with a SLSA Provenance predicate.

Names in a record are relative to the folder of the study, the one that holds ``provenance/``, so
that results can be copied as a whole. Inputs from elsewhere have the role "external" and go by
their path from the working folder. What many jobs share (the packages, the locks, the hashes of
the source) is kept once, under its sha256. Every record is also a line of the history.

Snakemake does not look at the bytes of outputs, but it does rerun a job whose parameters changed.
So the definition that a rule passes carries a count of how often its outputs had to be made again
for being altered: ``<hash>``, then ``<hash>+1``, ``<hash>+2``. The record keeps the count.

Nothing that is asked for a record fails a job whose work is done, but a full disk where the record
itself goes: what cannot be found out is said in the record, under "unknown".
"""

import hashlib
import json
import logging
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from filelock import FileLock

from audit_trail import environment, files
from audit_trail import format as known
from audit_trail.errors import AuditError, BadFileError, printable
from audit_trail.files import canonical_json, read_bytes, read_json, sha256_of, write_bytes
from audit_trail.format import HISTORY, PROVENANCE

logger = logging.getLogger(__name__)

Json = dict[str, Any]
T = TypeVar("T")


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
) -> Iterator[str]:
    """Run the block as the job; write its record when it succeeds, after its outputs.

    The record goes to a path below <study>/provenance/; without one, none is written. A copy is
    kept of ``study``, a file that the job reads parameters from. What is yielded is the mark for
    the metadata of its outputs.

    An AuditError says that the record would not lie below a folder named provenance, or an output
    outside of the folder that holds it; a FileNotFoundError, that an input is missing, or that the
    block left an output unwritten.
    """
    for path in inputs:
        if not path.is_file():
            job = f"{work.project} {work.stage}"
            raise FileNotFoundError(f"{path}: this input of '{job}' does not exist")
    # Hashed before the work, so that the record states what was read.
    hashes = [sha256_of(path) for path in inputs]
    mark = mark_of(work.definition, hashes)
    if record is None:
        yield mark
        return
    folder = study_folder(record)
    names = {path: _within(path, folder) for path in outputs}
    if outside := [path for path, name in names.items() if name is None]:
        wrong = f"{outside[0]}: outside of {folder}, the study of its record {record}"
        raise AuditError(f"{wrong}; expected outputs below that folder, or no --record")
    _check_history(folder)
    # The code is what it is now, not what a clone has when the work is done; locks as well.
    unknown: dict[str, str] = {}
    code = _asked(unknown, "commit", lambda: environment.commit(work.root), environment.Commit())
    locks: list[Json] = _asked(unknown, "lock", lambda: _locks(folder), [])
    resolved = []
    for path, sha256 in zip(inputs, hashes, strict=True):
        inside = _within(path, folder)
        role = "external" if inside is None else "input"
        resolved.append(_resource(inside or path.as_posix(), sha256, role=role))
    if study is not None:
        resolved.append(_kept(folder, "study", read_bytes(study)))
    resolved.append(_kept(folder, "source", canonical_json(work.source).encode()))
    started = _now()
    yield mark
    for path in outputs:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: announced as an output, but not written")
    # Both depend on what the work has imported.
    resolved += _asked(unknown, "packages", lambda: _packages(folder), [])
    machine, interpreter = _asked(unknown, "machine", environment.machine, (Json(), Json()))
    resolved += locks
    if work.image is not None:
        resolved.append(_resource(*work.image, role="image"))
    if code.sha is not None:
        about = {"uncommittedSha256": code.uncommitted} if code.uncommitted else {}
        named = {"name": "code", "digest": {"gitCommit": code.sha}}
        resolved.append(named | {"annotations": {"role": "code", **about}})
    command = [work.project, *sys.argv[1:]]
    internal: Json = {"definition": work.definition, "seeds": work.seeds, "command": command}
    build = {
        "buildType": known.BUILD_TYPE,
        "externalParameters": {"stage": work.stage, **work.parameters},
        "internalParameters": internal | ({"unknown": unknown} if unknown else {}),
        "resolvedDependencies": resolved,
    }
    identity = {"invocationId": str(uuid.uuid4())}
    run = {
        "builder": {"id": known.BUILDER, "version": interpreter},
        "metadata": identity | {"startedOn": started, "finishedOn": _now()},
        "byproducts": [{"name": "machine", "annotations": machine}],
    }
    statement = _utf8(
        {
            "_type": known.STATEMENT,
            "subject": [_resource(str(name), sha256_of(path)) for path, name in names.items()],
            "predicateType": known.PREDICATE,
            "predicate": {"buildDefinition": build, "runDetails": run},
        }
    )
    content = f"{json.dumps(statement, indent=1, sort_keys=True)}\n".encode()
    write_bytes(record, content)
    entry = {"record": record.relative_to(folder).as_posix(), "statement": statement}
    append_entry(folder, entry | {"sha256": hashlib.sha256(content).hexdigest()})


def append_entry(study: Path, entry: Json) -> None:
    """Add an entry to the history of a study, with the time and the hash of the line before it.

    An AuditError says that the history is a link.
    """
    _check_history(study)
    history = study / HISTORY
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(history.with_suffix(".lock")))
        except (OSError, NotImplementedError) as error:
            # Lines of two jobs that end at once may then stand within one another, as verify tells.
            logger.warning("%s: written without a lock: %s", history, error)
        file = stack.enter_context(history.open("ab+"))
        previous, torn = _last_line(file)
        link = hashlib.sha256(previous).hexdigest() if previous else None
        line = canonical_json({"time": _now(), **entry, "previous": link})
        # A line cut short by a crash is kept and closed; the chain then shows it.
        file.write((b"\n" if torn else b"") + line.encode() + b"\n")
        files.sync(file)


def hash_of(definition: str) -> str:
    """Return a definition without its count of altered outputs."""
    return definition.partition("+")[0]


def definition_or_retry(definition: str, record: Path) -> str:
    """Return the definition to pass for a job: as recorded while its outputs are untouched.

    It is the recorded one where its hash is the given one, of today's configuration and source, and
    no output differs from its recorded sha256; the next count where one does; the plain hash
    otherwise, also without a record. Missing outputs are left to Snakemake.
    """
    if not record.is_file():
        return definition
    try:
        statement = read_json(record)
        made: str = statement["predicate"]["buildDefinition"]["internalParameters"]["definition"]
        base, _, count = made.partition("+")
        if base != definition:
            return definition
        study = study_folder(record)
        outputs = {study / s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
        if all(sha256_of(p) == sha256 for p, sha256 in outputs.items() if p.is_file()):
            return made
        return f"{definition}+{int(count or 0) + 1}"
    except (BadFileError, ValueError, KeyError, TypeError, AttributeError):
        # A record that cannot be read is an altered output, too.
        return f"{definition}+1"


def study_folder(record: Path) -> Path:
    """Return the folder of the study that a record belongs to; an AuditError if it has none."""
    for parent in record.parents:
        if parent.name == PROVENANCE:
            return parent.parent
    raise AuditError(f"{record}: a record lies below <study>/{PROVENANCE}/, not elsewhere")


def mark_of(definition: str, inputs: Iterable[str]) -> str:
    """Return the mark of a job, by its definition (empty: by hand) and the sha256 of its inputs."""
    made_from = files.digest(sorted(inputs))
    return f"logdepth definition={hash_of(definition) or 'none'} inputs={made_from}"


def _check_history(study: Path) -> None:
    history = study / HISTORY
    if history.is_symlink():
        raise AuditError(f"{history}: is a symbolic link; expected a file of this study")


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


def _asked(unknown: dict[str, str], what: str, ask: Callable[[], T], nothing: T) -> T:
    """Return what ``ask`` finds out; ``nothing`` where it fails for any reason, which is noted."""
    try:
        return ask()
    except Exception as error:
        unknown[what] = printable(str(error)) or type(error).__name__
        logger.warning("the record will say that its %s is not known: %s", what, unknown[what])
        return nothing


def _locks(study: Path) -> list[Json]:
    # `make setup` leaves in the environment a copy of each lock that it installed from.
    locks = sorted(Path(sys.prefix, "locks").glob("*.txt"))
    return [_kept(study, "lock", read_bytes(p), file=f"envs/{p.name}") for p in locks]


def _packages(study: Path) -> list[Json]:
    return [_kept(study, "packages", canonical_json(_utf8(environment.packages())).encode())]


def _kept(study: Path, role: str, content: bytes, **more: str) -> Json:
    """Keep a content under its sha256, and return it as a dependency."""
    sha256 = hashlib.sha256(content).hexdigest()
    name = known.kept_name(role, sha256)
    if not (study / name).exists():
        write_bytes(study / name, content)
    return _resource(name, sha256, role=role, **more)


def _resource(name: str, sha256: str, **annotations: str) -> Json:
    more = {"annotations": annotations} if annotations else {}
    return {"name": name, "digest": {"sha256": sha256}, **more}


def _within(path: Path, study: Path) -> str | None:
    whole, root = path.resolve(), study.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else None


def _utf8(value: Json) -> Json:
    """Return JSON in which bytes of names that are not UTF-8 are written as %FF."""
    text = json.dumps(value, ensure_ascii=False)
    text = re.sub("[\ud800-\udfff]", lambda half: f"%{ord(half[0]) & 255:02X}", text)
    return dict(json.loads(text))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
