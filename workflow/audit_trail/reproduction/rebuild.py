"""Running jobs again, each with the code of its commit and its declared inputs alone."""

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from audit_trail.differences import differences, same_outputs
from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import copy, sha256_of
from audit_trail.numbers import compare_files
from audit_trail.project import Project
from audit_trail.records import Record
from audit_trail.repository import Repository, git
from audit_trail.reproduction.command import STUDY_FILE, Command, command_of, place_of
from audit_trail.study import StudyFolder, open_study

# What says nothing about what ran.
_ASIDE = ("commit", "host", "input", "lock")
# As workflows set them for their jobs: how a sum is split over threads can move its last bits.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def make_plan(
    project: Project, study: StudyFolder, name: str, deep: bool
) -> tuple[list[Command], int]:
    """Return what to run to make an output again.

    Returns:
        Commands in an order in which they can run, the one asked for last; and how many inputs
        are there with the recorded bytes, to be taken as they are, unless all is to be made again
        (deep).

    Raises:
        AuditError: a record is missing, altered, or one that cannot be followed.
    """
    commands: dict[str, Command] = {}
    needs: dict[str, list[str]] = {}
    taken: set[str] = set()
    waiting = [study.record_for(name)]
    while waiting:
        record = waiting.pop()
        if record.name in needs:
            continue
        if reason := _refused(study, record):
            raise AuditError(f"{study.path(record.name)}: {reason}")
        commands[record.name] = command_of(project, study, record)
        for resource in (r for r in record.inputs if study.made.get(r.name) != r.sha256):
            wanted = f"{resource.name} ({resource.sha256[:12]})"
            reason = f"made from {wanted}, which no record explains"
            raise AuditError(f"{study.path(record.name)}: {reason}")
        there = {
            r.name for r in record.inputs if not deep and not study.compared(r.name, r.sha256)[0]
        }
        makers = [study.makers[r.name] for r in record.inputs if r.name not in there]
        needs[record.name] = [maker.name for maker in makers]
        waiting += makers
        taken |= there
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise AuditError(f"{study.folder}: records that need one another in a circle") from error
    return [commands[name] for name in order], len(taken)


def _refused(study: StudyFolder, record: Record) -> str | None:
    """Return why a job is not to be run again, if its record is not true or its code is lost."""
    if study.history.breaks or study.compared(record.name, record.sha256)[0]:
        return "not what its job wrote, by the history; expected a study that verifies"
    if record.commit is None:
        return "made at no known commit, so that nobody has its code"
    if record.uncommitted is not None:
        return f"made with uncommitted changes on {record.commit[:12]}; nobody has that code"
    return None


