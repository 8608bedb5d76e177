"""What a job ran in, as nodes of a lineage: code, source, environment and machine."""

import json
import re
from typing import Any

from audit_trail.records import MAX_BYTES, Record, Resource
from audit_trail.tracing.facts import interpreter_facts, machine_facts, mapping
from audit_trail.tracing.nodes import Node
from audit_trail.tracing.states import Files, FileState
from logdepth.canonical import digest

_PINNED = re.compile(r"^[A-Za-z0-9][^\s#]*==", re.M)


class Surroundings:
    """Makes the nodes that jobs share; each stands once.

    Args:
        nodes: of the lineage, by key; new ones are added.
        files: of the study.
    """

    def __init__(self, nodes: dict[str, Node], files: Files) -> None:
        self._nodes = nodes
        self._files = files
        self._numbers: dict[str, int] = {}

    def of(self, record: Record) -> list[Node]:
        """Return code, source, environment and machine of a job."""
        source = [self._kept(resource) for resource in record.kept_as("source")]
        return [self._code(record), *source, self._environment(record), self._machine(record)]

    def _code(self, record: Record) -> Node:
        commit = record.commit or "none: made outside of any commit"
        changes = str(record.uncommitted or "none")
        title = f"commit {commit[:12]}" if record.commit else "no commit"
        if record.uncommitted:
            title += " with uncommitted changes"
        facts = {"commit": commit, "uncommitted changes": changes}
        return self._node(f"code:{commit}:{changes}", "code", title, facts)

    def _environment(self, record: Record) -> Node:
        kept = [*record.kept_as("lock"), *record.kept_as("packages")]
        facts = interpreter_facts(record)
        image = record.image
        content = [facts, [k.sha256 for k in kept], image.sha256 if image else None]
        key = f"environment:{digest(content)[:12]}"
        if key in self._nodes:
            return self._nodes[key]
        node = self._node(key, "environment", self._numbered("environment"), facts)
        node.children = [self._kept(resource) for resource in kept]
        for child in node.children:
            listed = mapping(child.facts.get("packages"))
            facts |= {name: listed[name] for name in ("torch", "numpy") if name in listed}
        facts["image"] = image.name if image else "none"
        if image is not None:
            node.children.append(self._image(image))
        return node

    def _image(self, image: Resource) -> Node:
        key = f"image:{image.sha256}"
        node = self._node(key, "image", image.name, {"looked at": "by logdepth audit verify"})
        node.name, node.sha256, node.state = image.name, image.sha256, FileState.ELSEWHERE
        return node

    def _machine(self, record: Record) -> Node:
        facts = machine_facts(record)
        key = f"machine:{digest(facts)[:12]}"
        if key in self._nodes:
            return self._nodes[key]
        return self._node(key, "machine", self._numbered("machine"), facts)

    def _kept(self, resource: Resource) -> Node:
        key = f"{resource.role}:{resource.sha256}"
        if key in self._nodes:
            return self._nodes[key]
        state = self._files.state(resource.name, resource.sha256)
        content = self._content(resource.name) if state is FileState.RECORDED else None
        facts: dict[str, Any] = {}
        title = f"{resource.role} {resource.sha256[:12]}"
        if resource.role == "lock":
            file = str(resource.annotations.get("file", ""))
            facts = {"file": file, "requirements": len(_PINNED.findall(content or ""))}
            title = f"lock {file} {resource.sha256[:12]}"
        elif resource.role == "packages":
            facts = {"packages": _listed(content)}
        else:
            facts = {"modules": _listed(content)}
        node = self._node(key, resource.role, title, facts)
        node.name, node.sha256, node.state = resource.name, resource.sha256, state
        return node

    def _content(self, name: str) -> str | None:
        path = self._files.path(name)
        if path is None or path.stat().st_size > MAX_BYTES:
            return None
        return path.read_bytes().decode("utf-8", "replace")

    def _node(self, key: str, kind: str, title: str, facts: dict[str, Any]) -> Node:
        return self._nodes.setdefault(key, Node(key, kind, title, facts=facts))

    def _numbered(self, kind: str) -> str:
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{kind} {self._numbers[kind]}"


def _listed(content: str | None) -> dict[str, str]:
    try:
        return {str(k): str(v) for k, v in mapping(json.loads(content or "{}")).items()}
    except (ValueError, RecursionError):
        return {}
