"""Copying a finished study without its large files, so that the copy can still be verified."""

import shutil
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from audit_trail.chain import Checks
from audit_trail.findings import State
from audit_trail.report import printable, require_intact
from audit_trail.repository import find_repository
from audit_trail.study import KEPT, StudyFolder, open_study
from audit_trail.verify import verify
from logdepth.errors import UserError
from logdepth.provenance.format import HISTORY, PROVENANCE
from logdepth.provenance.record import append_entry


def publish(source: Path, target: Path, withhold: Sequence[str]) -> int:
    """Copy a study; its history then says which outputs were withheld, with their sha256.

    Args:
        source: folder of the study.
        target: folder to write; replaced once the copy is complete.
        withhold: patterns of outputs to leave out, such as "*.safetensors".

    Returns:
        How many outputs were withheld.

    Raises:
        UserError: the study is not intact, was made with uncommitted code, or lost its way back.
    """
    study = open_study(source)
    findings = verify(study, Checks(repository=find_repository(source)))
    require_intact(findings)
    for name, problems in findings.problems.items():
        for problem in problems:
            if problem.state is State.BROKEN_CHAIN:
                raise UserError(
                    f"{source}/{printable(name)}: {printable(problem.detail)}; what is published "
                    "comes from a commit: expected to run the study again in a clean clone"
                )
    withheld = {
        output.name: output.sha256
        for record in study.records.values()
        for output in record.outputs
        if any(fnmatch(output.name, pattern) for pattern in withhold)
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        copy = Path(folder) / target.name
        for name in [*_names(study), *study.records, HISTORY]:
            if name not in withheld:
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(study.path(name), copy / name)
        append_entry(copy, {"event": "published", "withheld": withheld})
        (copy / HISTORY).with_suffix(".lock").unlink()
        if target.exists():
            target.rename(Path(folder) / "before")
        copy.rename(target)
    return len(withheld)


def _names(study: StudyFolder) -> list[str]:
    """Return the outputs of a study, and what its records share."""
    kept = [
        path.relative_to(study.folder).as_posix()
        for folder in KEPT
        for path in sorted(study.path(f"{PROVENANCE}/{folder}").glob("*"))
    ]
    return [*study.makers, *kept]
