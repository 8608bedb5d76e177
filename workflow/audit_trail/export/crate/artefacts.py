"""The files of a study in a crate: those that are there, and those that are only described."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from audit_trail.export.committed import Committed
from audit_trail.export.crate.graph import WITHHELD, Graph, Reference, described_file, identify
from audit_trail.records import Record, Resource
from audit_trail.study import KEPT, StudyFolder, has_link
from logdepth.files import sha256_of
from logdepth.provenance.format import HISTORY, PROVENANCE


class Artefacts:
    """Files that records name, as entities of a crate; they lie where a checkout has them.

    Args:
        graph: to add them to.
        study: whose files they are.
        committed: files of the checkout, some of which are inputs.
    """

    def __init__(self, graph: Graph, study: StudyFolder, committed: Committed) -> None:
        self._graph = graph
        self._study = study
        self._committed = committed
        self._root = f"results/{study.name}"
        self._added: dict[tuple[str, str], Reference] = {}
        self._slots: dict[tuple[str, str], list[Reference]] = {}

    def expect(self, resource: Resource, slot: Reference) -> None:
        """Say that a file takes a place among inputs or outputs of a tool, before it is added."""
        slots = self._slots.setdefault((resource.name, resource.sha256), [])
        if slot not in slots:
            slots.append(slot)

    def add(self, resource: Resource) -> Reference:
        """Add a file with exactly the recorded bytes, or the description of one that is absent."""
        key = (resource.name, resource.sha256)
        if key not in self._added:
            self._added[key] = self._new(resource, self._slots.get(key, []))
        return self._added[key]

    def add_record(self, record: Record) -> Reference:
        """Add the record of a job."""
        size = self._study.path(record.name).stat().st_size
        return self._present(record.name, record.sha256, size, description="Record of a job")

    def add_shared(self) -> None:
        """Add the history, its signatures, and whatever else is kept below provenance/."""
        names = [HISTORY] if self._study.path(HISTORY).is_file() else []
        for folder in KEPT:
            paths = sorted(self._study.path(f"{PROVENANCE}/{folder}").glob("*"))
            names += [path.relative_to(self._study.folder).as_posix() for path in paths]
        for name in names:
            path = self._study.path(name)
            sha256 = sha256_of(path)
            if (name, sha256) not in self._added:
                self._added[name, sha256] = self._present(name, sha256, path.stat().st_size)

    def add_committed(
        self, name: str, content: bytes, description: str, slots: Sequence[Reference] = ()
    ) -> Reference:
        """Add a file of the checkout."""
        sha256 = hashlib.sha256(content).hexdigest()
        properties = {"description": description, "exampleOfWork": list(slots)}
        return self._graph.add_file(name, content, sha256, len(content), **properties)

    def _new(self, resource: Resource, slots: list[Reference]) -> Reference:
        path = self._study.path(resource.name)
        if resource.role == "external":
            content = self._from_checkout(resource)
            if content is not None:
                return self._graph.add_file(
                    resource.name, content, resource.sha256, len(content), exampleOfWork=slots
                )
        elif (
            not has_link(path, self._study.folder)
            and path.is_file()
            and sha256_of(path) == resource.sha256
        ):
            size = path.stat().st_size
            return self._present(resource.name, resource.sha256, size, exampleOfWork=slots)
        return self._graph.add(
            identify(WITHHELD, resource.sha256),
            "File",
            description="Not in this crate; known by its sha256.",
            exampleOfWork=slots,
            **described_file(resource.name, resource.sha256, None),
        )

    def _from_checkout(self, resource: Resource) -> bytes | None:
        path = Path(resource.name)
        if path.is_absolute() or ".." in path.parts:
            return None
        content = self._committed.read(resource.name)
        if content is None or hashlib.sha256(content).hexdigest() != resource.sha256:
            return None
        return content

    def _present(self, name: str, sha256: str, size: int, **properties: object) -> Reference:
        path = self._study.path(name)
        return self._graph.add_file(f"{self._root}/{name}", path, sha256, size, **properties)
