"""Copies of a study: what belongs to it by its records, into a folder that appears when whole."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from audit_trail.errors import AuditError, MissingFileError
from audit_trail.files import copy
from audit_trail.signature import signatures
from audit_trail.study import StudyFolder
from audit_trail.verify import belonging


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


def copy_study(
    study: StudyFolder, target: Path, wanted: Callable[[str], bool] = lambda _: True
) -> dict[str, str]:
    """Copy what belongs to a study and is there, its signatures included; no link is followed.

    Args:
        study: to copy from.
        target: folder to copy to.
        wanted: whether to copy a file, by its name; all by default.

    Returns:
        The sha256 of each file that was copied, by its name.

    Raises:
        AuditError: a file has other bytes than its record says.
    """
    names = belonging(study)
    for name in signatures(study)[0]:
        names |= {name: None, f"{name}.sig": None}
    found: dict[str, str] = {}
    for name, sha256 in names.items():
        if not wanted(name):
            continue
        try:
            found[name] = copy(study.path(name), target / name, study.folder)
        except MissingFileError:
            continue
        if sha256 not in (None, found[name]):
            raise AuditError(f"{study.path(name)}: is not as it was recorded any more")
    return found
