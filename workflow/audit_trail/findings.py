"""What an audit says of artefacts: the state of each, and a report of all."""

import json
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from audit_trail.errors import AuditError, printable


class State(StrEnum):
    """The state of an artefact, from the best to the worst."""

    VERIFIED = "verified"
    STALE = "stale"
    NOT_CHECKED = "not checked"
    FOREIGN = "foreign"
    MISSING = "missing"
    BROKEN_CHAIN = "broken chain"
    RECORD_MISSING = "record missing"
    RECORD_ALTERED = "record altered"
    MODIFIED = "modified"


_ORDER = [*State]
# 1 and 2 say that the command itself could not do its work.
EXIT_CODES = dict(zip(State, (0, 3, 10, 4, 5, 6, 7, 8, 9), strict=True))
# Why an artefact is in its state.
REASONS = (
    *("bytes", "link", "unreadable"),
    *("edited", "malformed", "claimed"),
    *("record", "output", "foreign", "gone"),
    *("history", "signature", "time"),
    *("input", "source", "packages", "study", "lock", "image", "commit", "uncommitted"),
    "machine",
    *("code", "external", "repository"),
)
# Lines for each state, and letters of what is wrong in each.
_LINES, _WIDE = 20, 200


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an artefact."""

    state: State  # that it puts the artefact in
    reason: str  # one of REASONS, which ``--allow`` takes as well
    detail: str  # a sentence about the artefact, without its name


@dataclass
class Findings:
    """What was found in one study."""

    folder: str  # of the study
    # Of each artefact, by its name; none where it is verified.
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what was not looked at, and why
    history: list[str] = field(default_factory=list)  # hash of each of its lines

    def add(self, name: str, *problems: Problem) -> None:
        """Add an artefact, or problems of one."""
        self.problems.setdefault(name, []).extend(problems)

    def by_state(self) -> dict[State, list[str]]:
        """Return the names of the artefacts in each state, the best state first."""
        found: dict[State, list[str]] = {state: [] for state in State}
        for name in sorted(self.problems):
            found[worst(self.problems[name])].append(name)
        return {state: names for state, names in found.items() if names}


def worst(problems: Sequence[Problem], allowed: Collection[str] = ()) -> State:
    """Return the worst state among problems, those aside whose state or reason is allowed."""
    counted = [p.state for p in problems if p.state not in allowed and p.reason not in allowed]
    return max(counted, key=_ORDER.index, default=State.VERIFIED)


def require_intact(findings: Findings, besides: Collection[State] = ()) -> None:
    """Check that bytes, records and history are what they should be, and no state besides is found.

    Code that has changed since, and a way back that is lost, are no objection. An AuditError names
    the worst artefact.
    """
    hurt = {State.MISSING, State.RECORD_MISSING, State.RECORD_ALTERED, State.MODIFIED, *besides}
    every = [(name, p) for name, of in findings.problems.items() for p in of]
    found = [f for f in every if f[1].state in hurt or f[1].reason in ("history", "signature")]
    if found:
        name, problem = max(found, key=lambda one: _ORDER.index(one[1].state))
        said = f"{findings.folder}/{name}: {problem.state}: {problem.detail}"
        raise AuditError(f"{said}; expected a study that logdepth audit verify finds intact")


def report(
    findings: Sequence[Findings], allowed: Collection[str], as_json: bool
) -> tuple[int, str]:
    """Return the exit code, and the findings: as JSON, or as lines with the verdict at the end."""
    every = [problem for found in findings for of in found.problems.values() for problem in of]
    verdict = worst(every, allowed)
    code, aside = EXIT_CODES[verdict], sorted({*allowed})
    if as_json:
        studies = [_plain(found) for found in findings]
        whole = {"verdict": verdict, "exit": code, "allowed": aside, "studies": studies}
        return code, json.dumps(whole, indent=1)
    lines = [line for found in findings for line in _lines(found)]
    lines.append(f"verdict: {verdict}" + (f" (allowed: {', '.join(aside)})" if aside else ""))
    return code, "\n".join(map(printable, lines))


def _lines(found: Findings) -> list[str]:
    states = found.by_state()
    counts = ", ".join(f"{len(names)} {state}" for state, names in states.items())
    lines = [f"{found.folder}: {counts}; a history of {len(found.history)} lines"]
    for state, names in reversed(states.items()):
        # What is wrong with several in the same way is said once.
        alike: dict[str, list[str]] = {}
        for name in names if state is not State.VERIFIED else ():
            details = dict.fromkeys(p.detail for p in found.problems[name] if p.state is state)
            text = textwrap.shorten("; ".join(details), _WIDE, placeholder=" …")
            alike.setdefault(text, []).append(name)
        for detail, (first, *others) in list(alike.items())[:_LINES]:
            more = f" and {len(others)} more" if others else ""
            lines.append(f"  {state:<14}  {first}{more}: {detail}")
        if left := sum(map(len, list(alike.values())[_LINES:])):
            lines.append(f"  {state:<14}  … and {left} more (--json lists all)")
    return lines + [f"  ({note})" for note in found.notes]


def _plain(found: Findings) -> dict[str, Any]:
    return {
        "folder": found.folder,
        "history": {"lines": len(found.history), "head": [None, *found.history][-1]},
        "counts": {state: len(names) for state, names in found.by_state().items()},
        "notes": found.notes,
        "artefacts": [
            {"name": name, "state": worst(of), "problems": [asdict(problem) for problem in of]}
            for name, of in sorted(found.problems.items())
        ],
    }
