"""What is found now of the files that records name; each is hashed once."""

from enum import StrEnum
from functools import cache
from pathlib import Path

from audit_trail.records import Resource
from audit_trail.repository import find_repository
from audit_trail.study import StudyFolder, has_link
from logdepth.files import sha256_of


class FileState(StrEnum):
    """The state of a file as it is found now, from the best to the worst."""

    RECORDED = "as recorded"
    ELSEWHERE = "elsewhere"
    WITHHELD = "withheld"
    OTHER_VERSION = "other version"
    NO_RECORD = "no record"
    MISSING = "missing"
    MODIFIED = "modified"


def worst(states: list[str]) -> str:
    """Return the worst of some states; empty words do not count."""
    order = [state.value for state in FileState]
    return max((s for s in states if s in order), key=order.index, default="")


class Files:
    """Looks at the files of one study, and at what its records name outside of it.

    Args:
        study: to look at.
    """

    def __init__(self, study: StudyFolder) -> None:
        self._study = study
        repository = find_repository(study.folder)
        self._outside = (repository.folder if repository else Path.cwd()).resolve()
        self.sha256 = cache(self._sha256)

    def path(self, name: str) -> Path | None:
        """Return where a file of the study lies; None where it is none, or behind a link."""
        path = self._study.path(name)
        there = path.is_file() and not has_link(path, self._study.folder)
        return path if there else None

    def outside(self, name: str) -> Path | None:
        """Return where a file outside of the study lies; None where it is not in the checkout.

        A record may name any file of this machine; only what lies in the checkout is opened.
        """
        path = (self._outside / name).resolve()
        return path if path.is_relative_to(self._outside) and path.is_file() else None

    def state(self, name: str, sha256: str) -> FileState:
        """Return the state of a file of the study that should have a sha256."""
        if has_link(self._study.path(name), self._study.folder):
            return FileState.MODIFIED
        found = self.sha256(name)
        if found is None:
            withheld = self._study.history.withheld().get(name) == sha256
            return FileState.WITHHELD if withheld else FileState.MISSING
        return FileState.RECORDED if found == sha256 else FileState.MODIFIED

    def state_outside(self, resource: Resource) -> FileState:
        """Return the state of a file outside of the study."""
        path = self.outside(resource.name)
        if path is None:
            return FileState.ELSEWHERE
        same = sha256_of(path) == resource.sha256
        return FileState.RECORDED if same else FileState.MODIFIED

    def _sha256(self, name: str) -> str | None:
        path = self.path(name)
        return None if path is None else sha256_of(path)
