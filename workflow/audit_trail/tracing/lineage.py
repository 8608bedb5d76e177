"""Building the lineage of an output from the records of its study."""

import math
from collections import deque
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from audit_trail.history import Entry
from audit_trail.records import BadRecordError, Record, Resource
from audit_trail.study import StudyFolder
from audit_trail.tracing.facts import experiments, job_facts, run_facts
from audit_trail.tracing.narrowing import Narrowed, run_of
from audit_trail.tracing.nodes import Lineage, Node, kind_of
from audit_trail.tracing.states import Files, FileState, worst
from audit_trail.tracing.surroundings import Surroundings
from logdepth.canonical import digest
from logdepth.errors import UserError

_DEEPEST = 40


class Builder:
    """Builds the lineage of outputs of one study.

    Args:
        study: the outputs' own.
        files: of the study.
        narrowed: what a row comes from; None follows everything.
    """

    def __init__(self, study: StudyFolder, files: Files, narrowed: Narrowed | None = None) -> None:
        self._study = study
        self._files = files
        self._narrowed = narrowed or Narrowed()
        self._nodes: dict[str, Node] = {}
        self._records: dict[str, Any] = {}
        self._waiting: deque[tuple[Node, Record]] = deque()
        self._surroundings = Surroundings(self._nodes, files)

    def build(self, root: Node) -> Lineage:
        """Return the lineage of a node that this builder has made."""
        nodes = {root.key: root}
        # A record may claim to be its own ancestor; every node is filled once.
        while self._waiting:
            self._fill(*self._waiting.popleft())
        self._judge_runs()
        return Lineage(root, nodes | self._nodes, self._records)

    def file(self, name: str, sha256: str = "") -> Node:
        """Return the node of a file of the study.

        Args:
            name: from the folder of the study.
            sha256: that a record names; by default that of its newest record.
        """
        maker = self._study.makers.get(name)
        current = _digest_of(maker, name) if maker else ""
        sha256 = sha256 or current
        label = maker.name if maker else ""
        key = f"file:{name}"
        facts: dict[str, Any] = {}
        if maker is not None and sha256 == current:
            state = self._files.state(name, sha256)
        else:
            state = FileState.OTHER_VERSION if maker else FileState.NO_RECORD
            key += f"@{sha256[:12]}"
            facts = {"sha256 of its record now": current} if maker else {}
            maker, label = self._earlier(name, sha256)
        if key in self._nodes:
            return self._nodes[key]
        if state is not FileState.RECORDED:
            facts["sha256 found"] = self._files.sha256(name)
        if name in self._narrowed.rows:
            facts["rows"] = self._narrowed.rows_of(name)
        node = self._nodes[key] = Node(key, kind_of(name), name, name, sha256, state, facts)
        if maker is not None:
            node.record = label
            node.children.append(self.job(maker, label))
        return node

    def job(self, record: Record, label: str = "") -> Node:
        """Return the node of a job.

        Args:
            record: of the job.
            label: what the lineage calls the record; its name by default.

        Raises:
            UserError: the record holds what none of ours does, and what cannot be shown.
        """
        label = label or record.name
        key = f"job:{label}"
        if key not in self._nodes:
            _check_plain(record)
            title = f"{record.stage} {PurePosixPath(record.name).stem}"
            state, where = self._record_state(record)
            facts = {"record": where, **job_facts(record)}
            if notes := self._narrowed.notes.get(record.name):
                facts["for this row"] = "; ".join(notes)
            self._nodes[key] = Node(key, "job", title, "", "", state, facts, label)
            self._records[label] = record.statement
            self._waiting.append((self._nodes[key], record))
        return self._nodes[key]

    def _fill(self, node: Node, record: Record) -> None:
        inputs = self._narrowed.followed(record, record.inputs)
        named = experiments(record)
        runs: dict[str, list[Resource]] = {}
        for resource in inputs:
            if run := run_of(resource.name):
                runs.setdefault(run, []).append(resource)
        grouped = runs if named or len(runs) > 1 else {}
        for resource in inputs:
            if run_of(resource.name) not in grouped:
                node.children.append(self.file(resource.name, resource.sha256))
        if grouped:
            node.children.append(self._runs(grouped, named))
        for resource in record.external:
            node.children.append(self._external(resource))
        node.children += self._surroundings.of(record)

    def _runs(self, runs: dict[str, list[Resource]], named: dict[str, list[str]]) -> Node:
        members = []
        for run, resources in runs.items():
            member = self._run(run, [name for name, listed in named.items() if run in listed])
            files = (self.file(resource.name, resource.sha256) for resource in resources)
            member.children += [file for file in files if file not in member.children]
            members.append(member)
        key = f"runs:{digest(sorted(runs))[:12]}"
        if key not in self._nodes:
            title = f"{len(runs)} runs" if len(runs) > 1 else "1 run"
            self._nodes[key] = Node(key, "runs", title, children=members)
        return self._nodes[key]

    def _run(self, run: str, named: list[str]) -> Node:
        key = f"run:{run}"
        if key not in self._nodes:
            facts = {"experiment": ", ".join(named), **run_facts(self._study, self._files, run)}
            self._nodes[key] = Node(key, "run", run, facts=facts)
        return self._nodes[key]

    def _external(self, resource: Resource) -> Node:
        key = f"external:{resource.name}@{resource.sha256[:12]}"
        if key not in self._nodes:
            state = self._files.state_outside(resource)
            name, sha256 = resource.name, resource.sha256
            node = Node(key, "external", name, name, sha256, state, {"place": "not of the study"})
            if resource.name in self._narrowed.rows:
                node.facts["rows"] = self._narrowed.rows_of(resource.name)
            self._nodes[key] = node
        return self._nodes[key]

    def _earlier(self, name: str, sha256: str) -> tuple[Record | None, str]:
        """Return the newest record in the history that has made just this version of a file."""
        return self._versions.get((name, sha256), (None, ""))

    @cached_property
    def _versions(self) -> dict[tuple[str, str], tuple[Record, str]]:
        found: dict[tuple[str, str], tuple[Record, str]] = {}
        for entry in self._study.history.entries:
            try:
                record = entry.parsed()
            except BadRecordError:
                continue
            label = f"{record.name} (line {entry.number} of the history)"
            found |= {(output.name, output.sha256): (record, label) for output in record.outputs}
        return found

    @cached_property
    def _lines(self) -> dict[str, Entry]:
        return {entry.record_sha256: entry for entry in self._study.history.entries}

    def _record_state(self, record: Record) -> tuple[FileState, str]:
        entry = self._lines.get(record.sha256)
        if entry is not None and entry.record == record.name:
            return FileState.RECORDED, f"as in line {entry.number} of the history"
        known = record.name in self._study.history.latest()
        where = "not as in the history" if known else "not in the history"
        return (FileState.MODIFIED if known else FileState.NO_RECORD), where

    def _judge_runs(self) -> None:
        states: dict[str, list[str]] = {}
        for node in self._nodes.values():
            if run := run_of(node.name):
                states.setdefault(f"run:{run}", []).append(node.state)
        for key, found in states.items():
            if key in self._nodes:
                self._nodes[key].state = worst(found)
        for node in self._nodes.values():
            if node.kind == "runs":
                node.state = worst([run.state for run in node.children])


def _digest_of(record: Record, name: str) -> str:
    return next((o.sha256 for o in record.outputs if o.name == name), "")


def _check_plain(record: Record) -> None:
    waiting: list[tuple[Any, int]] = [(record.statement, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST or (isinstance(value, float) and not math.isfinite(value)):
            raise UserError(
                f"{record.name}: nested more than {_DEEPEST} deep, or with a number beyond all "
                "bounds; expected a record as its job wrote it"
            )
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(item, depth + 1) for item in inner]
