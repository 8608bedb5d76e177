"""The findings of an audit as text and as JSON."""

from collections.abc import Sequence
from typing import Any

from audit_trail.findings import EXIT_CODES, Findings, State, worst
from logdepth.errors import UserError

# Artefacts of each state that are told of in words.
_LINES = 20


def verdict(findings: Sequence[Findings], allowed: frozenset[str]) -> State:
    """Return the worst state of all artefacts, those aside that are allowed."""
    problems = [p for found in findings for listed in found.problems.values() for p in listed]
    return worst(problems, allowed)


def require_intact(findings: Findings) -> None:
    """Check that bytes, records and history are what they should be.

    Code or configuration that has changed since, and a way back that is lost, are no objection.

    Raises:
        UserError: they are not; the message names the worst artefact.
    """
    hurt = {State.MISSING, State.RECORD_MISSING, State.RECORD_ALTERED, State.MODIFIED}
    for name, problems in sorted(findings.problems.items(), key=_severity, reverse=True):
        for problem in problems:
            if problem.state in hurt or problem.reason in ("history", "signature"):
                raise UserError(
                    f"{findings.folder}/{printable(name)}: {problem.state}: "
                    f"{printable(problem.detail)}; expected a study that logdepth audit "
                    "verify finds intact"
                )


def as_lines(findings: Sequence[Findings], allowed: frozenset[str]) -> list[str]:
    """Return the findings as lines: a line for each artefact with a problem, then the verdict."""
    lines = []
    for found in findings:
        counts = ", ".join(f"{number} {state}" for state, number in found.counts().items())
        lines.append(f"{found.folder}: {counts}; a history of {found.entries} lines")
        for state in reversed(State):
            there = [
                name for name in sorted(found.problems) if worst(found.problems[name]) is state
            ]
            for name in there[:_LINES] if state is not State.VERIFIED else ():
                details = dict.fromkeys(p.detail for p in found.problems[name] if p.state is state)
                lines.append(f"  {state:<14}  {printable(name)}: {printable('; '.join(details))}")
            if len(there) > _LINES and state is not State.VERIFIED:
                lines.append(f"  {state:<14}  … and {len(there) - _LINES} more (--json lists all)")
        lines += [f"  ({printable(note)})" for note in found.notes]
    decision = verdict(findings, allowed)
    aside = f" (allowed: {', '.join(sorted(allowed))})" if allowed else ""
    lines.append(f"verdict: {decision}{aside}")
    return lines


def as_json(findings: Sequence[Findings], allowed: frozenset[str]) -> dict[str, Any]:
    """Return the findings as plain JSON values, with every artefact."""
    decision = verdict(findings, allowed)
    return {
        "verdict": decision.value,
        "exit": EXIT_CODES[decision],
        "allowed": sorted(allowed),
        "studies": [
            {
                "folder": found.folder,
                "history": {"lines": found.entries, "head": found.head},
                "counts": {state.value: number for state, number in found.counts().items()},
                "notes": found.notes,
                "artefacts": [
                    {
                        "name": name,
                        "state": worst(problems).value,
                        "problems": [
                            {"state": p.state.value, "reason": p.reason, "detail": p.detail}
                            for p in problems
                        ],
                    }
                    for name, problems in sorted(found.problems.items())
                ],
            }
            for found in findings
        ],
    }


def printable(text: str) -> str:
    """Return a text with everything escaped that a terminal might obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _severity(item: tuple[str, list[Any]]) -> int:
    return list(State).index(worst(item[1]))
