"""The entities of a crate, each added once, with references that are never empty."""

import hashlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model.computationalworkflow import ComputationalWorkflow
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from logdepth.canonical import canonical_json, digest

Reference = dict[str, str]

WITHHELD = "withheld"
METADATA = "ro-crate-metadata.json"
WORKFLOW_RUN = "https://w3id.org/ro/terms/workflow-run"
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (_WORKFLOW_CRATE, "Workflow RO-Crate", "1.0"),
)
_FORMATS = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
}


class _HowTo(ComputationalWorkflow):  # type: ignore[misc]
    """A workflow whose steps are described."""

    TYPES = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]  # noqa: RUF012


class Graph:
    """Entities of a crate.

    Attributes:
        crate: of the library, with all of them.
        digests: sha256 of each file in the crate, by its path in it.
    """

    def __init__(self) -> None:
        self.crate = ROCrate(version="1.1")
        self.digests: dict[str, str] = {}
        self.crate.metadata.extra_contexts.append(f"{WORKFLOW_RUN}/context")
        self.crate.metadata["conformsTo"] = [
            {"@id": "https://w3id.org/ro/crate/1.1"},
            {"@id": _WORKFLOW_CRATE},
        ]
        for identifier, name, version in PROFILES:
            self.add(identifier, "CreativeWork", name=name, version=version)

    def add(self, identifier: str, kind: str, /, **properties: Any) -> Reference:
        """Add an entity, unless it is there, and return the reference to it."""
        if self.crate.get(identifier) is None:
            entity = {"@type": kind, **_given(properties)}
            self.crate.add(ContextEntity(self.crate, identifier, properties=entity))
        return {"@id": identifier}

    def add_file(
        self, name: str, content: Path | bytes, sha256: str, size: int, /, **properties: Any
    ) -> Reference:
        """Add a file to the crate, under its path in it."""
        source = content if isinstance(content, Path) else BytesIO(content)
        self.digests[name] = sha256
        described = described_file(name, sha256, size) | properties
        return {"@id": self.crate.add_file(source, name, properties=_given(described)).id}

    def add_text(self, name: str, text: str, /, **properties: Any) -> Reference:
        """Add a file that is this text."""
        content = text.encode()
        sha256 = hashlib.sha256(content).hexdigest()
        return self.add_file(name, content, sha256, len(content), **properties)

    def add_workflow(self, name: str, content: bytes, /, **properties: Any) -> Reference:
        """Add the file that is the workflow, the main entity of the crate."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.digests[name] = sha256
        described = described_file(name, sha256, len(content)) | properties
        entity = self.crate.add_workflow(
            BytesIO(content),
            name,
            main=True,
            lang="snakemake",
            cls=_HowTo,
            properties=_given(described),
        )
        return {"@id": entity.id}

    def describe(self, **properties: Any) -> None:
        """Set properties of the crate itself."""
        for key, value in _given(properties).items():
            self.crate.root_dataset[key] = value

    def value(self, name: str, value: Any, slots: Iterable[Reference] = ()) -> Reference:
        """Add a named value, which is the same entity wherever it is the same value."""
        listed = list(slots)
        identifier = f"#value/{digest([name, value, listed])[:16]}"
        return self.add(identifier, "PropertyValue", name=name, value=value, exampleOfWork=listed)


def identify(*parts: str) -> str:
    """Return an identifier within the crate that is made of these parts."""
    return "#" + "/".join(quote(part, safe="/") for part in parts)


def described_file(name: str, sha256: str, size: int | None) -> dict[str, Any]:
    """Return the properties that every file has."""
    suffix = Path(name).suffix
    return {
        "name": name,
        "sha256": sha256,
        "contentSize": None if size is None else str(size),
        "encodingFormat": _FORMATS.get(suffix, "text/plain"),
    }


def _given(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties that have a value; a list of one is given as that one."""
    result = {}
    for key, value in properties.items():
        if isinstance(value, list):
            unique = list({canonical_json(item): item for item in value}.values())
            value = unique[0] if len(unique) == 1 else unique
        if value is not None and value != []:
            result[key] = value
    return result
