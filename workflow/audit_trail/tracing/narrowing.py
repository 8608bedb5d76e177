"""What one row of a table comes from: fewer runs, and fewer rows of the tables before it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit_trail.records import Record, Resource
from audit_trail.study import StudyFolder
from audit_trail.tracing.facts import experiments, mapping, run_content, run_settings
from audit_trail.tracing.rows import Table, matching, open_value, read_rows, same
from audit_trail.tracing.states import Files

_RUN = re.compile(r"runs/([^/]+)/")
# In these figures j is found from all of them, as that of the best match.
_SEARCHED = dict.fromkeys(("best_alignment", "attention_maps"), ("j", "jumps"))


@dataclass
class Narrowed:
    """What counts for chosen rows.

    Attributes:
        rows: of each table reached, the places that count and how many there are.
        inputs: by record, the names of the inputs that count; a record that is not here has all.
        notes: by record, what became of the others.
    """

    rows: dict[str, tuple[set[int], int]] = field(default_factory=dict)
    inputs: dict[str, set[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def followed(self, record: Record, resources: Sequence[Resource]) -> list[Resource]:
        """Return the inputs of a job that count."""
        names = self.inputs.get(record.name)
        return [r for r in resources if names is None or r.name in names]

    def rows_of(self, name: str) -> str:
        """Return how many rows of a table count, in words."""
        chosen, total = self.rows[name]
        return f"{len(chosen)} of {total}"


def run_of(name: str) -> str:
    """Return the run that a file belongs to; empty for other files."""
    found = _RUN.match(name)
    return found[1] if found else ""


def narrow(study: StudyFolder, files: Files, name: str, chosen: set[int]) -> Narrowed:
    """Return what chosen rows of a table come from.

    Tables are read as they are now; one that is not there counts as a whole.

    Args:
        study: of the table.
        files: of the study.
        name: of the table.
        chosen: places of the rows.

    Raises:
        UserError: something that is named as a table is none.
    """
    return _Narrowing(study, files).run(name, chosen)


class _Narrowing:
    def __init__(self, study: StudyFolder, files: Files) -> None:
        self._study = study
        self._files = files
        self._tables: dict[str, Table | None] = {}
        self._result = Narrowed()
        # Reached other than by rows, so that everything before it counts.
        self._whole: set[str] = set()
        self._waiting: list[str] = []

    def run(self, name: str, chosen: set[int]) -> Narrowed:
        self._reach(name, chosen)
        # What counts only ever grows, so that this ends, also if records go in circles.
        while self._waiting:
            name = self._waiting.pop()
            if record := self._study.makers.get(name):
                self._follow(record, name)
        return self._result

    def _reach(self, name: str, chosen: set[int] | None) -> None:
        table = None if chosen is None else self._table(name)
        if chosen is None or table is None:
            if name not in self._whole:
                self._whole.add(name)
                self._result.rows.pop(name, None)
                self._waiting.append(name)
        elif name not in self._whole:
            before, total = self._result.rows.get(name, (set(), len(table.rows)))
            if name not in self._result.rows or not chosen <= before:
                self._result.rows[name] = (before | chosen, total)
                self._waiting.append(name)

    def _follow(self, record: Record, name: str) -> None:
        counted = self._result.inputs.setdefault(record.name, set())
        notes = self._result.notes.setdefault(record.name, [])
        table = None if name in self._whole else self._table(name)
        if table is not None and record.stage == "compare":
            note = (
                "z and verdict rest on the spread of seeds and the number of cells of all rows, too"
            )
            notes += [] if note in notes else [note]
        rows = [] if table is None else [table.row(i) for i in sorted(self._result.rows[name][0])]
        for resource in (*record.inputs, *record.external):
            found: set[int] | None = None
            if table is not None:
                wanted, note = self._rest_on(record, rows, resource.name)
                if run_of(resource.name) and experiments(record):
                    wanted = self._of_run(record, wanted, run_of(resource.name))
                    if not wanted:
                        continue
                found = self._matching(record, wanted, resource.name)
                if found is not None and not found:
                    note = note or f"no row of {resource.name} belongs to it"
                    if note not in notes:
                        notes.append(note)
                    continue
            counted.add(resource.name)
            self._reach(resource.name, found)

    def _matching(self, record: Record, rows: list[dict[str, str]], name: str) -> set[int] | None:
        table = self._table(name)
        if table is None:
            return None
        if not rows:
            return set()
        draws = _draws(record)
        apart = _SEARCHED.get(draws, ()) if "alignment" in name else ()
        return matching(rows, table, apart)

    def _of_run(self, record: Record, rows: list[dict[str, str]], run: str) -> list[dict[str, str]]:
        """Return the rows that a run has a part in."""
        named = [name for name, runs in experiments(record).items() if run in runs]
        settings = run_settings(run_content(self._study, self._files, run))
        return [
            row
            for row in rows
            if row.get("experiment", named[0] if named else "") in named
            and same(row.get("run", run), run)
            and all(
                open_value(column, row[column]) or same(row[column], str(value))
                for column, value in settings.items()
                if column in row and value is not None
            )
        ]

    def _rest_on(
        self, record: Record, rows: list[dict[str, str]], name: str
    ) -> tuple[list[dict[str, str]], str]:
        """Return the rows that rest on rows of an input, and what else that input is for.

        A row of most tables rests on all inputs. One of depth_law is a point of the thresholds, a
        fitted curve, or theory; its column kind says which.
        """
        if _draws(record) != "depth_law":
            return rows, ""
        if name.endswith("thresholds.csv"):
            scaling = next((r.name for r in record.inputs if r.name.endswith("scaling.csv")), "")
            fitted = self._table(scaling)
            first = fitted.row(0) if fitted and fitted.rows else {}
            drawn = {"threshold": first["threshold"]} if "threshold" in first else {}
            points = [row | drawn for row in rows if row.get("kind") in ("run", "depth")]
            return points, f"{name} gave the range of depths and no more"
        curves = [
            {key: row[key] for key in ("experiment", "mode", "dropout") if key in row}
            | {"growth": row.get("kind", "")}
            for row in rows
            if row.get("kind") not in ("run", "depth", "theory")
        ]
        return curves, f"{name} gave the threshold and no more"

    def _table(self, name: str) -> Table | None:
        """Return a table as it is now; None where it is not there, or no table."""
        if name not in self._tables:
            path = self._place(name) if name.endswith(".csv") else None
            self._tables[name] = None if path is None else read_rows(path)
        return self._tables[name]

    def _place(self, name: str) -> Path | None:
        return self._files.path(name) if name in self._study.makers else self._files.outside(name)


def _draws(record: Record) -> str:
    return str(mapping(record.parameters.get("figure")).get("draws", ""))
