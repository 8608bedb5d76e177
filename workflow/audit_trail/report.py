"""The findings of an audit as text and as JSON."""

from collections.abc import Sequence
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.errors import printable as printable
from audit_trail.findings import EXIT_CODES, Findings, State, worst

# Lines for each state, and letters of what is wrong in each.
_LINES = 20
_WIDE = 200


def verdict(findings: Sequence[Findings], allowed: frozenset[str]) -> State:
    """Return the worst state of all artefacts, those that are allowed aside."""
    problems = [p for found in findings for listed in found.problems.values() for p in listed]
    return worst(problems, allowed)


def require_intact(findings: Findings) -> None:
    """Check that bytes, records and history are what they should be.

    Code or configuration that has changed since, and a way back that is lost, are no objection.

    Raises:
        AuditError: they are not; the message names the worst artefact.
    """
    hurt = {State.MISSING, State.RECORD_MISSING, State.RECORD_ALTERED, State.MODIFIED}
    for name, problems in sorted(findings.problems.items(), key=_severity, reverse=True):
        for problem in problems:
            if problem.state in hurt or problem.reason in ("history", "signature"):
                raise AuditError(
                    f"{findings.folder}/{printable(name)}: {problem.state}: "
                    f"{printable(problem.detail)}; expected a study that logdepth audit "
                    "verify finds intact"
                )


def as_lines(findings: Sequence[Findings], allowed: frozenset[str]) -> list[str]:
    """Return the findings as lines: a line for each artefact with a problem, then the verdict."""
    lines = []
    for found in findings:
        states = found.by_state()
        counts = ", ".join(f"{len(names)} {state}" for state, names in states.items())
        lines.append(f"{printable(found.folder)}: {counts}; a history of {found.entries} lines")
        states.pop(State.VERIFIED, None)
        for state, names in reversed(states.items()):
            # What is wrong with several in the same way is said once.
            alike: dict[str, list[str]] = {}
            for name in names:
                details = dict.fromkeys(p.detail for p in found.problems[name] if p.state is state)
                alike.setdefault(_short(printable("; ".join(details))), []).append(name)
            for detail, (first, *others) in list(alike.items())[:_LINES]:
                more = f" and {len(others)} more" if others else ""
                lines.append(f"  {state:<14}  {printable(first)}{more}: {detail}")
            if len(alike) > _LINES:
                left = sum(map(len, list(alike.values())[_LINES:]))
                lines.append(f"  {state:<14}  … and {left} more (--json lists all)")
        lines += [f"  ({printable(note)})" for note in found.notes]
    decision = verdict(findings, allowed)
    aside = f" (allowed: {', '.join(sorted(allowed))})" if allowed else ""
    lines.append(f"verdict: {decision}{aside}")
    return lines


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[:_WIDE].rpartition(' ')[0]} …"


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


def _severity(item: tuple[str, list[Any]]) -> int:
    return list(State).index(worst(item[1]))
