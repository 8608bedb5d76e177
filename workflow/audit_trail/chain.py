"""The way from an output back to what made it: whether it is whole, and whether it is still so."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from audit_trail.findings import Problem, State
from audit_trail.records import Record, Resource
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder, has_link
from logdepth.files import sha256_of


@dataclass(frozen=True)
class Checks:
    """What to compare a study with.

    Attributes:
        repository: the checkout whose code and commits to look at; None looks at none.
        expected: gives the definition that a job should have now; None where that is unknown, and
            "" for a job that the configuration does not have any more.
        image: where the container image lies; by default containers/ of the repository.
        signers: who may sign the history; None asks for no signature.
        sample: how many outputs to hash; None hashes all.
        seed: of the choice.
    """

    repository: Repository | None = None
    expected: Callable[[Record], str | None] | None = None
    image: Path | None = None
    signers: Path | None = None
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

    def notes(self) -> list[str]:
        """Return what could not be looked at, and why."""
        repository = self._checks.repository
        if repository is None:
            return ["outside of a checkout: neither commits nor changes of code looked at"]
        if not repository.complete:
            return ["no git, or a shallow clone: commits not looked at"]
        return []

    def broken(self, record: Record) -> list[Problem]:
        """Return where the way from a job's outputs back to what made them is lost."""
        details = [*self._inputs(record), *self._kept(record)]
        if record.image is not None:
            details += self._image(record.image)
        details += self._commit(record)
        return [Problem(State.BROKEN_CHAIN, reason, detail) for reason, detail in details]

    def stale(self, record: Record) -> list[Problem]:
        """Return what has changed since, so that the job would give something else now."""
        details: list[tuple[str, str]] = []
        repository, expected = self._checks.repository, self._checks.expected
        if repository is not None:
            recorded = self.source(record)
            changed = [m for m, value in recorded.items() if value not in repository.current(m)]
            if changed:
                details.append(("code", f"its code has changed since: {', '.join(changed)}"))
            for resource in record.external:
                path = repository.folder / resource.name
                if path.is_file() and self._hash(path) != resource.sha256:
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
            if self._hash(path) != resource.sha256:
                return {}
            listed = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return {str(k): str(v) for k, v in listed.items()} if isinstance(listed, dict) else {}

    def _inputs(self, record: Record) -> list[tuple[str, str]]:
        details = []
        for resource in record.inputs:
            maker = self._study.makers.get(resource.name)
            if maker is None:
                details.append(("input", f"made from {resource.name}, which no record explains"))
                continue
            now = next(o.sha256 for o in maker.outputs if o.name == resource.name)
            if now != resource.sha256:
                versions = f"{resource.sha256[:12]}, now {now[:12]}"
                details.append(("input", f"made from another {resource.name} ({versions})"))
        return details

    def _kept(self, record: Record) -> list[tuple[str, str]]:
        details = []
        for resource in record.kept:
            path = self._study.path(resource.name)
            what = f"its {resource.role} {resource.annotations.get('file', '')}".strip()
            if has_link(path, self._study.folder) or not path.is_file():
                details.append((resource.role, f"{what} is gone ({resource.name})"))
            elif self._hash(path) != resource.sha256:
                details.append((resource.role, f"{what} was altered ({resource.name})"))
        return details

    def _image(self, image: Resource) -> list[tuple[str, str]]:
        path, repository = self._checks.image, self._checks.repository
        if path is None and repository is not None:
            path = repository.folder / "containers" / Path(image.name).name
        if path is None or not path.is_file():
            where = f"not at {path}" if path else "outside of a checkout --image says where it is"
            return [("image", f"its image {image.name} ({image.sha256[:12]}) is gone: {where}")]
        if (found := self._hash(path)) != image.sha256:
            return [("image", f"its image was {image.sha256[:12]}, but {path} is {found[:12]}")]
        return []

    def _commit(self, record: Record) -> list[tuple[str, str]]:
        repository = self._checks.repository
        if record.commit is None:
            return [("commit", "made outside of any commit")]
        if record.uncommitted is not None:
            return [("uncommitted", f"made with uncommitted changes on {record.commit[:12]}")]
        if repository is None or not repository.complete:
            return []
        if not repository.has(record.commit):
            return [("commit", f"its commit {record.commit[:12]} is not in {repository.folder}")]
        recorded = self.source(record)
        committed = repository.at(record.commit, list(recorded))
        other = [module for module, value in recorded.items() if value not in committed[module]]
        if other:
            return [("source", f"ran other code than {record.commit[:12]} has: {', '.join(other)}")]
        return []
