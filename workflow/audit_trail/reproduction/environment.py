"""The environment of a recorded job: this one if it is the same, an image, or one built anew."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from audit_trail.differences import kept_list
from audit_trail.records import Record, Resource
from audit_trail.report import printable
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder
from logdepth.errors import UserError
from logdepth.files import sha256_of
from logdepth.provenance import environment
from logdepth.provenance.image import VARIABLE

# As Snakemake sets them for its jobs: how a sum is split over threads can move its last bits.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Environments:
    """Finds the environment of each job of a plan.

    Args:
        study: with the lists of packages and the locks.
        repository: whose containers/ may have the image.
        image: where the image is, if not there.
        setup: whether to build the recorded environment where this one is another.
        here: whether to take this environment even so.
    """

    def __init__(
        self,
        study: StudyFolder,
        repository: Repository,
        *,
        image: Path | None = None,
        setup: bool = False,
        here: bool = False,
    ) -> None:
        self._study = study
        self._containers = repository.folder / "containers"
        self._image, self._setup, self._here = image, setup, here
        self._digest = cache(sha256_of)
        self._built: dict[Path, list[str]] = {}

    def command(self, record: Record, code: Path) -> list[str]:
        """Return the command that stands for ``logdepth`` in the environment of a record.

        Args:
            record: of the job.
            code: checkout of its commit.

        Raises:
            UserError: the recorded environment is not to be had.
        """
        if record.image is not None and not self._here:
            return self._in_image(record, record.image, code)
        if self._here or _is_this(self._study, record):
            return [sys.executable, "-m", "logdepth"]
        if not self._setup:
            raise UserError(
                f"{self._study.path(record.name)}: it ran in another environment "
                f"({printable(_difference(self._study, record))}); expected --setup to build "
                "that one from its lock (minutes, and it needs the package index), or --here for "
                "this one"
            )
        locks = [lock.sha256 for lock in _locks(record)]
        if self._built.get(code) != locks:
            # What another lock has installed there must not stay.
            shutil.rmtree(code / ".venv", ignore_errors=True)
            _build(self._study, record, code)
            self._built[code] = locks
        return [str(code / ".venv" / "bin" / "python"), "-m", "logdepth"]

    def _in_image(self, record: Record, image: Resource, code: Path) -> list[str]:
        path = self._image or self._containers / Path(image.name).name
        if not path.is_file() or self._digest(path) != image.sha256:
            raise UserError(
                f"{path}: not the image that the job ran in ({image.sha256[:12]}); expected "
                "--image with it, or --here for this environment"
            )
        if shutil.which("apptainer") is None:
            raise UserError(
                f"{self._study.path(record.name)}: it ran in an image, and there is no apptainer "
                "here; expected a machine that has it, or --here for this environment"
            )
        gpu = ["--nv"] if str(record.parameters.get("device", "")).startswith("cuda") else []
        bound = ["--bind", str(code.parent)]
        return ["apptainer", "exec", *gpu, *bound, str(path.resolve()), "logdepth"]


def variables(code: Path, record: Record, command: list[str]) -> dict[str, str]:
    """Return the environment variables for a job: exactly this code, nothing handed on."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOGDEPTH_", "PYTHON"))}
    if record.image is not None and command[0] == "apptainer":
        # Its bytes were compared; the job cannot see them from within.
        kept[VARIABLE] = record.image.sha256
    # Without the working folder, which holds files under names that the record chose.
    safe = {"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    # The workflow gives each job as many threads as it recorded; without torch, one.
    torch = record.machine.get("torch")
    threads = torch.get("threads") if isinstance(torch, dict) else 1
    counts = {name: str(threads) for name in _THREADS if isinstance(threads, int)}
    return kept | safe | counts | {"PYTHONPATH": str(code / "workflow")}


def _locks(record: Record) -> list[Resource]:
    """Return the locks that decide about results; dev.txt adds tools on top."""
    return [r for r in record.kept_as("lock") if r.annotations.get("file") != "envs/dev.txt"]


def _is_this(study: StudyFolder, record: Record) -> bool:
    """Return whether a job ran in what is installed here: by its locks, else by its packages."""
    if locks := _locks(record):
        here = {sha256_of(path) for path in Path(sys.prefix, "locks").glob("*.txt")}
        return all(lock.sha256 in here for lock in locks)
    now, then = environment.packages(), kept_list(study, record, "packages")
    return bool(then) and all(now.get(name) == version for name, version in then.items())


def _difference(study: StudyFolder, record: Record) -> str:
    """Return which packages differ, in a few words."""
    now, then = environment.packages(), kept_list(study, record, "packages")
    if not then:
        return "its list of packages is lost"
    other = sorted(name for name in then if name in now and now[name] != then[name])
    missing = sorted(set(then) - set(now))
    shown = [f"{name} {then[name]}, here {now[name]}" for name in other[:3]]
    shown += [f"without {name}" for name in missing[:2]]
    if len(other) + len(missing) > len(shown):
        shown.append(f"{len(other) + len(missing)} packages in all")
    return "; ".join(shown) or "the same packages from another lock"


def _build(study: StudyFolder, record: Record, code: Path) -> None:
    """Install the recorded lock into a new environment of the checkout."""
    for lock in _locks(record):
        name = Path(str(lock.annotations.get("file", ""))).name
        source = study.path(lock.name)
        if name not in ("cpu.txt", "cuda.txt"):
            continue
        if not source.is_file() or sha256_of(source) != lock.sha256:
            raise UserError(f"{source}: this lock is gone or was altered, so nothing to build from")
        shutil.copyfile(source, code / "envs" / name)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        settings = {**kept, "TORCH": Path(name).stem, "PYTHON": sys.executable}
        done = subprocess.run(
            [str(code / "envs" / "setup.sh")], env=settings, capture_output=True, text=True
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(f"{source}: the environment could not be built from it: {reason}")
        installed = code / ".venv" / "locks" / name
        if not installed.is_file() or sha256_of(installed) != lock.sha256:
            raise UserError(f"{source}: envs/setup.sh of its commit installed another lock than it")
        return
    raise UserError(f"{study.path(record.name)}: it names no lock, so nothing to build from")
