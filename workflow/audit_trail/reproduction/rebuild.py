"""Running the jobs of a plan in a fresh folder, each with the code of its commit."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from audit_trail.differences import Difference, differences, same_outputs
from audit_trail.records import BadRecordError, Record, Resource, read_record
from audit_trail.report import printable
from audit_trail.repository import Repository
from audit_trail.reproduction import environment
from audit_trail.reproduction.command import arguments_of, place_of
from audit_trail.reproduction.plan import Plan
from audit_trail.study import StudyFolder
from logdepth.errors import UserError
from logdepth.files import sha256_of

Launch = Callable[[Record, Path], list[str]]
# What says nothing about what ran.
_ASIDE = ("commit", "host", "lock")


@dataclass(frozen=True)
class Again:
    """A job that ran again.

    Attributes:
        title: its stage and name.
        commit: that it ran at.
        recorded_seconds: how long it took when it was recorded.
        seconds: how long it took now.
        identical: whether it wrote the recorded bytes.
        differences: from the recorded job, by the record of the new one.
    """

    title: str
    commit: str
    recorded_seconds: float
    seconds: float
    identical: bool
    differences: list[Difference]


@contextmanager
def checkouts(repository: Repository, plan: Plan, folder: Path) -> Iterator[dict[str, Path]]:
    """Check out every commit of a plan in a folder of its own; remove them at the end.

    Raises:
        UserError: a commit is not in the repository.
    """
    made: dict[str, Path] = {}
    try:
        for commit in plan.commits():
            if not repository.has(commit):
                raise UserError(
                    f"{repository.folder}: has no commit {commit[:12]}, which the record names; "
                    "expected --repository with a clone that has it"
                )
            made[commit] = folder / commit[:12]
            _git(repository, "worktree", "add", "--quiet", "--detach", str(made[commit]), commit)
        yield made
    finally:
        for path in made.values():
            # One that cannot be removed must not keep the others, nor hide why the jobs failed.
            with suppress(UserError):
                _git(repository, "worktree", "remove", "--force", str(path))


def resolve(repository: Repository, commit: str) -> str:
    """Return the full name of a commit.

    Raises:
        UserError: there is no such commit.
    """
    wanted = f"{commit}^{{commit}}"
    return _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)


def rebuild(
    study: StudyFolder,
    plan: Plan,
    code: dict[str, Path],
    folder: Path,
    launch: Launch,
    tell: Callable[[str], None],
    elsewhere: Sequence[Path] = (),
) -> tuple[Path, list[Again]]:
    """Run the jobs of a plan; return the folder of the study that they made, and how they ran.

    Args:
        study: whose inputs are taken where the plan says so.
        plan: what to run.
        code: checkouts, by commit.
        folder: to work in; empty.
        launch: gives the command that stands for ``logdepth`` for a record, in a checkout.
        tell: is called with a line before and after each job.
        elsewhere: folders from which the names of external inputs may lead to them.

    Raises:
        UserError: an input from elsewhere is not to be had, or a job fails.
    """
    made = folder / "results" / study.name
    # Before a long training, not after it.
    external = {
        record.sha256: _external(study, record, code[plan.commit_of(record)], elsewhere)
        for record in plan.jobs
    }
    for resource in plan.reused:
        _take(study.path(resource.name), made / resource.name)
    jobs = []
    for number, record in enumerate(plan.jobs, 1):
        source = code[plan.commit_of(record)]
        for place, path in external[record.sha256].items():
            _take(path, folder / place)
        for resource in record.kept_as("study"):
            _take(study.path(resource.name), made / "study.json")
        # In an image the launcher takes the code from the folder that it is called in.
        link = folder / "workflow"
        link.unlink(missing_ok=True)
        link.symlink_to(source / "workflow")
        command = [*launch(record, source), *arguments_of(study, record)]
        title = printable(record.name.removeprefix("provenance/").removesuffix(".json"))
        tell(f"  {number} of {len(plan.jobs)}: {title}")
        started = time.monotonic()
        _run(study, record, command, folder, source)
        seconds = time.monotonic() - started
        again = _new_record(study, record, made)
        jobs.append(
            Again(
                title=title,
                commit=plan.commit_of(record),
                recorded_seconds=record.seconds or 0.0,
                seconds=seconds,
                identical=same_outputs(record, again),
                differences=_telling(record, differences(record, again, study, StudyFolder(made))),
            )
        )
        tell(f"      {seconds:.1f} s; {'the same' if jobs[-1].identical else 'other'} bytes")
    return made, jobs


def _run(study: StudyFolder, record: Record, command: list[str], folder: Path, code: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment.variables(code, record, command),
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        # A wrong call is told within a frame.
        lines = [line.strip(" │╭╮╰╯─") for line in done.stderr.splitlines()]
        reason = next((line for line in reversed(lines) if line), f"exit code {done.returncode}")
        raise UserError(f"{study.path(record.name)}: the job failed: {printable(reason)}")


def _new_record(study: StudyFolder, record: Record, made: Path) -> Record:
    try:
        return read_record(record.name, (made / record.name).read_bytes())
    except (OSError, BadRecordError) as error:
        raise UserError(
            f"{study.path(record.name)}: the job ran again, but left no record that can be read "
            f"({printable(str(error))})"
        ) from error


def _telling(record: Record, found: list[Difference]) -> list[Difference]:
    """Return the differences that may explain other bytes."""
    # The bytes of external inputs were compared; only their names may be others.
    names = {r.name for r in record.external} | {place_of(r.name) for r in record.external}
    return [
        d
        for d in found
        if d.kind not in _ASIDE
        and not (d.kind == "input" and d.name in names)
        # Packages that are here besides change nothing.
        and not (d.kind == "package" and not d.before)
    ]


def _external(
    study: StudyFolder, record: Record, code: Path, elsewhere: Sequence[Path]
) -> dict[str, Path]:
    """Return files with the bytes of the inputs from elsewhere, by where they are to go."""
    found: dict[str, Path] = {}
    for resource in record.external:
        place = place_of(resource.name)
        if place.startswith(("workflow/", f"results/{study.name}/")):
            raise UserError(
                f"{study.path(record.name)}: names {printable(resource.name)} as an input from "
                "elsewhere, where code and results belong"
            )
        # A name that leads out of the checkout is looked for where the command was typed only.
        folders = [code, *elsewhere] if place == resource.name else elsewhere
        path = next((f for f in _named(folders, resource) if sha256_of(f) == resource.sha256), None)
        if path is None:
            places = " or ".join(str(f) for f in dict.fromkeys(elsewhere))
            raise UserError(
                f"{study.path(record.name)}: made from {printable(resource.name)} "
                f"({resource.sha256[:12]}), which is not there, seen from its commit or {places}"
            )
        found[place] = path
    return found


def _named(folders: Sequence[Path], resource: Resource) -> Iterator[Path]:
    for folder in folders:
        if (folder / resource.name).is_file():
            yield folder / resource.name


def _take(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _git(repository: Repository, *arguments: str) -> str:
    command = ["git", "-C", str(repository.folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no such thing"])[-1]
        said = printable(" ".join(arguments))
        raise UserError(f"{repository.folder}: git {said}: {reason}")
    return done.stdout.strip()
