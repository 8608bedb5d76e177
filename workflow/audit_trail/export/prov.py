"""A study as W3C PROV: its files, the jobs that used and made them, and who answers for them.

Identifiers are made of digests, so that every export of a study has the same ones, and those of two
studies fit together where they share a file.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prov.constants import PROV
from prov.identifier import Identifier, Namespace, QualifiedName
from prov.model import ProvActivity, ProvAgent, ProvDocument, ProvEntity

from audit_trail.export.committed import Committed, newest_record
from audit_trail.export.people import FILE, read_citation
from audit_trail.plain import engine_version, facts, parameters
from audit_trail.records import Record, Resource
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder
from logdepth.errors import UserError
from logdepth.files import write_text

_Attributes = dict[str | Identifier, Any]
_NAMES = ("agent", "code", "file", "job", "fact", "parameter", "term")


def write_prov(study: StudyFolder, repository: Repository | None, target: Path) -> int:
    """Write the provenance of a study as PROV-JSON and return how many statements it makes.

    Args:
        study: that was verified.
        repository: whose CITATION.cff names the people; without one nobody is named.
        target: file to write.

    Raises:
        UserError: a time in a record cannot be read, or CITATION.cff is no such file.
    """
    document = provenance(study, repository)
    text = json.dumps(json.loads(document.serialize() or ""), indent=1, sort_keys=True)
    write_text(target, text + "\n")
    return len(list(document.get_records()))


def provenance(study: StudyFolder, repository: Repository | None) -> ProvDocument:
    """Return the provenance of a study.

    Raises:
        UserError: a time in a record cannot be read, or CITATION.cff is no such file.
    """
    return _Document(study, repository).document


class _Document:
    """Builds the document; each thing is added to it once."""

    def __init__(self, study: StudyFolder, repository: Repository | None) -> None:
        self.document = ProvDocument()
        self._spaces: dict[str, Namespace] = {
            name: self.document.add_namespace(name, f"urn:logdepth:{name}:") for name in _NAMES
        }
        self._entities: dict[QualifiedName, ProvEntity] = {}
        self._agents: dict[QualifiedName, ProvAgent] = {}
        self._study = study
        self._people = self._add_people(repository)
        for name in sorted(study.records):
            self._add_job(study.records[name])

    def _name(self, space: str, *parts: str) -> QualifiedName:
        return self._spaces[space][":".join(quote(part, safe="/") for part in parts)]

    def _add_job(self, record: Record) -> None:
        try:
            started, finished = map(datetime.fromisoformat, (record.started, record.finished))
        except ValueError as error:
            raise UserError(
                f"{self._study.path(record.name)}: metadata: {error}; expected times such as "
                "2026-01-02T03:04:05.678Z"
            ) from error
        attributes: _Attributes = {
            "prov:label": record.name,
            "prov:type": self._name("term", record.stage),
            self._name("term", "definition"): record.definition or "none: typed by hand",
        }
        for space, pairs in (("parameter", parameters(record)), ("fact", facts(record))):
            attributes |= {self._name(space, name): value for name, value in pairs.items()}
        identifier = self._name("job", record.sha256)
        job = self.document.activity(identifier, started, finished, attributes)
        surroundings = [*record.kept, *([record.image] if record.image else [])]
        inputs = [self._file(r) for r in (*record.inputs, *record.external)]
        for entity in [*inputs, *(self._file(r) for r in surroundings)]:
            self.document.used(job, entity)
        for output in record.outputs:
            made = self._file(output)
            self.document.wasGeneratedBy(made, job, finished)
            for entity in inputs:
                self.document.wasDerivedFrom(made, entity, job)
        self._associate(job, record)

    def _associate(self, job: ProvActivity, record: Record) -> None:
        """Say which software did a job, by which plan, and for whom."""
        changes = [record.uncommitted] if record.uncommitted else []
        version = [record.commit or "unknown", *changes]
        attributes: _Attributes = {
            "prov:type": PROV["Plan"],
            "prov:label": "code of logdepth",
            self._name("term", "commit"): version[0],
        }
        if record.uncommitted:
            attributes[self._name("term", "uncommittedSha256")] = record.uncommitted
        plan = self._entity(self._name("code", *version), attributes)
        self.document.wasAssociatedWith(job, self._software("logdepth", *version), plan)
        # A definition is what a rule passes; a command that was typed by hand has none.
        if record.definition:
            engine = self._software("snakemake", engine_version(record, self._study) or "unknown")
            self.document.wasAssociatedWith(job, engine)

    def _software(self, name: str, *version: str) -> ProvAgent:
        identifier = self._name("agent", name, *version)
        if identifier not in self._agents:
            label = " ".join((name, *version))
            attributes: _Attributes = {"prov:type": PROV["SoftwareAgent"], "prov:label": label}
            self._agents[identifier] = self.document.agent(identifier, attributes)
            if name == "logdepth":
                for person in self._people:
                    self.document.actedOnBehalfOf(self._agents[identifier], person)
        return self._agents[identifier]

    def _file(self, resource: Resource) -> ProvEntity:
        """Return a file: these bytes under this name."""
        plain = resource.role in ("input", "output", "external")
        attributes: _Attributes = {
            "prov:label": resource.name,
            "prov:type": self._name("term", "file" if plain else resource.role),
            self._name("term", "sha256"): resource.sha256,
        }
        return self._entity(self._name("file", resource.sha256, resource.name), attributes)

    def _entity(self, identifier: QualifiedName, attributes: _Attributes) -> ProvEntity:
        if identifier not in self._entities:
            self._entities[identifier] = self.document.entity(identifier, attributes)
        return self._entities[identifier]

    def _add_people(self, repository: Repository | None) -> list[ProvAgent]:
        if repository is None:
            return []
        content = Committed(repository, newest_record(self._study).commit).read(FILE)
        if content is None:
            return []
        return [
            self.document.agent(
                self._name("agent", party.identifier.removeprefix("#")),
                {
                    "prov:type": PROV["Person" if party.person else "Organization"],
                    "prov:label": party.name,
                },
            )
            for party in read_citation(content, repository.folder / FILE).authors
        ]
