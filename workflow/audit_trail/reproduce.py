"""Making an output again: by the workflow of its commit, in an empty checkout.

Nothing runs that came with results. Code, configuration and workflow are those of the recorded
commit, from the caller's clone. Of the results Snakemake finds there the declared inputs alone, and
makes what is missing. Each job that runs is recorded, and must say what its record here says.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from audit_trail.differences import compare_files
from audit_trail.errors import AuditError
from audit_trail.files import copy, sha256_of
from audit_trail.format import PROVENANCE
from audit_trail.project import current
from audit_trail.records import Record, Resource, check_name
from audit_trail.repository import Repository, git
from audit_trail.study import StudyFolder, open_study

# Set by either name of the program in each of its containers.
_IMAGE = {"APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"}


def make_plan(study: StudyFolder, name: str, deep: bool) -> tuple[list[Record], dict[str, str]]:
    """Return the jobs to run for an output, its own first, and the sha256 of inputs to take.

    Inputs that are there with the recorded bytes are taken, unless all is made again (``deep``).
    An AuditError says that a record is altered, or made from what no record explains.
    """
    start = study.record_for(name)
    jobs = [*study.ancestors(start, lambda _, r: deep or bool(study.compared(r.name, r.sha256)[0]))]
    taken: dict[str, str] = {}
    made = {job.name for job in jobs}
    for record in jobs:
        path = study.path(record.name)
        if study.history.breaks or study.compared(record.name, record.sha256)[0]:
            raise AuditError(f"{path}: not what its job wrote; expected a study that verifies")
        for resource in record.inputs:
            # A training would go on from a checkpoint that was sent.
            aside = resource.name.partition("/")[0] in (PROVENANCE, *current().unrecorded)
            if aside or study.made.get(resource.name) != resource.sha256:
                wanted = f"{resource.name} ({resource.sha256[:12]})"
                raise AuditError(f"{path}: made from {wanted}, which no record explains")
            if study.makers[resource.name].name not in made:
                taken[resource.name] = resource.sha256
    return jobs, taken


def rebuild(
    study: StudyFolder,
    jobs: Sequence[Record],
    taken: Mapping[str, str],
    clone: Repository,
    folder: Path,
    anyway: bool,
) -> StudyFolder:
    """Run the jobs of a plan again in an empty folder; return the study there.

    The job whose outputs are wanted is the first; ``taken`` are inputs by name, with their sha256.
    This environment is used if it is the recorded one, or ``anyway``. An AuditError says that
    commit, environment or an input is not to be had; or that a job fails, or is another than its
    record says.
    """
    path, place = study.path(jobs[0].name), folder / "results" / study.name
    _check_out(path, jobs[0], clone, folder)
    configuration = f"config/{study.name}.yaml"
    if not (folder / configuration).is_file():
        raise AuditError(f"{path}: its commit has no {configuration}, which it ran with")
    shutil.rmtree(place, ignore_errors=True)
    for job in jobs if not anyway else ():
        _check_environment(path, job, folder)
    # Those of other jobs as well, if they are there, for the configuration may name them.
    for resource in (r for job in (*jobs, *study.records.values()) for r in job.external):
        needed = any(resource in job.external for job in jobs)
        if not _place_external(resource, study.name, clone, folder) and needed:
            made = f"made from {resource.name} ({resource.sha256[:12]}), which is not there"
            raise AuditError(f"{path}: {made}, at its commit or in {clone.folder}")
    now = time.time()
    for name, sha256 in taken.items():
        copy(study.path(name), place / name, study.folder, sha256)
        # None is newer than another, or Snakemake would make it again.
        os.utime(place / name, (now, now))
    wanted = f"results/{study.name}/{jobs[0].name}"
    words = ["--cores", "all", "--configfile", configuration, "--", wanted]
    # Exactly this code and its settings: nothing that was set for another checkout.
    others = (f"{current().name.upper()}_", "PYTHON", "GIT_", "SNAKEMAKE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    kept |= {"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    kept["PYTHONPATH"] = str(folder / current().sources)
    if code := run_snakemake(words, folder, kept):
        raise AuditError(f"{path}: made again, its workflow failed, with exit code {code}")
    made_again = open_study(place)
    for job in jobs:
        again = made_again.records.get(job.name)
        then, now_ = _facts(job), _facts(again) if again else {}
        if other := ", ".join(what for what in then if then[what] != now_.get(what)):
            told = f"made again, its job had other {other} than its record says"
            raise AuditError(f"{study.path(job.name)}: {told}")
    return made_again


def outcomes(study: StudyFolder, made: StudyFolder, job: Record) -> list[tuple[str, str]]:
    """Compare every output of a job with the one that was made again.

    Each has a state ("identical" bytes, "close" numbers, or "different") and a line about it.
    """
    found = []
    for output in job.outputs:
        state, detail = "identical", "identical bytes"
        if sha256_of(made.path(output.name), made.folder) != output.sha256:
            close, detail = False, "other bytes; the recorded ones are not here to compare with"
            if study.compared(output.name, output.sha256)[0] == "":
                close, detail = compare_files((study, output.name), (made, output.name))
            state = "close" if close else "different"
        found.append((state, f"{output.name}: {detail}"))
    return found


def run_snakemake(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run Snakemake; return its exit code. What it says goes to the terminal, as errors."""
    command = [sys.executable, "-m", "snakemake", *words]
    return subprocess.run(command, cwd=folder, env=environment, stdout=2).returncode


