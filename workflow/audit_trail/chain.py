"""The way from an output back to what made it: whether it is whole, and whether it is still so."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from audit_trail.errors import BadFileError
from audit_trail.files import sha256_of
from audit_trail.findings import Problem, State
from audit_trail.records import Record, moment
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder

SECONDS = 3600
"""What the clocks of two machines may differ by."""
# Before there was this format.
_FIRST = 1_577_836_800


@dataclass(frozen=True)
class Checks:
    """What to compare a study with."""

    # The clone whose code, commits and images to look at; None looks at none.
    repository: Repository | None = None
    signers: Path | None = None  # who may sign the history; None asks for no signature
    least: int = 0  # lines that the history has at least


class Chain:
    """Looks at where the outputs of one study come from; each file is hashed once."""

    def __init__(self, study: StudyFolder, checks: Checks) -> None:
        self._study = study
        self._checks = checks
        self._hash = cache(sha256_of)

    def broken(self, record: Record) -> list[Problem]:
        """Return where the way from a job's outputs back to what made them is lost or unknown."""
        parts = (self._inputs, self._kept, self._times, self._image, self._commit)
        return [problem for part in parts for problem in part(record)]

    def stale(self, record: Record) -> list[Problem]:
        """Return what has changed since, so that the job would give something else now."""
        repository, found = self._checks.repository, []
        if repository is not None:
            if changed := repository.other_code(self._study.listed(record, "source")):
                detail = f"its code has changed since: {', '.join(changed)}"
                found.append(Problem(State.STALE, "code", detail))
            for name, sha256 in ((r.name, r.sha256) for r in record.external):
                with suppress(BadFileError):
                    if self._hash(repository.folder / name, repository.folder) != sha256:
                        found.append(Problem(State.STALE, "external", f"{name} has changed since"))
        return found

    def _inputs(self, record: Record) -> Iterator[Problem]:
        made = self._study.made
        for resource in record.inputs:
            now = made.get(resource.name)
            if now is None:
                yield _broken("input", f"made from {resource.name}, which no record explains")
            elif now != resource.sha256:
                versions = f"{resource.sha256[:12]}, now {now[:12]}"
                yield _broken("input", f"made from another {resource.name} ({versions})")
        for resource in record.external:
            # Some ending of the path is an output of this study, with these bytes.
            parts = resource.name.split("/")
            endings = ["/".join(parts[i:]) for i in range(len(parts))]
            if any(made.get(name) == resource.sha256 for name in endings):
                yield _broken("input", f"calls {resource.name} external, but its study made it")

    def _kept(self, record: Record) -> Iterator[Problem]:
        for part, reason in record.unknown.items():
            yield Problem(State.NOT_CHECKED, part, f"its {part} is not known: {reason}")
        for role in ("packages", "source"):
            if not record.kept_as(role) and role not in record.unknown:
                yield _broken(role, f"its record has no list of its {role}")
        if record.image is None and not record.kept_as("lock") and "lock" not in record.unknown:
            yield _broken("lock", "its record has no lock, and no image, of its environment")
        for resource in record.kept:
            kind, reason = self._study.compared(resource.name, resource.sha256)
            reason = {"missing": "is gone", "bytes": "was altered"}.get(kind, reason)
            code = resource.role != "source" or self._study.listed(record, "source")
            reason = reason or ("" if code else "names no code")
            if reason and kind != "withheld":
                what = f"its {resource.role} {resource.annotations.get('file', '')}".strip()
                yield _broken(resource.role, f"{what} {reason} ({resource.name})")

    def _times(self, record: Record) -> Iterator[Problem]:
        """Yield what is not plausible about the times of a job."""
        started, finished = moment(record.started), moment(record.finished)
        said = f"{record.started} to {record.finished}"
        if started is None or finished is None:
            yield _broken("time", f"its times are none: {said}")
        elif finished < started or started < _FIRST or finished > time.time() + SECONDS:
            yield _broken("time", f"its times cannot be: {said}")

    def _image(self, record: Record) -> Iterator[Problem]:
        image, repository = record.image, self._checks.repository
        if image is not None and repository is not None:
            named = f"its image {image.name} ({image.sha256[:12]})"
            try:
                if self._hash(repository.image(image)) != image.sha256:
                    yield _broken("image", f"{named} is another now")
            except BadFileError as error:
                yield _broken("image", f"{named} is gone: {error}")

    def _commit(self, record: Record) -> Iterator[Problem]:
        """Yield what is wrong with the commit of a job, or why nobody knows."""
        commit, repository = record.commit, self._checks.repository
        short = str(commit)[:12]
        if commit is None:
            if "commit" not in record.unknown:
                yield _broken("commit", "made outside of any commit")
        elif record.uncommitted is not None:
            yield _broken("uncommitted", f"made with uncommitted changes on {short}")
        elif repository is not None and repository.problem is None:
            other = repository.other_code(self._study.listed(record, "source"), commit)
            made, started = repository.time_of(commit), moment(record.started)
            gone = f"its commit {short} is not in {repository.folder}"
            if made is None and repository.shallow:
                # It lacks older ones, whatever is true of this one.
                shallow = f"{gone}, which is a shallow clone"
                yield Problem(State.NOT_CHECKED, "commit", shallow)
            elif made is None:
                yield _broken("commit", gone)
            elif other:
                yield _broken("source", f"ran other code than {short} has: {', '.join(other)}")
            elif started is not None and started < made - SECONDS:
                detail = f"started at {record.started}, before its commit {short} was made"
                yield _broken("time", detail)


def _broken(reason: str, detail: str) -> Problem:
    return Problem(State.BROKEN_CHAIN, reason, detail)