@dataclass(frozen=True)
class Workshop:
    """Where jobs run again, each in an empty folder of its own."""

    project: Project
    study: StudyFolder  # that has their records, and inputs
    clone: Repository  # with their commits
    folder: Path  # to work in
    python: Path  # interpreter of the environment to use
    anyway: bool  # whether to use it even where it is not the recorded environment
    _made: dict[tuple[str, str], Path] = field(default_factory=dict)
    # The sha256 of an image or a lock, hashed once; empty for none.
    _digest: Callable[[Path], str] = field(default_factory=lambda: cache(_digest))

    def prepare(self, job: Command) -> None:
        """Check that a job can run, and place its inputs from elsewhere: before hours of training.

        Raises:
            AuditError: its commit, its environment or an input is not to be had.
        """
        code, work, sources = self._code(job.record), self._work(job), self.project.sources
        self._launcher(job)
        work.mkdir(parents=True)
        # In an image the launcher takes the code from the folder that it is called in.
        (work / sources).symlink_to(code / sources)
        for resource in job.record.external:
            place = place_of(resource.name)
            if f"{place}/".startswith((f"{sources}/", f"{job.folder}/")):
                raise AuditError(f"{job.path}: {resource.name}: code and results belong there")
            # A name that leads out of the clone is looked for where the command was typed only.
            starts = [*([code] if place == resource.name else []), Path.cwd(), self.clone.folder]
            paths = [start / resource.name for start in starts]
            if not any(_copied(path, None, work / place, resource.sha256) for path in paths):
                made = f"made from {resource.name} ({resource.sha256[:12]}), which is not there"
                seen = f"seen from its commit, from here or from {self.clone.folder}"
                raise AuditError(f"{job.path}: {made}, {seen}")

    def run(self, job: Command) -> list[str]:
        """Run a job that was prepared, after those that it needs.

        Returns:
            Lines: how long it took, whether its bytes are the same, and what else was different.

        Raises:
            AuditError: an input changed, the job fails, or was another than its record says.
        """
        place = self.result(job)
        wanted = [(resource, resource.name) for resource in job.record.inputs]
        wanted += [(resource, STUDY_FILE) for resource in job.record.kept_as("study")]
        for resource, name in wanted:
            # What another job made here has the folder of that job's study.
            folder = self._made.get((resource.name, resource.sha256))
            sha256 = resource.sha256 if folder is None else None
            folder = folder or self.study.folder
            if not _copied(folder / resource.name, folder, place / name, sha256):
                raise AuditError(f"{job.path}: made from {resource.name}, which is not there now")
        started = time.monotonic()
        done = subprocess.run(
            [*self._launcher(job), *job.arguments],
            cwd=self._work(job),
            env=self._variables(job.record),
            capture_output=True,
            text=True,
            errors="replace",
        )
        seconds = time.monotonic() - started
        if done.returncode:
            # A wrong call is told within a frame.
            lines = [line.strip(" │╭╮╰╯─") for line in done.stderr.splitlines()]
            reason = next((line for line in reversed(lines) if line), "no reason given")
            raise AuditError(f"{job.path}: the job failed: {reason}")
        made = open_study(place)
        again = made.record_for(job.record.name)
        then, now = _facts(job.record), _facts(again)
        if other := ", ".join(what for what in then if then[what] != now[what]):
            raise AuditError(f"{job.path}: run again, it had other {other} than its record says")
        for output in job.record.outputs:
            self._made[output.name, output.sha256] = place
        found = differences(job.record, again, self.study, made)
        # What is here besides, such as a package, changes nothing; inputs were compared.
        told = [f"{d.kind} {d.text}" for d in found if d.before and d.kind not in _ASIDE]
        same = "the same" if same_outputs(job.record, again) else "other"
        return [f"{seconds:.1f} s; {same} bytes", *told]

    def outcomes(self, job: Command) -> list[tuple[str, str]]:
        """Compare every output of a job with the one that was made again.

        Each has a state ("identical" bytes, "close" numbers, or "different") and a line about it.
        """
        made, found = self.result(job), []
        for output in job.record.outputs:
            state, detail = "identical", "identical bytes"
            if sha256_of(made / output.name, made) != output.sha256:
                close, detail = False, "other bytes; the recorded ones are not here to compare with"
                if self.study.compared(output.name, output.sha256)[0] == "":
                    one, other = ((s / output.name, s) for s in (self.study.folder, made))
                    close, detail = compare_files((one, other), self.project.tolerance)
                state = "close" if close else "different"
            found.append((state, f"{output.name}: {detail}"))
        return found

    def result(self, job: Command) -> Path:
        """Return the folder of the study with what a job made, and its inputs."""
        return self._work(job) / job.folder

    def _work(self, job: Command) -> Path:
        return self.folder / "jobs" / job.record.sha256

    def _code(self, record: Record) -> Path:
        """Return a folder with the files of a job's commit.

        No worktree: that would run hooks, and be left in the clone where this is killed.
        """
        commit = str(record.commit)
        if self.clone.time_of(commit) is None:
            gone = f"{self.clone.folder}: has no commit {commit[:12]}, which the record names"
            raise AuditError(f"{gone}; expected --repository with a clone that has it")
        code = self.folder / "code" / commit
        if not code.exists():
            content = git(self.clone.folder, "archive", "--format=tar", commit)
            try:
                with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                    archive.extractall(code, filter="data")
            except tarfile.TarError as error:
                raise AuditError(f"{self.clone.folder}: commit {commit[:12]}: {error}") from error
        return code

    def _launcher(self, job: Command) -> list[str]:
        """Return the command that stands for the project's in the environment of a record.

        No environment is made here. A lock found in results may hold any line, and installing it
        would run that; who has no such environment is told how to make it from a clone, whose lock
        is compared first.
        """
        name, record = self.project.name, job.record
        here = [str(self.python), "-m", name]
        if self.anyway:
            return here
        if record.image is not None:
            image = self.clone.image(record.image)
            if self._digest(image) != record.image.sha256:
                raise AuditError(f"{image}: not the image of the job; expected that, or --here")
            if shutil.which("apptainer") is None:
                raise AuditError(f"{image}: no apptainer to run it; expected --here without it")
            gpu = ["--nv"] if str(record.parameters.get("device", "")).startswith("cuda") else []
            bound = ["--bind", str(self.folder), str(image.resolve())]
            return ["apptainer", "exec", *gpu, *bound, name]
        # The locks that decide about results; others add tools on top.
        locks = {str(r.annotations.get("file")): r.sha256 for r in record.kept_as("lock")}
        locks = {file: locks[file] for file in locks if file in self.project.rebuilding.locks}
        prefix, code = self.python.parent.parent, self._code(record)
        if locks and all(self._digest(prefix / "locks" / Path(f).name) == locks[f] for f in locks):
            return here
        other = [f for f in locks if self._digest(code / f) != locks[f]] if locks else ["lock"]
        clone = f"git worktree add --detach ../again {record.commit}; cd ../again; make setup"
        way_out = f"expected --python with that of its commit ({clone})"
        if other:
            way_out = f"its {other[0]} is not that of its commit, so that nobody vouches for it"
        reason = f"it ran in another environment than {prefix}, with another lock"
        raise AuditError(f"{job.path}: {reason}; {way_out}, or --here")

    def _variables(self, record: Record) -> dict[str, str]:
        """Return the environment variables for a job: exactly this code, nothing handed on."""
        own = f"{self.project.name.upper()}_"
        kept = {k: v for k, v in os.environ.items() if not k.startswith((own, "PYTHON", "GIT_"))}
        if record.image is not None:
            # Its bytes were compared; the job cannot see them from within.
            kept[f"{own}IMAGE_SHA256"] = record.image.sha256
        # Without the working folder, which holds files under names that the record chose.
        safe = {"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        # The workflow gives each job as many threads as it recorded; without torch, one.
        torch = record.machine.get("torch")
        threads = torch.get("threads") if isinstance(torch, dict) else 1
        counts = {name: str(threads) for name in _THREADS if isinstance(threads, int)}
        sources = self._code(record) / self.project.sources
        return kept | safe | counts | {"PYTHONPATH": str(sources)}


def _digest(path: Path) -> str:
    return sha256_of(path) if path.is_file() else ""


def _facts(record: Record) -> dict[str, Any]:
    """Return what makes a job the same job, whatever it ran on."""
    return {
        "outputs": {output.name for output in record.outputs},
        "parameters": {
            k: v for k, v in record.parameters.items() if k not in ("device", "checkpoint")
        },
        "seeds": record.seeds,
        "inputs": {r.name for r in record.inputs} | {place_of(r.name) for r in record.external},
    }


def _copied(source: Path, within: Path | None, target: Path, sha256: str | None) -> bool:
    """Copy a file; return whether its bytes were the expected ones. Others are not left there."""
    try:
        if copy(source, target, within) == sha256 or sha256 is None:
            return True
    except BadFileError:
        pass
    target.unlink(missing_ok=True)
    return False