def _check_out(path: Path, record: Record, clone: Repository, folder: Path) -> None:
    """Write the files of a record's commit to a folder.

    No worktree: that would run hooks, and be left in the clone where this is killed.
    """
    commit = record.commit
    if commit is None or record.uncommitted is not None:
        changed = f"with uncommitted changes on {str(commit)[:12]}"
        at = changed if commit else "at no known commit"
        raise AuditError(f"{path}: made {at}, so that nobody has its code")
    if clone.time_of(commit) is None:
        gone = f"{clone.folder}: has no commit {commit[:12]}, which the record names"
        raise AuditError(f"{gone}; expected --repository with a clone that has it")
    content = git(clone.folder, "archive", "--format=tar", commit)
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            # Python has the filter from 3.11.4 on; git itself writes no name that leads elsewhere.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)
    except tarfile.TarError as error:
        raise AuditError(f"{clone.folder}: commit {commit[:12]}: {error}") from error


def _check_environment(path: Path, record: Record, code: Path) -> None:
    """Check that this environment was installed from the locks of a record, and of its commit.

    None is made here: a lock found in results may hold any line, and installing it would run that.
    Who is in another environment is told how to make it from a clone.
    """
    if record.image is not None and not _IMAGE & os.environ.keys():
        within = f"apptainer exec {record.image.name} {current().name} audit reproduce"
        raise AuditError(f"{path}: it ran in an image; expected: {within}, or --here")
    # The locks that decide about results; others add tools on top.
    kept = {str(r.annotations.get("file")): r.sha256 for r in record.kept_as("lock")}
    locks = {file: kept[file] for file in kept if file in current().locks}
    here = {file: _digest(Path(sys.prefix, "locks", Path(file).name)) for file in locks}
    if not locks or here != locks:
        made = f"git worktree add --detach ../again {record.commit}; make -C ../again setup"
        again = f"PYTHONPATH={current().sources} ../again/.venv/bin/python -m audit_trail"
        way = f"expected: {made}; {again} reproduce {path}"
        if other := [file for file in locks if _digest(code / file) != locks[file]]:
            way = f"its {other[0]} is not that of its commit, so that nobody vouches for it"
        reason = f"it ran in another environment than {sys.prefix}, with another lock"
        raise AuditError(f"{path}: {reason}; {way}, or --here")


def _place_external(resource: Resource, study: str, clone: Repository, folder: Path) -> bool:
    """Return whether a checkout has a file from elsewhere; results of other studies are brought."""
    name = resource.name
    target = folder / name
    if _digest(target) == resource.sha256:
        return True
    # Nothing that came with results may take the place of code; names may count in any case.
    below = name.casefold()
    if not below.startswith("results/") or below.startswith(f"results/{study}/".casefold()):
        return False
    for source in (Path.cwd() / name, clone.folder / name):
        with suppress(AuditError, OSError):
            check_name(name)
            target.unlink(missing_ok=True)
            copy(source, target, None, resource.sha256)
            return True
    return False


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
        "inputs": {resource.name for resource in (*record.inputs, *record.external)},
    }
