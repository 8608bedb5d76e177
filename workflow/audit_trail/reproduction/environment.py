"""The environment of a recorded job: an image, or a Python with the recorded packages.

None is built here. A lock found in results may hold any line, and installing it would run that; who
has no such environment is told how to make it from a clone, whose lock is compared first.
"""

import os
import shutil
import sys
from functools import cache
from pathlib import Path

from audit_trail.differences import kept_list
from audit_trail.environment import packages
from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import sha256_of
from audit_trail.project import Project, Rebuilding
from audit_trail.records import Record
from audit_trail.study import StudyFolder

# As workflows set them for their jobs: how a sum is split over threads can move its last bits.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def variables(project: Project, record: Record, code: Path) -> dict[str, str]:
    """Return the environment variables for a job: exactly this code, nothing handed on."""
    own = f"{project.name.upper()}_"
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
    return kept | safe | counts | {"PYTHONPATH": str(code / project.sources)}


def in_image(project: Project, record: Record, image: Path, bound: Path) -> list[str]:
    """Return the command that stands for the project's in the image of a record.

    Args:
        project: whose job it is.
        record: of the job.
        image: that should be the recorded one.
        bound: folder that is to be seen in it.

    Raises:
        AuditError: it is another image, or nothing here runs it.
    """
    if record.image is None or _digest(image) != record.image.sha256:
        raise AuditError(f"{image}: not the image that the job ran in; expected --image, or --here")
    if shutil.which("apptainer") is None:
        raise AuditError(f"{image}: no apptainer to run it; expected --here for this environment")
    gpu = ["--nv"] if str(record.parameters.get("device", "")).startswith("cuda") else []
    return ["apptainer", "exec", *gpu, "--bind", str(bound), str(image.resolve()), project.name]


def unlike(rules: Rebuilding, study: StudyFolder, record: Record, python: Path | None) -> str:
    """Return how an environment is not the recorded one, by its locks or else by its packages.

    Args:
        rules: say which locks count.
        study: with the list of packages.
        record: of a job.
        python: interpreter of the environment; None for this one.

    Returns:
        Nothing where it is the same.
    """
    installed = (python.parent.parent if python else Path(sys.prefix)) / "locks"
    locks = _locks(rules, record)
    if locks and all(_digest(installed / Path(f).name) == sha for f, sha in locks.items()):
        return ""
    then, now = kept_list(study, record, "packages"), packages()
    other = [f"{n} {v}, here {now.get(n)}" for n, v in then.items() if now.get(n) != v]
    if python or locks or not then:
        return "; ".join(["another lock", *([] if python else other[:3])])
    return "; ".join(other[:3])


def way_out(rules: Rebuilding, record: Record, code: Path) -> str:
    """Return how to get the recorded environment: from the lock at its commit, if it is the same.

    Args:
        rules: say which locks count, and how a clone is set up.
        record: of a job.
        code: folder with the files of its commit, which it is named after.
    """
    locks = _locks(rules, record)
    other = [file for file, sha256 in locks.items() if _digest(code / file) != sha256]
    if other or not locks:
        lock = other[0] if other else "lock"
        return f"its {lock} is not that of its commit, so that nobody vouches for it"
    return (
        f"expected --python with that of its commit (git worktree add --detach ../again "
        f"{code.name}; cd ../again; {rules.setup})"
    )


def _locks(rules: Rebuilding, record: Record) -> dict[str, str]:
    """Return the sha256 of each lock that decides about results; others add tools on top."""
    locks = {str(r.annotations.get("file")): r.sha256 for r in record.kept_as("lock")}
    return {file: sha256 for file, sha256 in locks.items() if file in rules.locks}


@cache
def _digest(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except BadFileError:
        return None
