"""Running the jobs of a plan in a fresh folder, each with the code of its commit."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from logdepth.audit.records import Record, Resource
from logdepth.audit.report import printable
from logdepth.audit.repository import Repository
from logdepth.audit.reproduction import environment
from logdepth.audit.reproduction.plan import Plan, arguments_of, commits
from logdepth.audit.study import StudyFolder
from logdepth.errors import UserError
from logdepth.files import sha256_of

Launch = Callable[[Record, Path], list[str]]


@contextmanager
def checkouts(repository: Repository, plan: Plan, folder: Path) -> Iterator[dict[str, Path]]:
    """Check out every commit of a plan in a folder of its own; remove them at the end.

    Raises:
        UserError: a commit is not in the repository.
    """
    made: dict[str, Path] = {}
    try:
        for commit in commits(plan):
            if not repository.has(commit):
                raise UserError(
                    f"{repository.folder}: has no commit {commit[:12]}, which the record names; "
                    "right would be --repository with a clone that has it"
                )
            path = folder / commit[:12]
            _git(repository, "worktree", "add", "--quiet", "--detach", str(path), commit)
            made[commit] = path
        yield made
    finally:
        for path in made.values():
            _git(repository, "worktree", "remove", "--force", str(path))


def rebuild(
    study: StudyFolder,
    plan: Plan,
    code: dict[str, Path],
    folder: Path,
    launch: Launch,
    tell: Callable[[str], None],
) -> Path:
    """Run the jobs of a plan; return the folder of the study that they made.

    Args:
        study: whose inputs are taken where the plan says so.
        plan: what to run.
        code: checkouts, by commit.
        folder: to work in; empty.
        launch: gives the command that stands for ``logdepth`` for a record, in a checkout.
        tell: is called with a line before and after each job.

    Raises:
        UserError: an input from elsewhere is not to be had, or a job fails.
    """
    made = folder / "results" / study.name
    for resource in plan.reused:
        _take(study.path(resource.name), made / resource.name)
    for number, record in enumerate(plan.jobs, 1):
        source = code[str(record.commit)]
        for resource in record.external:
            _take(_external(study, record, resource, source), folder / resource.name)
        # In an image the launcher takes the code from the folder that it is called in.
        link = folder / "workflow"
        link.unlink(missing_ok=True)
        link.symlink_to(source / "workflow")
        command = [*launch(record, source), *arguments_of(study, record)]
        title = printable(record.name.removeprefix("provenance/").removesuffix(".json"))
        tell(f"  {number} of {len(plan.jobs)}: {title}")
        started = time.monotonic()
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment.variables(source),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise UserError(f"{study.path(record.name)}: the job failed: {printable(lines[-1])}")
        tell(f"      {time.monotonic() - started:.1f} s")
    return made


def _external(study: StudyFolder, record: Record, resource: Resource, source: Path) -> Path:
    """Return a file with the bytes of an input that lies outside of the study."""
    for path in (source / resource.name, Path(resource.name)):
        if path.is_file() and sha256_of(path) == resource.sha256:
            return path
    raise UserError(
        f"{study.path(record.name)}: made from {printable(resource.name)} "
        f"({resource.sha256[:12]}), which neither its commit nor this folder has"
    )


def _take(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copyfile(source, target)


def _git(repository: Repository, *arguments: str) -> None:
    command = ["git", "-C", str(repository.folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{repository.folder}: git {arguments[0]} {arguments[1]}: {reason}")
