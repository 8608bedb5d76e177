"""The environment of a recorded job: this one if it is the same, an image, or one built anew."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from logdepth.audit.records import Record, Resource
from logdepth.audit.repository import Repository
from logdepth.audit.study import StudyFolder
from logdepth.errors import UserError
from logdepth.files import sha256_of
from logdepth.provenance import environment


def launcher(
    study: StudyFolder,
    record: Record,
    code: Path,
    repository: Repository,
    *,
    image: Path | None,
    setup: bool,
    here: bool,
) -> list[str]:
    """Return the command that stands for ``logdepth`` in the environment of a record.

    Args:
        study: with the lists of packages.
        record: of the job.
        code: checkout of its commit.
        repository: whose containers/ may have the image.
        image: where the image is, if not there.
        setup: whether to build the recorded environment where this one is another.
        here: whether to take this environment even so.

    Raises:
        UserError: the recorded environment is not to be had.
    """
    if record.image is not None and not here:
        path = image or repository.folder / "containers" / Path(record.image.name).name
        if not path.is_file() or sha256_of(path) != record.image.sha256:
            raise UserError(
                f"{path}: not the image that the job ran in ({record.image.sha256[:12]}); right "
                "would be --image with it, or --here for this environment"
            )
        return ["apptainer", "exec", "--bind", str(code.parent), str(path.resolve()), "logdepth"]
    if here or not _other_locks(record):
        return [sys.executable, "-m", "logdepth"]
    if setup:
        return [str(_build(study, record, code)), "-m", "logdepth"]
    raise UserError(
        f"{study.path(record.name)}: it ran in another environment ({_difference(study, record)}); "
        "right would be --setup to build that one from its lock, or --here for this one"
    )


def notes(record: Record) -> list[str]:
    """Return what is not as it was and may move bits: Python, processor."""
    found = []
    then = str(record.interpreter.get("python", "unknown"))
    if then != platform.python_version():
        found.append(f"Python was {then}, is {platform.python_version()}")
    processor, now = record.machine.get("processor"), environment.machine()["processor"]
    if processor is not None and processor != now:
        found.append(f"the processor was {processor}, is {now}")
    return found


def variables(code: Path) -> dict[str, str]:
    """Return the environment variables for a job: exactly this code, nothing handed on."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOGDEPTH_", "PYTHON"))}
    return kept | {"PYTHONPATH": str(code / "workflow"), "PYTHONDONTWRITEBYTECODE": "1"}


def _locks(record: Record) -> list[Resource]:
    """Return the locks that decide about results; dev.txt adds tools on top."""
    return [r for r in record.kept_as("lock") if r.annotations.get("file") != "envs/dev.txt"]


def _other_locks(record: Record) -> bool:
    here = {sha256_of(path) for path in Path(sys.prefix, "locks").glob("*.txt")}
    return any(lock.sha256 not in here for lock in _locks(record))


def _difference(study: StudyFolder, record: Record) -> str:
    """Return which packages differ, in a few words."""
    now = environment.packages()
    for resource in record.kept_as("packages"):
        path = study.path(resource.name)
        if path.is_file() and sha256_of(path) == resource.sha256:
            then = json.loads(path.read_bytes())
            other = sorted(name for name in then if name in now and now[name] != then[name])
            missing = sorted(set(then) - set(now))
            shown = [f"{name} {then[name]}, here {now[name]}" for name in other[:3]]
            shown += [f"without {name}" for name in missing[:2]]
            if len(other) + len(missing) > len(shown):
                shown.append(f"{len(other) + len(missing)} packages in all")
            return "; ".join(shown) or "the same packages from another lock"
    return "its list of packages is lost"


def _build(study: StudyFolder, record: Record, code: Path) -> Path:
    """Install the recorded lock into a new environment of the checkout; return its Python."""
    for lock in _locks(record):
        name = Path(str(lock.annotations.get("file", ""))).name
        source = study.path(lock.name)
        if name not in ("cpu.txt", "cuda.txt"):
            continue
        if not source.is_file() or sha256_of(source) != lock.sha256:
            raise UserError(f"{source}: this lock is gone or was altered, so nothing to build from")
        shutil.copyfile(source, code / "envs" / name)
        settings = {**os.environ, "TORCH": Path(name).stem, "PYTHON": sys.executable}
        done = subprocess.run(
            [str(code / "envs" / "setup.sh")], env=settings, capture_output=True, text=True
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(f"{source}: the environment could not be built from it: {reason}")
        return code / ".venv" / "bin" / "python"
    raise UserError(f"{study.path(record.name)}: it names no lock, so nothing to build from")
