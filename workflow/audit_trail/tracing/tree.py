"""A lineage on a terminal: a tree, and below it what its parts share."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from audit_trail.report import printable
from audit_trail.tracing.nodes import Lineage, Node
from audit_trail.tracing.trace import GIVEN, Rows, Trace
from audit_trail.tracing.words import aside, brief, by_own_names, facts_line, moment, took

_STYLES = {"as recorded": "green", "modified": "bold red", "missing": "bold red"}
_DEEPEST = 40
_WIDTH = 100
_ROWS = 8
_APART = ("code", "source", "environment", "machine")
_COLUMNS = {
    "depth": "depth",
    "heads": "heads",
    "width": "width",
    "train_samples": "samples",
    "seed": "seed",
    "device": "device",
    "host": "host",
    "seconds": "took",
    "started": "started (UTC)",
}
_NUMBERS = ("depth", "heads", "width", "samples", "seed", "took")
_ALWAYS = ("depth", "seed", "device", "seconds", "started")


def print_tree(trace: Trace, output: TextIO | None = None) -> None:
    """Print a trace; 100 columns wide where there is no terminal to ask.

    Args:
        trace: to show.
        output: to write to; by default what the process prints to.
    """
    console = Console(file=output or sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    _Writer(console, trace.lineage).write(trace)


class _Writer:
    def __init__(self, console: Console, lineage: Lineage) -> None:
        self._console = console
        self._lineage = lineage
        self._seen: set[str] = set()
        # Described below the tree, in the order in which the tree names them.
        self._below: list[Node] = []

    def write(self, trace: Trace) -> None:
        if trace.rows is not None:
            self._write_rows(trace.file, trace.rows)
        root = trace.lineage.root
        tree = Tree(self._label(root, trace.file), guide_style="dim")
        if root.sha256:
            whose = "" if root.state == "as recorded" else "recorded "
            tree.add(Text(f"{whose}sha256 {root.sha256}", "dim"))
        self._grow(tree, root, 0)
        self._console.print(tree)
        done = 0
        while done < len(self._below):
            node = self._below[done]
            done += 1
            self._console.print()
            self._describe(node)
        self._console.print()
        counts = ", ".join(f"{n} {state}" for state, n in trace.lineage.states().items())
        self._console.print(Text(f"files it comes from, as found now: {counts}"))
        for node in self._lineage.nodes.values():
            if node.name and node.state and node.state != "as recorded":
                state = Text(f"  {node.state:<14}", _STYLES.get(node.state, "yellow"))
                self._console.print(state.append(printable(node.name), "default"))

    def _write_rows(self, file: str, rows: Rows) -> None:
        asked = ", ".join(f"{name}={value}" for name, value in rows.conditions.items())
        head = f"{file}: {len(rows.rows)} of {rows.total} rows have {asked}"
        self._console.print(Text(printable(head), "bold"))
        for row in rows.rows[:_ROWS]:
            cells = zip(rows.columns, row, strict=False)
            line = "  ".join(f"{name} {cell}" for name, cell in cells if cell)
            self._console.print(Text(printable(f"  {line}")))
        if len(rows.rows) > _ROWS:
            self._console.print(Text(f"  and {len(rows.rows) - _ROWS} more"))
        self._console.print()

    def _grow(self, tree: Tree, node: Node, depth: int) -> None:
        if depth > _DEEPEST:
            tree.add(Text("and so on: deeper than any study of ours"))
            return
        if node.kind == "job":
            for line in facts_line(node):
                tree.add(Text(printable(line)))
            tree.add(self._made_in(node))
        elif node.key == GIVEN:
            tree.add(Text(printable(aside(node))))
        for child in node.children:
            if child.kind in _APART:
                continue
            again = child.key in self._seen
            if child.kind == "runs":
                if not again:
                    self._below.append(child)
                where = "as above" if again else "listed below"
                tree.add(self._label(child).append(f" · {where}", "dim"))
                self._seen.add(child.key)
                continue
            label = self._label(child)
            if again and child.children:
                tree.add(label.append(" · as above", "dim"))
                continue
            self._seen.add(child.key)
            self._grow(tree.add(label), child, depth + 1)

    def _label(self, node: Node, title: str = "") -> Text:
        if node.kind == "job":
            text = Text(printable(node.title), "bold")
            text.append(printable(f" · {moment(node)}"), "default")
        else:
            text = Text(printable(title or node.title), "bold" if node.kind != "file" else "")
            if node.kind == "external":
                text.append(" (not of the study)", "default")
            if "rows" in node.facts:
                text.append(f" · {node.facts['rows']} rows", "cyan")
            if node.sha256 and not title and node.kind not in ("lock", "packages"):
                text.append(f" · {node.sha256[:12]}", "dim")
        if node.state and not (node.kind == "job" and node.state == "as recorded"):
            word = f"its record is {node.facts['record']}" if node.kind == "job" else node.state
            text.append(" · ", "dim").append(word, _STYLES.get(node.state, "yellow"))
        return text

    def _made_in(self, job: Node) -> Text:
        words = []
        for child in job.children:
            if child.kind not in _APART:
                continue
            words.append(child.title)
            if child.kind == "source":
                if child.state != "as recorded":
                    words[-1] += f" {child.state}"
            elif child.key not in self._seen:
                self._seen.add(child.key)
                self._below.append(child)
        return Text(printable("in " + ", ".join(words)), "dim")

    def _describe(self, node: Node) -> None:
        if node.kind == "runs":
            self._describe_runs(node)
            return
        tree = Tree(Text(printable(node.title), "bold"), guide_style="dim")
        if line := brief(node.facts):
            tree.add(Text(printable(line.removeprefix("commit "))))
        for child in node.children:
            text = self._label(child)
            packages = child.facts.get("packages", child.facts.get("requirements"))
            if packages:
                number = packages if isinstance(packages, int) else len(packages)
                text.append(f" · {number} packages")
            tree.add(text)
        self._console.print(tree)

    def _describe_runs(self, group: Node) -> None:
        tree = Tree(self._label(group), guide_style="dim")
        for heading, table in _tables(group.children):
            (tree.add(Text(printable(heading), "bold")) if heading else tree).add(table)
        for jobs, words in self._jobs(group.children):
            text = Text(printable(f"{jobs[0].title.split()[0]}: "), "bold")
            text.append(printable(" · ".join(words)), "default")
            branch = tree.add(text)
            shared = _shared([job.facts for job in jobs], ("record", "device"))
            if line := brief(by_own_names(shared)):
                branch.add(Text(printable(line)))
            self._add_shared(branch, jobs)
        self._console.print(tree)

    def _jobs(self, runs: Sequence[Node]) -> list[tuple[list[Node], list[str]]]:
        """Return the jobs of the runs by stage, the last stage first, and what they read."""
        stages: dict[str, list[Node]] = {}
        for run in runs:
            waiting = list(run.children)
            reached: set[str] = set()
            while waiting:
                node = waiting.pop(0)
                if node.key in reached:
                    continue
                reached.add(node.key)
                if node.kind == "job":
                    jobs = stages.setdefault(node.title.split()[0], [])
                    if node not in jobs:
                        jobs.append(node)
                if node.kind == "job" or node.name.startswith("runs/"):
                    waiting += [c for c in node.children if c.kind == "job" or _of_run(c)]
        found = []
        for jobs in stages.values():
            rows = {f.facts["rows"] for r in runs for f in r.children if "rows" in f.facts}
            words = [f"{len(jobs)} jobs" if len(jobs) > 1 else "1 job"]
            if jobs[0].title.startswith("evaluate") and rows:
                words.append(f"{', '.join(sorted(rows))} rows of each evaluation.csv")
            found.append((jobs, words))
        return found

    def _add_shared(self, branch: Tree, jobs: list[Node]) -> None:
        """Add what the jobs read that is of no single run, and what they ran in."""
        inputs = {c.key: c for job in jobs for c in job.children if c.kind not in _APART}
        for child in inputs.values():
            if not _of_run(child):
                self._seen.add(child.key)
                self._grow(branch.add(self._label(child)), child, 1)
        made_in = {self._made_in(job).plain: job for job in jobs}
        for line in made_in:
            branch.add(Text(line, "dim"))


def _of_run(node: Node) -> bool:
    return node.name.startswith("runs/")


def _tables(runs: Sequence[Node]) -> Iterator[tuple[str, Table]]:
    """Yield a table for each experiment, with what sets its runs apart from all others."""
    by_experiment: dict[str, list[Node]] = {}
    for run in runs:
        by_experiment.setdefault(str(run.facts.get("experiment", "")), []).append(run)
    facts = [run.facts for run in runs]
    varied = [key for key in _COLUMNS if len({str(f.get(key)) for f in facts}) > 1]
    columns = [key for key in _COLUMNS if key in (*_ALWAYS, *varied)]
    with_state = len({run.state for run in runs}) > 1
    for experiment, members in by_experiment.items():
        known = (*_COLUMNS, *_shared(facts), "experiment")
        own = brief(_shared([run.facts for run in members], known))
        heading = ": ".join(part for part in (experiment, own) if part)
        yield heading, _table(members, columns, with_state)


def _table(runs: Sequence[Node], columns: Sequence[str], with_state: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    names = ["run", *(_COLUMNS[key] for key in columns), *(["state"] if with_state else [])]
    for name in names:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for run in runs:
        cells = [Text(printable(_cell(key, run.facts))) for key in columns]
        state = [Text(run.state, _STYLES.get(run.state, "yellow"))] if with_state else []
        table.add_row(Text(printable(run.title)), *cells, *state)
    return table


def _cell(key: str, facts: dict[str, Any]) -> str:
    if key == "seconds":
        return took(facts) or "?"
    value = facts.get(key)
    if value is None:
        return "?"
    return str(value)[:16].replace("T", " ") if key == "started" else str(value)


def _shared(facts: Sequence[dict[str, Any]], apart: Sequence[str] = ()) -> dict[str, Any]:
    """Return the facts that are the same in all, without those apart."""
    first = facts[0] if facts else {}
    hidden = {*apart, "started", "finished", "seconds", "command", "definition", "made by"}
    return {
        key: value
        for key, value in first.items()
        if key not in hidden and all(other.get(key) == value for other in facts[1:])
    }
