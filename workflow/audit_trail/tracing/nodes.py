"""Where an output comes from: a graph of files, jobs, runs, code, environments and machines."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from audit_trail.tracing.states import FileState


# Nodes are compared as the things they are: a record may make one its own ancestor.
@dataclass(eq=False)
class Node:
    """One thing that an output comes from.

    Attributes:
        key: which no other node of the lineage has.
        kind: figure, table, data, model, file, external, job, runs, run, code, source, environment,
            packages, lock, image or machine.
        title: for people.
        name: of a file, from the folder of the study.
        sha256: of a file as the records name it.
        state: of a file as it is found now; of a job, that of its record; else empty.
        facts: plain JSON values by name.
        record: under which name the lineage holds the record behind it; None where there is none.
        children: what it comes from. Several nodes may share a child.
    """

    key: str
    kind: str
    title: str
    name: str = ""
    sha256: str = ""
    state: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    record: str | None = None
    children: list["Node"] = field(default_factory=list)


@dataclass
class Lineage:
    """All that an output comes from.

    Attributes:
        root: the output.
        nodes: by key, the nearest to the root first.
        records: the statement of each record, by the name that nodes have for it.
    """

    root: Node
    nodes: dict[str, Node] = field(default_factory=dict)
    records: dict[str, Any] = field(default_factory=dict)

    def states(self) -> dict[str, int]:
        """Return how many files are in each state, the best first."""
        files = [node.state for node in self.nodes.values() if node.name and node.state]
        return {state.value: files.count(state) for state in FileState if state in files}


def kind_of(name: str) -> str:
    """Return the kind of a file by its place in the study."""
    path = PurePosixPath(name)
    if path.suffix == ".safetensors":
        return "data" if path.parts[0] == "data" else "model"
    return {"figures": "figure", "tables": "table"}.get(path.parts[0], "file")
