"""Copies of what belongs to a study by its records; one to publish lacks its large files."""

import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import copy
from audit_trail.findings import State, require_intact
from audit_trail.format import LOCK
from audit_trail.repository import needed_repository
from audit_trail.signature import signatures
from audit_trail.study import StudyFolder, is_study, open_study
from audit_trail.verify import belonging, verify
from audit_trail.writer import append_entry


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a folder that takes the place of ``target`` when the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        made = Path(folder) / target.name
        made.mkdir()
        yield made
        if target.exists():
            target.rename(f"{made}.before")
        made.rename(target)


def copy_study(study: StudyFolder, target: Path, without: Collection[str] = ()) -> dict[str, str]:
    """Copy what belongs to a study and is there, but some files; no link is followed.

    Return the sha256 of each file that was copied, by its name; signatures are among them. An
    AuditError says that a file has other bytes than its record says.
    """
    names = belonging(study)
    for name in signatures(study)[0]:
        names |= {name: None, f"{name}.sig": None}
    found: dict[str, str] = {}
    for name in sorted(names.keys() - set(without)):
        try:
            found[name] = copy(study.path(name), target / name, study.folder, names[name])
        except BadFileError as error:
            if error.kind != "missing":
                raise
    return found


def publish(source: Path, target: Path, withhold: Sequence[str]) -> int:
    """Copy a study without the outputs of some patterns; return how many were withheld.

    Its history then says which, with their sha256. An earlier copy of the same study is replaced
    once the new one is complete; nothing else is. An AuditError says that the study is not intact,
    was made with uncommitted code, or lost its way back; or that something else is there.
    """
    study = open_study(source)
    _check_target(study, target)
    # What is published comes from a commit that was looked at.
    findings = verify(study, needed_repository())
    require_intact(findings, (State.BROKEN_CHAIN, State.NOT_CHECKED))
    large = [name for name in study.made if any(fnmatch(name, pattern) for pattern in withhold)]
    with new_folder(target) as made:
        copy_study(study, made, large)
        withheld = {name: study.made[name] for name in large}
        append_entry(made, {"event": "published", "withheld": withheld})
        (made / LOCK).unlink()
    return len(large)


def _check_target(study: StudyFolder, target: Path) -> None:
    """Check that nothing is lost where the copy goes but a published copy of this study."""
    here, there = study.folder.resolve(), target.resolve()
    if there.is_relative_to(here) or here.is_relative_to(there):
        raise AuditError(f"{target}: holds the study itself, or lies in it")
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    found = is_study(target) and not target.is_symlink()
    before = open_study(target) if found else StudyFolder(target)
    same = before.name == study.name or before.history.hashes[:1] == study.history.hashes[:1]
    if not before.history.published or not same:
        expected = f"expected no such folder, or an earlier copy of {study.name}"
        raise AuditError(f"{target}: is no published copy of that study; {expected}")
    if foreign := verify(before).by_state().get(State.FOREIGN):
        raise AuditError(f"{target}/{foreign[0]}: is none of the study's and would be lost")
