"""The way from an output back to what made it: whether it is whole, and whether it is still so."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from audit_trail.errors import BadFileError, MissingFileError
from audit_trail.files import read_json, sha256_of
from audit_trail.findings import Problem, State
from audit_trail.records import Record, Resource, moment
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder

# What the clocks of two machines may differ by.
_SECONDS = 3600
# Before there was this format.
_FIRST = 1_577_836_800

Detail = tuple[str, str]


@dataclass(frozen=True)
class Checks:
    """What to compare a study with.

    Attributes:
        repository: the clone whose code and commits to look at; None looks at none.
        expected: gives the definition that a job should have now; None where that is unknown, and
            "" for a job that the configuration does not have any more.
        image: where the container image lies; by default containers/ of the repository.
        signers: who may sign the history; None asks for no signature.
        least: lines that the history has at least; with signers, lines that are signed.
        sample: how many outputs to hash; None hashes all.
        seed: of the choice.
    """

    repository: Repository | None = None
    expected: Callable[[Record], str | None] | None = None
    image: Path | None = None
    signers: Path | None = None
    least: int = 0
    sample: int | None = None
    seed: int = 0


class Chain:
    """Looks at where the outputs of one study come from; each file is hashed once.

    Args:
        study: to look at.
        checks: what to compare it with.
    """

    def __init__(self, study: StudyFolder, checks: Checks) -> None:
        self._study = study
        self._checks = checks
        self._hash = cache(sha256_of)
        self._sources: dict[str, dict[str, str]] = {}
        self._kept_problems: dict[str, str] = {}
        self._made = {
            output.name: output.sha256
            for record in study.records.values()
            for output in record.outputs
        }

    def broken(self, record: Record) -> list[Problem]:
        """Return where the way from a job's outputs back to what made them is lost or unknown."""
        details = [*self._inputs(record), *self._kept(record), *_times(record)]
        if record.image is not None:
            details += self._image(record.image)
        problems = [Problem(State.BROKEN_CHAIN, reason, detail) for reason, detail in details]
        return problems + self._commit(record)

    def stale(self, record: Record) -> list[Problem]:
        """Return what has changed since, so that the job would give something else now."""
        details: list[Detail] = []
        repository, expected = self._checks.repository, self._checks.expected
        if repository is not None:
            recorded = self.source(record)
            changed = [m for m, value in recorded.items() if value not in repository.current(m)]
            if changed:
                details.append(("code", f"its code has changed since: {', '.join(changed)}"))
            for resource in record.external:
                try:
                    now = self._hash(repository.folder / resource.name, repository.folder)
                except BadFileError:
                    continue
                if now != resource.sha256:
                    details.append(("external", f"{resource.name} has changed since"))
        if expected is not None and not details:
            definition = expected(record)
            if definition == "":
                details.append(("configuration", "the configuration has no such job any more"))
            elif definition is not None and definition != record.definition:
                details.append(("configuration", "its configuration has changed since"))
        return [Problem(State.STALE, reason, detail) for reason, detail in details]

    def source(self, record: Record) -> dict[str, str]:
        """Return the hash of each module behind a job; empty if the list is lost or altered."""
        for resource in record.kept_as("source"):
            if resource.sha256 not in self._sources:
                self._sources[resource.sha256] = self._read_source(resource)
            return self._sources[resource.sha256]
        return {}

    def _read_source(self, resource: Resource) -> dict[str, str]:
        path = self._study.path(resource.name)
        try:
            if self._hash(path, self._study.folder) != resource.sha256:
                return {}
            listed = read_json(path, self._study.folder)
        except BadFileError:
            return {}
        return {str(k): str(v) for k, v in listed.items()} if isinstance(listed, dict) else {}

    def _inputs(self, record: Record) -> list[Detail]:
        details = []
        for resource in record.inputs:
            now = self._made.get(resource.name)
            if now is None:
                details.append(("input", f"made from {resource.name}, which no record explains"))
            elif now != resource.sha256:
                versions = f"{resource.sha256[:12]}, now {now[:12]}"
                details.append(("input", f"made from another {resource.name} ({versions})"))
        for resource in record.external:
            # Some ending of the path is an output of this study, with these bytes.
            parts = resource.name.split("/")
            endings = ["/".join(parts[i:]) for i in range(len(parts))]
            if any(self._made.get(name) == resource.sha256 for name in endings):
                details.append(("input", f"calls {resource.name} external, but its study made it"))
        return details

    def _kept(self, record: Record) -> list[Detail]:
        details = []
        for role in ("packages", "source"):
            if not record.kept_as(role):
                details.append((role, f"its record has no list of its {role}"))
        if record.image is None and not record.kept_as("lock"):
            details.append(("lock", "its record has no lock, and no image, of its environment"))
        for resource in record.kept:
            if resource.name not in self._kept_problems:
                self._kept_problems[resource.name] = self._kept_problem(resource)
            if problem := self._kept_problems[resource.name]:
                what = f"its {resource.role} {resource.annotations.get('file', '')}".strip()
                details.append((resource.role, f"{what} {problem} ({resource.name})"))
        return details

    def _kept_problem(self, resource: Resource) -> str:
        try:
            found = self._hash(self._study.path(resource.name), self._study.folder)
        except MissingFileError:
            left_out = self._study.history.withheld().get(resource.name) == resource.sha256
            return "" if left_out else "is gone"
        except BadFileError as error:
            return error.reason
        if found != resource.sha256:
            return "was altered"
        empty = resource.role == "source" and not self._read_source(resource)
        return "names no code" if empty else ""

    def _image(self, image: Resource) -> list[Detail]:
        path, repository = self._checks.image, self._checks.repository
        if path is None and repository is not None:
            path = repository.folder / "containers" / Path(image.name).name
        if path is None:
            where = "outside of a clone --image says where it is"
            return [("image", f"its image {image.name} ({image.sha256[:12]}) is gone: {where}")]
        try:
            found = self._hash(path)
        except BadFileError as error:
            where = f"not at {path}" if isinstance(error, MissingFileError) else str(error)
            return [("image", f"its image {image.name} ({image.sha256[:12]}) is gone: {where}")]
        if found != image.sha256:
            return [("image", f"its image was {image.sha256[:12]}, but {path} is {found[:12]}")]
        return []

    def _commit(self, record: Record) -> list[Problem]:
        """Return what is wrong with the commit of a job, or why nobody knows."""
        commit, repository = record.commit, self._checks.repository
        if record.unknown is not None:
            detail = f"its commit is not known: {record.unknown}"
            return [Problem(State.NOT_CHECKED, "commit", detail)]
        if commit is None:
            return [Problem(State.BROKEN_CHAIN, "commit", "made outside of any commit")]
        short = commit[:12]
        if record.uncommitted is not None:
            detail = f"made with uncommitted changes on {short}"
            return [Problem(State.BROKEN_CHAIN, "uncommitted", detail)]
        if repository is None or repository.problem is not None:
            return []
        recorded = self.source(record)
        committed = repository.at(commit, list(recorded))
        made = repository.time_of(commit)
        if made is None:
            # A shallow clone lacks older ones, whatever is true of this one.
            state = State.NOT_CHECKED if repository.shallow else State.BROKEN_CHAIN
            shallow = ", which is a shallow clone" if repository.shallow else ""
            detail = f"its commit {short} is not in {repository.folder}{shallow}"
            return [Problem(state, "commit", detail)]
        found = []
        other = [module for module, value in recorded.items() if value not in committed[module]]
        if other:
            detail = f"ran other code than {short} has: {', '.join(other)}"
            found.append(Problem(State.BROKEN_CHAIN, "source", detail))
        started = moment(record.started)
        if started is not None and started < made - _SECONDS:
            detail = f"started at {record.started}, before its commit {short} was made"
            found.append(Problem(State.BROKEN_CHAIN, "time", detail))
        return found


def _times(record: Record) -> list[Detail]:
    """Return what is not plausible about the times of a job."""
    started, finished = moment(record.started), moment(record.finished)
    said = f"{record.started} to {record.finished}"
    if started is None or finished is None:
        return [("time", f"its times are none: {said}")]
    if finished < started or started < _FIRST or finished > time.time() + _SECONDS:
        return [("time", f"its times cannot be: {said}")]
    return []
