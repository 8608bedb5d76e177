"""Running jobs again, each with the code of its commit and its declared inputs alone."""

import io
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_trail.differences import Difference, differences, same_outputs
from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import copy, read_bytes, sha256_of
from audit_trail.numbers import compare_files
from audit_trail.project import Project, Rebuilding
from audit_trail.records import BadRecordError, Record, read_record
from audit_trail.repository import Repository, git
from audit_trail.reproduction import environment
from audit_trail.reproduction.command import STUDY_FILE, Command, place_of
from audit_trail.study import StudyFolder

# What says nothing about what ran.
_ASIDE = ("commit", "host", "input", "lock")


@dataclass(frozen=True)
class Again:
    """A job that ran again.

    Attributes:
        seconds: how long it took.
        identical: whether it wrote the recorded bytes.
        differences: from the recorded job, by the record of the new one.
    """

    seconds: float
    identical: bool
    differences: list[Difference]


@dataclass(frozen=True)
class Outcome:
    """What became of one output.

    Attributes:
        name: of it.
        state: "identical" bytes, "close" numbers, or "different".
        detail: how large the difference is; empty for none.
    """

    name: str
    state: str
    detail: str = ""


@dataclass(frozen=True)
class Workshop:
    """Where jobs run again, each in an empty folder of its own.

    Attributes:
        project: whose jobs they are.
        rules: how its commands are run.
        study: that has their records, and inputs.
        clone: with their commits.
        folder: to work in.
        image: the container image, if not where the clone has it.
        python: interpreter of an environment to use, if not this one.
        anyway: whether to use it even where it is not the recorded environment.
        commit: to run instead of the recorded ones; a job may then have other settings.
    """

    project: Project
    rules: Rebuilding
    study: StudyFolder
    clone: Repository
    folder: Path
    image: Path | None = None
    python: Path | None = None
    anyway: bool = False
    commit: str | None = None
    _made: dict[tuple[str, str], tuple[Path, Path]] = field(default_factory=dict)

    def prepare(self, record: Record, command: Command) -> None:
        """Check that a job can run, and place its inputs from elsewhere: before hours of training.

        Raises:
            AuditError: its commit, its environment or an input is not to be had.
        """
        code, work, sources = self._code(record), self._work(record), self.project.sources
        self._launcher(record, code)
        work.mkdir(parents=True)
        # In an image the launcher takes the code from the folder that it is called in.
        (work / sources).symlink_to(code / sources)
        for resource in record.external:
            place = place_of(resource.name)
            if f"{place}/".startswith((f"{sources}/", f"{command.folder}/")):
                raise self._error(record, f"{resource.name}: code and results belong there")
            # A name that leads out of the clone is looked for where the command was typed only.
            starts = [*([code] if place == resource.name else []), Path.cwd(), self.clone.folder]
            paths = [start / resource.name for start in starts]
            if not any(_copied(path, None, work / place, resource.sha256) for path in paths):
                raise self._error(
                    record,
                    f"made from {resource.name} ({resource.sha256[:12]}), which is not there, seen "
                    f"from its commit, from here or from {self.clone.folder}",
                )

    def run(self, record: Record, command: Command) -> Again:
        """Run a job that was prepared, after those that it needs.

        Raises:
            AuditError: an input changed, the job fails, or was another than its record says.
        """
        code, place = self._code(record), self._work(record) / command.folder
        wanted = [(resource, resource.name) for resource in record.inputs]
        for resource, name in [*wanted, *((r, STUDY_FILE) for r in record.kept_as("study"))]:
            made = self._made.get((resource.name, resource.sha256))
            if made is not None:
                copy(made[0], place / name, made[1])
                continue
            path = self.study.path(resource.name)
            if not _copied(path, self.study.folder, place / name, resource.sha256):
                raise self._error(record, f"made from {resource.name}, which is not there any more")
        started = time.monotonic()
        done = subprocess.run(
            [*self._launcher(record, code), *command.arguments],
            cwd=self._work(record),
            env=environment.variables(self.project, record, code),
            capture_output=True,
            text=True,
            errors="replace",
        )
        seconds = time.monotonic() - started
        if done.returncode:
            # A wrong call is told within a frame.
            lines = [line.strip(" │╭╮╰╯─") for line in done.stderr.splitlines()]
            reason = next((line for line in reversed(lines) if line), "no reason given")
            raise self._error(record, f"the job failed: {reason}")
        again = self._new_record(record, place)
        for output in record.outputs:
            self._made[output.name, output.sha256] = place / output.name, place
        found = differences(record, again, self.study, StudyFolder(place))
        # What is here besides, such as a package, changes nothing; inputs were compared.
        told = [d for d in found if d.before and d.kind not in _ASIDE]
        return Again(seconds, same_outputs(record, again), told)

    def outcomes(self, record: Record, command: Command) -> list[Outcome]:
        """Compare every output of a job with the one that was made again."""
        made, found = self.result(record, command), []
        for output in record.outputs:
            before, after = self.study.path(output.name), made / output.name
            if sha256_of(after, made) == output.sha256:
                found.append(Outcome(output.name, "identical"))
                continue
            try:
                there = sha256_of(before, self.study.folder) == output.sha256
            except BadFileError:
                there = False
            close, detail = False, "other bytes; the recorded ones are not here to compare with"
            if there:
                files = (before, self.study.folder), (after, made)
                close, detail = compare_files(files, self.project.keys, self.project.tolerance)
            found.append(Outcome(output.name, "close" if close else "different", detail))
        return found

    def result(self, record: Record, command: Command) -> Path:
        """Return the folder of the study with what a job made, and its inputs."""
        return self._work(record) / command.folder

    def _code(self, record: Record) -> Path:
        """Return a folder with the files of a job's commit.

        No worktree: that would run hooks, and be left in the clone where this is killed.
        """
        commit = self.commit or str(record.commit)
        if not self.clone.has(commit):
            raise AuditError(
                f"{self.clone.folder}: has no commit {commit[:12]}, which the record names; "
                "expected --repository with a clone that has it"
            )
        code = self.folder / "code" / commit
        if not code.exists():
            content = git(self.clone.folder, "archive", "--format=tar", commit)
            try:
                with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                    archive.extractall(code, filter="data")
            except tarfile.TarError as error:
                raise AuditError(f"{self.clone.folder}: commit {commit[:12]}: {error}") from error
        return code

    def _launcher(self, record: Record, code: Path) -> list[str]:
        """Return the command that stands for the project's in the environment of a record."""
        if record.image is not None and not self.anyway:
            name = Path(record.image.name).name
            image = self.image or self.clone.folder / self.rules.images / name
            return environment.in_image(self.project, record, image, self.folder)
        reason = environment.unlike(self.rules, self.study, record, self.python)
        if reason and not self.anyway:
            way_out = environment.way_out(self.rules, record, code)
            raise self._error(
                record, f"it ran in another environment ({reason}); {way_out}, or --here"
            )
        return [str(self.python or sys.executable), "-m", self.project.name]

    def _new_record(self, record: Record, place: Path) -> Record:
        """Return the record of a job that ran again, which must be the same job."""
        try:
            again = read_record(record.name, read_bytes(place / record.name, place))
        except (BadFileError, BadRecordError) as error:
            raise self._error(record, f"run again, it left no record ({error})") from error
        then, now = _facts(record), _facts(again)
        for what in ("outputs",) if self.commit else then:
            if then[what] != now[what]:
                raise self._error(record, f"run again, it had other {what} than its record says")
        return again

    def _work(self, record: Record) -> Path:
        return self.folder / "jobs" / record.sha256

    def _error(self, record: Record, reason: str) -> AuditError:
        return AuditError(f"{self.study.path(record.name)}: {reason}")


def _copied(source: Path, within: Path | None, target: Path, sha256: str) -> bool:
    """Copy a file; return whether its bytes were the expected ones. Others are not left there."""
    try:
        if copy(source, target, within) == sha256:
            return True
    except BadFileError:
        pass
    target.unlink(missing_ok=True)
    return False


def _facts(record: Record) -> dict[str, Any]:
    """Return what makes a job the same job, whatever it ran on."""
    return {
        "outputs": {output.name for output in record.outputs},
        "parameters": {k: v for k, v in record.parameters.items() if k != "device"},
        "seeds": record.seeds,
        "inputs": {r.name for r in record.inputs} | {place_of(r.name) for r in record.external},
    }
